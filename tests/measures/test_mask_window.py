import tracemalloc

import numpy as np
import pytest

from amorph2d.measures.mask_window import MaskWindow
from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.window import RectangularWindow

L_SHAPE = np.zeros((30, 50), dtype=bool)
L_SHAPE[4:28, 3:17] = True
L_SHAPE[15:28, 3:47] = True


def disc(radius, n, step):
    """Mask of a disc in the middle of n × n pixels, drawn by the share of each pixel that it covers."""
    y, x = (np.mgrid[:n, :n] - (n - 1) / 2) * step
    return np.hypot(x, y) <= radius


def disc_covariance(radius, r):
    """Overlap of a disc with itself, shifted by r."""
    return 2 * radius**2 * np.arccos(r / (2 * radius)) - r / 2 * np.sqrt(4 * radius**2 - r**2)


def rectangle_around(mask, sampling):
    step_y, step_x = np.broadcast_to(sampling, 2)
    rows, columns = mask.shape
    return RectangularWindow(-step_x / 2, -step_y / 2, (columns - 0.5) * step_x, (rows - 0.5) * step_y)


@pytest.mark.parametrize(
    ("shape", "sampling"), [((40, 70), (0.25, 0.1)), ((9, 1), 0.3), ((1, 1), (2.0, 0.5))]
)
def test_a_full_mask_is_a_rectangle_exactly(shape, sampling):
    mask = np.ones(shape, dtype=bool)
    rectangle = rectangle_around(mask, sampling)
    window = MaskWindow(mask, sampling)
    r = np.concatenate([[0.0], np.linspace(1e-6, 1.2 * np.hypot(*rectangle.sides), 90)]).reshape(7, 13)
    assert window.area == pytest.approx(rectangle.area)
    np.testing.assert_allclose(
        window.set_covariance(r), rectangle.set_covariance(r), rtol=1e-9, atol=1e-9 * rectangle.area
    )


def test_radii_at_which_the_circle_meets_corners_of_pixels():
    mask = np.ones((12, 16), dtype=bool)
    r = np.array([1.0, 2.0, 5.0, 10.0, np.sqrt(2), 13.0])
    np.testing.assert_allclose(
        MaskWindow(mask, 1.0).set_covariance(r), rectangle_around(mask, 1.0).set_covariance(r), atol=1e-8
    )


def test_the_overlap_of_a_disc():
    radius, r = 20.0, np.linspace(0.5, 39.0, 30)
    mask = disc(radius, 401, 0.1)
    window = MaskWindow(np.pad(mask, ((7, 0), (3, 60))), 0.1)
    # The drawn disc has not quite the area of the true one, whose overlap grows with it.
    np.testing.assert_allclose(window.set_covariance(r), disc_covariance(radius, r), atol=1e-3 * window.area)


def test_an_angular_window_by_monte_carlo():
    window = MaskWindow(L_SHAPE, (1.0, 0.5))
    rng = np.random.default_rng(0)
    places = rng.uniform((-5, -5), (60, 60), (400_000, 2))
    places = places[window.contains(places)]
    phi = rng.uniform(0, 2 * np.pi, len(places))
    for r in (1.3, 6.0, 14.0):
        shifted = places + r * np.stack([np.cos(phi), np.sin(phi)], axis=1)
        expected = window.area * window.contains(shifted).mean()
        assert window.set_covariance(r) == pytest.approx(expected, rel=0.02)


def test_a_window_that_wraps_around_would_overlap_with_itself():
    mask = np.zeros((8, 64), dtype=bool)
    mask[:, :2] = mask[:, -2:] = True
    beyond = MaskWindow(mask, 1.0).set_covariance([10.0, 20.0])
    np.testing.assert_allclose(beyond, 0, atol=1e-9)


