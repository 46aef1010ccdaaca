from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.config import NetworkConfig, TrainingParameters


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def make_config() -> Callable[..., NetworkConfig]:
    return lambda **changes: NetworkConfig(**{**NETWORK, **changes})


@pytest.fixture
def make_parameters() -> Callable[..., TrainingParameters]:
    def make(network: dict[str, Any] | None = None, **fit: Any) -> TrainingParameters:
        return TrainingParameters(
            network=NetworkConfig(**{**NETWORK, **(network or {})}), fit={**FIT, **fit}, evaluation=EVALUATION
        )

    return make


@pytest.fixture
def make_image() -> Callable[..., SimulatedImage]:
    """Make a jittered honeycomb whose atoms are Gaussian blobs, bright or dark, under Poisson noise."""
    return _honeycomb_image


def _honeycomb_image(
    index: int = 0,
    shape: tuple[int, int] = (96, 80),
    *,
    sampling: float = 0.2,
    bright: bool = True,
    **recipe: Any,
) -> SimulatedImage:
    rng = np.random.default_rng([7, index])
    height, width = (np.array(shape) - 1) * sampling
    n = int(max(height, width) / 2) + 4
    i, j = np.meshgrid(np.arange(-n, n), np.arange(-n, n), indexing="ij")
    lattice = np.stack([2.46 * (i + 0.5 * j), 2.46 * np.sqrt(0.75) * j], axis=-1).reshape(
        -1, 2
    ) + rng.uniform(0, 2, 2)
    atoms = np.concatenate([lattice, lattice + np.array([0, 1.42])])
    atoms = atoms + rng.normal(0, 0.05, atoms.shape)
    rings = lattice + np.array([1.23, 0.71])
    y, x = np.mgrid[: shape[0], : shape[1]] * sampling
    bumps = np.zeros(shape)
    for atom in atoms[_inside(atoms, width, height, margin=2)]:
        bumps += np.exp(-((x - atom[0]) ** 2 + (y - atom[1]) ** 2) / (2 * 0.45**2))
    image = rng.poisson(500 * (1 + (0.3 if bright else -0.3) * bumps)).astype(np.float32)
    known = {"index": index, "family": "honeycomb", "energy": 80e3, "defocus": 50.0, "dose_per_area": 12500.0}
    return SimulatedImage(
        index=index,
        image=image,
        sampling=sampling,
        atoms=atoms[_inside(atoms, width, height)],
        rings=rings[_inside(rings, width, height)],
        recipe=known | recipe,
    )


def _inside(points: np.ndarray, width: float, height: float, margin: float = 0.0) -> np.ndarray:
    return ((points >= -margin) & (points <= np.array([width, height]) + margin)).all(axis=1)


NETWORK: dict[str, Any] = {
    "sampling": 0.2,
    "normalisation_window": 5.0,
    "channels": ("atom", "ring"),
    "label_sigma": 0.4,
    "stem": "unshuffle",
    "widths": (8, 12),
    "blocks": 1,
    "skips": "add",
    "decoder": "light",
}
FIT: dict[str, Any] = {
    "epochs": 2,
    "steps_per_epoch": 3,
    "batch_size": 2,
    "crop": 48,
    "learning_rate": 3e-3,
    "warmup": 0.2,
    "weight_decay": 0.01,
    "gradient_clip": 1.0,
    "foreground_weight": 0.0,
    "averaging": 0.9,
    "patience": None,
    "precision": "32-true",
    "accelerator": "cpu",
    "devices": 1,
    "nodes": 1,
    "workers": 0,
    "seed": 3,
}
EVALUATION: dict[str, Any] = {
    "edges": {"dose_per_area": (10000.0,), "defocus": (0.0,), "sampling": (0.15,), "bound": (0.05,)},
    "border": 2.0,
    "max_distance": 0.5,
    "thresholds": (0.2, 0.35, 0.5),
    "readable": 0.95,
    "bins": 5,
}
