"""Strain at each atom: of its bonds, of its surroundings, and of the crystal that it lies in."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, FloatArray, IntArray, as_points
from amorph2d.measures.config import StrainParameters
from amorph2d.measures.deformations import (
    as_sigmas,
    both_ways,
    lattice_deformations,
    star_deformations,
)
from amorph2d.measures.grains import mean_orientations, stack
from amorph2d.measures.statistics import Ratio, Spread
from amorph2d.measures.tables import bonds_as_indices, find_sites, site_positions, split_frames
from amorph2d.measures.window import Blocks
from amorph2d.topology.bonds import bond_vectors, unique_pairs

STRAIN_COLUMNS = {
    "frame": "int32",
    "site": "int64",
    "bond_strain": "float64",
    "bond_strain_error": "float64",
    "exx": "float64",
    "eyy": "float64",
    "exy": "float64",
    "rotation": "float64",
    "non_affinity": "float64",
    "error": "float64",
    "grain": "int64",
}
STRAIN_UNITS = {"rotation": "°", "non_affinity": "Å"}
STRAIN_STATISTICS: dict[str, Ratio | Spread] = {
    "bond_strain_mean": Ratio("bond_strain", "strained_bonds"),
    "bond_strain_rms": Spread("nothing", "bond_strain_squared", "strained_bonds"),
    "bond_strain_noise": Spread("nothing", "bond_strain_variance", "strained_bonds"),
    # Change of area.
    "lattice_dilation_mean": Ratio("dilation", "lattice_atoms"),
    "lattice_dilation_std": Spread("dilation", "dilation_squared", "lattice_atoms"),
    "lattice_dilation_noise": Spread("nothing", "dilation_variance", "lattice_atoms"),
}
# These can be negative.
SIGNED_STRAIN_STATISTICS = ("bond_strain_mean", "lattice_dilation_mean")


def bond_strains(
    atoms: ArrayLike,
    bonds: ArrayLike,
    *,
    reference_length: float | None,
    sigma: ArrayLike | None = None,
    is_counted: ArrayLike | None = None,
) -> tuple[FloatArray, float]:
    """Compare bond lengths with a reference.

    Errors of the positions make a bond longer on average, as they add up squared across it: (σᵢ² + σⱼ²)/(2 l)
    is taken off.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    reference_length
        Length of an unstrained bond, > 0 [Å]; the mean of the counted bonds if None.
    sigma
        Errors of the positions along each axis, (N,) [Å]; none if None, and NaN counts as none.
    is_counted
        Bonds that are, (B,); all if None.

    Returns
    -------
    strains
        (l − l₀)/l₀, (B,).
    reference_length
        l₀ [Å]; NaN if it is the mean of no bonds.

    Raises
    ------
    ValueError
        If a shape is wrong or the reference is not positive.
    """
    if reference_length is not None and not reference_length > 0:
        raise ValueError(f"reference_length must be > 0 Å, got {reference_length}")
    vectors = bond_vectors(atoms, bonds)
    lengths = np.hypot(vectors[:, 0], vectors[:, 1])
    variance = np.nan_to_num(as_sigmas(sigma, len(as_points(atoms, "atoms")))) ** 2
    across = variance[np.asarray(bonds, dtype=np.int64).reshape(-1, 2)].sum(axis=1)
    lengths -= np.divide(across, 2 * lengths, out=np.zeros(len(lengths)), where=lengths > 0)
    if reference_length is None:
        counted = lengths if is_counted is None else lengths[np.asarray(is_counted, bool)]
        reference_length = float(counted.mean()) if len(counted) else np.nan
    return lengths / reference_length - 1, reference_length


def mean_bond_strains(
    atoms: ArrayLike,
    bonds: ArrayLike,
    strains: ArrayLike,
    *,
    reference_length: float,
    sigma: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Average the strains of the bonds of each atom.

    The error of the atom itself cancels where its bonds point evenly in all directions; that of its
    neighbours along the bonds does not.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    strains
        Of the bonds, (B,).
    reference_length
        Length of an unstrained bond [Å].
    sigma
        Errors of the positions along each axis, (N,) [Å]; unknown if None.

    Returns
    -------
    mean
        (N,); NaN without bonds.
    error
        From `sigma`, (N,); NaN where unknown.

    Raises
    ------
    ValueError
        If a shape is wrong.
    """
    vectors, n = bond_vectors(atoms, bonds), len(as_points(atoms, "atoms"))
    owner, other = both_ways(np.asarray(bonds, dtype=np.int64).reshape(-1, 2))
    sigmas = as_sigmas(sigma, n)
    along = np.hypot(vectors[:, 0], vectors[:, 1])[:, None]
    directions = np.divide(vectors, along, out=np.zeros_like(vectors), where=along > 0)
    directions = np.concatenate([directions, -directions])
    n_bonds = np.bincount(owner, minlength=n).astype(np.float64)
    n_bonds[n_bonds == 0] = np.nan
    mean = np.bincount(owner, np.tile(np.asarray(strains, dtype=np.float64), 2), n) / n_bonds
    uneven = sum(np.bincount(owner, column, n) ** 2 for column in directions.T)
    variance = uneven * sigmas**2 + np.bincount(owner, sigmas[other] ** 2, n)
    return mean, np.sqrt(variance) / (n_bonds * reference_length)


