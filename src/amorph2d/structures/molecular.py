"""Two-dimensional polymers: a molecular core on each node of a network, a rod of rings along each bond."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.structures.arms import Arms, node_arms, nodes_from
from amorph2d.structures.lattices import CARBON_BOND
from amorph2d.structures.network import RingedSheet, bond_vectors
from amorph2d.structures.periodic import shortest_image, wrap
from amorph2d.structures.specimen import Cloud, Specimen

HYDROGEN, CARBON, NITROGEN = 1, 6, 7

# Usual lengths of bonds in organic crystals, to 0.01 Å; all angles are 120° but in pyridinium [Å].
_BENZENE = 1.39  # in a benzene ring; also its radius
_TO_HYDROGEN = 1.08
_CORE_TO_IMINE, _IMINE, _IMINE_TO_RING = 1.46, 1.28, 1.42  # C–CH=N–C
_TO_PYRIDINIUM = 1.45
_BETWEEN_PYRIDINIUMS = 1.48
# From the nitrogen atom of pyridinium on, x along the rod [Å]: N–C 1.36, C–C 1.385.
_PYRIDINIUM = np.array([[0, 0], [0.66, 1.185], [2.045, 1.185], [2.76, 0], [2.045, -1.185], [0.66, -1.185]])

_THIRDS = np.arange(3) * 2 * np.pi / 3  # [rad]

NODE_DISTANCE = 26.0  # hexagonal lattice constant 45 Å [Å]
# Of the network of nodes; rods turn and bend more easily than they stretch. Chosen: bonds of an amorphous
# network then spread by 1 % [eV/Å²].
ANGLE_STIFFNESS = 0.6
LENGTH_SCALE = NODE_DISTANCE / CARBON_BOND  # how much wider than in graphene the network of nodes is


def molecular_network(
    network: RingedSheet,
    *,
    node_distance: float = NODE_DISTANCE,
    has_hydrogen: bool = True,
    is_relaxed: bool = True,
    rng: Generator | None = None,
) -> Specimen:
    """Build a flat two-dimensional polymer on the topology of a network.

    A viologen polyimine of benzene-1,3,5-tricarbaldehyde, which makes the nodes, and
    1,1′-bis(4-aminophenyl)-4,4′-bipyridinium, joined by imines: a regular benzene ring on every node, turned
    to its three bonds as well as it can be, and between the rings along every bond a rod of phenylene, two
    pyridinium rings and phenylene. Both imines of a rod step aside by 1.1 Å to the same side. Nodes joined by
    a straight rod without strain are `ROD_LENGTH`, 25.3 Å, apart; other rods are strained evenly, by 3 % in a
    network of 26 Å. Where a node lacks a bond, at a pore, its ring bears hydrogen.

    Parameters
    ----------
    network
        Network whose nodes have one to three bonds, at any scale, such as one of carbon.
    node_distance
        Mean distance of bonded nodes, > 0 [Å].
    has_hydrogen
        Whether hydrogen atoms are there; they scatter little.
    is_relaxed
        Whether the network is relaxed first, under springs with soft angles; else only scaled.
    rng
        Source of random numbers for the side to which each rod steps; the left of the way from the first
        to the second node if None.

    Returns
    -------
    Specimen
        The centres of the cores, as carbon, with the network's bonds and rings as its sheet, and all atoms,
        at z = 0.

    Raises
    ------
    ValueError
        If a bond is shorter than half a rod, or a node has no bond or more than three.
    """
    nodes = nodes_from(
        network,
        node_distance=node_distance,
        number=CARBON,
        angle_stiffness=ANGLE_STIFFNESS if is_relaxed else None,
    )
    shortest = np.hypot(*bond_vectors(nodes).T).min()
    if shortest < ROD_LENGTH / 2:
        raise ValueError(
            f"node_distance must leave all bonds at least {ROD_LENGTH / 2:.1f} Å, got {shortest:.1f} Å"
        )
    arms = node_arms(nodes)
    # A benzene ring turned to its three arms as well as it can be.
    turn = (arms.angles - _THIRDS).mean(axis=1)
    parts = [*_cores(nodes, turn, arms.is_bonded), _rods(nodes, turn, arms, rng)]
    positions = np.concatenate([part for part, _ in parts])
    numbers = np.concatenate([part for _, part in parts])
    if not has_hydrogen:
        positions, numbers = positions[numbers != HYDROGEN], numbers[numbers != HYDROGEN]
    flat = np.column_stack([wrap(positions, nodes.box), np.zeros(len(positions))])
    return Specimen(nodes, Cloud("sheet", flat, numbers))


def _cores(nodes: RingedSheet, turn: FloatArray, is_bonded: BoolArray) -> list[tuple[FloatArray, IntArray]]:
    """Return positions and numbers of the benzene rings on the nodes, arm by arm."""
    everywhere = np.ones_like(is_bonded)
    between, outer = _THIRDS + np.pi / 3, _BENZENE + _TO_HYDROGEN
    places = [
        (_THIRDS, _BENZENE, CARBON, everywhere),
        (between, _BENZENE, CARBON, everywhere),
        (between, outer, HYDROGEN, everywhere),
        (_THIRDS, outer, HYDROGEN, ~is_bonded),
    ]
    parts = []
    for angles, radius, number, is_there in places:
        positions = (nodes.positions[:, None] + radius * _directions(turn[:, None] + angles))[is_there]
        parts.append((positions, np.full(len(positions), number)))
    return parts


def _rods(
    nodes: RingedSheet, turn: FloatArray, arms: Arms, rng: Generator | None
) -> tuple[FloatArray, IntArray]:
    """Return positions and numbers of the rods, from a ring's atom to that of another."""
    node, arm = np.nonzero(arms.is_bonded)
    ends = np.empty((len(node), 2))
    ends[arms.bonds[node, arm]] = nodes.positions[node] + _BENZENE * _directions(turn[node] + _THIRDS[arm])
    start, stop = np.split(ends, 2)
    along = shortest_image(stop - start, nodes.box)
    lengths = np.hypot(*along.T)[:, None]
    side = np.ones(len(along)) if rng is None else rng.choice([-1.0, 1.0], len(along))
    across = np.column_stack([-along[:, 1], along[:, 0]]) / lengths * side[:, None]
    x = (_ROD[:, 0] - _BENZENE) / (ROD_LENGTH - 2 * _BENZENE)
    atoms = start[:, None] + x[:, None] * along[:, None] + _ROD[:, 1:] * across[:, None]
    return atoms.reshape(-1, 2), np.tile(_ROD_NUMBERS, len(along))


