"""Polycrystalline graphene with its true bonds (D'Ambrosio et al., CC BY 4.0) is found as published."""

from pathlib import Path

import numpy as np
import pytest

from amorph2d.measures.angles import bond_angles
from amorph2d.measures.lengths import bond_lengths
from amorph2d.topology.bonds import delaunay_bonds, unique_pairs
from amorph2d.topology.coordination import coordination_numbers
from amorph2d.topology.rings import (
    assign_ring_centres,
    delaunay_ring_sizes,
    euler_characteristic,
    planar_rings,
)

FOLDER = Path(__file__).parents[3] / "shared" / "realdata" / "coordinates"
RING_COUNTS = {
    "10024-695eV": {5: 231, 6: 4554, 7: 223, 8: 4},
    "20000-1488eV": {5: 487, 6: 9043, 7: 453, 8: 17},
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"real coordinates are not in {FOLDER}")


@pytest.fixture(scope="module", params=RING_COUNTS)
def sample(request):
    """Name, atoms in the plane (N, 2), true bonds and box."""
    numbers = np.array((FOLDER / f"{request.param}.data").read_text(encoding="utf-8").split(), dtype=float)
    n_atoms, box = int(request.param.split("-")[0]), numbers[:2]
    atoms = numbers[4 : 4 + 4 * n_atoms].reshape(-1, 4)[:, 1:3]
    bonds = numbers[4 + 4 * n_atoms :].reshape(-1, 3)[:, 1:].astype(np.int64)
    return request.param, atoms, unique_pairs(bonds), box


@pytest.fixture(scope="module")
def centres(sample):
    _, atoms, bonds, box = sample
    return planar_rings(atoms, bonds, max_size=16, box=box).centroids


def test_bonds_are_those_of_the_file(sample, centres):
    _, atoms, bonds, box = sample
    for longest in (1.9, 3.0):
        np.testing.assert_array_equal(delaunay_bonds(atoms, centres, limits=(0.5, longest), box=box), bonds)
    np.testing.assert_array_equal(coordination_numbers(bonds, len(atoms)), 3)


def test_without_ring_centres_a_few_bonds_cross_small_rings(sample):
    _, atoms, bonds, box = sample
    found = delaunay_bonds(atoms, limits=(0.5, 1.9), box=box)
    true = {tuple(bond) for bond in bonds.tolist()}
    extra = {tuple(bond) for bond in found.tolist()} - true
    assert len(found) - len(extra) == len(true)
    assert 0 < len(extra) < 0.002 * len(true)


def test_ring_fractions(sample, centres):
    name, atoms, _, box = sample
    rings = planar_rings(
        atoms, delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box), max_size=16, box=box
    )
    assert dict(zip(*np.unique(rings.sizes, return_counts=True), strict=True)) == RING_COUNTS[name]
    assert rings.sizes.mean() == 6
    assert rings.areas.sum() == pytest.approx(box.prod())
    if name.startswith("20000"):
        percent = 100 * np.bincount(rings.sizes)[5:] / len(rings)
        np.testing.assert_array_equal(percent.round(2), [4.87, 90.43, 4.53, 0.17])


def test_ring_criteria_agree_everywhere(sample, centres):
    _, atoms, bonds, box = sample
    rings = planar_rings(atoms, bonds, max_size=16, box=box)
    np.testing.assert_array_equal(assign_ring_centres(rings, centres, atoms, box=box), np.arange(len(rings)))
    np.testing.assert_array_equal(delaunay_ring_sizes(atoms, centres, box=box), rings.sizes)


def test_euler_and_angles(sample):
    _, atoms, bonds, box = sample
    rings = planar_rings(atoms, bonds, max_size=16, box=box)
    assert euler_characteristic(len(atoms), len(bonds), len(rings)) == 0
    angles = bond_angles(atoms, bonds, box=box)[1]
    assert len(angles) == 2 * len(bonds)
    assert angles.mean() == pytest.approx(120, abs=1e-6)
    assert bond_lengths(atoms, bonds, box=box).mean() == pytest.approx(1.41, abs=0.01)


def test_an_open_cut_keeps_its_inner_rings(sample, centres):
    name, atoms, _, box = sample
    atoms, centres = atoms % box, centres % box
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 1.9))
    rings = planar_rings(atoms, bonds, max_size=16)
    assert euler_characteristic(len(atoms), len(bonds), len(rings)) == 1
    assert 0.95 * len(centres) < len(rings) < len(centres)
    np.testing.assert_array_equal(np.unique(rings.sizes), list(RING_COUNTS[name]))
