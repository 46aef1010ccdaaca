"""Events in a series: bonds that turn, break or form, and atoms that come or go."""

from __future__ import annotations

import numpy as np
import pandas as pd

from amorph2d.arrays import IntArray
from amorph2d.measures.config import EventParameters
from amorph2d.measures.window import Window
from amorph2d.series.followed import bonded_tracks, follow_atoms
from amorph2d.series.network_changes import (
    ChangeGroups,
    NetworkChanges,
    SeenBonds,
    Touched,
    count_bonds,
    describe_groups,
    group_changes,
    network_changes,
    touched_tracks,
)
from amorph2d.series.ring_changes import RingChange, Scene, changed_rings, sizes_text

ROTATION, BROKEN, MADE, LOST, GAINED, OTHER = EVENT_KINDS = (
    "bond rotation",
    "bond broken",
    "bond made",
    "atom lost",
    "atom gained",
    "rearrangement",
)
EVENT_COLUMNS = {
    "event": "int64",
    "frame_before": "int32",
    "frame_after": "int32",
    "time": "float64",
    "kind": "str",
    "x": "float64",
    "y": "float64",
    "n_bonds_broken": "int32",
    "n_bonds_made": "int32",
    "rings_before": "str",
    "rings_after": "str",
    "persistent": "bool",
}
EVENT_UNITS = dict.fromkeys(EVENT_COLUMNS, "") | {"time": "s", "x": "Å", "y": "Å"}

_TURNED = [-1, -1, 1, 1]  # by which the rings about a turned bond change


def events_table(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: EventParameters,
    *,
    field: Window | None = None,
) -> pd.DataFrame:
    """Find the events of a series.

    Atoms are followed by their tracks; tracks that end where others begin are joined. A bond between two
    atoms changes where it is seen in one frame and not in a later one, both atoms being seen in either.
    Changes of one time that share atoms are one event. It counts, and is `persistent`, when for at least half
    of its changes the states before and after last; where an atom is only missed in some frames, nothing
    changes. An event at the edge of what is analysable is left out: all atoms about it must be analysable
    before and after it.

    Parameters
    ----------
    sites
        Of all frames, with ``track`` and, where known, ``time`` [s] and ``x_aligned``, ``y_aligned`` [Å].
    bonds, rings, ring_atoms
        Bonds, rings and their atoms in the same frames.
    parameters
        What lasts, and what is still the same atom.
    field
        Area that all frames show, in aligned coordinates; events outside of it are left out.

    Returns
    -------
    DataFrame
        `EVENT_COLUMNS` in the order of time. ``time`` is the middle of those of the frames before and after;
        ``x``, ``y`` the middle of the atoms that change, aligned where that is known. A "bond rotation"
        breaks two bonds and makes two about one that stays; "bond broken" and "bond made" change a single
        bond; in "atom lost" and "atom gained" atoms beside it may also bond or part; all else is a
        "rearrangement". ``rings_before`` and ``rings_after`` are the sizes of the rings that change,
        ascending, such as "6-6-6-6" and "5-5-7-7".

    Raises
    ------
    ValueError
        If a column is missing, or a bond or ring names an atom that does not exist.
    """
    atoms = follow_atoms(sites, max_gap=parameters.max_gap, max_jump=parameters.max_jump)
    linked = SeenBonds(*bonded_tracks(atoms, bonds))
    changes = network_changes(atoms, linked, min_frames=parameters.min_frames, max_gap=parameters.max_gap)
    touched = touched_tracks(linked, changes, len(atoms.numbers))
    event = group_changes(changes, touched, len(atoms.numbers))
    found = describe_groups(atoms, changes, touched, event, max_gap=parameters.max_gap)
    is_kept = found.is_whole.copy()
    if field is not None:
        is_kept[is_kept] = field.contains(found.places[is_kept])
    chosen = np.flatnonzero(is_kept)
    chosen = chosen[np.lexsort((found.before[chosen], found.after[chosen]))]
    # States that last fill more than half of so many frames, whatever follows or went before.
    reach = 2 * parameters.min_frames - 1
    scenes = _scenes(found, touched, event, chosen, n_frames=len(atoms.numbers), reach=reach)
    ring_changes = changed_rings(atoms, rings, ring_atoms, scenes)
    n_bonds = count_bonds(changes, touched, event)
    rows = []
    steady = _Steady(linked, atoms.n_tracks)
    members = _members(event, chosen)
    for number, own, scene, ring_change in zip(chosen, members, scenes, ring_changes, strict=True):
        one = changes.take(own)
        rows.append(
            {
                "frame_before": atoms.numbers[found.before[number]],
                "frame_after": atoms.numbers[found.after[number]],
                "kind": _kind(one, scene, ring_change, steady),
                "x": found.places[number, 0],
                "y": found.places[number, 1],
                "n_bonds_broken": n_bonds[0, number],
                "n_bonds_made": n_bonds[1, number],
                "rings_before": sizes_text(ring_change.before),
                "rings_after": sizes_text(ring_change.after),
                "persistent": bool(2 * one.is_persistent.sum() >= len(one.is_persistent)),
            }
        )
    return _finish(rows, sites)


