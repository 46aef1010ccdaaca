from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amorph2d.structures.arms import node_arms, nodes_from
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.pores import circular_pore


@pytest.fixture(scope="module")
def porous(relaxed: RingedSheet) -> RingedSheet:
    return circular_pore(relaxed, centre=[5.0, 6.0], radius=6.0)


def test_arms_lie_along_the_bonds(porous: RingedSheet) -> None:
    arms = node_arms(porous)
    vectors = bond_vectors(porous)
    vectors = np.concatenate([vectors, -vectors])
    node, _ = np.nonzero(arms.is_bonded)
    bond = arms.bonds[arms.is_bonded]
    np.testing.assert_array_equal(np.sort(bond), np.arange(2 * len(porous.bonds)))
    np.testing.assert_array_equal(porous.bonds.T.ravel()[bond], node)
    angle = arms.angles[arms.is_bonded]
    directions = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    np.testing.assert_allclose(directions, vectors[bond] / np.hypot(*vectors[bond].T)[:, None], atol=1e-9)
    assert (np.diff(arms.angles, axis=1) > 0).all()
    assert arms.angles.min() >= 0
    assert arms.angles.max() < 2 * np.pi


def test_open_arms_point_away_from_the_bonds(porous: RingedSheet) -> None:
    arms = node_arms(porous)
    counts = coordination_numbers(porous)
    np.testing.assert_array_equal(arms.is_bonded.sum(axis=1), counts)
    assert (counts == 2).any()
    directions = np.stack([np.cos(arms.angles), np.sin(arms.angles)], axis=-1)[counts == 2]
    is_open = ~arms.is_bonded[counts == 2]
    cosines = np.einsum("nd,nkd->nk", directions[is_open], directions)[~is_open].reshape(-1, 2)
    np.testing.assert_allclose(cosines[:, 0], cosines[:, 1], atol=1e-9)
    assert (cosines < 0).all()


def test_ends_of_chains_have_regular_arms(relaxed: RingedSheet) -> None:
    pair = replace(
        relaxed,
        positions=np.array([[1.0, 1.0], [2.4, 1.0]]),
        numbers=np.array([6, 6]),
        bonds=np.array([[0, 1]]),
    )
    arms = node_arms(pair)
    np.testing.assert_allclose(arms.angles, np.deg2rad([[0, 120, 240], [60, 180, 300]]), atol=1e-9)
    assert arms.bonds.tolist() == [[0, -1, -1], [-1, 1, -1]]


def test_nodes_are_scaled_or_relaxed(relaxed: RingedSheet) -> None:
    scaled = nodes_from(relaxed, node_distance=26.0, number=14, angle_stiffness=None)
    soft = nodes_from(relaxed, node_distance=26.0, number=14, angle_stiffness=0.6)
    factor = 26.0 / np.hypot(*bond_vectors(relaxed).T).mean()
    np.testing.assert_allclose(scaled.box, relaxed.box * factor)
    assert (soft.numbers == 14).all()
    lengths = [np.hypot(*bond_vectors(sheet).T) for sheet in (scaled, soft)]
    assert [length.mean() for length in lengths] == pytest.approx([26.0, 26.0])
    assert lengths[0].std() > 0.03 * 26 > 0.015 * 26 > lengths[1].std()


def test_errors(relaxed: RingedSheet) -> None:
    with pytest.raises(ValueError, match="node_distance must be > 0 Å, got -1"):
        nodes_from(relaxed, node_distance=-1, number=6, angle_stiffness=None)
    bare = replace(relaxed, bonds=np.empty((0, 2), dtype=np.int64))
    with pytest.raises(ValueError, match="network must have bonds, got none"):
        nodes_from(bare, node_distance=3.0, number=6, angle_stiffness=None)
    with pytest.raises(ValueError, match="nodes must have one to three bonds, got 0 to 0"):
        node_arms(bare)
