from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from amorph2d.structures.defects import DEFECTS, insert_defect, insert_defects
from amorph2d.structures.lattices import BORON_NITRIDE, honeycomb_sheet
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers, ring_areas
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.planar_map import LARGEST_NEW_RING
from amorph2d.structures.relax import relax_network
from amorph2d.topology.rings import planar_rings

# Atoms removed; atoms with two bonds and with four; atoms around the hole, if there is one.
OUTCOMES = {
    "stone_wales": (0, 0, 0, None),
    "dipole_1": (0, 0, 0, None),
    "dipole_2": (0, 0, 0, None),
    "dipole_3": (0, 0, 0, None),
    "dipole_4": (0, 0, 0, None),
    "vacancy": (1, 3, 0, 12),
    "vacancy_59": (1, 1, 0, None),
    "vacancies_2": (2, 4, 0, 14),
    "vacancies_3": (3, 5, 0, 16),
    "vacancies_4": (4, 6, 0, 18),
    "vacancies_6": (6, 6, 0, 18),
    "divacancy_585": (2, 0, 0, None),
    "divacancy_555777": (2, 0, 0, None),
    "divacancy_5555_6_7777": (2, 0, 0, None),
    "flower": (0, 0, 0, None),
    "silicon_4": (1, 0, 1, None),
}


@pytest.fixture(scope="module")
def crystal() -> RingedSheet:
    return honeycomb_sheet([42.0, 51.0], bond_length=1.42, rotation=7.0)


def walks(members: np.ndarray, offsets: np.ndarray) -> set[tuple[int, ...]]:
    """Rings as closed walks from their lowest atom on."""
    found = set()
    for start, stop in pairwise(offsets):
        ring = members[start:stop]
        found.add(tuple(np.roll(ring, -ring.argmin()).tolist()))
    return found


def ring_change(after: RingedSheet, before: RingedSheet) -> dict[int, int]:
    counts = Counter(after.ring_sizes.tolist())
    counts.subtract(before.ring_sizes.tolist())
    return {size: count for size, count in counts.items() if count}


def test_all_defects_are_tested() -> None:
    assert set(OUTCOMES) == set(DEFECTS)


