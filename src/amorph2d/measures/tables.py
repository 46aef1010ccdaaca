"""Tables of bonds, angles, rings and pair distributions, from a table of located sites.

A table of sites has one row per site and the columns `frame`, `site`, `kind` ("atom" or "ring"), `x` and `y`
[Å] and `analysable`; site numbers are unique within a frame. The tables made here hold everything that was
found; what counts in statistics follows from `analysable` and, for rings, `complete`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from amorph2d.arrays import AnyArray, FloatArray, IntArray
from amorph2d.measures.angles import bond_angles
from amorph2d.measures.config import PairDistributionParameters, StatisticsParameters
from amorph2d.measures.lengths import bond_lengths
from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.window import Window
from amorph2d.topology.bonds import delaunay_bonds, delaunay_network
from amorph2d.topology.rings import Rings, assign_ring_centres, delaunay_ring_sizes, planar_rings

BOND_COLUMNS = {"frame": "int32", "atom_i": "int64", "atom_j": "int64", "length": "float64"}
ANGLE_COLUMNS = {
    "frame": "int32",
    "atom_i": "int64",
    "vertex": "int64",
    "atom_j": "int64",
    "angle": "float64",
}
RING_COLUMNS = {
    "frame": "int32",
    "ring": "int64",
    "size": "int32",
    "x": "float64",
    "y": "float64",
    "area": "float64",
    "complete": "bool",
    "delaunay_size": "int32",
}
RING_ATOM_COLUMNS = {"frame": "int32", "row": "int64", "atom": "int64"}
PDF_COLUMNS = {"frame": "int32", "r": "float64", "g": "float64", "g_error": "float64"}
_SITE_COLUMNS = ("frame", "site", "kind", "x", "y", "analysable")

Columns = Mapping[str, AnyArray]


class NetworkTables(NamedTuple):
    """Tables of bonds, rings and the atoms around each ring."""

    bonds: pd.DataFrame
    rings: pd.DataFrame
    ring_atoms: pd.DataFrame


def network_tables(sites: pd.DataFrame, parameters: StatisticsParameters) -> NetworkTables:
    """Return what `bonds_table`, `rings_table` and `ring_atoms_table` do, triangulated once.

    Parameters
    ----------
    sites
        Located atoms and ring centres.
    parameters
        `bonds.limits` and `rings.max_size` are used.

    Returns
    -------
    NetworkTables
        `bonds`, `rings`, `ring_atoms`.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    bonds: list[tuple[int, Columns]] = []
    rings: list[tuple[int, Columns]] = []
    ring_atoms: list[tuple[int, Columns]] = []
    for frame, rows in split_frames(sites):
        is_atom = (rows["kind"] == "atom").to_numpy()
        atoms, centres = rows[is_atom], rows[~is_atom]
        positions = site_positions(atoms)
        pairs, spokes = delaunay_network(positions, site_positions(centres), limits=parameters.bonds.limits)
        found = _find_rings(atoms, pairs, parameters)
        bonds.append((frame, _bond_columns(atoms, positions, pairs)))
        rings.append((frame, _ring_columns(atoms, centres, found, spokes)))
        ring_atoms.append((frame, _ring_atom_columns(atoms, found)))
    return NetworkTables(
        _stack(BOND_COLUMNS, bonds), _stack(RING_COLUMNS, rings), _stack(RING_ATOM_COLUMNS, ring_atoms)
    )


def bonds_table(sites: pd.DataFrame, parameters: StatisticsParameters) -> pd.DataFrame:
    """Bond the atoms of each frame.

    Parameters
    ----------
    sites
        Located atoms and ring centres.
    parameters
        `bonds.limits` are used.

    Returns
    -------
    DataFrame
        `frame`, `atom_i`, `atom_j` (site numbers), `length` [Å].

    Raises
    ------
    ValueError
        If a column is missing.
    """

    def measure(atoms: pd.DataFrame, centres: pd.DataFrame) -> Columns:
        positions = site_positions(atoms)
        bonds = delaunay_bonds(positions, site_positions(centres), limits=parameters.bonds.limits)
        return _bond_columns(atoms, positions, bonds)

    return _for_each_frame(BOND_COLUMNS, measure, sites)


