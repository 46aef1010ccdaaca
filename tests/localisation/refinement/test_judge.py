from __future__ import annotations

import numpy as np

from amorph2d.localisation.refinement.judge import mean_squares


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