def _directions(angles: FloatArray) -> FloatArray:
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _half_rod() -> tuple[FloatArray, IntArray, float]:
    """Return positions and numbers of the atoms from a core to the middle of a rod, and where that is [Å]."""
    turn = np.array([np.cos(np.pi / 3), np.sin(np.pi / 3)])
    imine_c = np.array([_BENZENE + _CORE_TO_IMINE, 0.0])
    imine_n = imine_c + _IMINE * turn
    phenylene = imine_n + np.array([_IMINE_TO_RING + _BENZENE, 0.0])  # its centre
    angles = np.deg2rad([0, 60, 120, 180, 240, 300])
    around = _directions(angles)
    ring = phenylene + _BENZENE * around
    nitrogen = ring[0] + np.array([_TO_PYRIDINIUM, 0.0])
    arms = _PYRIDINIUM[[1, 2, 4, 5]] - _PYRIDINIUM.mean(axis=0)
    arms *= 1 + _TO_HYDROGEN / np.hypot(*arms.T)[:, None]
    hydrogen = [
        imine_c + _TO_HYDROGEN * turn * [1, -1],
        *(phenylene + (_BENZENE + _TO_HYDROGEN) * around[[1, 2, 4, 5]]),
        *(nitrogen + _PYRIDINIUM.mean(axis=0) + arms),
    ]
    atoms = np.array([imine_c, imine_n, *ring, *(nitrogen + _PYRIDINIUM), *hydrogen])
    kinds = [CARBON, NITROGEN, *[CARBON] * 6, NITROGEN, *[CARBON] * 5, *[HYDROGEN] * len(hydrogen)]
    return atoms, np.array(kinds), float(nitrogen[0] + _PYRIDINIUM[3, 0] + _BETWEEN_PYRIDINIUMS / 2)


def _whole_rod() -> tuple[FloatArray, IntArray, float]:
    """Return positions and numbers of the atoms of a rod between two nodes, and their distance [Å]."""
    atoms, numbers, middle = _half_rod()
    mirrored = atoms * [-1, 1] + [2 * middle, 0]
    return np.concatenate([atoms, mirrored]), np.tile(numbers, 2), 2 * middle


_ROD, _ROD_NUMBERS, ROD_LENGTH = _whole_rod()
