from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import RingedSheet, coordination_numbers, ring_areas
from amorph2d.structures.planar_map import PlanarMap
from amorph2d.structures.pores import circular_pore

NAMES = ("positions", "numbers", "bonds", "ring_centres", "ring_sizes", "ring_members", "ring_offsets", "box")


def rings(sheet: RingedSheet) -> set[tuple[int, ...]]:
    """Rings as closed walks from their lowest atom on."""
    found = set()
    for start, stop in zip(sheet.ring_offsets[:-1], sheet.ring_offsets[1:], strict=True):
        ring = sheet.ring_members[start:stop]
        found.add(tuple(np.roll(ring, -ring.argmin()).tolist()))
    return found


def test_no_edit_changes_nothing(relaxed: RingedSheet) -> None:
    same = PlanarMap(relaxed).to_sheet()
    for name in NAMES:
        np.testing.assert_allclose(getattr(same, name), getattr(relaxed, name), atol=1e-9)


def test_faces_are_the_rings(relaxed: RingedSheet) -> None:
    network = PlanarMap(relaxed)
    assert network.faces_around(range(len(relaxed.positions))) == rings(relaxed)


def test_turning_a_bond_four_times_gives_the_sheet_back(relaxed: RingedSheet) -> None:
    network = PlanarMap(relaxed)
    for _ in range(4):
        network.turn(*relaxed.bonds[17].tolist())
    back = network.to_sheet()
    np.testing.assert_array_equal(back.bonds, relaxed.bonds)
    assert rings(back) == rings(relaxed)
    np.testing.assert_allclose(back.positions, relaxed.positions, atol=1e-9)


def test_turning_a_bond_twice_swaps_its_atoms(relaxed: RingedSheet) -> None:
    network = PlanarMap(relaxed)
    first, second = relaxed.bonds[17].tolist()
    network.turn(first, second)
    network.turn(first, second)
    swapped = np.arange(len(relaxed.positions))
    swapped[[first, second]] = second, first
    expected = np.unique(np.sort(swapped[relaxed.bonds], axis=1), axis=0)
    np.testing.assert_array_equal(network.to_sheet().bonds, expected)


def test_untouched_holes_are_no_rings_and_untouched_rings_stay() -> None:
    crystal = honeycomb_sheet([34.0, 30.0], bond_length=1.42, rotation=12.0)
    one = crystal.positions[40]
    # The smallest pore: one atom removed, a hole of twelve atoms, or one so small that it takes none.
    porous = circular_pore(crystal, centre=one, radius=0.5)
    assert len(porous.positions) == len(crystal.positions) - 1
    network = PlanarMap(porous)
    far = np.argmax(
        np.hypot(*(np.mod(porous.positions - one + porous.box / 2, porous.box) - porous.box / 2).T)
    )
    network.turn(int(far), network.neighbours[far][0])
    turned = network.to_sheet()
    assert len(turned.ring_sizes) == len(porous.ring_sizes)
    assert sorted(turned.ring_sizes)[:2] == [5, 5]


def test_a_hole_that_is_small_stays_a_hole_until_it_is_edited(honeycomb: RingedSheet) -> None:
    # Leave out one ring from the table, as if it were a pore of six atoms.
    ring = int(np.flatnonzero(honeycomb.ring_sizes == 6)[0])
    members = honeycomb.ring_members[honeycomb.ring_offsets[ring] : honeycomb.ring_offsets[ring + 1]]
    is_kept = np.repeat(np.arange(len(honeycomb.ring_sizes)), honeycomb.ring_sizes) != ring
    sizes = np.delete(honeycomb.ring_sizes, ring)
    holed = RingedSheet(
        honeycomb.positions,
        honeycomb.numbers,
        honeycomb.bonds,
        np.delete(honeycomb.ring_centres, ring, axis=0),
        sizes,
        honeycomb.box,
        honeycomb.ring_members[is_kept],
        np.concatenate([[0], np.cumsum(sizes)]),
    )
    network = PlanarMap(holed)
    # The bond leads away from the hole, which gains an atom; the bond beyond it leaves the hole as it is.
    away = next(other for other in network.neighbours[members[0]] if other not in members)
    beyond = next(other for other in network.neighbours[away] if other != members[0])
    network.turn(away, beyond)
    assert len(network.to_sheet().ring_sizes) == len(sizes)
    network = PlanarMap(holed)
    network.turn(int(members[0]), away)
    assert len(network.to_sheet().ring_sizes) == len(sizes) + 1


def test_merged_atoms_have_four_bonds() -> None:
    crystal = honeycomb_sheet([20.0, 26.0], bond_length=1.42, rotation=0.0)
    network = PlanarMap(crystal)
    kept, removed = crystal.bonds[5].tolist()
    network.contract(kept, removed)
    merged = network.to_sheet()
    assert np.sort(coordination_numbers(merged))[-2:].tolist() == [3, 4]
    assert len(merged.positions) == len(crystal.positions) - 1
    assert len(merged.bonds) == len(crystal.bonds) - 1
    assert ring_areas(merged).sum() == pytest.approx(crystal.box.prod())


def test_atoms_cut_off_on_all_sides_go() -> None:
    crystal = honeycomb_sheet([20.0, 26.0], bond_length=1.42, rotation=0.0)
    network = PlanarMap(crystal)
    for atom in list(network.neighbours[9]):
        network.remove(atom)
    rest = network.to_sheet()
    assert len(rest.positions) == len(crystal.positions) - 4
    assert (coordination_numbers(rest) >= 2).all()


def test_inserted_atom_dissolves_into_the_sheet_as_it_was(relaxed: RingedSheet) -> None:
    network = PlanarMap(relaxed)
    first, second = relaxed.bonds[17].tolist()
    atom = network.insert(first, second)
    longer = network.to_sheet()
    assert coordination_numbers(longer)[atom] == 2
    assert len(longer.bonds) == len(relaxed.bonds) + 1
    assert longer.ring_sizes.sum() == relaxed.ring_sizes.sum() + 2
    network = PlanarMap(longer)
    network.dissolve(atom)
    back = network.to_sheet()
    np.testing.assert_array_equal(back.bonds, relaxed.bonds)
    assert rings(back) == rings(relaxed)
