"""The mean of an image under a Gaussian, from blocks."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from amorph2d.localisation.slow import slow_mean

SHAPE = (200, 240)


def test_a_slope_stays_as_it_is_in_the_middle():
    rows, columns = np.mgrid[:210, :180]
    slope = (50 + 0.1 * rows - 0.05 * columns).astype(np.float32)
    slow = slow_mean(slope, (20.0, 20.0))
    assert np.allclose(slow[80:130, 80:100], slope[80:130, 80:100], atol=0.1)


def test_atoms_leave_nothing():
    rows, columns = np.mgrid[:200, :150]
    wave = np.cos(2 * np.pi * 0.2 * rows / 2.1) + 0 * columns
    assert np.abs(slow_mean(wave.astype(np.float32), (25.0, 25.0))[60:140]).max() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (101, 7)])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_of_a_constant_the_constant_is_left(shape, is_weighted):
    weight = np.full(shape, 0.2, np.float32) if is_weighted else None
    slow = slow_mean(np.full(shape, 7.0, np.float32), (25.0, 50 / 3), weight)
    assert np.allclose(slow, 7.0, rtol=1e-5)


def test_it_agrees_with_the_filter_away_from_the_edges():
    rng = np.random.default_rng(1)
    image = (10 + gaussian_filter(rng.normal(size=SHAPE), 15, mode="wrap") * 100).astype(np.float32)
    weight = rng.uniform(0.2, 1, SHAPE).astype(np.float32)
    exact = gaussian_filter(image * weight, (12.0, 9.0)) / gaussian_filter(weight, (12.0, 9.0))
    found = slow_mean(image, (12.0, 9.0), weight)
    inner = (slice(40, -40), slice(40, -40))
    assert np.abs(found - exact)[inner].max() < 0.05 * exact[inner].std()


def test_it_does_not_see_what_has_no_weight():
    y = np.linspace(0, 1, SHAPE[0], dtype=np.float32)[:, None]
    image, weight = np.broadcast_to(y, SHAPE).copy(), np.ones(SHAPE, np.float32)
    image[:, 200:], weight[:, 200:] = 50.0, 0.0
    slow = slow_mean(image, (10.0, 10.0), weight)
    assert slow[40:-40, :180] == pytest.approx(image[40:-40, :180], abs=0.01)
    assert slow_mean(image, (10.0, 10.0))[100, 195] > 5