def angles_table(sites: pd.DataFrame, bonds: pd.DataFrame) -> pd.DataFrame:
    """Measure the angle between every two bonds of an atom.

    Parameters
    ----------
    sites, bonds
        Located sites and the bonds between them.

    Returns
    -------
    DataFrame
        `frame`, `atom_i`, `vertex`, `atom_j` (site numbers), `angle` [°].

    Raises
    ------
    ValueError
        If a column is missing or a bond names an atom that does not exist.
    """

    def measure(atoms: pd.DataFrame, _: pd.DataFrame, bonds: pd.DataFrame) -> Columns:
        names = atoms["site"].to_numpy()
        triples, angles = bond_angles(site_positions(atoms), bonds_as_indices(bonds, names))
        atom_i, vertex, atom_j = names[triples].T
        return {"atom_i": atom_i, "vertex": vertex, "atom_j": atom_j, "angle": angles}

    return _for_each_frame(ANGLE_COLUMNS, measure, sites, bonds)


def rings_table(sites: pd.DataFrame, bonds: pd.DataFrame, parameters: StatisticsParameters) -> pd.DataFrame:
    """Find the rings of each frame as faces of the bond network.

    Parameters
    ----------
    sites, bonds
        Located sites and the bonds between them.
    parameters
        `rings.max_size` is used.

    Returns
    -------
    DataFrame
        `frame`, `ring` (site number of the ring centre found in the ring, −1 if none was), `size`, `x`, `y`
        of the centre of area [Å], `area` [Å²], `complete` (all its atoms are analysable), `delaunay_size`
        (Delaunay edges from that ring centre to atoms, −1 without a centre).

    Raises
    ------
    ValueError
        If a column is missing or a bond names an atom that does not exist.
    """

    def measure(atoms: pd.DataFrame, centres: pd.DataFrame, bonds: pd.DataFrame) -> Columns:
        rings = _rings(atoms, bonds, parameters)
        return _ring_columns(
            atoms, centres, rings, delaunay_ring_sizes(site_positions(atoms), site_positions(centres))
        )

    return _for_each_frame(RING_COLUMNS, measure, sites, bonds)


def ring_atoms_table(
    sites: pd.DataFrame, bonds: pd.DataFrame, parameters: StatisticsParameters
) -> pd.DataFrame:
    """List the atoms of each ring, in order around it; rings in the order of `rings_table`.

    Parameters
    ----------
    sites, bonds
        Located sites and the bonds between them.
    parameters
        `rings.max_size` is used.

    Returns
    -------
    DataFrame
        `frame`, `row` of the ring among those of its frame, `atom` (site number).

    Raises
    ------
    ValueError
        If a column is missing or a bond names an atom that does not exist.
    """

    def measure(atoms: pd.DataFrame, _: pd.DataFrame, bonds: pd.DataFrame) -> Columns:
        return _ring_atom_columns(atoms, _rings(atoms, bonds, parameters))

    return _for_each_frame(RING_ATOM_COLUMNS, measure, sites, bonds)


def pdf_table(sites: pd.DataFrame, window: Window, parameters: StatisticsParameters) -> pd.DataFrame:
    """Measure the pair distribution of the analysable atoms of each frame.

    Parameters
    ----------
    sites
        Located sites.
    window
        The area in which atoms are analysable; atoms outside it are left out.
    parameters
        `pdf` is used.

    Returns
    -------
    DataFrame
        `frame`, `r` [Å], `g`, `g_error`.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    bins: PairDistributionParameters = parameters.pdf

    def measure(atoms: pd.DataFrame, _: pd.DataFrame) -> Columns:
        counted = site_positions(atoms[atoms["analysable"].to_numpy(bool)])
        found = pair_distribution(counted, window, r_max=bins.r_max, bin_width=bins.bin_width)
        return {"r": found.r, "g": found.g, "g_error": found.g_error}

    return _for_each_frame(PDF_COLUMNS, measure, sites)


def differing_ring_sizes(rings: pd.DataFrame) -> pd.DataFrame:
    """Return complete rings whose size as a face differs from the Delaunay edges of their ring centre.

    Parameters
    ----------
    rings
        As `rings_table` gives them.
    """
    is_compared = rings["complete"].to_numpy(bool) & (rings["ring"].to_numpy() >= 0)
    return rings[is_compared & (rings["delaunay_size"].to_numpy() != rings["size"].to_numpy())]


def split_frames(sites: pd.DataFrame, *others: pd.DataFrame, at_least_one: bool = False) -> Iterator[Any]:
    """Give frame after frame with its sites, by number, and its rows of the other tables.

    Parameters
    ----------
    sites, others
        Tables of the same frames.
    at_least_one
        Give an empty frame 0 where there are no sites.

    Raises
    ------
    ValueError
        If a column of the sites is missing, or another table has a frame without sites.
    """
    missing = [name for name in _SITE_COLUMNS if name not in sites]
    if missing:
        raise ValueError(
            f"sites must have the columns {', '.join(_SITE_COLUMNS)}, got none called {', '.join(missing)}"
        )
    frames = by_frame(sites.sort_values(["frame", "site"]))
    if at_least_one and not frames:
        frames[0] = sites
    rows_of = [by_frame(table) for table in others]
    strange = sorted({frame for rows in rows_of for frame in rows} - set(frames))
    if strange:
        raise ValueError(f"frames must be those of the sites, got frame {strange[0]} without any")
    for frame, own in frames.items():
        yield (
            frame,
            own,
            *(rows.get(frame, table.iloc[:0]) for rows, table in zip(rows_of, others, strict=True)),
        )


def by_frame(table: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Return the rows of each frame, frames in order."""
    return dict(cast("Iterator[tuple[int, pd.DataFrame]]", iter(table.groupby("frame"))))


