"""Rings about an event, before and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from amorph2d.series.followed import FollowedAtoms

Ring = frozenset[int]
"""Tracks of the atoms of a ring."""


class RingChange(NamedTuple):
    """Rings that are there only before an event, and only after it."""

    before: tuple[Ring, ...]
    after: tuple[Ring, ...]

    def size_changes(self) -> list[int]:
        """Return by how much rings that gain or lose a single atom grow, ascending."""
        return sorted(len(new) - len(old) for old in self.before for new in self.after if len(old ^ new) == 1)


class Scene(NamedTuple):
    """Where and when to look: tracks, and the frames before and after."""

    tracks: tuple[int, ...]
    before: Sequence[int]
    after: Sequence[int]


def changed_rings(
    atoms: FollowedAtoms, rings: pd.DataFrame, ring_atoms: pd.DataFrame, scenes: Sequence[Scene]
) -> list[RingChange]:
    """Return the rings at given tracks that differ between frames before and frames after.

    A ring is there when most of the frames in which all its atoms are seen show it, so that an atom missed in
    some of them changes nothing.

    Parameters
    ----------
    atoms
        Atoms of the series.
    rings, ring_atoms
        Tables of the same frames.
    scenes
        Tracks and frames.

    Raises
    ------
    ValueError
        If the tables of rings do not belong together or name an atom that does not exist.
    """
    if len(ring_atoms) != rings["size"].sum():
        raise ValueError(
            f"ring_atoms must have {rings['size'].sum()} rows for the rings, got {len(ring_atoms)}"
        )
    at = _rings_at(atoms, ring_atoms, scenes)
    return [_change(atoms, at, scene) for scene in scenes]


def sizes_text(rings: Iterable[Ring]) -> str:
    """Return the sizes of rings, ascending, as in "5-5-7-7"."""
    return "-".join(str(size) for size in sorted(len(ring) for ring in rings))


def _rings_at(
    atoms: FollowedAtoms, ring_atoms: pd.DataFrame, scenes: Sequence[Scene]
) -> dict[tuple[int, int], list[Ring]]:
    """Return the rings at each track in each frame of the scenes."""
    frame = atoms.frames(ring_atoms)
    track = atoms.find(frame, ring_atoms["atom"].to_numpy(np.int64), "ring_atoms")
    key = frame * max(atoms.n_tracks, 1) + track
    wanted = {
        f * max(atoms.n_tracks, 1) + t
        for scene in scenes
        for f in (*scene.before, *scene.after)
        for t in scene.tracks
    }
    is_wanted = np.isin(key, np.array(sorted(wanted), dtype=np.int64))
    row = ring_atoms["row"].to_numpy(np.int64)
    number = np.unique(frame * (row.max(initial=0) + 1) + row, return_inverse=True)[1]
    is_chosen = np.isin(number, number[is_wanted])
    members: dict[int, list[int]] = {}
    for ring, one in zip(number[is_chosen].tolist(), track[is_chosen].tolist(), strict=True):
        members.setdefault(ring, []).append(one)
    sets = {ring: frozenset(tracks) for ring, tracks in members.items()}
    found: dict[tuple[int, int], list[Ring]] = {}
    for ring, place, one in zip(
        number[is_wanted].tolist(), frame[is_wanted].tolist(), track[is_wanted].tolist(), strict=True
    ):
        found.setdefault((place, one), []).append(sets[ring])
    return found


def _change(atoms: FollowedAtoms, at: dict[tuple[int, int], list[Ring]], scene: Scene) -> RingChange:
    """Return the rings of one scene that differ."""
    before, after = (_usual(atoms, at, scene.tracks, frames) for frames in (scene.before, scene.after))
    return RingChange(tuple(before - after), tuple(after - before))


def _usual(
    atoms: FollowedAtoms, at: dict[tuple[int, int], list[Ring]], tracks: Sequence[int], frames: Sequence[int]
) -> set[Ring]:
    """Return the rings that most of the frames show in which they can be seen."""
    votes = Counter(
        ring for frame in frames for ring in {r for track in tracks for r in at.get((frame, track), ())}
    )
    when = np.array(frames)[:, None]
    n_frames = {ring: int(atoms.is_seen(np.array(list(ring)), when).all(axis=1).sum()) for ring in votes}
    return {ring for ring, n in votes.items() if 2 * n > n_frames[ring]}
