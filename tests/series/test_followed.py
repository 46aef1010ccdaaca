import numpy as np
import pandas as pd
import pytest

from amorph2d.series.followed import bonded_tracks, follow_atoms, join_tracks
from strategies import make_sites


def series(*frames, tracks):
    tables = [
        make_sites(places, frame=2 * k + 5).assign(track=own)
        for k, (places, own) in enumerate(zip(frames, tracks, strict=True))
    ]
    return pd.concat(tables, ignore_index=True)


def test_atoms_are_ordered_by_track_and_found_by_name():
    sites = series([(0, 0), (5, 0)], [(5.1, 0), (0.1, 0)], tracks=[[7, 3], [3, 7]])
    atoms = follow_atoms(sites, max_gap=0, max_jump=0.0)
    assert atoms.numbers.tolist() == [5, 7]
    assert atoms.track.tolist() == [0, 0, 1, 1]
    assert atoms.places[:, 0].tolist() == [5, 5.1, 0, 0.1]
    assert atoms.find(np.array([0, 1]), np.array([0, 0]), "bonds").tolist() == [1, 0]
    bonds = pd.DataFrame({"frame": [5, 7], "atom_i": [0, 0], "atom_j": [1, 1]})
    frame, ends = bonded_tracks(atoms, bonds)
    assert frame.tolist() == [0, 1]
    assert ends.tolist() == [[0, 1], [0, 1]]


def test_where_tracks_are_seen():
    sites = series([(0, 0)], [(9, 0)], [(0, 0)], tracks=[[0], [1], [0]])
    atoms = follow_atoms(sites, max_gap=0, max_jump=0.0)
    track, frame = np.array([0, 0, 0, 1, 1]), np.array([0, 1, 2, 0, 2])
    assert atoms.last_until(track, frame).tolist() == [0, 0, 1, -1, 2]
    assert atoms.first_from(track, frame).tolist() == [0, 1, 1, 2, -1]
    assert atoms.is_seen(track, frame).tolist() == [True, False, True, False, False]


def test_rings_are_left_out_and_alignment_is_used():
    sites = make_sites([(0, 0)], [(1, 1)]).assign(track=[0, 1], x_aligned=4.0, y_aligned=2.0)
    atoms = follow_atoms(sites, max_gap=0, max_jump=0.0)
    assert atoms.n_tracks == 1
    assert atoms.places.tolist() == [[4, 2]]


@pytest.mark.parametrize(
    ("frames", "places", "max_gap", "max_jump", "expected"),
    [
        ([0, 1], [0, 1], 0, 1.1, [0, 0]),
        ([0, 1], [0, 1], 0, 0.9, [0, 1]),
        ([0, 1], [0, 1], 0, 0.0, [0, 1]),
        ([0, 2], [0, 1], 0, 1.1, [0, 1]),
        ([0, 2], [0, 1], 1, 1.1, [0, 0]),
        ([0, 0], [0, 1], 1, 1.1, [0, 1]),
        ([], [], 1, 1.1, []),
    ],
)
def test_tracks_are_joined_where_one_begins_as_another_ends(frames, places, max_gap, max_jump, expected):
    places = np.array([(x, 0.0) for x in places]).reshape(-1, 2)
    tracks = np.arange(len(frames))
    found = join_tracks(tracks, np.array(frames, dtype=int), places, max_gap=max_gap, max_jump=max_jump)
    assert found.tolist() == expected


def test_the_nearest_are_joined_and_chains_become_one():
    # Tracks 0 and 1 end in frame 0, 2 and 3 are seen in frame 1, 4 in frame 2.
    places = np.array([(0, 0), (2, 0), (1.9, 0), (0.5, 0), (0.6, 0)])
    found = join_tracks(np.arange(5), np.array([0, 0, 1, 1, 2]), places, max_gap=0, max_jump=3.0)
    assert found[0] == found[3] == found[4]
    assert found[1] == found[2] != found[0]


def test_errors():
    sites = make_sites([(0, 0), (1, 0)]).assign(track=[0, 1])
    with pytest.raises(ValueError, match="got none called track"):
        follow_atoms(sites.drop(columns="track"), max_gap=0, max_jump=0.0)
    atoms = follow_atoms(sites, max_gap=0, max_jump=0.0)
    with pytest.raises(ValueError, match="bonds must name atoms of the same frame, got 9"):
        bonded_tracks(atoms, pd.DataFrame({"frame": [0], "atom_i": [0], "atom_j": [9]}))
    with pytest.raises(ValueError, match="got 3"):
        bonded_tracks(atoms, pd.DataFrame({"frame": [3], "atom_i": [0], "atom_j": [1]}))
