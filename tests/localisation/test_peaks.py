"""Peaks: drawn at known places and found again."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from amorph2d.localisation.matching import match_points
from amorph2d.localisation.peaks import Peaks, find_peaks, merge_peaks


def draw(places, shape, sigma=2.0):
    """Gaussians of height 1 at `places` (row, column), the highest where they overlap."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]]
    heatmap = np.zeros(shape)
    for row, column in places:
        np.maximum(heatmap, np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2)), out=heatmap)
    return heatmap


def scattered(rng, shape, distance):
    """Random places no closer than `distance` to each other, and not at the border."""
    places = np.empty((0, 2))
    for place in rng.uniform(4, np.array(shape) - 5, (1500, 2)):
        if not len(places) or np.linalg.norm(places - place, axis=1).min() > distance:
            places = np.vstack([places, place])
    return places


def regional_maxima(heights, threshold):
    """Centroids of the connected groups of equal pixels whose neighbours are all lower, found by flooding."""
    seen, centroids = np.zeros(heights.shape, dtype=bool), []
    for start in np.ndindex(*heights.shape):
        if seen[start] or heights[start] <= threshold:
            continue
        group, open_pixels, is_top = [], [start], True
        seen[start] = True
        while open_pixels:
            row, column = open_pixels.pop()
            group.append((row, column))
            for i in range(max(row - 1, 0), min(row + 2, heights.shape[0])):
                for j in range(max(column - 1, 0), min(column + 2, heights.shape[1])):
                    is_top &= heights[i, j] <= heights[start]
                    if heights[i, j] == heights[start] and not seen[i, j]:
                        seen[i, j] = True
                        open_pixels.append((i, j))
        if is_top:
            centroids.append(np.mean(group, axis=0))
    return np.array(centroids).reshape(-1, 2)


@pytest.mark.parametrize("sigma", [1.2, 2.0, 3.5])
def test_round_trip(rng, sigma):
    shape = (90, 140)
    places = scattered(rng, shape, 4.5 * sigma)
    peaks = find_peaks(draw(places, shape, sigma), 0.3, 3.0)
    matching = match_points(peaks.pixels, places, max_distance=1.0)
    assert len(matching.pairs) == len(places) == len(peaks.pixels)
    assert matching.distances.max() < 2e-3


def test_refinement_is_needed(rng):
    places = scattered(rng, (90, 140), 9.0)
    peaks = find_peaks(draw(places, (90, 140)), 0.3, 3.0)
    whole_pixels = match_points(np.rint(peaks.pixels), places, max_distance=1.0)
    assert np.sqrt((whole_pixels.distances**2).mean()) > 0.3


def test_confidence_is_the_height_and_the_threshold_is_exclusive():
    heatmap = 0.8 * draw([(10, 7)], (20, 15)) + 0.5 * draw([(3, 11)], (20, 15))
    peaks = find_peaks(heatmap, 0.3, 2.0)
    assert peaks.confidence.dtype == np.float32
    np.testing.assert_allclose(peaks.confidence, [0.5, 0.8], atol=1e-3)
    assert len(find_peaks(heatmap, float(peaks.confidence[1]), 2.0).pixels) == 0
    assert len(find_peaks(heatmap, 0.6, 2.0).pixels) == 1


def test_order_is_rows_then_columns(rng):
    peaks = find_peaks(rng.random((50, 70)), 0.5, 0.0)
    np.testing.assert_array_equal(
        np.lexsort((peaks.pixels[:, 1], peaks.pixels[:, 0])), np.arange(len(peaks.pixels))
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (9, 1), (2, 2), (30, 20)])
def test_nothing_there(shape):
    peaks = find_peaks(np.full(shape, 0.1), 0.3, 3.0)
    assert peaks.pixels.shape == (0, 2)
    assert peaks.confidence.shape == (0,)


@pytest.mark.parametrize(
    ("shape", "centre"),
    [((1, 1), (0, 0)), ((1, 8), (0, 3.5)), ((9, 1), (4, 0)), ((2, 2), (0.5, 0.5)), ((31, 20), (15, 9.5))],
)
def test_constant_heatmap_is_one_plateau(shape, centre):
    peaks = find_peaks(np.full(shape, 0.9), 0.3, 0.0)
    np.testing.assert_allclose(peaks.pixels, [centre])


def test_flat_top_is_one_peak_at_its_centroid():
    heatmap = np.zeros((12, 17))
    heatmap[3:6, 8:13] = 0.7
    peaks = find_peaks(heatmap, 0.3, 0.0)
    np.testing.assert_allclose(peaks.pixels, [[4.0, 10.0]])


def test_two_equal_pixels_are_one_peak_between_them():
    peaks = find_peaks(draw([(6.5, 5.2)], (14, 12)), 0.3, 0.0)
    np.testing.assert_allclose(peaks.pixels, [[6.5, 5.2]], atol=1e-5)


def test_shoulder_is_no_peak():
    heatmap = np.full((7, 20), 0.1)
    heatmap[3, 4:15] = 0.5
    heatmap[3, 14] = 0.6
    np.testing.assert_allclose(find_peaks(heatmap, 0.3, 0.0).pixels, [[3.0, 14.0]], atol=0.5)


