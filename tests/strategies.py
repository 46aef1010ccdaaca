"""Sheets with known answers, and Hypothesis strategies for random ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from hypothesis import strategies as st

from amorph2d.measures.config import StatisticsParameters

BOND = 1.42


def honeycomb(n_x: int, n_y: int, bond: float = BOND) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms (4 n_x n_y, 2), ring centres (2 n_x n_y, 2) and box (2,) of graphene, bonds along y [Å]."""
    cell = np.array([np.sqrt(3), 3.0])
    corners = np.stack(np.meshgrid(np.arange(n_x), np.arange(n_y), indexing="ij"), axis=-1).reshape(-1, 1, 2)
    atoms = np.array([[0, 0], [np.sqrt(3) / 2, 0.5], [np.sqrt(3) / 2, 1.5], [0, 2]])
    centres = np.array([[0, 1], [np.sqrt(3) / 2, 2.5]])
    shift = [np.sqrt(3) / 4, 0.25]
    atoms, centres = (((corners * cell + motif + shift) * bond).reshape(-1, 2) for motif in (atoms, centres))
    return atoms, centres, cell * [n_x, n_y] * bond


def statistics_parameters(**changes: dict[str, Any]) -> StatisticsParameters:
    """Parameters of the statistics as in `conf/base`, with some of a section's values exchanged."""
    file = Path(__file__).parents[1] / "conf" / "base" / "parameters_statistics.yml"
    base = yaml.safe_load(file.read_text(encoding="utf-8"))["statistics"]
    return StatisticsParameters(**base | {name: base[name] | values for name, values in changes.items()})


def rotate(points: np.ndarray, degrees: float) -> np.ndarray:
    """Turn points (N, 2) about the origin."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, s], [-s, c]])


def make_sites(atoms: Any, centres: Any = (), *, analysable: Any = True, frame: int = 0) -> pd.DataFrame:
    """Table of sites: atoms numbered from 0, then ring centres."""
    atoms, centres = np.reshape(atoms, (-1, 2)).astype(float), np.reshape(centres, (-1, 2)).astype(float)
    n_atoms, n_sites = len(atoms), len(atoms) + len(centres)
    x, y = np.concatenate([atoms, centres]).T
    return pd.DataFrame(
        {
            "frame": np.full(n_sites, frame, np.int32),
            "site": np.arange(n_sites, dtype=np.int64),
            "kind": pd.array(np.repeat(["atom", "ring"], [n_atoms, n_sites - n_atoms]), dtype="str"),
            "x": x,
            "y": y,
            "sigma": np.full(n_sites, 0.05, np.float32),
            "confidence": np.ones(n_sites, np.float32),
            "analysable": np.broadcast_to(analysable, n_sites).astype(bool),
        }
    )


@st.composite
def points(draw: st.DrawFn, max_size: int = 60) -> np.ndarray:
    """Positions, (N, 2), in a rectangle of any shape and place [Å]."""
    n = draw(st.integers(0, max_size))
    size = [draw(st.floats(2, 30)), draw(st.floats(2, 30))]
    corner = [draw(st.floats(-50, 50)), draw(st.floats(-50, 50))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return corner + rng.uniform(0, size, (n, 2))


@st.composite
def disordered_sheets(
    draw: st.DrawFn, max_noise: float = 0.12, max_vacancies: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Atoms, ring centres and box of graphene with displaced and missing atoms [Å]."""
    atoms, centres, box = honeycomb(draw(st.integers(3, 6)), draw(st.integers(2, 5)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    missing = rng.choice(len(atoms), draw(st.integers(0, max_vacancies)), replace=False)
    noise = draw(st.floats(0, max_noise))
    atoms = np.delete(atoms, missing, axis=0)
    return atoms + rng.uniform(-noise, noise, atoms.shape), centres, box
