"""States of many things followed through a series: runs of one state, and the changes that last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from amorph2d.arrays import BoolArray, IntArray


class Runs(NamedTuple):
    """Stretches in which a thing stays in one state, ordered by thing and time, (R,) each.

    Attributes
    ----------
    thing
        Number of the thing.
    segment
        Number of the segment; from one to the next the state is not known, and nothing changes.
    state
        Whether it is there (a bond, an atom) or not.
    length
        Frames that it lasts, those in which the state is not known included.
    first, last
        First and last frame in which it was seen, as indices of the frames of the series.
    """

    thing: IntArray
    segment: IntArray
    state: BoolArray
    length: IntArray
    first: IntArray
    last: IntArray


class Changes(NamedTuple):
    """Changes of state, (C,) each.

    Attributes
    ----------
    thing
        Number of the thing.
    is_gain
        Whether it is there afterwards.
    before, after
        Last frame in which the old, and first frame in which the new state is certain, as indices.
    is_persistent
        Whether both states last.
    is_brief
        Whether it leads from one lasting state back to the same. Where it is neither, the series is too short
        to tell.
    """

    thing: IntArray
    is_gain: BoolArray
    before: IntArray
    after: IntArray
    is_persistent: BoolArray
    is_brief: BoolArray


def find_runs(thing: IntArray, frame: IntArray, state: BoolArray, *, n_frames: int, max_gap: int) -> Runs:
    """Join equal states of one thing in frames that follow each other.

    Parameters
    ----------
    thing, frame, state
        What was seen, ordered by thing and frame, (N,); frames in which a state is not known are left out.
    n_frames
        Frames of the series.
    max_gap
        Frames without a known state over which things are followed, ≥ 0. A state is also taken to last from
        the first or to the last frame of the series if it is unknown for no more frames there.

    Returns
    -------
    Runs
        Stretches of one state.
    """
    is_cut = np.ones(len(thing), dtype=bool)
    is_cut[1:] = (thing[1:] != thing[:-1]) | (frame[1:] - frame[:-1] > max_gap + 1)
    segment = np.cumsum(is_cut) - 1
    is_start = is_cut.copy()
    is_start[1:] |= state[1:] != state[:-1]
    start = np.flatnonzero(is_start)
    end = np.append(start[1:], len(thing))[: len(start)]
    first, last = frame[start], frame[end - 1]
    since = np.where(is_cut[start] & (first <= max_gap), 0, first)
    is_final = np.append(is_cut[start[1:]], True)[: len(start)]
    until = np.where(is_final & (n_frames - 1 - last <= max_gap), n_frames - 1, last)
    return Runs(thing[start], segment[start], state[start], until - since + 1, first, last)


def find_changes(runs: Runs, *, min_frames: int) -> Changes:
    """Find where states change, and which of the changes last.

    A change lasts where a run of at least `min_frames` frames in one state is followed by one in the other,
    with only shorter runs between them, if any: flicker on the way. Shorter runs between two long ones of
    the same state, and those before the first or after the last long one, are changes that do not last.

    Parameters
    ----------
    runs
        As `find_runs` makes them.
    min_frames
        Least length of a run that lasts, ≥ 1.

    Returns
    -------
    Changes
        Those that last, then those that do not.
    """
    n_runs, number = len(runs.thing), np.arange(len(runs.thing))
    is_long = runs.length >= min_frames
    latest = np.maximum.accumulate(np.where(is_long, number, -1))
    coming = np.minimum.accumulate(np.where(is_long, number, n_runs)[::-1])[::-1]
    left = np.flatnonzero(runs.segment[1:] == runs.segment[:-1])
    old, new = latest[left], coming[left + 1]
    is_known = (old >= 0) & (new < n_runs)
    old, new = np.where(is_known, old, 0), np.where(is_known, new, 0)
    is_known &= (runs.segment[old] == runs.segment[left]) & (runs.segment[new] == runs.segment[left])
    lasts = is_known & (runs.state[old] != runs.state[new])
    # Flicker on the way has several boundaries between the same two long runs.
    source, place = np.unique(old[lasts], return_index=True)
    target = new[lasts][place]
    brief = left[~lasts]
    source, target = np.concatenate([source, brief]), np.concatenate([target, brief + 1])
    is_persistent = np.arange(len(source)) < len(place)
    is_brief = np.concatenate([np.zeros(len(place), dtype=bool), is_known[~lasts]])
    ends = runs.last[source], runs.first[target]
    return Changes(runs.thing[source], runs.state[target], *ends, is_persistent, is_brief)


def presence_runs(thing: IntArray, frame: IntArray, *, n_frames: int, max_gap: int) -> Runs:
    """Return when things are there and when they are not, for those that are not there all the time.

    Parameters
    ----------
    thing, frame
        Where things were seen, ordered by thing and frame, (N,).
    n_frames
        Frames of the series.
    max_gap
        Frames in which a thing may be missed and is taken to be there, ≥ 0; where it is missed no longer than
        that at the start or end of the series, nothing is known.

    Returns
    -------
    Runs
        One segment for each thing.
    """
    ones = np.ones(len(thing), dtype=bool)
    seen = find_runs(thing, frame, ones, n_frames=n_frames, max_gap=max_gap)
    is_same = seen.thing[1:] == seen.thing[:-1]
    is_head, is_tail = (
        np.append(True, ~is_same)[: len(seen.thing)],
        np.append(~is_same, True)[: len(seen.thing)],
    )
    until = np.where(is_head, -1, np.append(-1, seen.last[:-1])[: len(seen.thing)])
    has_gap = ~is_head | (seen.first > max_gap)
    has_end = is_tail & (n_frames - 1 - seen.last > max_gap)
    parts = [
        (seen.thing, ones[: len(seen.thing)], seen.first, seen.last),
        (seen.thing[has_gap], np.zeros(has_gap.sum(), bool), until[has_gap] + 1, seen.first[has_gap] - 1),
        (
            seen.thing[has_end],
            np.zeros(has_end.sum(), bool),
            seen.last[has_end] + 1,
            np.full(has_end.sum(), n_frames - 1),
        ),
    ]
    things, state, first, last = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.lexsort((first, things))
    things, state, first, last = things[order], state[order], first[order], last[order]
    return Runs(things, things, state, last - first + 1, first, last)
