import numpy as np
import pandas as pd
import pytest

from amorph2d.micrographs.scores import score_against_truth


def sites(atoms, rings):
    kinds = np.repeat(["atom", "ring"], [len(atoms), len(rings)])
    x, y = np.concatenate([np.reshape(atoms, (-1, 2)), np.reshape(rings, (-1, 2))]).T
    return pd.DataFrame({"kind": kinds, "x": x, "y": y})


def test_each_kind_is_matched_with_its_own():
    truth = sites([(3, 3), (5, 5), (7, 7)], [(4, 4)])
    found = sites([(3, 3.3), (5, 5)], [(4, 4), (6, 6)])
    scores = score_against_truth(found, truth, window=(1.0, 1.0, 9.0, 11.0))
    assert scores["atom_recall"] == pytest.approx(2 / 3)
    assert scores["atom_precision"] == 1
    assert scores["atom_rmse"] == pytest.approx(np.sqrt(0.09 / 2))
    assert scores["ring_precision"] == 0.5
    assert scores["ring_f1"] == pytest.approx(2 / 3)


def test_border_does_not_count():
    truth = sites([(0.5, 5), (5, 5)], [])
    found = sites([(5, 5), (9.8, 5)], [])
    scores = score_against_truth(found, truth, window=(1.0, 1.0, 9.0, 9.0))
    assert scores["atom_f1"] == 1
    assert score_against_truth(found, truth, window=(0.0, 0.0, 10.0, 10.0))["atom_f1"] == 0.5


def test_nothing_gives_nan():
    scores = score_against_truth(sites([], []), sites([], []), window=(1.0, 1.0, 9.0, 9.0))
    assert all(np.isnan(value) for value in scores.values())
