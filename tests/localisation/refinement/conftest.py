"""Images that are sums of equal images of atoms, with their truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from amorph2d.localisation.refinement.config import RefinementParameters

VALUES: dict[str, Any] = {
    "background": 5.0,
    "border": 3.0,
    "kernel_reach": 5.0,
    "kernel_order": 0,
    "max_frequency": 1.3,
    "position_prior": 0.065,
    "amplitude_prior": 0.05,
    "freedom": 4.0,
    "n_kernel_rounds": 4,
    "n_rounds": 2,
    "n_samples": 2,
    "sample_size": 256,
    "tile_size": 1024,
    "least_signal": 3.0,
    "least_amplitude": 0.55,
    "confirmed_amplitude": 0.65,
    "n_repairs": 2,
    "repair_amplitude": 0.4,
    "repair_support": 0.25,
    "repair_significance": 3.5,
    "largest_rejection": 2.0,
    "repair_distance": 0.9,
    "repair_reach": 1.7,
    "repair_bonds": 3,
    "insertion_lengths": (1.7, 2.0),
    "insertion_gain": 12.0,
    "largest_misfit": 3.0,
    "largest_move": 0.5,
    "sigma_scale": 1.0,
    "sigma_floor": 0.0,
    "doubt_scale": 1.0,
    "doubt_power": 1.0,
}


def make_parameters(**changes: Any) -> RefinementParameters:
    return RefinementParameters(**(VALUES | changes))


def atom_image(x: np.ndarray, y: np.ndarray, coma: float = 0.0) -> np.ndarray:
    """Bright spot with a dark ring, of no mean; with coma, sharper on one side."""
    square = (x**2 + y**2) / 0.45**2
    return (1 - square / 2 + coma * x * square) * np.exp(-square / 2)


def draw(
    atoms: np.ndarray, shape: tuple[int, int], sampling: tuple[float, float], coma: float = 0.0
) -> np.ndarray:
    image = np.zeros(shape)
    reach = [int(3.0 / step) + 1 for step in sampling]
    for x, y in atoms:
        row, column = round(y / sampling[0]), round(x / sampling[1])
        rows = np.arange(max(row - reach[0], 0), min(row + reach[0] + 1, shape[0]))
        columns = np.arange(max(column - reach[1], 0), min(column + reach[1] + 1, shape[1]))
        if len(rows) and len(columns):
            spot = atom_image(columns[None, :] * sampling[1] - x, rows[:, None] * sampling[0] - y, coma)
            image[np.ix_(rows, columns)] += spot
    return image


def table_of(atoms: np.ndarray, *, rings: np.ndarray | None = None) -> pd.DataFrame:
    rings = np.empty((0, 2)) if rings is None else rings
    places = np.concatenate([atoms, rings])
    n = len(places)
    return pd.DataFrame(
        {
            "frame": np.zeros(n, dtype=np.int32),
            "site": np.arange(n),
            "kind": pd.array(["atom"] * len(atoms) + ["ring"] * len(rings), dtype="str"),
            "x": places[:, 0],
            "y": places[:, 1],
            "sigma": np.full(n, 0.08, dtype=np.float32),
            "confidence": np.full(n, 0.9, dtype=np.float32),
            "analysable": np.ones(n, dtype=np.bool_),
        }
    )


class Sheet:
    """A disordered honeycomb, its image under white noise, and a network's positions."""

    def __init__(
        self,
        seed: int = 1,
        *,
        extent: tuple[float, float] = (40.0, 34.0),
        sampling: tuple[float, float] = (0.2, 0.2),
        noise: float = 0.3,
        network: float = 0.06,
        polarity: float = 1.0,
        coma: float = 0.0,
        honeycomb: Callable[..., np.ndarray],
    ) -> None:
        rng = np.random.default_rng(seed)
        self.sampling = sampling
        self.shape = round(extent[1] / sampling[0]), round(extent[0] / sampling[1])
        everything = honeycomb(extent[0] + 8, extent[1] + 8) - 4
        everything = everything + rng.normal(0, 0.08, everything.shape)
        last = (np.array(self.shape[::-1]) - 1) * np.array(sampling[::-1])
        self.atoms = everything[((everything >= 0) & (everything <= last)).all(axis=1)]
        clean = draw(everything, self.shape, sampling, coma)
        # Noise per area, not per pixel, so that finer pixels know no more.
        grain = noise * 0.2 / np.sqrt(sampling[0] * sampling[1])
        signal = 100 + 10 * (polarity * clean + rng.normal(0, grain, self.shape))
        self.image = signal.astype(np.float32)
        self.start = self.atoms + rng.normal(0, network, self.atoms.shape)

    def inner(self, depth: float = 3.0) -> np.ndarray:
        last = np.array(self.shape[::-1]) * np.array(self.sampling[::-1])
        return ((self.atoms > depth) & (self.atoms < last - depth)).all(axis=1)


@pytest.fixture(scope="session")
def sheet_of(graphene: Callable[..., np.ndarray]) -> Callable[..., Sheet]:
    def make(seed: int = 1, **given: Any) -> Sheet:
        return Sheet(seed, honeycomb=graphene, **given)

    return make


@pytest.fixture(scope="session")
def tables_of() -> Callable[..., pd.DataFrame]:
    return table_of


@pytest.fixture(scope="session")
def refinement_of() -> Callable[..., RefinementParameters]:
    return make_parameters


@pytest.fixture(scope="session")
def drawn() -> Callable[..., np.ndarray]:
    return draw