def strain_table(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    ring_grains: pd.DataFrame,
    parameters: StrainParameters,
) -> pd.DataFrame:
    """Measure the strain at each atom of each frame.

    Parameters
    ----------
    sites, bonds, ring_atoms
        Located sites, bonds, and the atoms around each ring; `sigma` of the sites gives the errors.
    ring_grains
        As `grains.ring_grains_table` gives them.
    parameters
        What bonds are compared with, and how far a lattice is looked at.

    Returns
    -------
    DataFrame
        A row for each atom: `frame`, `site`, `bond_strain` (mean of its bonds) and `bond_strain_error`;
        `exx`, `eyy`, `exy`, `rotation` [°], `non_affinity` [Å] and `error` (of exx or eyy): in a grain those
        of `deformations.lattice_deformations`, elsewhere those of `star_deformations`, which have no
        rotation; `grain` in which most of its rings lie, −1 for none.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    parts = []
    for frame, rows, own, around, grains in split_frames(sites, bonds, ring_atoms, ring_grains):
        parts.append((frame, _frame_columns(rows, own, around, grains, parameters)))
    return stack(STRAIN_COLUMNS, parts)


def strain_sums(
    grid: Blocks,
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    *,
    strain: pd.DataFrame,
    parameters: StrainParameters,
) -> dict[str, FloatArray]:
    """Add up what `STRAIN_STATISTICS` need, in the blocks of one frame.

    Counted are bonds between two analysable atoms, where their middles are, and analysable atoms in grains.

    Parameters
    ----------
    grid
        Blocks of the window.
    sites, bonds, strain
        Tables of one frame, sites by number.
    parameters
        `reference_length` is used.

    Returns
    -------
    dict
        One array for each sum, one entry for each block.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    atoms = sites[(sites["kind"] == "atom").to_numpy()]
    if len(atoms) != len(strain):
        raise ValueError(f"strain must have a row for each of {len(atoms)} atoms, got {len(strain)}")
    positions, sigma = site_positions(atoms), _sigma_column(atoms)
    pairs = bonds_as_indices(bonds, atoms["site"].to_numpy())
    is_analysable = atoms["analysable"].to_numpy(bool)
    is_counted = is_analysable[pairs].all(axis=1)
    strains, length = bond_strains(
        positions, pairs, reference_length=parameters.reference_length, sigma=sigma, is_counted=is_counted
    )
    strains, counted = strains[is_counted], pairs[is_counted]
    variance = (np.nan_to_num(sigma[counted]) ** 2).sum(axis=1) / length**2
    values = {
        "strained_bonds": np.ones(len(counted)),
        "bond_strain": strains,
        "bond_strain_squared": strains**2,
        "bond_strain_variance": variance,
        "nothing": np.zeros(len(counted)),
    }
    sums = _sum(grid, positions[counted].mean(axis=1), values)
    dilation = (strain["exx"] + strain["eyy"]).to_numpy()
    in_lattice = is_analysable & (strain["grain"].to_numpy() >= 0) & np.isfinite(dilation)
    dilation, error = dilation[in_lattice], np.nan_to_num(strain["error"].to_numpy()[in_lattice])
    values = {
        "lattice_atoms": np.ones(len(dilation)),
        "dilation": dilation,
        "dilation_squared": dilation**2,
        "dilation_variance": 2 * error**2,
    }
    return sums | _sum(grid, positions[in_lattice], values)


