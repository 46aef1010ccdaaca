from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amorph2d.localisation.areas import area_maps, at_pixels, estimate_background


class Smooth(nn.Module):
    """Box filter of three pixels, one map."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)


def network(output: str, *, sampling: float = 0.5, window: float | None = 5.0) -> Any:
    config = SimpleNamespace(
        output=output, sampling=sampling, stride=4, receptive_field=2, normalisation_window=window,
        channels=("vacuum",),
    )  # fmt: skip
    return SimpleNamespace(module=Smooth().eval(), config=config, metadata={}, sha256="0" * 64)


def ramp(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.float32(200 + 0.5 * x - 0.25 * y)


@pytest.fixture
def background() -> Any:
    return network("background", sampling=1.0, window=None)


@pytest.mark.parametrize("sampling", [(0.5, 0.5), (0.4, 0.25)])
def test_tiles_change_nothing(sampling, parameters_of):
    image = np.random.default_rng(1).normal(10, 3, (90, 140)).astype(np.float32)
    whole, tiled = (
        area_maps(
            image, sampling=sampling, network=network("areas"), parameters=parameters_of(tile_size=size)
        )
        for size in (4096, 24)
    )
    assert whole.shape[0] == 1
    assert tiled == pytest.approx(whole, abs=1e-5)
    assert 0 < whole.min() < whole.max() < 1


def test_interpolation_is_exact_for_planes():
    y, x = np.mgrid[:9, :12]
    maps = np.stack([2.0 * x - y, 0 * x + 3.0]).astype(np.float32)
    fine = at_pixels(maps, shape=(16, 23), sampling=(0.5, 0.5), network_sampling=1.0)
    rows, columns = np.mgrid[:16, :23] / 2
    assert fine[0] == pytest.approx(2 * columns - rows, abs=1e-5)
    assert (fine[1] == 3).all()


def test_beyond_the_last_centre_the_edge_goes_on():
    maps = np.float32([[[0.0, 1.0]]])
    assert (
        at_pixels(maps, shape=(3, 8), sampling=(1.0, 0.5), network_sampling=2.0)[0].tolist()
        == [[0, 0.25, 0.5, 0.75, 1, 1, 1, 1]] * 3
    )


def test_a_single_map_pixel_is_everywhere():
    assert (
        at_pixels(
            np.full((1, 1, 1), 7.0, np.float32), shape=(3, 2), sampling=(1.0, 1.0), network_sampling=9.0
        )
        == 7
    ).all()


@pytest.mark.parametrize("sampling", [(1.0, 1.0), (0.5, 0.25)])
def test_the_background_has_the_grey_values_of_the_image(background, parameters_of, sampling):
    image = ramp((61, 94))
    slow = estimate_background(image, sampling=sampling, network=background, parameters=parameters_of())
    assert slow.shape == image.shape
    inner = (slice(12, -12), slice(12, -12))
    assert slow[inner] == pytest.approx(image[inner], abs=0.05)


def test_the_background_of_a_constant_image_is_that_constant(background, parameters_of):
    image = np.full((40, 30), 42.0, np.float32)
    slow = estimate_background(image, sampling=(1.0, 1.0), network=background, parameters=parameters_of())
    assert slow == pytest.approx(image, rel=1e-5)


def test_a_network_of_another_output_is_refused(background, parameters_of):
    image = ramp((40, 40))
    with pytest.raises(ValueError, match="output must be 'areas', got 'background'"):
        area_maps(image, sampling=(1.0, 1.0), network=background, parameters=parameters_of())
    with pytest.raises(ValueError, match="output must be 'background', got 'areas'"):
        estimate_background(image, sampling=(1.0, 1.0), network=network("areas"), parameters=parameters_of())
    windowed = network("background")
    with pytest.raises(ValueError, match="normalisation_window must be null"):
        estimate_background(image, sampling=(1.0, 1.0), network=windowed, parameters=parameters_of())
