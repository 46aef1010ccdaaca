import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorph2d.measures.mask_window import MaskWindow, observed_window
from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.window import PeriodicWindow, RectangularWindow, analysable_window

OBLONG = RectangularWindow(-3.0, 20.0, 4.0, 23.0)
L_SHAPE = np.zeros((30, 50), dtype=bool)
L_SHAPE[4:28, 3:17] = True
L_SHAPE[15:28, 3:47] = True


def shifted_overlap(window, r, n=4000, seed=0):
    """Mean overlap with the shifted window by Monte Carlo."""
    rng = np.random.default_rng(seed)
    places = rng.uniform((-5, -5), (60, 60), (100 * n, 2))
    places = places[window.contains(places)]
    phi = rng.uniform(0, 2 * np.pi, len(places))
    return window.area * window.contains(places + r * np.stack([np.cos(phi), np.sin(phi)], axis=1)).mean()


def test_area_and_points_of_a_rectangle():
    assert OBLONG.area == pytest.approx(21)
    assert (
        OBLONG.contains([[0, 21], [-3, 20], [4, 23], [4.1, 21], [0, 19.9]]).tolist()
        == [True] * 3 + [False] * 2
    )
    assert OBLONG.contains([]).shape == (0,)


def test_set_covariance_of_a_rectangle_below_its_shorter_side():
    r = np.linspace(0, 3, 7)
    expected = 21 - 2 * r * 10 / np.pi + r**2 / np.pi
    np.testing.assert_allclose(OBLONG.set_covariance(r), expected)


def test_set_covariance_of_a_rectangle_by_integration():
    r = np.array([[0.5, 2.9], [4.4, 7.3], [7.61, 7.62]])
    phi = (np.arange(200_000) + 0.5) * np.pi / 2 / 200_000
    overlap = np.maximum(7 - r[..., None] * np.cos(phi), 0) * np.maximum(3 - r[..., None] * np.sin(phi), 0)
    np.testing.assert_allclose(OBLONG.set_covariance(r), overlap.mean(axis=-1), rtol=1e-6, atol=1e-9)
    assert OBLONG.set_covariance(np.hypot(7, 3) + 1e-6) == pytest.approx(0, abs=1e-9)


def test_set_covariance_of_a_full_mask_is_that_of_its_rectangle():
    mask = MaskWindow(np.ones((40, 70), dtype=bool), (0.25, 0.1))
    rectangle = RectangularWindow(-0.05, -0.125, 6.95, 9.875)
    assert mask.area == pytest.approx(rectangle.area)
    r = np.linspace(0, 6, 50)
    np.testing.assert_allclose(mask.set_covariance(r), rectangle.set_covariance(r), rtol=1e-4)


def test_set_covariance_of_an_angular_mask():
    window = MaskWindow(L_SHAPE, (1.0, 0.5))
    for r in (1.3, 6.0):
        assert window.set_covariance(r) == pytest.approx(shifted_overlap(window, r), rel=0.01)


def test_points_of_a_mask():
    window = MaskWindow(L_SHAPE, (1.0, 0.5))
    inside, outside = (
        [[1.5, 4], [1.26, 3.6], [8.2, 27.4]],
        [[1.5, 3], [8.3, 10], [-400, 5], [1.2, 99], [1.0, -1.0]],
    )
    assert window.contains(inside + outside).tolist() == [True] * 3 + [False] * 5
    assert window.area == pytest.approx(L_SHAPE.sum() / 2)


@given(
    st.floats(-100, 100), st.floats(-100, 100), st.floats(0.5, 300), st.floats(0.5, 300), st.floats(0.5, 400)
)
@settings(max_examples=50)
def test_blocks_cover_a_rectangle(x, y, width, height, size):
    window = RectangularWindow(x, y, x + width, y + height)
    blocks = window.blocks(size)
    assert blocks.areas.sum() == pytest.approx(window.area)
    assert len(blocks.areas) == np.prod(blocks.shape)
    places = np.random.default_rng(0).uniform((x, y), (x + width, y + height), (50, 2))
    number = blocks.number(places)
    column, row = np.divmod(number, blocks.shape[1])
    corner = blocks.origin + np.stack([column, row], axis=1) * blocks.size
    assert ((places >= corner - 1e-6) & (places <= corner + blocks.size + 1e-6)).all()


def test_blocks_have_about_the_size_asked_for():
    assert RectangularWindow(0, 0, 100, 41).blocks(20).shape == (5, 2)
    assert RectangularWindow(0, 0, 8, 3).blocks(20).shape == (1, 1)