def _frame_columns(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    ring_grains: pd.DataFrame,
    parameters: StrainParameters,
) -> dict[str, AnyArray]:
    """Columns of the strain of one frame."""
    atoms = sites[(sites["kind"] == "atom").to_numpy()]
    names, positions, sigma = atoms["site"].to_numpy(), site_positions(atoms), _sigma_column(atoms)
    pairs = bonds_as_indices(bonds, names)
    is_counted = atoms["analysable"].to_numpy(bool)[pairs].all(axis=1)
    strains, length = bond_strains(
        positions, pairs, reference_length=parameters.reference_length, sigma=sigma, is_counted=is_counted
    )
    mean, mean_error = mean_bond_strains(positions, pairs, strains, reference_length=length, sigma=sigma)
    grain, sides = _grains_of_atoms(ring_atoms, ring_grains, names)
    at_bonds = mean_orientations(ring_grains)[grain[sides[:, 0]]] if len(sides) else np.empty(0)
    lattice = lattice_deformations(
        positions, sides, at_bonds, reference_length=length, reach=parameters.reach, sigma=sigma
    )
    star = star_deformations(positions, pairs, reference_length=length, sigma=sigma)
    in_lattice = np.isfinite(lattice.exx)
    local = {name: np.where(in_lattice, vars(lattice)[name], vars(star)[name]) for name in vars(star)}
    own = {"site": names, "bond_strain": mean, "bond_strain_error": mean_error}
    return own | local | {"grain": np.where(in_lattice, grain, -1)}


def _grains_of_atoms(
    ring_atoms: pd.DataFrame, ring_grains: pd.DataFrame, names: IntArray
) -> tuple[IntArray, IntArray]:
    """Grain of each atom, (N,), −1 for none, and the sides of its hexagons between atoms of one, (B, 2)."""
    row = ring_atoms["row"].to_numpy()
    if len(row) and row.max() >= len(ring_grains):
        raise ValueError(f"ring_grains must have a row for each ring, got none for row {row.max()}")
    of_ring = ring_grains["grain"].to_numpy()
    is_grain = (of_ring[row] >= 0) if len(row) else np.empty(0, bool)
    row = row[is_grain]
    atom = find_sites(ring_atoms["atom"].to_numpy()[is_grain], names, "rings", "atoms")
    grain = np.full(len(names), -1, dtype=np.int64)
    if len(row) == 0:
        return grain, np.empty((0, 2), np.int64)
    n = int(of_ring.max()) + 1
    keys, votes = np.unique(atom * n + of_ring[row], return_counts=True)
    voter, choice = np.divmod(keys, n)
    order = np.lexsort((-choice, votes, voter))  # of each atom the most votes, then the lowest, come last
    grain[voter[order]] = choice[order]
    starts = np.flatnonzero(np.append(True, row[1:] != row[:-1]))
    following = np.append(np.arange(1, len(row)), 0)
    following[np.append(starts[1:], len(row)) - 1] = starts
    sides = np.stack([atom, atom[following]], axis=1)
    is_inside = (grain[sides] == of_ring[row][:, None]).all(axis=1)
    return grain, unique_pairs(sides[is_inside])


def _sigma_column(atoms: pd.DataFrame) -> FloatArray:
    """Errors of the positions of atoms; NaN where there are none."""
    return atoms["sigma"].to_numpy(np.float64) if "sigma" in atoms else np.full(len(atoms), np.nan)


def _sum(grid: Blocks, places: FloatArray, values: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Add up values in each block."""
    block, n = grid.number(places), len(grid.areas)
    return {name: np.bincount(block, value, n).astype(np.float64) for name, value in values.items()}