def _for_each_frame(
    columns: Mapping[str, str], measure: Callable[..., Columns], sites: pd.DataFrame, *others: pd.DataFrame
) -> pd.DataFrame:
    """Stack what `measure` finds in each frame: in its atoms, ring centres and rows of other tables."""
    parts: list[tuple[int, Columns]] = []
    for frame, rows, *rows_of_others in split_frames(sites, *others):
        is_atom = (rows["kind"] == "atom").to_numpy()
        parts.append((frame, measure(rows[is_atom], rows[~is_atom], *rows_of_others)))
    return _stack(columns, parts)


def _stack(columns: Mapping[str, str], parts: Sequence[tuple[int, Columns]]) -> pd.DataFrame:
    """Put what was found in each frame into one table."""
    numbered = [
        {"frame": np.full(len(next(iter(found.values()))), frame)} | dict(found) for frame, found in parts
    ]
    stacked = {name: np.concatenate([part[name] for part in numbered] or [np.empty(0)]) for name in columns}
    return pd.DataFrame(stacked).astype(dict(columns))


def _bond_columns(atoms: pd.DataFrame, positions: FloatArray, bonds: IntArray) -> Columns:
    """Columns of the bonds of one frame."""
    first, second = atoms["site"].to_numpy()[bonds].T
    return {"atom_i": first, "atom_j": second, "length": bond_lengths(positions, bonds)}


def _ring_columns(atoms: pd.DataFrame, centres: pd.DataFrame, rings: Rings, spokes: IntArray) -> Columns:
    """Columns of the rings of one frame; `spokes` are the Delaunay edges of each ring centre."""
    centre = assign_ring_centres(rings, site_positions(centres), site_positions(atoms))
    x, y = rings.centroids.T
    found = {"ring": np.append(centres["site"].to_numpy(), -1)[centre], "size": rings.sizes}
    found |= {"x": x, "y": y, "area": rings.areas, "complete": rings.is_complete}
    return found | {"delaunay_size": np.append(spokes, -1)[centre]}


def _ring_atom_columns(atoms: pd.DataFrame, rings: Rings) -> Columns:
    """Columns of the atoms around the rings of one frame."""
    return {
        "row": np.repeat(np.arange(len(rings)), rings.sizes),
        "atom": atoms["site"].to_numpy()[rings.members],
    }


def site_positions(rows: pd.DataFrame) -> FloatArray:
    """Return the positions of sites, (N, 2), x then y [Å]."""
    return rows[["x", "y"]].to_numpy(np.float64)


def bonds_as_indices(bonds: pd.DataFrame, names: IntArray) -> IntArray:
    """Return bonds as index pairs into the atoms with these site numbers."""
    return find_sites(bonds[["atom_i", "atom_j"]].to_numpy(), names, "bonds", "atoms")


def _rings(atoms: pd.DataFrame, bonds: pd.DataFrame, parameters: StatisticsParameters) -> Rings:
    """Rings of one frame, from a table of bonds."""
    return _find_rings(atoms, bonds_as_indices(bonds, atoms["site"].to_numpy()), parameters)


def _find_rings(atoms: pd.DataFrame, pairs: IntArray, parameters: StatisticsParameters) -> Rings:
    """Rings of one frame, from pairs of bonded atoms."""
    return planar_rings(
        site_positions(atoms),
        pairs,
        max_size=parameters.rings.max_size,
        is_analysable=atoms["analysable"].to_numpy(bool),
    )


def find_sites(wanted: IntArray, names: IntArray, what: str, among: str) -> IntArray:
    """Return the indices of wanted site numbers, of any shape, in sorted `names`."""
    place = np.searchsorted(names, wanted)
    is_known = place < len(names)
    is_known[is_known] = names[place[is_known]] == wanted[is_known]
    if not is_known.all():
        raise ValueError(f"{what} must name {among} of the same frame, got {wanted[~is_known][0]}")
    return place
