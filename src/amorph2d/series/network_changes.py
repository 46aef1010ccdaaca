"""Changes of the bonds and atoms of a series, and which of them belong together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.series.followed import FollowedAtoms
from amorph2d.series.persistence import find_changes, find_runs, presence_runs

_LEAST_AROUND = 2  # atoms that must still be seen where one was lost or gained


class SeenBonds(NamedTuple):
    """Bonds as they were seen: frame (B,), and tracks of their atoms, the lower first, (B, 2)."""

    frame: IntArray
    ends: IntArray


class NetworkChanges(NamedTuple):
    """Changes of bonds and atoms, (C,); `ends` (C, 2) are tracks, the second −1 for an atom."""

    ends: IntArray
    is_gain: BoolArray
    before: IntArray
    after: IntArray
    is_persistent: BoolArray
    is_brief: BoolArray

    def take(self, rows: IntArray) -> NetworkChanges:
        """Return some of them."""
        return NetworkChanges(
            self.ends[rows],
            self.is_gain[rows],
            self.before[rows],
            self.after[rows],
            self.is_persistent[rows],
            self.is_brief[rows],
        )

    @property
    def is_atom(self) -> BoolArray:
        """Whether an atom changes, not a bond."""
        return self.ends[:, 1] < 0


class Touched(NamedTuple):
    """Tracks that changes touch, (T,): an atom's change also touches those bonded to it."""

    change: IntArray
    track: IntArray
    is_neighbour: BoolArray


class ChangeGroups(NamedTuple):
    """Events, (E,): frames before and after, place (E, 2) [Å], and whether all about them is analysable."""

    before: IntArray
    after: IntArray
    places: FloatArray
    is_whole: BoolArray


def network_changes(
    atoms: FollowedAtoms, bonds: SeenBonds, *, min_frames: int, max_gap: int
) -> NetworkChanges:
    """Return the changes of all bonds and atoms."""
    n_frames = len(atoms.numbers)
    pairs, thing, frame, state = _histories(atoms, bonds)
    runs = find_runs(thing, frame, state, n_frames=n_frames, max_gap=max_gap)
    of_bonds = find_changes(runs, min_frames=min_frames)
    present = presence_runs(atoms.track, atoms.frame, n_frames=n_frames, max_gap=max_gap)
    of_atoms = find_changes(present, min_frames=min_frames)
    alone = np.column_stack([of_atoms.thing, np.full(len(of_atoms.thing), -1)])
    return NetworkChanges(
        np.concatenate([pairs[of_bonds.thing], alone]),
        np.concatenate([of_bonds.is_gain, of_atoms.is_gain]),
        np.concatenate([of_bonds.before, of_atoms.before]),
        np.concatenate([of_bonds.after, of_atoms.after]),
        np.concatenate([of_bonds.is_persistent, of_atoms.is_persistent]),
        np.concatenate([of_bonds.is_brief, of_atoms.is_brief]),
    )


def touched_tracks(bonds: SeenBonds, changes: NetworkChanges, n_frames: int) -> Touched:
    """Return the tracks that each change touches."""
    number = np.arange(len(changes.ends))
    both = np.concatenate([bonds.ends, bonds.ends[:, ::-1]])
    key = both[:, 0] * n_frames + np.tile(bonds.frame, 2)
    order = np.argsort(key)
    alone = number[changes.is_atom]
    # Its bonds are those of the last frame that shows a lost atom, or of the first that shows a new one.
    when = np.where(changes.is_gain, changes.after, changes.before)[alone]
    wanted = changes.ends[alone, 0] * n_frames + when
    low, high = (np.searchsorted(key[order], wanted, side=side) for side in ("left", "right"))
    start = np.repeat(low - np.concatenate([[0], np.cumsum(high - low)[:-1]])[: len(low)], high - low)
    neighbours = both[order, 1][start + np.arange(len(start))]
    ends, is_end = changes.ends.ravel(), (changes.ends >= 0).ravel()
    return Touched(
        np.concatenate([np.repeat(number, 2)[is_end], np.repeat(alone, high - low)]),
        np.concatenate([ends[is_end], neighbours]),
        np.repeat([False, True], [is_end.sum(), len(neighbours)]),
    )


