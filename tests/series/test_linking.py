import itertools
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorph2d.series.config import LinkingParameters
from amorph2d.series.linking import follow_points, link_sites
from strategies import honeycomb, make_sites


def tracks_of(*frames, **parameters):
    tables = [make_sites(points, frame=k) for k, points in enumerate(frames)]
    values = {"max_step": 0.7, "memory": 0} | parameters
    return [list(t["track"]) for t in link_sites(tables, parameters=LinkingParameters(**values))]


def test_permuted_sites_keep_their_tracks(linking):
    rng = np.random.default_rng(1)
    atoms, centres, _ = honeycomb(4, 3)
    tables, truth = [], []
    for k in range(6):
        order, rings = rng.permutation(len(atoms)), rng.permutation(len(centres))
        noise = rng.normal(0, 0.05, (len(atoms) + len(centres), 2))
        table = make_sites(atoms[order] + noise[: len(atoms)], centres[rings] + noise[len(atoms) :], frame=k)
        tables.append(table)
        truth.append(np.concatenate([order, len(atoms) + rings]))
    linked = link_sites(tables, parameters=linking())
    first = pd.Series(linked[0]["track"].to_numpy(), index=truth[0])
    for before, after, true in zip(tables, linked, truth, strict=True):
        np.testing.assert_array_equal(after["track"], first[true])
        pd.testing.assert_frame_equal(after.drop(columns="track"), before)
        assert after["track"].dtype == np.int64
    assert sorted(linked[0]["track"]) == list(range(len(atoms) + len(centres)))


def test_tracks_are_numbered_in_the_order_in_which_they_start():
    assert tracks_of([[0, 0], [5, 0]], [[9, 0], [5, 0.1], [0, 0.1]]) == [[0, 1], [2, 1, 0]]


def test_atoms_do_not_become_ring_centres(linking):
    tables = [make_sites([[0, 0]], [[3, 0]], frame=0), make_sites([[3, 0]], [[0, 0]], frame=1)]
    first, second = link_sites(tables, parameters=linking())
    assert list(first["track"]) == [0, 1]
    assert list(second["track"]) == [2, 3]


@pytest.mark.parametrize(("memory", "expected"), [(0, 2), (1, 2), (2, 1), (3, 1)])
def test_memory_bridges_missed_frames(memory, expected):
    found = tracks_of([[0, 0]], [], [], [[0.1, 0]], memory=memory)
    assert len(set(itertools.chain(*found))) == expected


def test_memory_starts_anew_when_a_site_is_found():
    found = tracks_of([[0, 0]], [], [[0, 0]], [], [[0, 0]], memory=1)
    assert found == [[0], [], [0], [], [0]]


def test_births_and_deaths():
    found = tracks_of([[0, 0], [3, 0]], [[3, 0], [6, 0]], [[6, 0], [0, 0]], memory=0)
    assert found == [[0, 1], [1, 2], [2, 3]]


def test_the_largest_step_counts():
    assert tracks_of([[0, 0]], [[0.69, 0]]) == [[0], [0]]
    assert tracks_of([[0, 0]], [[0.71, 0]]) == [[0], [1]]


def test_the_sum_of_squares_decides_not_the_nearest():
    # The nearest pair is 0.4 → 0.6, but taking it would leave 0 → 1.1: 0.04 + 1.21 against 0.36 + 0.49.
    assert tracks_of([[0, 0], [0.4, 0]], [[0.6, 0], [1.1, 0]], max_step=1.2) == [[0, 1], [0, 1]]


def test_a_row_is_not_pushed_on_to_fill_a_gap():
    # With the last atom gone and one more at the start, five steps of 1 would link every atom.
    row = np.column_stack([np.arange(6.0), np.zeros(6)])
    found = tracks_of(row[1:], row[:-1], max_step=1.3)
    assert found == [[0, 1, 2, 3, 4], [5, 0, 1, 2, 3]]


def brute_force(places, points, max_step):
    """Least cost of all assignments."""
    best = np.inf
    options = [*range(len(points)), *[None] * len(places)]
    for choice in set(itertools.permutations(options, len(places))):
        squares = [
            max_step**2 if j is None else ((places[i] - points[j]) ** 2).sum() for i, j in enumerate(choice)
        ]
        if max(squares) <= max_step**2:
            best = min(best, sum(squares))
    return best


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 4))
def test_links_are_the_cheapest(seed, n_places, n_points):
    rng = np.random.default_rng(seed)
    places, points = rng.uniform(0, 2, (n_places, 2)), rng.uniform(0, 2, (n_points, 2))
    (first, second), _ = follow_points([places, points], LinkingParameters(max_step=1.0, memory=0))
    cost = sum(
        ((places[i] - points[second == track]) ** 2).sum() if (second == track).any() else 1.0
        for i, track in enumerate(first)
    )
    assert cost == pytest.approx(brute_force(places, points, 1.0))


def test_empty_series(linking):
    assert link_sites([], parameters=linking()) == []
    (empty,) = link_sites([make_sites([])], parameters=linking())
    assert empty["track"].dtype == np.int64
    assert len(empty) == 0


def test_tables_are_checked(linking):
    table = make_sites([[0, 0], [3, 0]])
    with pytest.raises(ValueError, match="table 1 must have the column kind"):
        link_sites([table, table.drop(columns="kind")], parameters=linking())
    with pytest.raises(ValueError, match="table 0 must be of one frame, got 2"):
        link_sites([table.assign(frame=[0, 1])], parameters=linking())
    with pytest.raises(ValueError, match="finite"):
        link_sites([table.assign(x=[np.nan, 0])], parameters=linking())


def test_ten_thousand_atoms_are_linked_in_a_fraction_of_a_second_per_frame(linking):
    rng = np.random.default_rng(2)
    atoms, _, _ = honeycomb(50, 50)
    frames = [(atoms + rng.normal(0, 0.05, atoms.shape))[rng.random(len(atoms)) < 0.98] for _ in range(4)]
    start = time.process_time()
    tracks, n_tracks = follow_points(frames, linking(max_step=1.0))
    assert n_tracks == len(atoms)
    assert all(len(np.unique(track)) == len(track) for track in tracks)
    assert time.process_time() - start < 2.0
