from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter

from amorph2d.localisation.refinement.judge import _are_highest, is_crowded
from amorph2d.localisation.refinement.window import mean_squares


def test_mean_squares_are_weighted_and_local() -> None:
    white, weight = np.ones((20, 30), np.float32), np.ones((20, 30), np.float32)
    white[:, 15:] = 3.0
    weight[:, :3], white[:, :3] = 0.0, 0.0
    result = np.empty(4)
    places = np.array([[10.0, 7.0], [10.0, 22.0], [10.0, 0.0], [-30.0, 0.0]])
    mean_squares(white, weight, places, np.array([2.0, 3.0]), result)
    assert np.allclose(result[:2], [1.0, 9.0])
    assert result[2] == 1.0  # only the pixels that count
    assert np.isnan(result[3])


def test_highest_pixels_are_those_of_a_filter(rng: np.random.Generator) -> None:
    values = rng.normal(size=(23, 31)).astype(np.float32)
    pixels = np.argwhere(values > 0.3)
    expected = values == maximum_filter(values, size=3, mode="wrap")
    assert np.array_equal(_are_highest(values, pixels), expected[pixels[:, 0], pixels[:, 1]])
    assert _are_highest(values, np.empty((0, 2), np.int64)).shape == (0,)


def test_a_new_atom_with_more_neighbours_than_bonds_is_crowded(refinement_of: Callable[..., Any]) -> None:
    parameters = refinement_of()
    angles = np.radians([0, 90, 180, 270])
    cross = np.column_stack([np.cos(angles), np.sin(angles)]) * (parameters.repair_reach - 0.1)
    positions = np.array([[0.0, 0.0], *cross, [50.0, 0.0], *(cross[:3] + np.array([50.0, 0.0]))])
    everywhere, nowhere = np.ones(9, bool), np.zeros(9, bool)
    assert np.flatnonzero(is_crowded(positions, everywhere, parameters)).tolist() == [0]
    assert not is_crowded(positions, nowhere, parameters).any()
