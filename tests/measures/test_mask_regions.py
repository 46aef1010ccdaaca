import numpy as np
import pytest
from scipy import ndimage

from amorph2d.measures.mask_regions import measure_regions

KINDS = {"kind": 0, "contact_kind": 2}


def disc(radius, steps, rng):
    """A disc of zeros, its centre anywhere within a pixel, and that centre (y, x) [Å]."""
    n_rows, n_columns = (int(2 * radius / step) + 9 for step in steps)
    y, x = np.meshgrid(np.arange(n_rows) * steps[0], np.arange(n_columns) * steps[1], indexing="ij")
    middle = np.array([n_rows, n_columns]) / 2 * steps + rng.uniform(-0.5, 0.5, 2) * steps
    return np.where(np.hypot(y - middle[0], x - middle[1]) < radius, 0, 1).astype(np.uint8), middle


@pytest.mark.parametrize("steps", [(0.2, 0.2), (0.2, 0.1), (0.14, 0.2)])
@pytest.mark.parametrize(("radius", "tolerance"), [(1.0, 0.03), (2.0, 0.01), (5.0, 0.01), (20.0, 0.003)])
def test_perimeter_and_area_of_discs(radius, tolerance, steps):
    rng = np.random.default_rng(0)
    ratios = []
    for _ in range(10):
        mask, (y, x) = disc(radius, steps, rng)
        found = measure_regions(mask, steps, **KINDS)
        np.testing.assert_allclose(found.centroids, [[x, y]], atol=0.05)
        np.testing.assert_allclose(found.moments[0], [radius**2 / 4, radius**2 / 4, 0], atol=0.04 * radius**2)
        ratios.append([found.perimeters[0] / (2 * np.pi * radius), found.areas[0] / (np.pi * radius**2)])
    perimeter, area = np.transpose(ratios)
    assert np.abs(perimeter - 1).max() < tolerance
    assert perimeter.mean() == pytest.approx(1, abs=0.007)
    assert area.mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("turn", [0.0, 8.0, 15.0, 22.5, 30.0, 45.0, 70.0])
def test_perimeter_of_rectangles_however_they_lie(turn):
    y, x = np.mgrid[:260, :300] - 130.2
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    is_inside = (np.abs(c * x + s * y) < 100) & (np.abs(c * y - s * x) < 40)
    found = measure_regions(np.where(is_inside, 0, 1).astype(np.uint8), 0.1, **KINDS)
    assert found.perimeters[0] == pytest.approx(56, rel=0.02)


@pytest.mark.parametrize("shape", [(90, 140), (7, 300), (300, 1), (1, 1)])
@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_regions_are_those_of_scipy(shape, share):
    rng = np.random.default_rng(1)
    mask = np.where(rng.uniform(size=shape) < share, 0, rng.integers(1, 3, shape)).astype(np.uint8)
    found = measure_regions(mask, (2.0, 3.0), **KINDS)
    labels, n = ndimage.label(mask == 0, np.ones((3, 3)))
    assert len(found.areas) == n
    np.testing.assert_allclose(found.areas, np.bincount(labels.ravel())[1:] * 6.0)
    index = np.arange(1, n + 1)
    centres = np.reshape(ndimage.center_of_mass(labels > 0, labels, index), (n, 2))
    np.testing.assert_allclose(found.centroids, centres[:, ::-1] * [3, 2])
    boxes = [[box[0].start, box[1].start, box[0].stop, box[1].stop] for box in ndimage.find_objects(labels)]
    np.testing.assert_array_equal(found.bounds, np.reshape(boxes, (n, 4)))
    near = [
        (ndimage.binary_dilation(labels == k, np.ones((3, 3))) & (mask == 2)).any() for k in index.tolist()
    ]
    np.testing.assert_array_equal(found.n_contacts > 0, near)


def test_arms_that_meet_late_are_one_region():
    mask = np.ones((40, 61), np.uint8)
    mask[5:30, 5:56:5] = 0
    assert len(measure_regions(mask, 1.0, **KINDS).areas) == 11
    mask[30, 5:56] = 0
    found = measure_regions(mask, 1.0, **KINDS)
    assert found.areas.tolist() == [11 * 25 + 51]
    assert found.bounds.tolist() == [[5, 5, 31, 56]]


def test_perimeter_and_moments_at_the_edge_of_the_image_are_those_within():
    shape = np.ones((12, 19), np.uint8)
    shape[2:10, 4:15] = 0
    shape[4, 4:9] = 1
    within, alone = (measure_regions(each, (0.3, 0.2), **KINDS) for each in (shape, shape[2:10, 4:15]))
    np.testing.assert_allclose(alone.perimeters, within.perimeters)
    np.testing.assert_allclose(alone.moments, within.moments)
    np.testing.assert_allclose(alone.centroids, within.centroids - [0.8, 0.6])


def test_turned_and_mirrored_masks_have_the_same_outlines():
    rng = np.random.default_rng(0)
    mask = (ndimage.gaussian_filter(rng.normal(size=(80, 110)), 3) > 0).astype(np.uint8)
    expected = np.sort(measure_regions(mask, (0.2, 0.3), **KINDS).perimeters)
    for other, steps in ((mask[::-1], (0.2, 0.3)), (mask[:, ::-1], (0.2, 0.3)), (mask.T, (0.3, 0.2))):
        found = measure_regions(np.ascontiguousarray(other), steps, **KINDS)
        np.testing.assert_allclose(np.sort(found.perimeters), expected)


def test_selecting_regions():
    mask = np.ones((5, 9), np.uint8)
    mask[1, 1] = mask[3, 4:7] = 0
    found = measure_regions(mask, 1.0, **KINDS).select(np.array([False, True]))
    assert found.areas.tolist() == [3]
    assert [len(each) for each in found] == [1] * 6


def test_no_regions():
    found = measure_regions(np.ones((4, 6), np.uint8), 1.0, **KINDS)
    assert [each.shape for each in found] == [(0,), (0, 2), (0, 3), (0,), (0, 4), (0,)]


def test_refuses_a_stack():
    with pytest.raises(ValueError, match="mask must be two-dimensional"):
        measure_regions(np.ones((2, 3, 4), np.uint8), 1.0, **KINDS)
