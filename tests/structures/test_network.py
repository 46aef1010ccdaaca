from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.network import (
    RingedSheet,
    bond_vectors,
    coordination_numbers,
    moved,
    ring_areas,
    with_atoms,
)
from amorph2d.structures.periodic import shortest_image


def test_honeycomb_has_equal_bonds_and_areas(honeycomb: RingedSheet) -> None:
    np.testing.assert_allclose(np.hypot(*bond_vectors(honeycomb).T), 1.42)
    np.testing.assert_allclose(ring_areas(honeycomb), 1.5 * np.sqrt(3) * 1.42**2)
    assert (coordination_numbers(honeycomb) == 3).all()


def test_ring_areas_add_up_to_the_box(network: RingedSheet, relaxed: RingedSheet) -> None:
    for sheet in (network, relaxed):
        assert ring_areas(sheet).sum() == pytest.approx(sheet.box.prod())


def test_moving_all_atoms_moves_the_ring_centres(network: RingedSheet) -> None:
    shift = np.array([17.2, -3.4])
    shifted = moved(network, network.positions + shift, network.box)
    np.testing.assert_allclose(
        shortest_image(shifted.ring_centres - network.ring_centres - shift, network.box), 0, atol=1e-9
    )
    np.testing.assert_allclose(bond_vectors(shifted), bond_vectors(network), atol=1e-9)


def test_removing_one_atom_removes_its_bonds_and_rings(network: RingedSheet) -> None:
    is_kept = np.ones(len(network.positions), dtype=bool)
    is_kept[7] = False
    rest = with_atoms(network, is_kept)
    assert len(rest.positions) == len(network.positions) - 1
    assert len(rest.bonds) == len(network.bonds) - 3
    assert len(rest.ring_sizes) == len(network.ring_sizes) - 3
    old = np.flatnonzero(is_kept)
    kept_bonds = network.bonds[~(network.bonds == 7).any(axis=1)]
    np.testing.assert_array_equal(old[rest.bonds], kept_bonds)


def test_removing_no_atom_changes_nothing(network: RingedSheet) -> None:
    same = with_atoms(network, np.ones(len(network.positions), dtype=bool))
    for name in (
        "positions",
        "numbers",
        "bonds",
        "ring_centres",
        "ring_sizes",
        "ring_members",
        "ring_offsets",
    ):
        np.testing.assert_array_equal(getattr(same, name), getattr(network, name))
