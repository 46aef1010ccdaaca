"""Specimens from files: sheets, and what lies on them, cut out at any place and turned."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from amorph2d.topology.rings import Rings, planar_rings

LONGEST_BOND = 1.8  # of the true bonds, seen along the beam; the next distances begin at 1.9 [Å]
LARGEST_RING = 12  # atoms; larger faces are pores and have no ring centre


@dataclass(frozen=True, eq=False)
class Structure:
    """Atoms, (N, 3) [Å], their numbers, and the period of the sheet along x and y [Å]; None: it has none."""

    positions: np.ndarray
    numbers: np.ndarray
    box: np.ndarray | None = None

    def kept(self, is_kept: np.ndarray) -> Structure:
        """Return some of the atoms."""
        return Structure(self.positions[is_kept], self.numbers[is_kept], self.box)


def read_structure(path: Path) -> Structure:
    """Read a periodic structure: ``.extxyz`` by ASE, anything else as a polycrystalline sample.

    A sample holds box x, box y, angle, energy, then atoms (id x y z), then bonds (id i j): the format of
    https://github.com/federicodambrosio/graphene-samples (CC BY 4.0).
    """
    if path.suffix == ".extxyz":
        from ase.io import read

        atoms = read(path)
        return Structure(atoms.positions, atoms.numbers, np.diag(atoms.cell.array)[:2].copy())
    lines = path.read_text().splitlines()
    box = np.array([float(lines[0]), float(lines[1])])
    rows = [line.split() for line in lines[4:]]
    positions = np.array([row[1:4] for row in rows if len(row) == 4], float)
    positions[:, :2] %= box
    return Structure(positions, np.full(len(positions), 6), box)


def cut_out(structure: Structure, extent: tuple[float, float], rng: np.random.Generator) -> Structure:
    """Return what a rectangle of `extent` (x, y) [Å] at a random place shows of a turned periodic structure.

    Structures smaller than the rectangle are repeated. The origin is the corner of the rectangle.
    """
    angle, corner = rng.uniform(0, 2 * np.pi), rng.uniform(0, structure.box)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle, reach = np.asarray(extent) / 2, np.hypot(*extent) / 2
    n = np.ceil(reach / structure.box).astype(int) + 1
    shifts = np.stack(np.meshgrid(*(np.arange(-k, k + 1) for k in n)), axis=-1).reshape(-1, 2)
    flat = ((structure.positions[:, :2] - corner) + shifts[:, None] * structure.box).reshape(-1, 2)
    flat = flat @ turn.T + middle
    positions = np.column_stack([flat, np.tile(structure.positions[:, 2], len(shifts))])
    is_inside = ((flat >= 0) & (flat < extent)).all(axis=1)
    return Structure(positions[is_inside], np.tile(structure.numbers, len(shifts))[is_inside])


def true_bonds(positions: np.ndarray, box: np.ndarray | None = None) -> np.ndarray:
    """Return the pairs of atoms no farther apart than the longest bond, seen along the beam, (B, 2)."""
    flat = positions[:, :2] if box is None else positions[:, :2] % box
    return np.sort(KDTree(flat, boxsize=box).query_pairs(LONGEST_BOND, output_type="ndarray"), axis=1)


def true_rings(
    positions: np.ndarray, bonds: np.ndarray, *, is_counted: np.ndarray | None = None, max_size: int
) -> Rings:
    """Return the faces of the bonds, seen along the beam."""
    return planar_rings(positions[:, :2], bonds, max_size=max_size, is_analysable=is_counted)


def without_dangling(structure: Structure) -> Structure:
    """Remove atoms with fewer than two bonds until none is left."""
    while True:
        n = len(structure.positions)
        ends = np.bincount(true_bonds(structure.positions, structure.box).ravel(), minlength=n)
        if (ends >= 2).all():
            return structure
        structure = structure.kept(ends >= 2)


def describe(structure: Structure) -> dict[str, float]:
    """Return density, bonds, coordination and rings of a periodic sheet."""
    n, box = len(structure.positions), structure.box
    bonds = true_bonds(structure.positions, box)
    flat = structure.positions[:, :2] % box
    vectors = flat[bonds[:, 1]] - flat[bonds[:, 0]]
    lengths = np.hypot(*(vectors - box * np.rint(vectors / box)).T)
    ends = np.bincount(np.bincount(bonds.ravel(), minlength=n), minlength=5) / n
    rings = planar_rings(flat, bonds, box=box, max_size=LARGEST_RING)
    shares = np.bincount(np.minimum(rings.sizes, 9), minlength=10) / len(rings)
    return (
        {"n": n, "width": box[0], "height": box[1], "density": n / box.prod()}
        | {"bond": lengths.mean(), "bond_std": lengths.std()}
        | {f"coordination_{k}": ends[k] for k in (2, 3, 4)}
        | {f"ring_{k}{'+' if k == 9 else ''}": shares[k] for k in range(3, 10)}
    )