@pytest.mark.parametrize("levels", [3, 5, 12])
def test_maxima_of_any_landscape(rng, levels):
    heights = rng.integers(1, levels, (23, 31)).astype(float)
    found, expected = find_peaks(heights, 1.5, 0.0).pixels, regional_maxima(heights, 1.5)
    assert len(expected) >= 5
    matching = match_points(found, expected, max_distance=1.0)
    # Flanks at the border alone are left out; refined peaks of one or two pixels move by up to half a pixel.
    at_border = (expected == 0).any(axis=1) | (expected == [22, 30]).any(axis=1)
    assert len(found) == len(matching.pairs)
    assert np.isin(np.flatnonzero(~at_border), matching.pairs[:, 1]).all()


def test_isolated_pixel_stays_in_place():
    heatmap = np.zeros((9, 11))
    heatmap[4, 6] = 1.0
    np.testing.assert_array_equal(find_peaks(heatmap, 0.3, 3.0).pixels, [[4.0, 6.0]])


@pytest.mark.parametrize(
    "place", [(0.0, 9.0), (0.3, 0.2), (-0.3, 12.4), (19.2, 3.7), (18.9, 26.1), (7.0, 26.4)]
)
def test_sites_at_the_border_are_found(place):
    peaks = find_peaks(draw([place], (20, 27)), 0.3, 3.0)
    np.testing.assert_allclose(peaks.pixels, [place], atol=1e-4)


@pytest.mark.parametrize("place", [(-1.2, 9.0), (5.0, -2.0), (20.5, 4.0), (8.0, 28.0), (-0.9, 27.2)])
def test_flanks_of_sites_outside_are_not(place):
    heatmap = draw([place], (20, 27))
    assert heatmap.max() > 0.4
    assert len(find_peaks(heatmap, 0.3, 3.0).pixels) == 0


def test_of_close_peaks_the_stronger_is_kept():
    heatmap = np.zeros((20, 30))
    heatmap[5, 5], heatmap[5, 8], heatmap[15, 20] = 0.9, 0.8, 0.5
    np.testing.assert_array_equal(find_peaks(heatmap, 0.3, 3.5).pixels, [[5, 5], [15, 20]])
    assert len(find_peaks(heatmap, 0.3, 2.9).pixels) == 3
    assert len(find_peaks(heatmap, 0.3, 3.0).pixels) == 3


def test_a_peak_is_not_removed_by_one_that_is_removed_itself():
    pixels = np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 4.0], [0.0, 6.0]])
    merged = merge_peaks(Peaks(pixels, np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)), 3.0)
    np.testing.assert_array_equal(merged.pixels, pixels[[0, 2]])


def test_equal_close_peaks_leave_one():
    pixels = np.array([[4.0, 1.0], [3.0, 1.0], [3.0, 2.0]])
    merged = merge_peaks(Peaks(pixels, np.full(3, 0.5, dtype=np.float32)), 3.0)
    np.testing.assert_array_equal(merged.pixels, [[3.0, 1.0]])


def test_merging_equals_going_through_the_peaks_one_by_one(rng):
    pixels, confidence = rng.uniform(0, 60, (400, 2)), rng.random(400).astype(np.float32)
    kept: list[int] = []
    for index in np.argsort(-confidence):
        if not kept or np.linalg.norm(pixels[kept] - pixels[index], axis=1).min() >= 4.0:
            kept.append(int(index))
    merged = merge_peaks(Peaks(pixels, confidence), 4.0)
    np.testing.assert_array_equal(np.sort(merged.confidence), np.sort(confidence[kept]))


def test_error_falls_with_dose(rng):
    shape = (150, 200)
    places = scattered(rng, shape, 8.0)
    errors = []
    for dose in (20, 100, 1000, 10000):
        counts = rng.poisson(dose * (0.2 + draw(places, shape, 1.5))) / dose
        peaks = find_peaks(gaussian_filter(counts, 1.5), 0.4, 3.0)
        matching = match_points(peaks.pixels, places, max_distance=1.5)
        assert len(matching.pairs) > 0.95 * len(places)
        errors.append(np.sqrt((matching.distances**2).mean()))
    assert all(b < 0.7 * a for a, b in pairwise(errors))
    assert errors[-1] < 0.05


@pytest.mark.parametrize("threshold", [0.0, -0.1, np.nan])
def test_wrong_threshold(threshold):
    with pytest.raises(ValueError, match="threshold must be > 0"):
        find_peaks(np.ones((3, 3)), threshold, 1.0)


@pytest.mark.parametrize("min_distance_px", [-0.1, np.nan])
def test_wrong_distance(min_distance_px):
    with pytest.raises(ValueError, match="min_distance_px must be >= 0 px"):
        find_peaks(np.ones((3, 3)), 0.5, min_distance_px)


def test_heatmap_must_be_two_dimensional():
    with pytest.raises(ValueError, match=r"heatmap must be two-dimensional.*\(2, 3, 3\)"):
        find_peaks(np.ones((2, 3, 3)), 0.5, 1.0)
