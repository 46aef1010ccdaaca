"""Local order: of rings by their neighbours and their shape, of atoms by their bonds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, FloatArray, IntArray, as_points
from amorph2d.measures.crystallites import HEXAGON, CrystalliteParameters, fold_angle, label_crystallites
from amorph2d.measures.ring_pairs import complete_neighbours
from amorph2d.measures.tables import bonds_as_indices, find_sites, site_positions, split_frames
from amorph2d.topology.bonds import bond_vectors
from amorph2d.topology.periodic import as_box, nearest_image
from amorph2d.topology.ring_neighbours import RingNeighbours

RING_ORDER_COLUMNS = {
    "frame": "int32",
    "row": "int64",
    "n_neighbours": "int32",
    "psi6": "float64",
    "orientation": "float64",
    "regularity": "float64",
    "hexagon_share": "float64",
    "crystallite": "int64",
    "complete": "bool",
}
RING_ORDER_UNITS = {"orientation": "°"}
ATOM_ORDER_COLUMNS = {"frame": "int32", "atom": "int64", "n_bonds": "int32", "psi3": "float64"}
ATOM_ORDER_UNITS: dict[str, str] = {}


def bond_orientational_order(
    vectors: ArrayLike, owners: ArrayLike, n_owners: int, *, fold: int
) -> tuple[AnyArray, IntArray]:
    """Average exp(i k θ) over the directions θ from each point to its neighbours.

    Parameters
    ----------
    vectors
        From a point to a neighbour, (V, 2), x then y [Å].
    owners
        The point that each vector leaves, (V,).
    n_owners
        Number of points N.
    fold
        Symmetry k, ≥ 1.

    Returns
    -------
    psi
        Complex order, (N,); NaN for points without neighbours. For n independent directions the mean of
        |ψ|² is 1/n, not 0.
    n_neighbours
        Vectors of each point, (N,).

    Raises
    ------
    ValueError
        If a shape is wrong or `fold` is less than 1.

    References
    ----------
    Nelson and Halperin, Phys. Rev. B 19, 2457 (1979), https://doi.org/10.1103/PhysRevB.19.2457.
    """
    steps, owner = as_points(vectors, "vectors"), np.asarray(owners, dtype=np.int64)
    if owner.shape != (len(steps),):
        raise ValueError(f"owners must have the shape ({len(steps)},), got {owner.shape}")
    if fold < 1:
        raise ValueError(f"fold must be ≥ 1, got {fold}")
    angle = fold * np.arctan2(steps[:, 1], steps[:, 0])
    n_neighbours = np.bincount(owner, minlength=n_owners).astype(np.int64)
    total = np.bincount(owner, np.cos(angle), n_owners) + 1j * np.bincount(owner, np.sin(angle), n_owners)
    psi = np.full(n_owners, complex(np.nan, np.nan))
    np.divide(total, n_neighbours, out=psi, where=n_neighbours > 0)
    return psi, n_neighbours


def ring_psi6(centres: ArrayLike, neighbours: RingNeighbours, *, box: ArrayLike | None = None) -> AnyArray:
    """Return the sixfold order of the ring centres around each ring.

    In graphene the ring centres form a triangular lattice and |ψ6| is 1. Neighbours are rings that share a
    bond, not the nearest centres.

    Parameters
    ----------
    centres
        Centres of R rings, (R, 2), x then y [Å].
    neighbours
        Which of the rings share bonds.
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Returns
    -------
    ndarray
        Complex ψ6, (R,); NaN for rings without neighbours.

    Raises
    ------
    ValueError
        If the shape of the centres is wrong or they are not as many as the rings.

    References
    ----------
    As `bond_orientational_order`.
    """
    points = _as_centres(centres, neighbours)
    first, second = neighbours.ordered_pairs.T
    vectors = nearest_image(points[second] - points[first], as_box(box))
    return bond_orientational_order(vectors, first, len(points), fold=HEXAGON)[0]


def orientation(psi6: ArrayLike) -> FloatArray:
    """Return the direction of the lattice of ring centres, from 0 to less than 60 [°].

    It is measured from x towards y, which is clockwise as images are shown, and points from a ring centre to
    the next ones. Bonds cross these lines at right angles, so that they point 30° away, modulo 60°.

    Parameters
    ----------
    psi6
        Complex order of any shape.
    """
    return fold_angle(np.degrees(np.angle(np.asarray(psi6))) / HEXAGON)


def atom_psi3(atoms: ArrayLike, bonds: ArrayLike, *, box: ArrayLike | None = None) -> FloatArray:
    """Return the threefold order of the bonds of each atom: 1 for three bonds 120° apart.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    box
        Edge lengths of a periodic box, (2,) [Å]; None for an open sheet.

    Returns
    -------
    FloatArray
        |ψ3|, (N,); NaN for atoms without bonds, 1 for those with one.

    Raises
    ------
    ValueError
        If a shape is wrong or a bond names an atom that does not exist.

    References
    ----------
    As `bond_orientational_order`.
    """
    positions = as_points(atoms, "atoms")
    vectors = bond_vectors(positions, bonds, box=box)
    owner = np.asarray(bonds, dtype=np.int64).reshape(-1, 2).T.ravel()
    both_ways = np.concatenate([vectors, -vectors])
    return np.abs(bond_orientational_order(both_ways, owner, len(positions), fold=3)[0])


def ring_regularity(
    atoms: ArrayLike,
    members: ArrayLike,
    sizes: ArrayLike,
    *,
    areas: ArrayLike,
    box: ArrayLike | None = None,
) -> FloatArray:
    """Return the isoperimetric quotient of each ring, over that of the regular polygon with as many corners.

    It is 4 n tan(π/n) area / perimeter²: 1 for a regular ring and less for all others.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    members
        Atoms of one ring after the other, in order around it, (sum of sizes,).
    sizes
        Atoms in each ring, (R,).
    areas
        Areas, (R,) [Å²].
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Returns
    -------
    FloatArray
        Regularity from 0 to 1, (R,); NaN where all atoms of a ring lie in one place.

    Raises
    ------
    ValueError
        If a shape is wrong.

    References
    ----------
    Of all polygons with n corners and one perimeter the regular one has the largest area (Zenodorus, in
    Pappus's Collection, book V): the isoperimetric inequality for polygons.
    """
    positions, corner, n_atoms = as_points(atoms, "atoms"), np.asarray(members), np.asarray(sizes)
    area = np.asarray(areas, dtype=np.float64)
    if area.shape != n_atoms.shape or n_atoms.sum() != len(corner):
        raise ValueError(f"sizes must add up to {len(corner)} members and be as many as the areas")
    if len(n_atoms) == 0:
        return np.empty(0)
    ends = np.cumsum(n_atoms)
    following = np.arange(1, len(corner) + 1)
    following[ends - 1] = ends - n_atoms
    sides = nearest_image(positions[corner[following]] - positions[corner], as_box(box))
    perimeter = np.add.reduceat(np.hypot(sides[:, 0], sides[:, 1]), ends - n_atoms)
    quotient = np.full(len(n_atoms), np.nan)
    np.divide(4 * n_atoms * np.tan(np.pi / n_atoms) * area, perimeter**2, out=quotient, where=perimeter > 0)
    return quotient


def hexagon_shares(sizes: ArrayLike, neighbours: RingNeighbours) -> FloatArray:
    """Return the share of hexagons among each ring and its neighbours, (R,).

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    neighbours
        Which of these rings share bonds.
    """
    is_hexagon = np.asarray(sizes) == HEXAGON
    first, second = neighbours.ordered_pairs.T
    around = np.bincount(first, is_hexagon[second], minlength=len(is_hexagon))
    return np.asarray((is_hexagon + around) / (1 + neighbours.n_neighbours))


def neighbour_distances(
    centres: ArrayLike, neighbours: RingNeighbours, *, box: ArrayLike | None = None
) -> FloatArray:
    """Return the distances between the centres of neighbouring rings, one for each pair, (P,) [Å].

    Parameters
    ----------
    centres
        Centres of R rings, (R, 2), x then y [Å].
    neighbours
        Which of the rings share bonds.
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Raises
    ------
    ValueError
        If the shape of the centres is wrong or they are not as many as the rings.
    """
    points = _as_centres(centres, neighbours)
    first, second = neighbours.pairs.T
    vectors = nearest_image(points[second] - points[first], as_box(box))
    return np.hypot(vectors[:, 0], vectors[:, 1])


def ring_order_table(
    sites: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    ring_pairs: pd.DataFrame,
    parameters: CrystalliteParameters,
) -> pd.DataFrame:
    """Measure the order around each ring of each frame.

    Parameters
    ----------
    sites, rings, ring_atoms
        Located sites, rings, and the atoms around each ring.
    ring_pairs
        From `ring_pairs.ring_pairs_table`.
    parameters
        What makes a crystallite.

    Returns
    -------
    DataFrame
        A row for each ring: `frame`, `row` (of the ring among those of its frame), `n_neighbours` (complete
        rings that share a bond with it; 0 for rings that are not complete), `psi6` (|ψ6|, NaN without
        neighbours), `orientation` of the lattice of ring centres from 0 to 60 [°], `regularity`
        (isoperimetric quotient over that of the regular polygon), `hexagon_share` (among it and its
        neighbours), `crystallite` (−1 for none), `complete` (it and all rings around it are complete: only
        then are order and shares those of the sheet).

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    frames = split_frames(sites, rings, ring_atoms, ring_pairs)
    return _stack(
        RING_ORDER_COLUMNS,
        (
            (frame, _ring_order(rows, own, atoms, ring_pairs=pairs, parameters=parameters))
            for frame, rows, own, atoms, pairs in frames
        ),
    )


def atom_order_table(sites: pd.DataFrame, bonds: pd.DataFrame) -> pd.DataFrame:
    """Measure the order around each atom of each frame.

    Parameters
    ----------
    sites, bonds
        Located sites and the bonds between them.

    Returns
    -------
    DataFrame
        `frame`, `atom` (site number), `n_bonds`, `psi3` (|ψ3| of the bonds, NaN without any).

    Raises
    ------
    ValueError
        If a column is missing or a bond names an atom that does not exist.
    """
    parts = []
    for frame, rows, own in split_frames(sites, bonds):
        atoms = rows[rows["kind"] == "atom"]
        names = atoms["site"].to_numpy()
        pairs = bonds_as_indices(own, names)
        n_bonds = np.bincount(pairs.ravel(), minlength=len(names))
        psi3 = atom_psi3(site_positions(atoms), pairs)
        parts.append((frame, {"atom": names, "n_bonds": n_bonds, "psi3": psi3}))
    return _stack(ATOM_ORDER_COLUMNS, parts)


def _ring_order(
    sites: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    ring_pairs: pd.DataFrame,
    parameters: CrystalliteParameters,
) -> dict[str, AnyArray]:
    """Columns of the order of the rings of one frame."""
    neighbours = complete_neighbours(rings, ring_pairs)
    sizes, areas = rings["size"].to_numpy(), rings["area"].to_numpy(np.float64)
    psi6 = ring_psi6(site_positions(rings), neighbours)
    members = find_sites(ring_atoms["atom"].to_numpy(), sites["site"].to_numpy(), "rings", "atoms")
    return {
        "row": np.arange(len(sizes)),
        "n_neighbours": neighbours.n_neighbours,
        "psi6": np.abs(psi6),
        "orientation": orientation(psi6),
        "regularity": ring_regularity(site_positions(sites), members, sizes, areas=areas),
        "hexagon_share": hexagon_shares(sizes, neighbours),
        "crystallite": label_crystallites(sizes, neighbours, psi6, parameters=parameters),
        "complete": neighbours.is_interior,
    }


def _stack(columns: Mapping[str, str], parts: Iterable[tuple[int, Mapping[str, AnyArray]]]) -> pd.DataFrame:
    """Put what was found in each frame into one table."""
    tables = [pd.DataFrame(found).assign(frame=frame) for frame, found in parts]
    stacked = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(columns))
    return stacked[list(columns)].astype(dict(columns))


def _as_centres(centres: ArrayLike, neighbours: RingNeighbours) -> FloatArray:
    """Centres that are as many as the rings."""
    points = as_points(centres, "centres")
    if len(points) != len(neighbours.n_neighbours):
        raise ValueError(f"centres must be {len(neighbours.n_neighbours)}, got {len(points)}")
    return points