def _members(event: IntArray, chosen: IntArray) -> list[IntArray]:
    """Return the indices at which `event` is each of the chosen events."""
    order = np.argsort(event, kind="stable")
    low, high = (np.searchsorted(event[order], chosen, side=side) for side in ("left", "right"))
    return [order[start:end] for start, end in zip(low, high, strict=True)]


def _scenes(
    found: ChangeGroups, touched: Touched, event: IntArray, chosen: IntArray, *, n_frames: int, reach: int
) -> list[Scene]:
    """Return where and when the rings of the chosen events are compared."""
    owner = event[touched.change]
    tracks = [touched.track[rows] for rows in _members(owner, chosen)]
    scenes = []
    for number, own in zip(chosen, tracks, strict=True):
        before, after = int(found.before[number]), int(found.after[number])
        scenes.append(
            Scene(
                tuple(np.unique(own).tolist()),
                range(max(before - reach + 1, 0), before + 1),
                range(after, min(after + reach, n_frames)),
            )
        )
    return scenes


class _Steady:
    """Tells whether two atoms are bonded in some of given frames."""

    def __init__(self, bonds: SeenBonds, n_tracks: int) -> None:
        self._n_tracks = n_tracks
        code = bonds.ends @ np.array([n_tracks, 1])
        order = np.argsort(code)
        self._codes, self._frames = code[order], bonds.frame[order]

    def __call__(self, one: int, other: int, scene: Scene) -> bool:
        """Tell whether the tracks are bonded before as well as after."""
        code = min(one, other) * self._n_tracks + max(one, other)
        low, high = (int(np.searchsorted(self._codes, code, side=side)) for side in ("left", "right"))
        frames = set(self._frames[low:high].tolist())
        return not (frames.isdisjoint(scene.before) or frames.isdisjoint(scene.after))


def _kind(changes: NetworkChanges, scene: Scene, ring_change: RingChange, is_bonded: _Steady) -> str:
    """Name what happened."""
    n_lost, n_gained, n_broken, n_made = _numbers(changes)
    if n_lost or n_gained:
        if n_gained == 0 and n_broken == 0:
            return LOST
        return GAINED if n_lost == 0 and n_made == 0 else OTHER
    if n_broken + n_made == 1:
        return BROKEN if n_broken else MADE
    if (n_broken, n_made) == (2, 2) and _is_turned(changes, scene, ring_change, is_bonded):
        return ROTATION
    return OTHER


def _is_turned(changes: NetworkChanges, scene: Scene, ring_change: RingChange, is_bonded: _Steady) -> bool:
    """Tell whether two bonds broken and two made are those of a bond that turned."""
    broken, made = changes.ends[~changes.is_gain], changes.ends[changes.is_gain]
    (i, a), (j, c) = broken.tolist()
    wanted = [{frozenset((i, c)), frozenset((j, a))}, {frozenset((i, j)), frozenset((a, c))}]
    found = {frozenset(pair) for pair in made.tolist()}
    if len({i, a, j, c}) != 4 or found not in wanted:
        return False
    # The bonds broken and made are a square; the bond that turned is one of its diagonals.
    diagonals = ((i, j), (a, c)) if found == wanted[0] else ((i, c), (a, j))
    if not any(is_bonded(one, other, scene) for one, other in diagonals):
        return False
    is_closed = len(ring_change.before) == len(ring_change.after) == 4
    return not is_closed or ring_change.size_changes() == _TURNED


def _numbers(changes: NetworkChanges) -> tuple[int, int, int, int]:
    """Return how many atoms are lost and gained, and bonds of others broken and made."""
    is_atom, is_gain = changes.is_atom, changes.is_gain
    kinds = (is_atom & ~is_gain, is_atom & is_gain, ~is_atom & ~is_gain, ~is_atom & is_gain)
    n_lost, n_gained, n_broken, n_made = (int(kind.sum()) for kind in kinds)
    return n_lost, n_gained, n_broken, n_made


def _finish(rows: list[dict[str, object]], sites: pd.DataFrame) -> pd.DataFrame:
    """Make the table of events, with their times."""
    times = sites.groupby("frame")["time"].first() if "time" in sites else pd.Series(dtype=np.float64)
    table = pd.DataFrame(rows, columns=[name for name in EVENT_COLUMNS if name not in ("event", "time")])
    both = [times.reindex(table[name]).to_numpy(np.float64) for name in ("frame_before", "frame_after")]
    table = table.assign(event=np.arange(len(table)), time=(both[0] + both[1]) / 2)
    return table[list(EVENT_COLUMNS)].astype(EVENT_COLUMNS)
