"""Foreign atoms in a sheet, and how long their bonds are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from ase.data import covalent_radii
from numpy.random import Generator

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.sheet import Sheet

CARBON = 6
_LAST_RADIUS = 96  # curium; heavier elements have a stand-in in ASE's table
_CLUSTER_SIZE = 7  # mean number of dopants in a cluster: about an atom, its neighbours and theirs


def substitute(
    sheet: RingedSheet,
    *,
    fractions: Mapping[int, float],
    rng: Generator,
    bond_length: float,
    host: int = CARBON,
    is_clustered: bool = False,
) -> tuple[RingedSheet, FloatArray]:
    """Replace some atoms of a sheet by others.

    Parameters
    ----------
    sheet
        Sheet to dope; bonds and positions stay as they are.
    fractions
        Share of the host atoms that each atomic number takes, each ≥ 0 and together ≤ 1; the numbers of
        atoms are rounded so that their sum is right.
    rng
        Source of random numbers.
    bond_length
        Length of a bond of two carbon atoms, > 0 [Å].
    host
        Atomic number of the atoms that may be replaced.
    is_clustered
        Whether dopants gather around a few places, seven atoms each on average, rather than anywhere.

    Returns
    -------
    sheet
        The sheet with its new atomic numbers.
    rest_lengths
        Length of every bond for its two elements, (B,), for `relax_network` [Å].

    Raises
    ------
    ValueError
        If a fraction is negative, they exceed 1 together, or an element has no covalent radius.
    """
    for number, fraction in fractions.items():
        if not 0 <= fraction <= 1:
            raise ValueError(f"fractions must be ≥ 0 and ≤ 1, got {fraction} for atomic number {number}")
        _check_number(number)
    if sum(fractions.values()) > 1 + 1e-9:
        raise ValueError(f"fractions must add up to ≤ 1, got {sum(fractions.values()):g}")
    hosts = np.flatnonzero(sheet.numbers == host)
    counts = np.diff(np.rint(np.cumsum([0.0, *fractions.values()]) * len(hosts)).astype(np.int64))
    chosen = _draw(sheet, hosts, int(counts.sum()), rng, is_clustered)
    numbers = sheet.numbers.copy()
    numbers[chosen] = np.repeat(np.array(list(fractions), dtype=np.int64), counts)
    doped = replace(sheet, numbers=numbers)
    return doped, rest_lengths(doped, bond_length=bond_length)


def rest_lengths(sheet: Sheet, *, bond_length: float) -> FloatArray:
    """Return how long every bond would be by itself, (B,) [Å].

    The sum of the covalent radii of its two elements, times what makes a bond of two carbon atoms as long as
    `bond_length`: 1.45 Å for B–N, 1.37 Å for C–N, 1.49 Å for C–B, 1.33 Å for C–O and 1.75 Å for C–Si in
    graphene.

    Parameters
    ----------
    sheet
        Network of any elements.
    bond_length
        Length of a bond of two carbon atoms, > 0 [Å].

    Raises
    ------
    ValueError
        If `bond_length` is not positive, or an element has no covalent radius.

    References
    ----------
    Cordero et al., Dalton Trans. 2832 (2008), doi:10.1039/b801115j: the radii, from `ase.data`.
    """
    if not (np.isfinite(bond_length) and bond_length > 0):
        raise ValueError(f"bond_length must be > 0 Å, got {bond_length}")
    for number in np.unique(sheet.numbers).tolist():
        _check_number(number)
    radii = covalent_radii[sheet.numbers] * bond_length / (2 * covalent_radii[CARBON])
    lengths: FloatArray = radii[sheet.bonds].sum(axis=1)
    return lengths


def _check_number(number: int) -> None:
    if not 1 <= number <= _LAST_RADIUS:
        raise ValueError(f"atomic number must be ≥ 1 and ≤ {_LAST_RADIUS}, got {number}")


def _draw(
    sheet: RingedSheet, hosts: IntArray, n_dopants: int, rng: Generator, is_clustered: bool
) -> IntArray:
    """Choose which atoms are replaced, in random order, (n_dopants,)."""
    if not is_clustered or n_dopants == 0:
        return rng.choice(hosts, n_dopants, replace=False)
    centres = sheet.positions[rng.choice(hosts, max(1, round(n_dopants / _CLUSTER_SIZE)), replace=False)]
    distances = np.full(len(hosts), np.inf)
    for centre in centres:
        vectors = shortest_image(sheet.positions[hosts] - centre, sheet.box)
        np.minimum(distances, np.hypot(*vectors.T), out=distances)
    return rng.permutation(hosts[np.argsort(distances, kind="stable")[:n_dopants]])
