"""Atoms and bonds of a series by the tracks of the atoms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.measures.tables import find_sites

_SITE_COLUMNS = ("frame", "site", "kind", "x", "y", "analysable", "track")


class FollowedAtoms(NamedTuple):
    """Atoms as they were seen, ordered by track and frame, (N,) each.

    Attributes
    ----------
    numbers
        Numbers of the frames of the series, ascending, (F,); everywhere else frames are indices of these.
    track, frame
        Tracks, from 0 on, and frames.
    key
        Tracks × number of frames + frames.
    places
        Positions, aligned where that is known, (N, 2), x then y [Å].
    is_analysable
        Whether each counts.
    names, tracks_of_names
        Site numbers with their frames as sorted single numbers, and the track of each.
    """

    numbers: IntArray
    track: IntArray
    frame: IntArray
    key: IntArray
    places: FloatArray
    is_analysable: BoolArray
    names: IntArray
    tracks_of_names: IntArray

    @property
    def n_tracks(self) -> int:
        """Number of tracks."""
        return int(self.track[-1]) + 1 if len(self.track) else 0

    def last_until(self, track: IntArray, frame: IntArray) -> IntArray:
        """Return the row in which each track is last seen up to a frame; −1 if it was not."""
        row = np.searchsorted(self.key, track * len(self.numbers) + frame, side="right") - 1
        return np.where((row >= 0) & (self.track[row] == track), row, -1)

    def first_from(self, track: IntArray, frame: IntArray) -> IntArray:
        """Return the row in which each track is first seen from a frame on; −1 if it is not."""
        row = np.searchsorted(self.key, track * len(self.numbers) + frame)
        inside = np.minimum(row, len(self.key) - 1)
        return np.where((row < len(self.key)) & (self.track[inside] == track), inside, -1)

    def is_seen(self, track: IntArray, frame: IntArray) -> BoolArray:
        """Tell whether each track is seen in each frame; shapes are broadcast."""
        wanted = track * len(self.numbers) + frame
        row = np.minimum(np.searchsorted(self.key, wanted), len(self.key) - 1)
        return np.asarray(self.key[row] == wanted)

    def find(self, frame: IntArray, site: IntArray, what: str) -> IntArray:
        """Return the tracks of atoms given by frame and site number, of one shape."""
        wanted = _names(frame, site)
        row = np.searchsorted(self.names, wanted)
        is_known = np.append(self.names, -1)[row] == wanted
        if not is_known.all():
            raise ValueError(f"{what} must name atoms of the same frame, got {site[~is_known][0]}")
        return self.tracks_of_names[row]

    def frames(self, table: pd.DataFrame) -> IntArray:
        """Return the frames of the rows of a table."""
        return find_sites(table["frame"].to_numpy(np.int64), self.numbers, "tables", "frames of the series")


def follow_atoms(sites: pd.DataFrame, *, max_gap: int, max_jump: float) -> FollowedAtoms:
    """Collect the atoms of a series, and join tracks that end where others begin.

    Parameters
    ----------
    sites
        Of all frames, with ``track`` and, where known, ``x_aligned`` and ``y_aligned`` [Å].
    max_gap
        Frames in which an atom may be missed, ≥ 0.
    max_jump
        Largest distance between the end of a track and the start of the one that it is joined to [Å].

    Returns
    -------
    FollowedAtoms
        Its tracks are numbered anew.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    missing = [name for name in _SITE_COLUMNS if name not in sites]
    if missing:
        raise ValueError(
            f"sites must have the columns {', '.join(_SITE_COLUMNS)}, got none called {', '.join(missing)}"
        )
    numbers, frame = np.unique(sites["frame"].to_numpy(np.int64), return_inverse=True)
    is_atom = (sites["kind"] == "atom").to_numpy(bool)
    atoms, frame = sites[is_atom], frame[is_atom].astype(np.int64)
    axes = ["x_aligned", "y_aligned"] if "x_aligned" in sites else ["x", "y"]
    places = atoms[axes].to_numpy(np.float64)
    track = np.unique(atoms["track"].to_numpy(np.int64), return_inverse=True)[1].astype(np.int64)
    track = join_tracks(track, frame, places, max_gap=max_gap, max_jump=max_jump)
    names = _names(frame, atoms["site"].to_numpy(np.int64))
    by_name, by_track = np.argsort(names), np.lexsort((frame, track))
    is_analysable = atoms["analysable"].to_numpy(bool)
    return FollowedAtoms(
        numbers,
        track[by_track],
        frame[by_track],
        (track * len(numbers) + frame)[by_track],
        places[by_track],
        is_analysable[by_track],
        names[by_name],
        track[by_name],
    )


def join_tracks(
    track: IntArray, frame: IntArray, places: FloatArray, *, max_gap: int, max_jump: float
) -> IntArray:
    """Return the numbers of tracks, those that go on as others joined, from 0 on.

    The nearest in time, and of these in space, are joined first. Which of two atoms of a bond that turned by
    90° is which cannot be known, and does not matter.

    Parameters
    ----------
    track, frame
        Track, all numbers from 0 on being there, and frame of each atom, (N,).
    places
        Positions without drift, (N, 2) [Å].
    max_gap, max_jump
        Frames between the end and the start, and their largest distance [Å].
    """
    order = np.lexsort((frame, track))
    n_tracks = int(track.max(initial=-1)) + 1
    first = order[np.searchsorted(track[order], np.arange(n_tracks))]
    last = order[np.searchsorted(track[order], np.arange(n_tracks), side="right") - 1]
    ends = np.flatnonzero(frame[last] < frame.max(initial=0))
    starts = np.flatnonzero(frame[first] > frame.min(initial=0))
    if not (len(ends) and len(starts) and max_jump > 0):
        return track
    near = KDTree(places[last[ends]]).sparse_distance_matrix(
        KDTree(places[first[starts]]), max_jump, output_type="ndarray"
    )
    old, new, distance = ends[near["i"]], starts[near["j"]], near["v"]
    gap = frame[first[new]] - frame[last[old]] - 1
    is_possible = (gap >= 0) & (gap <= max_gap)
    order = np.lexsort((distance[is_possible], gap[is_possible]))
    links = np.column_stack([old, new])[is_possible][order]
    return _merged(_one_to_one(links), n_tracks)[track]


def bonded_tracks(atoms: FollowedAtoms, bonds: pd.DataFrame) -> tuple[IntArray, IntArray]:
    """Return the frame (B,) and the tracks of both atoms, the lower first, (B, 2), of each bond."""
    frame = atoms.frames(bonds)
    pairs = bonds[["atom_i", "atom_j"]].to_numpy(np.int64)
    return frame, np.sort(atoms.find(frame[:, None], pairs, "bonds"), axis=1)


def _one_to_one(links: IntArray) -> IntArray:
    """Return the links of which neither end is in an earlier one, (K, 2)."""
    ended: set[int] = set()
    started: set[int] = set()
    kept = []
    for old, new in links.tolist():
        if old not in ended and new not in started:
            ended.add(old)
            started.add(new)
            kept.append((old, new))
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


def _merged(links: IntArray, n_tracks: int) -> IntArray:
    """Return the number that each track has when linked ones are one."""
    graph = sparse.coo_array((np.ones(len(links)), tuple(links.T)), shape=(n_tracks, n_tracks))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _names(frame: IntArray, site: IntArray) -> IntArray:
    """Return frame and site number as one number."""
    return (np.asarray(frame) << 40) + site