def test_places_outside_belong_to_the_nearest_block():
    blocks = RectangularWindow(0, 0, 40, 40).blocks(20)
    assert blocks.number(np.array([[-9, -9], [-9, 99], [99, -9], [40, 40]])).tolist() == [0, 1, 2, 3]
    assert blocks.number(np.empty((0, 2))).shape == (0,)


def test_blocks_of_a_mask_hold_its_area():
    window = MaskWindow(L_SHAPE, (1.0, 0.5))
    blocks = window.blocks(8)
    assert blocks.shape == (3, 3)
    assert blocks.areas.sum() == pytest.approx(window.area)
    assert (blocks.areas == 0).any()
    assert blocks.areas.max() <= np.prod(blocks.size + np.array([0.5, 1.0]))


def test_an_empty_mask():
    window = MaskWindow(np.zeros((4, 9), dtype=bool), 0.3)
    assert window.area == 0
    assert window.blocks(20).areas.tolist() == [0]
    np.testing.assert_allclose(window.set_covariance([0, 1]), 0)


def test_an_empty_rectangle():
    window = RectangularWindow(2, 3, 2, 9)
    assert window.area == 0
    assert window.blocks(20).areas.tolist() == [0]
    np.testing.assert_allclose(window.set_covariance([0, 1]), 0, atol=1e-9)


def test_window_around_points_is_unbiased():
    rng = np.random.default_rng(1)
    areas = [RectangularWindow.around(rng.uniform((5, -8), (25, 32), (20, 2))).area for _ in range(2000)]
    assert np.mean(areas) == pytest.approx(800, rel=0.01)
    with pytest.raises(ValueError, match="at least two"):
        RectangularWindow.around([[1, 2]])


def test_the_analysable_part_of_an_image():
    window = analysable_window((100, 300), (0.2, 0.1), border=2.0)
    bounds = (window.x0, window.y0, window.x1, window.y1)
    np.testing.assert_allclose(bounds, (1.95, 1.9, 27.95, 17.9))
    assert analysable_window((10, 300), 0.1, border=2.0).area == 0
    with pytest.raises(ValueError, match=r"border must be ≥ 0 Å, got -1"):
        analysable_window((10, 10), 0.1, border=-1)


@pytest.mark.parametrize("bounds", [(1, 0, 0, 1), (0, 1, 1, 0), (0, 0, np.inf, 1), (np.nan, 0, 1, 1)])
def test_refuses_a_rectangle_inside_out(bounds):
    with pytest.raises(ValueError, match="window must have finite x0 ≤ x1 and y0 ≤ y1"):
        RectangularWindow(*bounds)


@pytest.mark.parametrize("mask", [np.ones((3, 3)), np.ones(3, bool), np.ones((0, 3), bool)])
def test_refuses_what_is_no_mask(mask):
    with pytest.raises(ValueError, match="mask must be two-dimensional and boolean"):
        MaskWindow(mask, 0.1)


@pytest.mark.parametrize("sampling", [0.5, (0.5, 0.25)])
def test_pixels_that_fill_a_rectangle_are_one(sampling):
    counts = np.zeros((20, 30), bool)
    counts[3:9, 5:25] = True
    window = observed_window(counts, sampling)
    assert isinstance(window, RectangularWindow)
    step_y, step_x = np.broadcast_to(sampling, 2)
    assert (window.x0, window.y0) == pytest.approx((4.5 * step_x, 2.5 * step_y))
    assert window.area == pytest.approx(MaskWindow(counts, sampling).area)
    counts[4, 6] = False
    assert isinstance(observed_window(counts, sampling), MaskWindow)
    assert observed_window(np.zeros((4, 5), bool), sampling).area == 0


def test_periodic_window_goes_on():
    window = PeriodicWindow(1.0, 2.0, 11.0, 8.0)
    points = np.array([[1.5, 3.0], [21.5, 7.9], [6.0, -1.0]])
    inside, around = window.images(points, 1.0)
    np.testing.assert_allclose(inside, [[1.5, 3.0], [1.5, 7.9], [6.0, 5.0]])
    assert sorted(around.round(9).tolist()) == [[1.5, 1.9], [11.5, 1.9], [11.5, 3.0], [11.5, 7.9]]
    assert window.contains(points).all()
    np.testing.assert_array_equal(window.set_covariance([0.0, 2.5]), [60.0, 60.0])


def test_periodic_window_refuses_to_meet_itself():
    window = PeriodicWindow(0.0, 0.0, 10.0, 6.0)
    with pytest.raises(ValueError, match=r"half of the shorter side, 3\.0 Å, got 3\.1 Å"):
        pair_distribution([[1.0, 1.0]], window, r_max=3.1, bin_width=0.1)
