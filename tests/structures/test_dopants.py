from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amorph2d.structures.dopants import rest_lengths, substitute
from amorph2d.structures.lattices import BORON_NITRIDE, honeycomb_sheet
from amorph2d.structures.network import RingedSheet, bond_vectors
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.relax import GRAPHENE, relax_network


def spread(sheet: RingedSheet) -> float:
    """Mean distance of the dopants to the nearest other one [Å]."""
    dopants = sheet.positions[sheet.numbers != 6]
    vectors = shortest_image(dopants[:, None] - dopants, sheet.box)
    distances = np.hypot(vectors[..., 0], vectors[..., 1]) + 1e3 * np.eye(len(dopants))
    return float(distances.min(axis=1).mean())


def test_numbers_of_dopants_are_exact(relaxed: RingedSheet) -> None:
    fractions = {5: 0.04, 7: 0.1, 8: 0.01, 14: 0.0}
    doped, lengths = substitute(relaxed, fractions=fractions, rng=np.random.default_rng(0), bond_length=1.42)
    n_atoms = len(relaxed.positions)
    for number, fraction in fractions.items():
        assert np.sum(doped.numbers == number) == pytest.approx(fraction * n_atoms, abs=1)
    assert np.sum(doped.numbers != 6) == round(0.15 * n_atoms)
    np.testing.assert_array_equal(doped.positions, relaxed.positions)
    np.testing.assert_array_equal(lengths, rest_lengths(doped, bond_length=1.42))


def test_rest_lengths_are_sums_of_radii(honeycomb: RingedSheet) -> None:
    assert rest_lengths(honeycomb, bond_length=1.42) == pytest.approx(1.42)
    nitride = honeycomb_sheet([20.0, 20.0], bond_length=1.45, rotation=0.0, numbers=BORON_NITRIDE)
    # (0.84 + 0.71) / (2 × 0.76) × 1.42 Å
    assert rest_lengths(nitride, bond_length=1.42) == pytest.approx(1.448, abs=5e-4)
    one = honeycomb.numbers.copy()
    one[0] = 14
    lengths = rest_lengths(replace(honeycomb, numbers=one), bond_length=1.5)
    is_bond = (honeycomb.bonds == 0).any(axis=1)
    assert lengths[is_bond] == pytest.approx((0.76 + 1.11) / 1.52 * 1.5)
    assert lengths[~is_bond] == pytest.approx(1.5)


def test_relaxed_bonds_follow_the_rest_lengths() -> None:
    crystal = honeycomb_sheet([30.0, 34.0], bond_length=1.42, rotation=0.0)
    doped, lengths = substitute(crystal, fractions={14: 0.01}, rng=np.random.default_rng(1), bond_length=1.42)
    with_lengths = relax_network(doped, bond_lengths=lengths, potential=GRAPHENE)
    is_foreign = (doped.numbers[doped.bonds] == 14).any(axis=1)
    found = np.hypot(*bond_vectors(with_lengths).T)
    assert found[is_foreign].min() > 1.52
    assert found[is_foreign].mean() - found[~is_foreign].mean() > 0.15


def test_only_hosts_are_replaced() -> None:
    nitride = honeycomb_sheet([30.0, 34.0], bond_length=1.45, rotation=0.0, numbers=BORON_NITRIDE)
    doped, _ = substitute(nitride, fractions={6: 0.5}, rng=np.random.default_rng(2), bond_length=1.42, host=7)
    assert np.sum(doped.numbers == 5) == np.sum(nitride.numbers == 5)
    assert np.sum(doped.numbers == 6) == np.sum(nitride.numbers == 7) // 2
    bare, _ = substitute(nitride, fractions={8: 0.5}, rng=np.random.default_rng(2), bond_length=1.42)
    np.testing.assert_array_equal(bare.numbers, nitride.numbers)


def test_clusters_are_closer_than_single_dopants() -> None:
    crystal = honeycomb_sheet([60.0, 50.0], bond_length=1.42, rotation=0.0)
    sheets = [
        substitute(
            crystal,
            fractions={7: 0.04},
            rng=np.random.default_rng(3),
            bond_length=1.42,
            is_clustered=is_clustered,
        )[0]
        for is_clustered in (False, True)
    ]
    assert np.sum(sheets[0].numbers == 7) == np.sum(sheets[1].numbers == 7)
    assert spread(sheets[1]) < 1.6 < spread(sheets[0])


@pytest.mark.parametrize("is_clustered", [False, True])
def test_none_and_all(honeycomb: RingedSheet, is_clustered: bool) -> None:
    rng = np.random.default_rng(4)
    options = {"rng": rng, "bond_length": 1.42, "is_clustered": is_clustered}
    none, _ = substitute(honeycomb, fractions={}, **options)
    np.testing.assert_array_equal(none.numbers, honeycomb.numbers)
    everything, _ = substitute(honeycomb, fractions={5: 0.5, 7: 0.5}, **options)
    assert np.bincount(everything.numbers, minlength=8).tolist() == [0, 0, 0, 0, 0, 72, 0, 72]


def test_errors(honeycomb: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"fractions must be ≥ 0 and ≤ 1, got -0.1 for atomic number 7"):
        substitute(honeycomb, fractions={7: -0.1}, rng=rng, bond_length=1.42)
    with pytest.raises(ValueError, match=r"fractions must add up to ≤ 1, got 1.1"):
        substitute(honeycomb, fractions={7: 0.6, 5: 0.5}, rng=rng, bond_length=1.42)
    with pytest.raises(ValueError, match=r"atomic number must be ≥ 1 and ≤ 96, got 0"):
        substitute(honeycomb, fractions={0: 0.1}, rng=rng, bond_length=1.42)
    with pytest.raises(ValueError, match="bond_length must be > 0 Å, got 0"):
        rest_lengths(honeycomb, bond_length=0)
    unknown = replace(honeycomb, numbers=np.full(len(honeycomb.positions), 118))
    with pytest.raises(ValueError, match=r"atomic number must be ≥ 1 and ≤ 96, got 118"):
        rest_lengths(unknown, bond_length=1.42)
