"""Stand-ins for a trained network: fixed filters of which every output is known."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from amorph2d.localisation.config import LocalisationParameters


class FilterNetwork(nn.Module):
    """Atoms bright, ring centres dark: smooths with a Gaussian and adds a little of what pooling makes of it.

    As with a U-Net, the pooled part depends on which pixels are pooled together.
    """

    def __init__(self, sigma_px: float, *, stride: int, pooled: float, gain: float) -> None:
        super().__init__()
        reach = round(4 * sigma_px)
        self.reach, self.stride, self.pooled, self.gain = reach, stride, pooled, gain
        kernel = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma_px**2))
        self.register_buffer("kernel", kernel / kernel.sum())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        assert image.shape[-2] % self.stride == 0
        assert image.shape[-1] % self.stride == 0
        smooth = nn.functional.conv2d(image, self.kernel.view(1, 1, -1, 1), padding=(self.reach, 0))
        smooth = nn.functional.conv2d(smooth, self.kernel.view(1, 1, 1, -1), padding=(0, self.reach))
        pooled = nn.functional.interpolate(
            nn.functional.max_pool2d(smooth, self.stride), scale_factor=self.stride
        )
        mixed = smooth + self.pooled * pooled
        return torch.cat([self.gain * mixed - 2.0, -self.gain * mixed - 2.0], dim=1)


def make_network(
    *, sampling: float = 0.2, stride: int = 8, pooled: float = 0.0, gain: float = 4.0, **metadata: Any
) -> SimpleNamespace:
    module = FilterNetwork(0.3 / sampling, stride=stride, pooled=pooled, gain=gain).eval()
    config = SimpleNamespace(
        sampling=sampling,
        stride=stride,
        output="sites",
        receptive_field=module.reach + stride,
        normalisation_window=4.0,
        channels=("atom", "ring"),
    )
    return SimpleNamespace(module=module, config=config, metadata=metadata, sha256="0" * 64)


def make_parameters(**changes: Any) -> LocalisationParameters:
    values = {
        "tile_size": 4096,
        "batch_size": 2,
        "thresholds": {"atom": 0.3, "ring": 0.3},
        "min_distance": 0.6,
        "border": 2.0,
        "precision": "float32",
    }
    return LocalisationParameters(**(values | changes))


def draw_spots(
    positions: np.ndarray, shape: tuple[int, int], sampling: tuple[float, float], *, sigma: float = 0.4
) -> np.ndarray:
    """Sum of Gaussians of height 1 at `positions` [Å], evaluated at the pixel centres."""
    x = np.arange(shape[1]) * sampling[1]
    y = np.arange(shape[0]) * sampling[0]
    across = np.exp(-((x - positions[:, :1]) ** 2) / (2 * sigma**2))
    down = np.exp(-((y - positions[:, 1:]) ** 2) / (2 * sigma**2))
    return down.T @ across


def honeycomb(width: float, height: float, *, bond: float = 1.42) -> np.ndarray:
    """Atoms of graphene in a rectangle, slightly turned, (N, 2) x, y [Å]."""
    a, n = bond * np.sqrt(3), int((width + height) / bond)
    i, j = np.mgrid[-n:n, -n:n]
    cells = np.stack([i.ravel() * a + j.ravel() * a / 2, j.ravel() * a * np.sqrt(3) / 2], axis=1)
    atoms = np.concatenate([cells, cells + np.array([a / 2, bond / 2])])
    angle = np.radians(7.0)
    atoms = atoms @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return atoms[((atoms >= 0) & (atoms <= [width, height])).all(axis=1)]


@pytest.fixture(scope="session")
def network() -> SimpleNamespace:
    return make_network()


@pytest.fixture(scope="session")
def network_of() -> Callable[..., SimpleNamespace]:
    return make_network


@pytest.fixture(scope="session")
def parameters_of() -> Callable[..., LocalisationParameters]:
    return make_parameters


@pytest.fixture(scope="session")
def spots() -> Callable[..., np.ndarray]:
    return draw_spots


@pytest.fixture(scope="session")
def graphene() -> Callable[..., np.ndarray]:
    return honeycomb


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(2022)
