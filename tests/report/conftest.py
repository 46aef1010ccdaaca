"""A disordered sheet with its image and all tables of the results contract, by numpy and scipy alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import Voronoi

from amorph2d.measures.statistics import ring_class
from amorph2d.report.view import MicrographView

Maker = Callable[..., MicrographView]


@pytest.fixture(scope="session")
def make_view() -> Maker:
    return _make_view


@pytest.fixture(scope="session")
def view() -> MicrographView:
    return _make_view("sheet_01", shape=(120, 160), disorder=0.16, seed=1)


@pytest.fixture(scope="session")
def summary_of() -> Callable[[list[MicrographView]], pd.DataFrame]:
    return _summary_of


@pytest.fixture(scope="session")
def calibration_of() -> Callable[[list[MicrographView]], pd.DataFrame]:
    return _calibration_of


def _make_view(
    stem: str,
    *,
    shape: tuple[int, int],
    disorder: float,
    seed: int,
    sampling: tuple[float, float] = (0.2, 0.2),
    frame: int = 0,
) -> MicrographView:
    rng = np.random.default_rng(seed)
    width, height = (shape[1] - 1) * sampling[1], (shape[0] - 1) * sampling[0]
    atoms, bonds, rings = _network(width, height, disorder, rng)
    image = _image(atoms, shape, sampling, rng)
    centres = np.array([atoms[ring].mean(axis=0) for ring in rings]).reshape(-1, 2)
    edge = 2.0
    inside = ((atoms > edge) & (atoms < [width - edge, height - edge])).all(axis=1)
    n, m = len(atoms), len(rings)
    noisy = atoms + rng.normal(0, 0.03, atoms.shape)
    sites = pd.DataFrame(
        {
            "frame": np.int32(frame),
            "site": np.arange(n + m),
            "kind": ["atom"] * n + ["ring"] * m,
            "x": np.concatenate([noisy[:, 0], centres[:, 0]]),
            "y": np.concatenate([noisy[:, 1], centres[:, 1]]),
            "sigma": rng.uniform(0.02, 0.06, n + m).astype(np.float32),
            "confidence": rng.uniform(0.6, 1.0, n + m).astype(np.float32),
            "analysable": np.concatenate([inside, np.ones(m, dtype=bool)]),
        }
    )
    lengths = np.linalg.norm(noisy[bonds[:, 0]] - noisy[bonds[:, 1]], axis=1)
    bond_table = pd.DataFrame(
        {"frame": np.int32(frame), "atom_i": bonds[:, 0], "atom_j": bonds[:, 1], "length": lengths}
    )
    sizes = np.array([len(ring) for ring in rings], dtype=np.int32)
    ring_table = pd.DataFrame(
        {
            "frame": np.int32(frame),
            "ring": np.arange(n, n + m),
            "size": sizes,
            "x": centres[:, 0],
            "y": centres[:, 1],
            "area": [_area(noisy[ring]) for ring in rings],
            "complete": [bool(inside[ring].all()) for ring in rings],
        }
    )
    return MicrographView(
        stem=stem,
        image=image,
        sampling=sampling,
        sites=sites,
        bonds=bond_table,
        angles=_angles(noisy, bonds, frame),
        rings=ring_table,
        pdf=_pdf(noisy, width, height, frame),
        ring_members=np.concatenate([np.empty(0, dtype=np.int64), *rings]),
        ring_offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        scores={"atom_f1": 0.9973, "atom_rmse": 0.0314},
        frame=frame,
    )


def _network(width: float, height: float, disorder: float, rng: np.random.Generator) -> tuple:
    """Voronoi cells of a shaken triangular lattice, pulled towards bonds of 1.42 Å."""
    a, pad = 2.46, 6.0
    rows = np.arange(-pad, height + pad, a * np.sqrt(3) / 2)
    columns = np.arange(-pad, width + pad, a)
    seeds = np.array([(x + (i % 2) * a / 2, y) for i, y in enumerate(rows) for x in columns])
    voronoi = Voronoi(seeds + rng.normal(0, disorder * a, seeds.shape))
    ridges = np.array([ridge for ridge in voronoi.ridge_vertices if -1 not in ridge])
    points = voronoi.vertices.copy()
    free = ((points > 3 - pad) & (points < [width + pad - 3, height + pad - 3])).all(axis=1)
    pairs = _second_neighbours(ridges)
    for _ in range(120):
        for ends, rest, stiffness in ((ridges, 1.42, 0.22), (pairs, 2.46, 0.06)):
            steps = points[ends[:, 1]] - points[ends[:, 0]]
            length = np.linalg.norm(steps, axis=1, keepdims=True).clip(0.05)
            pull = stiffness * (length - rest).clip(-1, 1) * steps / length
            for axis in range(2):
                move = np.bincount(ends[:, 0], pull[:, axis], len(points))
                move -= np.bincount(ends[:, 1], pull[:, axis], len(points))
                points[:, axis] += np.where(free, move, 0)
    inside = ((points > 0) & (points < [width, height])).all(axis=1)
    number = np.cumsum(inside) - 1
    bonds = number[ridges[inside[ridges].all(axis=1)]]
    rings = [
        number[region]
        for region in voronoi.regions
        if region and -1 not in region and inside[region].all() and len(region) >= 3
    ]
    return points[inside], np.sort(bonds, axis=1), rings


def _second_neighbours(bonds: np.ndarray) -> np.ndarray:
    ends = pd.DataFrame({"vertex": bonds.ravel(), "other": bonds[:, ::-1].ravel()})
    pairs = ends.merge(ends, on="vertex")
    return pairs.loc[pairs["other_x"] < pairs["other_y"], ["other_x", "other_y"]].to_numpy()


def _image(atoms: np.ndarray, shape: tuple, sampling: tuple, rng: np.random.Generator) -> np.ndarray:
    sharp = np.zeros(shape)
    pixels = np.rint(atoms[:, ::-1] / sampling).astype(int)
    np.add.at(sharp, tuple(pixels.T), 1.0)
    blurred = gaussian_filter(sharp, [0.42 / step for step in sampling])
    signal = 250 * (1 - 0.35 * blurred / max(blurred.max(), 1e-9))
    return rng.poisson(signal).astype(np.float32)


def _area(corners: np.ndarray) -> float:
    x, y = corners.T
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _angles(points: np.ndarray, bonds: np.ndarray, frame: int) -> pd.DataFrame:
    ends = pd.DataFrame({"vertex": bonds.ravel(), "other": bonds[:, ::-1].ravel()})
    pairs = ends.merge(ends, on="vertex")
    pairs = pairs[pairs["other_x"] < pairs["other_y"]]
    i, v, j = (pairs[name].to_numpy() for name in ("other_x", "vertex", "other_y"))
    one, two = points[i] - points[v], points[j] - points[v]
    cosine = (one * two).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1))
    degrees = np.degrees(np.arccos(cosine.clip(-1, 1)))
    return pd.DataFrame({"frame": np.int32(frame), "atom_i": i, "vertex": v, "atom_j": j, "angle": degrees})


def _pdf(points: np.ndarray, width: float, height: float, frame: int) -> pd.DataFrame:
    edges = np.arange(0, 8.01, 0.1)
    core = points[((points > 8) & (points < [width - 8, height - 8])).all(axis=1)][:400]
    distances = np.linalg.norm(core[:, None] - points[None], axis=2)
    counts = np.histogram(distances[distances > 0], edges)[0]
    shell = np.pi * np.diff(edges**2) * len(points) / (width * height) * max(len(core), 1)
    r = (edges[1:] + edges[:-1]) / 2
    return pd.DataFrame(
        {"frame": np.int32(frame), "r": r, "g": counts / shell, "g_error": np.sqrt(counts.clip(1)) / shell}
    )


def _row(views: list[MicrographView]) -> dict[str, float]:
    lengths = np.concatenate([view.bonds["length"] for view in views])
    angles = np.concatenate([view.angles["angle"] for view in views])
    sizes = np.concatenate([view.rings.loc[view.rings["complete"], "size"] for view in views])
    atoms = sum(int((view.sites["kind"] == "atom").sum()) for view in views)
    area = sum(view.image.size * view.sampling[0] * view.sampling[1] for view in views)
    row: dict[str, float] = {
        "n_atoms": atoms,
        "n_bonds": len(lengths),
        "n_angles": len(angles),
        "n_rings": sum(len(view.rings) for view in views),
        "n_complete_rings": len(sizes),
        "angles_per_bond": len(angles) / max(len(lengths), 1),
        "euler_characteristic": 1,
        "n_ring_count_disagreements": 0,
    }

    def add(name: str, value: float, error: float) -> None:
        row.update({name: value, f"{name}_low": value - 1.96 * error, f"{name}_high": value + 1.96 * error})

    for name, values in (("bond", lengths), ("angle", angles)):
        spread = float(np.std(values))
        add(f"{name}_mean", float(np.mean(values)), spread / np.sqrt(len(values)))
        add(f"{name}_std", spread, spread / np.sqrt(2 * len(values)))
    add("mean_ring_size", float(sizes.mean()), float(sizes.std() / np.sqrt(len(sizes))))
    for size in range(3, 10):
        share = float((sizes == size).mean() if size < 9 else (sizes >= 9).mean())
        add(f"ring_fraction_{ring_class(size)}", share, np.sqrt(share * (1 - share) / len(sizes)))
    add("coordination_mean", 2.994, 0.002)
    add("coordination_fraction_3", 0.994, 0.002)
    add("density", atoms / area, 0.002)
    return row


def _summary_of(views: list[MicrographView]) -> pd.DataFrame:
    rows = [{"micrograph": view.stem, "frame": view.frame, **_row([view])} for view in views]
    return pd.DataFrame([*rows, {"micrograph": "pooled", "frame": -1, **_row(views)}] if views else [])


def _calibration_of(views: list[MicrographView]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "file": f"{view.stem}.dm4",
            "micrograph": view.stem,
            "status": "analysed",
            "reason": "",
            "rows": view.image.shape[0],
            "columns": view.image.shape[1],
            "sampling_y": view.sampling[0],
            "sampling_x": view.sampling[1],
            "sampling_source": "calibration in the file",
            "dose_per_area": 12345.6,
            "energy": 60000.0,
            "polarity": "dark atoms",
            "in_domain": True,
            "domain_reason": "",
            "warnings": "",
            "network": "amorph2d-sites/1",
            "network_sha256": "3fc9b689459d738f8c88a3a48aa9e33542016b7a4052e001aaa536fca74813cb",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "code_version": "0.1.0",
            "n_atoms": int((view.sites["kind"] == "atom").sum()),
            "atom_f1": 0.9973,
        }
        for view in views
    )