@pytest.mark.parametrize("kind", DEFECTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_defect_has_its_rings_and_relaxes(crystal: RingedSheet, kind: str, seed: int) -> None:
    n_removed, n_two, n_four, hole = OUTCOMES[kind]
    sheet = insert_defect(crystal, kind, rng=np.random.default_rng(seed))
    assert ring_change(sheet, crystal) == dict(DEFECTS[kind].ring_change)
    assert len(sheet.positions) == len(crystal.positions) - n_removed
    coordination = Counter(coordination_numbers(sheet).tolist())
    assert (coordination[2], coordination[4]) == (n_two, n_four)
    assert coordination[2] + coordination[3] + coordination[4] == len(sheet.positions)
    # Euler on the torus, the hole being a face; and every bond has a face on both sides.
    n_holes = 0 if hole is None else 1
    assert len(sheet.positions) - len(sheet.bonds) + len(sheet.ring_sizes) + n_holes == 0
    assert sheet.ring_sizes.sum() + (hole or 0) == 2 * len(sheet.bonds)
    if not (n_two or n_four):
        assert sheet.ring_sizes.mean() == 6
    relaxed = relax_network(sheet)
    lengths = np.hypot(*bond_vectors(relaxed).T)
    assert 1.2 < lengths.min() < lengths.max() < 1.7
    assert (ring_areas(relaxed) > 0).all()
    for drawn in (sheet, relaxed):
        found = planar_rings(drawn.positions, drawn.bonds, box=drawn.box, max_size=LARGEST_NEW_RING)
        assert walks(found.members, found.offsets) == walks(sheet.ring_members, sheet.ring_offsets)


@pytest.mark.parametrize(("kind", "hole"), [(kind, outcome[3]) for kind, outcome in OUTCOMES.items()])
def test_a_hole_has_no_ring_centre(crystal: RingedSheet, kind: str, hole: int | None) -> None:
    sheet = insert_defect(crystal, kind, rng=np.random.default_rng(2))
    all_faces = planar_rings(sheet.positions, sheet.bonds, box=sheet.box, max_size=30)
    sizes = Counter(all_faces.sizes.tolist())
    sizes.subtract(sheet.ring_sizes.tolist())
    assert {size: count for size, count in sizes.items() if count} == ({} if hole is None else {hole: 1})


@pytest.mark.parametrize("n_glides", [1, 2, 3, 4])
def test_dislocations_glide_apart(crystal: RingedSheet, n_glides: int) -> None:
    rng = np.random.default_rng(3)
    start = insert_defect(crystal, "stone_wales", rng=rng, site=[20.0, 25.0])
    glided = insert_defect(crystal, f"dipole_{n_glides}", rng=rng, site=[20.0, 25.0])
    assert ring_change(glided, crystal) == ring_change(start, crystal)
    separations = []
    for sheet in (start, glided):
        fives = sheet.ring_centres[sheet.ring_sizes == 5]
        sevens = sheet.ring_centres[sheet.ring_sizes == 7]
        apart = shortest_image(fives[:, None] - sevens, sheet.box)
        separations.append(np.sort(np.hypot(apart[..., 0], apart[..., 1]).ravel()))
    # Each pentagon keeps a heptagon beside it; the other heptagon is further away the further they glided.
    assert separations[1][1] < 3.5
    assert separations[1][2] > 2.46 * n_glides


def test_flower_turns_its_core_by_thirty_degrees(crystal: RingedSheet) -> None:
    site = crystal.ring_centres[77]
    sheet = relax_network(insert_defect(crystal, "flower", rng=np.random.default_rng(0), site=site))

    def bond_direction(radius_in: float, radius_out: float) -> float:
        vectors = bond_vectors(sheet)
        middles = sheet.positions[sheet.bonds[:, 0]] + vectors / 2
        radius = np.hypot(*shortest_image(middles - site, sheet.box).T)
        angles = np.arctan2(vectors[:, 1], vectors[:, 0])[(radius > radius_in) & (radius < radius_out)]
        return float(np.rad2deg(np.angle(np.exp(6j * angles).mean())) / 6)

    turn = (bond_direction(0, 3.5) - bond_direction(12, 20)) % 60
    assert turn == pytest.approx(30, abs=1)


def test_defect_goes_where_it_is_asked_for(crystal: RingedSheet) -> None:
    site = np.array([41.5, 0.5])  # across the corner of the box
    sheet = insert_defect(crystal, "divacancy_585", rng=np.random.default_rng(1), site=site)
    octagon = sheet.ring_centres[sheet.ring_sizes == 8]
    assert np.hypot(*shortest_image(octagon[0] - site, sheet.box)) < 1.0


def test_atoms_keep_their_numbers() -> None:
    nitride = honeycomb_sheet([42.0, 51.0], bond_length=1.45, rotation=7.0, numbers=BORON_NITRIDE)
    rng = np.random.default_rng(4)
    turned = insert_defect(nitride, "stone_wales", rng=rng)
    sums = Counter(turned.numbers[turned.bonds].sum(axis=1).tolist())
    # Each atom of the turned bond changes one of its other partners for one of its own kind.
    assert sums == {10: 1, 12: len(nitride.bonds) - 2, 14: 1}
    flower = insert_defect(nitride, "flower", rng=rng)
    assert Counter(flower.numbers.tolist()) == Counter(nitride.numbers.tolist())
    divacancy = insert_defect(nitride, "divacancy_585", rng=rng)
    assert np.sum(divacancy.numbers == 5) == np.sum(divacancy.numbers == 7)
    silicon = insert_defect(nitride, "silicon_4", rng=rng)
    assert np.sum(silicon.numbers == 14) == 1
    assert coordination_numbers(silicon)[silicon.numbers == 14] == 4


def test_several_defects_keep_apart(crystal: RingedSheet) -> None:
    counts = {"stone_wales": 3, "vacancy": 2, "divacancy_555777": 1}
    sheet, placed = insert_defects(crystal, counts, rng=np.random.default_rng(0), spacing=11.0)
    assert placed["kind"].value_counts().to_dict() == counts
    centres = placed[["x", "y"]].to_numpy()
    assert ((centres >= 0) & (centres < crystal.box)).all()
    apart = shortest_image(centres[:, None] - centres, crystal.box)
    distances = np.hypot(apart[..., 0], apart[..., 1])[np.triu_indices(6, 1)]
    assert distances.min() >= 11.0
    expected: Counter[int] = Counter()
    for kind, count in counts.items():
        expected.update({size: n * count for size, n in DEFECTS[kind].ring_change.items()})
    assert ring_change(sheet, crystal) == dict(expected)
    close, _ = insert_defects(crystal, counts, rng=np.random.default_rng(0), spacing=0.0)
    assert ring_change(close, crystal) == dict(expected)


def test_what_does_not_fit_is_left_out(crystal: RingedSheet) -> None:
    sheet, placed = insert_defects(crystal, {"flower": 100}, rng=np.random.default_rng(0), spacing=5.0)
    assert 1 <= len(placed) < 15
    assert ring_change(sheet, crystal) == {
        size: n * len(placed) for size, n in DEFECTS["flower"].ring_change.items()
    }


def test_no_defects_leave_the_sheet_as_it_is(crystal: RingedSheet) -> None:
    same, placed = insert_defects(crystal, {}, rng=np.random.default_rng(0), spacing=5.0)
    np.testing.assert_array_equal(same.bonds, crystal.bonds)
    assert len(placed) == 0
    assert list(placed.columns) == ["kind", "x", "y"]


def test_defects_only_go_into_crystal(relaxed: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="sheet must have a crystalline place for flower, got none in 60"):
        insert_defect(relaxed, "flower", rng=rng)
    pentagon = relaxed.ring_centres[relaxed.ring_sizes == 5][0]
    with pytest.raises(ValueError, match="site must lie in a crystal for vacancy"):
        insert_defect(relaxed, "vacancy", rng=rng, site=pentagon)
    same, placed = insert_defects(relaxed, {"flower": 2}, rng=rng, spacing=5.0)
    assert len(placed) == 0
    assert len(same.bonds) == len(relaxed.bonds)


def test_same_seed_same_sheet(crystal: RingedSheet) -> None:
    counts = dict.fromkeys(DEFECTS, 1)
    one, first = insert_defects(crystal, counts, rng=np.random.default_rng(8), spacing=6.0)
    two, second = insert_defects(crystal, counts, rng=np.random.default_rng(8), spacing=6.0)
    np.testing.assert_array_equal(one.positions, two.positions)
    np.testing.assert_array_equal(one.ring_members, two.ring_members)
    assert first.equals(second)


def test_vacancies_can_go_beside_an_earlier_hole(crystal: RingedSheet) -> None:
    rng = np.random.default_rng(5)
    holed = insert_defect(crystal, "vacancy", rng=rng, site=[10.0, 10.0])
    sheet, placed = insert_defects(holed, {"vacancy": 3}, rng=rng, spacing=0.0)
    assert len(placed) == 3
    assert ring_change(sheet, crystal) == {6: -12}


def test_errors(crystal: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"kind must be one of stone_wales, .*, got 'hole'"):
        insert_defect(crystal, "hole", rng=rng)
    with pytest.raises(ValueError, match=r"counts must be ≥ 0, got {'vacancy': -1}"):
        insert_defects(crystal, {"vacancy": -1}, rng=rng, spacing=5.0)
    with pytest.raises(ValueError, match="spacing must be ≥ 0 Å, got -5"):
        insert_defects(crystal, {"vacancy": 1}, rng=rng, spacing=-5.0)
