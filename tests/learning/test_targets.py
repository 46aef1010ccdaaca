from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM, SimulatedImage
from amorph2d.learning.targets import UNKNOWN, draw_areas, draw_heatmaps, draw_peaks, true_background
from amorph2d.localisation.peaks import find_peaks


def brute_force(points: np.ndarray, shape: tuple[int, int], sampling: float, sigma: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]] * sampling
    maps = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py in points]
    return np.max(maps, axis=0, initial=0.0)


def test_a_site_on_a_pixel_is_a_gaussian_of_height_one():
    heatmap = draw_heatmaps([[(2.0, 1.0)]], (11, 21), sampling=0.2, sigma=0.4)[0]
    assert heatmap[5, 10] == 1.0
    assert heatmap[5, 12].item() == pytest.approx(np.exp(-0.5))
    assert heatmap[7, 10].item() == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize("sigma", [0.25, 0.4, 0.7])
def test_overlapping_sites_agree_with_the_maximum_of_all_gaussians(sigma):
    points = np.random.default_rng(0).uniform(-1, 9, (60, 2))
    drawn = draw_heatmaps([points], (40, 33), sampling=0.2, sigma=sigma)[0].numpy()
    assert drawn == pytest.approx(brute_force(points, (40, 33), 0.2, sigma), abs=np.exp(-0.5 * 2.75**2))


def test_encode_and_decode_returns_the_sites():
    grid = np.stack(np.meshgrid(np.arange(1, 9, 1.3), np.arange(1, 6, 1.3)), axis=-1).reshape(-1, 2)
    points = grid + np.random.default_rng(1).uniform(-0.2, 0.2, grid.shape)
    heatmap = draw_heatmaps([points], (35, 50), sampling=0.2, sigma=0.4)[0].numpy()
    found = find_peaks(heatmap, 0.3, 2.0)[0][:, ::-1] * 0.2
    distances = np.linalg.norm(found[:, None] - points, axis=2)
    assert sorted(distances.argmin(axis=1)) == list(range(len(points)))
    assert distances.min(axis=1).max() < 0.02


def test_a_site_alone_is_decoded_exactly():
    point = np.array([[1.2345, 2.3456]])
    heatmap = draw_heatmaps([point], (30, 20), sampling=0.2, sigma=0.4)[0].numpy()
    assert find_peaks(heatmap, 0.3, 2.0)[0][:, ::-1] * 0.2 == pytest.approx(point, abs=1e-5)


def test_sites_outside_draw_what_reaches_into_the_image():
    outside = [(-0.5, 1.0), (4.3, 1.0), (1.0, -0.5), (1.0, 2.3)]
    drawn = draw_heatmaps([outside], (10, 20), sampling=0.2, sigma=0.4)[0].numpy()
    assert drawn == pytest.approx(brute_force(np.array(outside), (10, 20), 0.2, 0.4), abs=0.025)
    assert drawn[5, 0] > 0.4
    assert drawn[5, 19] > 0.4
    assert drawn[0, 5] > 0.4
    assert drawn[9, 5] > 0.4
    assert (
        draw_heatmaps([[(-9.0, 1.0), (99.0, 1.0), (1.0, 99.0)]], (10, 20), sampling=0.2, sigma=0.4).max() == 0
    )


def test_kinds_are_drawn_apart_and_may_be_empty():
    drawn = draw_heatmaps([[], [(1.0, 1.0)], []], (10, 12), sampling=0.2, sigma=0.4)
    assert drawn.shape == (3, 10, 12)
    assert drawn.amax(dim=(1, 2)).tolist() == [0.0, 1.0, 0.0]


def test_order_of_the_sites_does_not_matter():
    rng = np.random.default_rng(4)
    pixels, maps = (
        torch.from_numpy(rng.uniform(0, 30, (80, 2))).float(),
        torch.from_numpy(rng.integers(0, 3, 80)),
    )
    order = torch.from_numpy(rng.permutation(80))
    first = draw_peaks(maps, pixels, n_maps=3, shape=(30, 30), sigma=2.0)
    assert torch.equal(first, draw_peaks(maps[order], pixels[order], n_maps=3, shape=(30, 30), sigma=2.0))


def test_a_sigma_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"sigma must be > 0 Å, got 0\.0"):
        draw_heatmaps([[(1.0, 1.0)]], (10, 10), sampling=0.2, sigma=0.0)


def test_areas_are_one_where_they_are_and_nan_where_nothing_is_known():
    codes = torch.tensor([[[VACUUM, MONOLAYER, OTHER, UNKNOWN]]], dtype=torch.uint8)
    maps = draw_areas(codes, ("monolayer", "vacuum"))
    assert maps.shape == (1, 2, 1, 4)
    assert maps[0, 0, 0, :3].tolist() == [0, 1, 0]
    assert maps[0, 1, 0, :3].tolist() == [1, 0, 0]
    assert maps[..., 3].isnan().all()


LIT = {"gradient": 0.4, "gradient_direction": 30.0, "vignetting": 0.2, "unevenness": 0.02, "noise_seed": 5}


def lit_image(*, gain: float = 80.0, zero: float = 0.0, recipe: dict = LIT, mask=None) -> SimulatedImage:
    """Return an image that shows nothing but its illumination."""
    none = np.empty((0, 2))
    image = SimulatedImage(0, np.zeros((40, 60), np.float32), 0.5, none, none, recipe, mask=mask)
    return replace(image, image=np.float32(zero + gain * image.illumination))


@pytest.mark.parametrize(("gain", "zero"), [(80.0, 0.0), (3.0, 500.0), (-2.0, 255.0)])
def test_the_background_of_an_empty_image_is_the_image(gain, zero):
    image = lit_image(gain=gain, zero=zero)
    assert true_background(image) == pytest.approx(image.image, rel=1e-5)


def test_what_lies_on_the_sheet_does_not_change_the_background():
    mask = np.ones((40, 60), np.uint8)
    mask[5:30, 10:40] = OTHER
    clean = lit_image(mask=mask)
    soiled = replace(clean, image=np.where(mask == OTHER, clean.image * 0.5, clean.image))
    assert true_background(soiled) == pytest.approx(clean.image, rel=1e-5)
    covered = replace(clean, mask=np.full_like(mask, OTHER))
    assert true_background(covered) == pytest.approx(clean.image, rel=1e-5)


def test_even_illumination_has_an_even_background():
    even = {**LIT, "gradient": 0.0, "vignetting": 0.0, "unevenness": 0.0}
    image = lit_image(recipe=even)
    noisy = replace(image, image=image.image + np.random.default_rng(0).normal(0, 5, (40, 60)))
    assert true_background(noisy) == pytest.approx(np.full((40, 60), noisy.image.mean()))
