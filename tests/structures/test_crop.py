from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.crop import cut_field, repeat
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.relax import keating_energy


def test_field_holds_the_atoms_of_its_rectangle(relaxed: RingedSheet) -> None:
    origin, size = np.array([4.0, 6.0]), np.array([13.0, 21.0])
    field = cut_field(relaxed, size=size, origin=origin)
    is_inside = ((relaxed.positions >= origin) & (relaxed.positions < origin + size)).all(axis=1)
    np.testing.assert_allclose(field.positions, relaxed.positions[is_inside] - origin)
    is_inside = ((relaxed.ring_centres >= origin) & (relaxed.ring_centres < origin + size)).all(axis=1)
    np.testing.assert_allclose(field.ring_centres, relaxed.ring_centres[is_inside] - origin)
    np.testing.assert_array_equal(field.ring_sizes, relaxed.ring_sizes[is_inside])
    np.testing.assert_array_equal(field.size, size)
    assert len(field.numbers) == len(field.positions)


def test_field_across_the_edges_is_like_one_inside(relaxed: RingedSheet) -> None:
    field = cut_field(relaxed, size=[20, 25], origin=relaxed.box - [7, 9])
    larger = cut_field(repeat(relaxed, (2, 2)), size=[20, 25], origin=relaxed.box - [7, 9])
    order, other = np.lexsort(field.positions.T), np.lexsort(larger.positions.T)
    np.testing.assert_allclose(field.positions[order], larger.positions[other])
    assert len(field.bonds) == len(larger.bonds)


def test_bonds_of_a_field_are_short_and_complete(relaxed: RingedSheet) -> None:
    field = cut_field(relaxed, size=relaxed.box, origin=[3, -8])
    vectors = field.positions[field.bonds[:, 1]] - field.positions[field.bonds[:, 0]]
    assert np.hypot(*vectors.T).max() < 1.8
    assert len(field.positions) == len(relaxed.positions)
    assert 0 < len(relaxed.bonds) - len(field.bonds) < 0.2 * len(relaxed.bonds)
    assert (np.abs(field.positions.mean(axis=0) - relaxed.box / 2) < 1).all()


def test_empty_field(honeycomb: RingedSheet) -> None:
    field = cut_field(honeycomb, size=[0.3, 0.3], origin=honeycomb.positions[3] + 0.4)
    assert field.positions.shape == (0, 2)
    assert field.bonds.shape == (0, 2)
    assert field.ring_centres.shape == (0, 2)


def test_field_larger_than_the_sheet(honeycomb: RingedSheet) -> None:
    with pytest.raises(ValueError, match="size must be at most the box"):
        cut_field(honeycomb, size=honeycomb.box * 1.01, origin=[0, 0])


def test_bad_size_and_origin(honeycomb: RingedSheet) -> None:
    with pytest.raises(ValueError, match="size must be two lengths > 0 Å"):
        cut_field(honeycomb, size=[-1, 3], origin=[0, 0])
    with pytest.raises(ValueError, match="origin must be finite"):
        cut_field(honeycomb, size=[1, 3], origin=[0, np.nan])


@pytest.mark.parametrize("counts", [(1, 1), (3, 1), (2, 4)])
def test_repeated_sheet_is_the_same_network(relaxed: RingedSheet, counts: tuple[int, int]) -> None:
    larger = repeat(relaxed, counts)
    n = counts[0] * counts[1]
    np.testing.assert_allclose(larger.box, relaxed.box * counts)
    assert (coordination_numbers(larger) == 3).all()
    np.testing.assert_array_equal(np.unique(larger.bonds, axis=0), larger.bonds)
    assert len(larger.ring_centres) == n * len(relaxed.ring_centres)
    assert keating_energy(larger)[0] == pytest.approx(n * keating_energy(relaxed)[0])
    assert np.hypot(*bond_vectors(larger).T).max() == pytest.approx(np.hypot(*bond_vectors(relaxed).T).max())


def test_bad_counts(honeycomb: RingedSheet) -> None:
    with pytest.raises(ValueError, match="counts must be ≥ 1"):
        repeat(honeycomb, (2, 0))