def group_changes(changes: NetworkChanges, touched: Touched, n_frames: int) -> IntArray:
    """Return the event of each change: changes of one time that share atoms are one, but for flicker."""
    key = 2 * touched.track + changes.is_brief[touched.change]
    before, after = changes.before[touched.change], changes.after[touched.change]
    order = np.lexsort((before, key))
    key, before, after, change = key[order], before[order], after[order], touched.change[order]
    rank = np.unique(key, return_inverse=True)[1] * (n_frames + 1)
    until = np.maximum.accumulate(rank + after)
    is_joined = (key[1:] == key[:-1]) & (rank[1:] + before[1:] < until[:-1])
    links = np.column_stack([change[:-1], change[1:]])[is_joined]
    n_changes = len(changes.ends)
    graph = sparse.coo_array((np.ones(len(links)), tuple(links.T)), shape=(n_changes, n_changes))
    if not n_changes:
        return np.empty(0, dtype=np.int64)
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def describe_groups(
    atoms: FollowedAtoms, changes: NetworkChanges, touched: Touched, event: IntArray, *, max_gap: int
) -> ChangeGroups:
    """Date and place the events, and tell which of them are not cut by an edge."""
    n_events = int(event.max(initial=-1)) + 1
    before, after = _dates(changes, event, n_events)
    is_gone = changes.is_atom & ~changes.is_gain
    is_new = changes.is_atom & changes.is_gain
    # Each atom of an event once, with 1 where it goes and 2 where it comes.
    fate = (np.where(is_gone, 1, 0) + np.where(is_new, 2, 0))[touched.change] * ~touched.is_neighbour
    code = event[touched.change] * atoms.n_tracks + touched.track
    codes, atom = np.unique(code, return_inverse=True)
    own, track = np.divmod(codes, max(atoms.n_tracks, 1))
    fates = np.zeros(len(codes), dtype=np.int64)
    np.bitwise_or.at(fates, atom, fate)
    is_moving = np.zeros(len(codes), dtype=bool)
    is_moving[atom[~touched.is_neighbour]] = True
    earlier, later = atoms.last_until(track, before[own]), atoms.first_from(track, after[own])
    is_sound = [
        (row >= 0) & atoms.is_analysable[row] & (np.abs(atoms.frame[row] - date[own]) <= max_gap)
        for row, date in ((earlier, before), (later, after))
    ]
    is_right = (is_sound[0] | (fates == 2)) & (is_sound[1] | (fates == 1))
    n_wrong = np.bincount(own, ~is_right, minlength=n_events)
    n_around = np.bincount(own, fates == 0, minlength=n_events)
    row = np.where((fates == 2) | (earlier < 0), later, earlier)
    has_fate = np.bincount(own, fates > 0, minlength=n_events) > 0
    weight = np.where(has_fate[own], fates > 0, is_moving).astype(np.float64)
    sums = [np.bincount(own, weight * axis, minlength=n_events) for axis in atoms.places[row].T]
    places = np.column_stack(sums) / np.bincount(own, weight, minlength=n_events)[:, None]
    return ChangeGroups(before, after, places, (n_wrong == 0) & (n_around >= _LEAST_AROUND))


def count_bonds(changes: NetworkChanges, touched: Touched, event: IntArray) -> IntArray:
    """Return the bonds broken and made in each event, (2, E), those of lost and gained atoms included."""
    number = np.concatenate([np.flatnonzero(~changes.is_atom), touched.change[touched.is_neighbour]])
    arms = np.column_stack(
        [changes.ends[touched.change[touched.is_neighbour], 0], touched.track[touched.is_neighbour]]
    )
    ends = np.sort(np.concatenate([changes.ends[~changes.is_atom], arms]), axis=1)
    bonds = np.column_stack([event[number], changes.is_gain[number], ends])
    n_events = int(event.max(initial=-1)) + 1
    own, is_gain = np.unique(bonds, axis=0)[:, :2].T
    return np.stack([np.bincount(own[is_gain == state], minlength=n_events) for state in (0, 1)])


def _histories(atoms: FollowedAtoms, bonds: SeenBonds) -> tuple[IntArray, IntArray, IntArray, BoolArray]:
    """Return pairs (P, 2) not bonded all the time, and pair, frame and state where both atoms are seen."""
    n_frames, n_tracks = len(atoms.numbers), atoms.n_tracks
    is_seen = np.zeros((n_tracks, n_frames), dtype=bool)
    is_seen[atoms.track, atoms.frame] = True
    bits = np.packbits(is_seen, axis=1)
    codes, pair = np.unique(bonds.ends @ np.array([n_tracks, 1]), return_inverse=True)
    first, second = np.divmod(codes, max(n_tracks, 1))
    n_seen = np.bitwise_count(bits[first] & bits[second]).sum(axis=1)
    chosen = np.flatnonzero(n_seen != np.bincount(pair, minlength=len(codes)))
    place = np.full(len(codes), -1)
    place[chosen] = np.arange(len(chosen))
    is_bonded = np.zeros((len(chosen), n_frames), dtype=bool)
    is_chosen = place[pair] >= 0
    is_bonded[place[pair[is_chosen]], bonds.frame[is_chosen]] = True
    ends = np.column_stack([first, second])[chosen]
    thing, frame = np.nonzero(is_seen[ends[:, 0]] & is_seen[ends[:, 1]])
    return ends, thing, frame, is_bonded[thing, frame]


def _dates(changes: NetworkChanges, event: IntArray, n_events: int) -> tuple[IntArray, IntArray]:
    """Return the frames before and after that all changes of an event have in common, or else around all."""
    bounds = []
    for column in (changes.before, changes.after):
        least, most = np.full(n_events, np.iinfo(np.int64).max), np.full(n_events, -1)
        np.minimum.at(least, event, column)
        np.maximum.at(most, event, column)
        bounds.append((least, most))
    (earliest, before), (after, latest) = bounds
    is_shared = before < after
    return np.where(is_shared, before, earliest), np.where(is_shared, after, latest)
