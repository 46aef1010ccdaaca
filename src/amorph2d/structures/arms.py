"""The three directions in which every node of a network bonds, or would."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers, moved
from amorph2d.structures.relax import GRAPHENE, relax_network


@dataclass(frozen=True, eq=False)
class Arms:
    """Three arms of every node.

    Attributes
    ----------
    angles
        Directions from x towards y, ascending from 0 to a full turn, (N, 3) [rad].
    bonds
        Which bond lies along the arm, (N, 3): k for bond k from its first node, B + k from its second,
        −1 for none.
    """

    angles: FloatArray
    bonds: IntArray

    @property
    def is_bonded(self) -> BoolArray:
        """Whether there is a bond along the arm, (N, 3)."""
        return self.bonds >= 0


def nodes_from(
    network: RingedSheet, *, node_distance: float, number: int, angle_stiffness: float | None
) -> RingedSheet:
    """Return a network with another mean length of its bonds, all atoms being of one element.

    Parameters
    ----------
    network
        Network, at any scale.
    node_distance
        Mean length of the bonds, > 0 [Å].
    number
        Atomic number of all nodes.
    angle_stiffness
        The network is relaxed with this and the rest of the springs of graphene, as if its bonds were as long
        as graphene's, > 0; the softer the angles, the more equal the bonds. None keeps its shape [eV/Å²].

    Raises
    ------
    ValueError
        If `node_distance` or `angle_stiffness` is not positive, or the network has no bonds.
    """
    if not (np.isfinite(node_distance) and node_distance > 0):
        raise ValueError(f"node_distance must be > 0 Å, got {node_distance}")
    if len(network.bonds) == 0:
        raise ValueError("network must have bonds, got none")
    sheet = replace(network, numbers=np.full(len(network.positions), number))
    if angle_stiffness is not None:
        potential = replace(GRAPHENE, angle_stiffness=angle_stiffness)
        sheet = relax_network(_scaled(sheet, potential.bond_length), potential=potential)
    return _scaled(sheet, node_distance)


def node_arms(network: RingedSheet) -> Arms:
    """Return the arms of all nodes: along their bonds, and where these are too few, away from them.

    Parameters
    ----------
    network
        Network whose nodes have one to three bonds.

    Raises
    ------
    ValueError
        If a node has no bond or more than three.
    """
    counts = coordination_numbers(network)
    if ((counts < 1) | (counts > 3)).any():
        raise ValueError(f"nodes must have one to three bonds, got {counts.min()} to {counts.max()}")
    vectors = bond_vectors(network)
    vectors = np.concatenate([vectors, -vectors])
    node = network.bonds.T.ravel()
    order = np.argsort(node, kind="stable")
    is_bonded = np.arange(3) < counts[:, None]
    bonds = np.full((len(counts), 3), -1)
    bonds[is_bonded] = order
    angles = np.zeros((len(counts), 3))
    angles[is_bonded] = np.arctan2(vectors[order, 1], vectors[order, 0])
    angles[counts == 1, 1] = angles[counts == 1, 0] + 2 * np.pi / 3
    one, other = angles[counts < 3, :2].T
    # Opposite to the sum of the other two.
    angles[counts < 3, 2] = np.arctan2(-np.sin(one) - np.sin(other), -np.cos(one) - np.cos(other))
    angles %= 2 * np.pi
    order = np.argsort(angles, axis=1)
    return Arms(np.take_along_axis(angles, order, axis=1), np.take_along_axis(bonds, order, axis=1))


def _scaled(sheet: RingedSheet, bond_length: float) -> RingedSheet:
    """Return a sheet with another mean length of its bonds."""
    scale = bond_length / np.hypot(*bond_vectors(sheet).T).mean()
    return moved(sheet, sheet.positions * scale, sheet.box * scale)
