from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.lattices import BORON_NITRIDE, find_supercell, honeycomb_sheet
from amorph2d.structures.network import bond_vectors, coordination_numbers, ring_areas
from amorph2d.structures.periodic import shortest_image
from amorph2d.topology.rings import planar_rings

ANGLES = [-200.0, -7.0, 0.0, 3.3, 17.0, 30.0, 44.4, 60.0, 91.0]


def zigzag_angle(vectors: np.ndarray) -> float:
    """Angle of the zigzag rows modulo 60°, from the bonds, which point 30° away from them."""
    angles = np.arctan2(vectors[:, 1], vectors[:, 0]) - np.pi / 6
    return float(np.rad2deg(np.angle(np.exp(6j * angles).mean())) / 6)


@pytest.mark.parametrize("rotation", ANGLES)
def test_crystal_is_large_enough_and_turned_as_asked(rotation: float) -> None:
    box = np.array([47.0, 61.0])
    sheet = honeycomb_sheet(box, bond_length=1.42, rotation=rotation)
    cell = find_supercell(box, bond_length=1.42, rotation=rotation)
    assert (sheet.box >= box).all()
    assert sheet.box.prod() < 1.5 * box.prod()
    np.testing.assert_array_equal(sheet.box, cell.box)
    assert cell.strain < 0.005
    assert abs(cell.rotation - rotation) < 1
    turn = (zigzag_angle(bond_vectors(sheet)) - cell.rotation + 30) % 60 - 30
    assert turn == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("rotation", ANGLES)
def test_stated_strain_is_that_of_the_bonds(rotation: float) -> None:
    box = [52.0, 43.0]
    sheet = honeycomb_sheet(box, bond_length=1.42, rotation=rotation)
    cell = find_supercell(box, bond_length=1.42, rotation=rotation)
    # Bonds sample three directions: the extremes lie between half of the principal strain and all of it.
    strain = np.hypot(*bond_vectors(sheet).T) / 1.42 - 1
    assert np.abs(strain).max() <= cell.strain * 1.001 + 1e-5
    assert np.abs(strain).max() >= cell.strain * 0.8 - 1e-5
    # A shear keeps the area, to first order.
    np.testing.assert_allclose(ring_areas(sheet), 1.5 * np.sqrt(3) * 1.42**2, rtol=1e-4)


@pytest.mark.parametrize(
    ("box", "rotation"), [([9.0, 33.0], 11.0), ([41.0, 40.0], 24.0), ([77.0, 30.0], 0.0)]
)
def test_topology_is_that_of_the_honeycomb(box: list[float], rotation: float) -> None:
    sheet = honeycomb_sheet(box, bond_length=1.45, rotation=rotation, numbers=BORON_NITRIDE)
    n_atoms = len(sheet.positions)
    assert (coordination_numbers(sheet) == 3).all()
    assert (sheet.ring_sizes == 6).all()
    assert n_atoms - len(sheet.bonds) + len(sheet.ring_sizes) == 0
    np.testing.assert_array_equal(np.unique(sheet.bonds, axis=0), sheet.bonds)
    assert (sheet.bonds[:, 0] < sheet.bonds[:, 1]).all()
    rings = planar_rings(sheet.positions, sheet.bonds, box=sheet.box, max_size=12)
    assert (rings.sizes == 6).all()
    expected = {frozenset(ring) for ring in rings.members.reshape(-1, 6).tolist()}
    assert {frozenset(ring) for ring in sheet.ring_members.reshape(-1, 6).tolist()} == expected
    assert (ring_areas(sheet) > 0).all()
    assert ring_areas(sheet).sum() == pytest.approx(sheet.box.prod())


def test_every_bond_joins_the_two_sublattices() -> None:
    sheet = honeycomb_sheet([40.0, 31.0], bond_length=1.45, rotation=8.0, numbers=BORON_NITRIDE)
    assert (np.sort(sheet.numbers[sheet.bonds], axis=1) == [5, 7]).all()
    assert np.mean(sheet.numbers == 5) == 0.5


def test_crystal_along_its_axes_is_not_strained() -> None:
    cell = np.array([1.42 * np.sqrt(3), 3 * 1.42])
    box = cell * [7, 5]
    sheet = honeycomb_sheet(box, bond_length=1.42, rotation=0.0)
    np.testing.assert_allclose(sheet.box, box)
    assert len(sheet.positions) == 4 * 35
    np.testing.assert_allclose(np.hypot(*bond_vectors(sheet).T), 1.42)


def test_neighbours_are_those_nearest_in_space() -> None:
    sheet = honeycomb_sheet([23.0, 31.0], bond_length=1.42, rotation=19.0)
    vectors = shortest_image(sheet.positions[:, None] - sheet.positions, sheet.box)
    near = np.argwhere(np.triu(np.hypot(vectors[..., 0], vectors[..., 1]) < 1.9, 1))
    np.testing.assert_array_equal(near, sheet.bonds)


def test_lengths_scale_with_the_bond() -> None:
    small = honeycomb_sheet([50.0, 42.0], bond_length=1.42, rotation=13.0)
    large = honeycomb_sheet([500.0, 420.0], bond_length=14.2, rotation=13.0)
    np.testing.assert_array_equal(large.bonds, small.bonds)
    np.testing.assert_allclose(large.box, 10 * small.box)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"box": [8.0, 40.0]}, r"box must be at least 6 bonds wide, 8.52 Å, got \[8.0, 40.0\] Å"),
        ({"bond_length": 0.0}, "bond_length must be > 0 Å, got 0.0"),
        ({"rotation": np.nan}, "rotation must be finite, got nan"),
        ({"numbers": (6, 0)}, r"numbers must be atomic numbers ≥ 1, got \(6, 0\)"),
    ],
)
def test_errors(options: dict, message: str) -> None:
    values = {"box": [40.0, 50.0], "bond_length": 1.42, "rotation": 3.0, **options}
    with pytest.raises(ValueError, match=message):
        honeycomb_sheet(values.pop("box"), **values)
