"""Parameters and images of series; makes `strategies`, one folder up, importable."""

import sys
from pathlib import Path

import numpy as np
import pytest

from amorph2d.series.config import DriftParameters, LinkingParameters

sys.path.insert(0, str(Path(__file__).parents[1]))

REACH = 1.6  # distance from an atom at which it is forgotten [Å]


@pytest.fixture(scope="session")
def measuring():
    """Make parameters of drift that differ in what is given."""
    values = {
        "band": (0.05, 0.8),
        "background": 10.0,
        "max_step": 4.0,
        "max_ambiguity": 0.8,
        "min_significance": 6.0,
    }
    return lambda **changes: DriftParameters(**values | changes)


@pytest.fixture(scope="session")
def linking():
    """Make parameters of linking that differ in what is given."""
    return lambda **changes: LinkingParameters(**{"max_step": 0.7, "memory": 2} | changes)


@pytest.fixture(scope="session")
def disordered():
    """Atoms of a sheet without any order, at least 1.2 Å apart, wider than the frames by 20 Å each way."""
    rng = np.random.default_rng(5)
    points = rng.uniform(-20, 75, (9000, 2))
    kept: list[np.ndarray] = []
    cells: dict[tuple[int, int], list[np.ndarray]] = {}
    for point in points:
        i, j = np.floor(point / 1.2).astype(int)
        near = [q for a in (-1, 0, 1) for b in (-1, 0, 1) for q in cells.get((i + a, j + b), [])]
        if all(np.hypot(*(point - q)) >= 1.2 for q in near):
            kept.append(point)
            cells.setdefault((i, j), []).append(point)
    return np.array(kept)


@pytest.fixture(scope="session")
def draw():
    """Draw atoms as Gaussians, with shot noise; 0.25 Å/px."""

    def image(atoms, *, rng, shape=(160, 192), sampling=0.25, dose=3e3, contrast=0.3, light=1.0):
        mean = np.ones(shape)
        span = int(REACH / sampling)
        offsets = np.arange(-span, span + 1)
        places = np.reshape(atoms, (-1, 2))[:, ::-1] / sampling
        rows, columns = places[((places > -span) & (places < np.add(shape, span))).all(axis=1)].T
        for row, column in zip(rows, columns, strict=True):
            i, j = round(row) + offsets, round(column) + offsets
            i, j = i[(i >= 0) & (i < shape[0])], j[(j >= 0) & (j < shape[1])]
            if len(i) and len(j):
                squares = (i[:, None] - row) ** 2 + (j - column) ** 2
                mean[np.ix_(i, j)] += contrast * np.exp(-squares * sampling**2 / (2 * 0.35**2))
        return rng.poisson(mean * light * dose * sampling**2).astype(np.float32)

    return image