@pytest.mark.parametrize("shape", [(330, 470), (47, 1000)])
def test_coarse_pixels_give_nearly_the_same(shape):
    mask = np.random.default_rng(3).random((shape[0] // 10 + 1, shape[1] // 10 + 1)) < 0.9
    mask = np.kron(mask, np.ones((10, 10), bool)).astype(bool)[: shape[0], : shape[1]]
    fine, coarse = MaskWindow(mask, 0.1), MaskWindow(mask, 0.1, most_pixels=mask.size // 9)
    r = np.linspace(0.6, 10, 20)
    assert coarse.area == fine.area
    difference = coarse.set_covariance(r) / fine.set_covariance(r) - 1
    assert 1e-9 < np.abs(difference).max() < 0.01


def test_memory_is_bounded_by_the_coarse_pixels():
    mask = np.ones((3000, 4100), dtype=bool)
    mask[:, ::1000] = False
    tracemalloc.start()
    MaskWindow(mask, 0.1, most_pixels=10_000).set_covariance(np.linspace(0, 10, 5))
    MaskWindow(mask, 0.1).blocks(20.0)
    assert tracemalloc.get_traced_memory()[1] < 0.5 * mask.size
    tracemalloc.stop()


def test_pairs_of_independent_positions_have_g_of_one():
    rng = np.random.default_rng(5)
    window = MaskWindow(np.kron(L_SHAPE, np.ones((4, 4), bool)).astype(bool), (0.5, 0.25))
    points = rng.uniform((0, 0), (50, 60), (12_000, 2))
    found = pair_distribution(points, window, r_max=6.0, bin_width=1.0)
    assert np.abs(found.g - 1).max() < 0.02
    without = pair_distribution(points, window, r_max=6.0, bin_width=1.0, edge_correction=False)
    assert without.g[-1] < 0.9


def test_points():
    window = MaskWindow(L_SHAPE, (1.0, 0.5))
    inside = [[1.5, 4], [1.26, 3.6], [8.2, 27.4]]
    outside = [[1.5, 3], [8.3, 10], [-400, 5], [1.2, 99], [1.0, -1.0]]
    assert window.contains(inside + outside).tolist() == [True] * 3 + [False] * 5
    assert window.contains([]).shape == (0,)
    assert window.area == pytest.approx(L_SHAPE.sum() / 2)


def test_blocks_hold_the_area_that_lies_in_them():
    window = MaskWindow(L_SHAPE, (1.0, 0.5))
    blocks = window.blocks(8)
    assert blocks.shape == (3, 3)
    pixels = np.argwhere(L_SHAPE)[:, ::-1] * (0.5, 1.0)
    np.testing.assert_allclose(blocks.areas, np.bincount(blocks.number(pixels), minlength=9) / 2)
    assert (blocks.areas == 0).any()


def test_more_blocks_than_rows():
    window = MaskWindow(np.ones((2, 3), dtype=bool), 4.0)
    blocks = window.blocks(1.0)
    assert blocks.shape == (12, 8)
    assert blocks.areas.sum() == pytest.approx(window.area)


def test_an_empty_mask():
    window = MaskWindow(np.zeros((4, 9), dtype=bool), 0.3)
    assert window.area == 0
    assert window.blocks(20).areas.tolist() == [0]
    assert window.set_covariance([[0, 1]]).tolist() == [[0, 0]]
    assert not window.eroded(0.5).mask.any()
    assert MaskWindow(L_SHAPE, 0.3).set_covariance([]).shape == (0,)


def test_erosion_by_the_distance_to_the_edges_of_pixels():
    rng = np.random.default_rng(1)
    mask, (step_y, step_x), border = rng.random((23, 31)) < 0.97, (0.4, 0.25), 1.13
    padded = np.pad(mask, 8)
    outside, inside = np.argwhere(~padded), np.argwhere(padded)
    away = np.maximum(np.abs(inside[:, None] - outside) - 0.5, 0) * (step_y, step_x)
    expected = np.zeros_like(padded)
    expected[tuple(inside.T)] = np.hypot(*np.moveaxis(away, 2, 0)).min(axis=1) >= border
    eroded = MaskWindow(mask, (step_y, step_x)).eroded(border)
    np.testing.assert_array_equal(eroded.mask, expected[8:-8, 8:-8])
    assert 0 < eroded.mask.sum() < mask.sum()


def test_erosion_in_strips(monkeypatch):
    whole = MaskWindow(L_SHAPE, (1.0, 0.5)).eroded(2.0)
    monkeypatch.setattr("amorph2d.measures.mask_window._STRIP", 5)
    np.testing.assert_array_equal(MaskWindow(L_SHAPE, (1.0, 0.5)).eroded(2.0).mask, whole.mask)


def test_erosion_of_a_rectangle_and_of_nothing():
    window = MaskWindow(np.ones((20, 30), dtype=bool), 0.16)
    rows, columns = np.nonzero(window.eroded(0.4).mask)  # 2.5 pixels: a border that ends on centres
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 17, 2, 27)
    np.testing.assert_array_equal(MaskWindow(L_SHAPE, 1.0).eroded(0.0).mask, L_SHAPE)
    assert not window.eroded(50.0).mask.any()


@pytest.mark.parametrize("mask", [np.ones((3, 3)), np.ones(3, bool), np.ones((0, 3), bool)])
def test_refuses_what_is_no_mask(mask):
    with pytest.raises(ValueError, match="mask must be two-dimensional and boolean"):
        MaskWindow(mask, 0.1)


def test_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="most_pixels must be ≥ 1, got 0"):
        MaskWindow(L_SHAPE, 0.1, most_pixels=0)
    with pytest.raises(ValueError, match=r"border must be ≥ 0 Å, got -1"):
        MaskWindow(L_SHAPE, 0.1).eroded(-1.0)
    with pytest.raises(ValueError, match="sampling must be > 0"):
        MaskWindow(L_SHAPE, -0.1)
