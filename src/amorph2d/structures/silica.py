"""Two-dimensional silica: a double layer of tetrahedra on any network of three bonds to a node."""

from __future__ import annotations

import numpy as np

from amorph2d.structures.arms import node_arms, nodes_from
from amorph2d.structures.lattices import CARBON_BOND
from amorph2d.structures.network import RingedSheet, bond_vectors
from amorph2d.structures.periodic import wrap
from amorph2d.structures.specimen import Cloud, Specimen

SILICON, OXYGEN = 14, 8
SILICON_OXYGEN = 1.62  # length of a bond, as in quartz [Å]
_REACH = np.sqrt(8) / 3 * SILICON_OXYGEN  # of a tetrahedron with one bond along the beam, across the beam [Å]
_RISE = SILICON_OXYGEN / 3  # and along the beam [Å]
NODE_DISTANCE = float(2 * _REACH)  # of perfect tetrahedra, 3.055 Å [Å]
LENGTH_SCALE = NODE_DISTANCE / CARBON_BOND  # how much wider than in graphene distances across the beam are


# Of the network of columns; tetrahedra turn about their corners more easily than bonds of carbon. Chosen:
# bonds of an amorphous network then spread by 2 %, and nearly all are bridged without strain [eV/Å²].
ANGLE_STIFFNESS = 1.5


def bilayer_silica(
    network: RingedSheet, *, node_distance: float = NODE_DISTANCE, is_relaxed: bool = True
) -> Specimen:
    """Build double-layer silica on the topology of a network.

    Two mirrored layers of SiO₄ tetrahedra that share corners, on top of each other. A node is a column of
    silicon, oxygen and silicon along the beam. Every bond is bridged by one oxygen atom in each layer, at its
    middle and so far out that Si–O is 1.62 Å; over a bond longer than twice that it lies level with the
    silicon, and Si–O is half of the bond. Where a node lacks a bond, at a pore, an oxygen atom ends the
    tetrahedron.

    Parameters
    ----------
    network
        Network whose nodes have one to three bonds, at any scale, such as one of carbon.
    node_distance
        Mean distance of bonded silicon columns, > 0; 3.0 to 3.1 Å in real films [Å].
    is_relaxed
        Whether the network is relaxed first, under springs with the angles of silica; else only scaled.

    Returns
    -------
    Specimen
        The silicon columns with the network's bonds and rings as its sheet, and all atoms.

    Raises
    ------
    ValueError
        If `node_distance` is not positive, or a node has no bond or more than three.

    References
    ----------
    Löffler et al., Phys. Rev. Lett. 105, 146104 (2010), doi:10.1103/PhysRevLett.105.146104: two mirrored
    layers with straight Si–O–Si between them, crystalline. Lichtenstein et al., Angew. Chem. Int. Ed. 51, 404
    (2012), doi:10.1002/anie.201107097: the vitreous film.
    """
    sheet = nodes_from(
        network,
        node_distance=node_distance,
        number=SILICON,
        angle_stiffness=ANGLE_STIFFNESS if is_relaxed else None,
    )
    arms = node_arms(sheet)
    vectors = bond_vectors(sheet)
    rise = np.sqrt(np.maximum(SILICON_OXYGEN**2 - (vectors**2).sum(axis=1) / 4, 0))
    bridges = np.column_stack([sheet.positions[sheet.bonds[:, 0]] + vectors / 2, SILICON_OXYGEN + rise])
    node = np.nonzero(~arms.is_bonded)[0]
    angle = arms.angles[~arms.is_bonded]
    across = sheet.positions[node] + _REACH * np.column_stack([np.cos(angle), np.sin(angle)])
    ends = np.column_stack([across, np.full(len(node), SILICON_OXYGEN + _RISE)])
    silicon = np.column_stack([sheet.positions, np.full(len(sheet.positions), SILICON_OXYGEN)])
    upper = np.concatenate([silicon, bridges, ends])
    atoms = np.concatenate([upper, upper * [1, 1, -1], silicon * [1, 1, 0]])
    atoms[:, :2] = wrap(atoms[:, :2], sheet.box)
    layer = np.repeat([SILICON, OXYGEN], [len(silicon), len(bridges) + len(ends)])
    numbers = np.concatenate([layer, layer, np.full(len(silicon), OXYGEN)])
    return Specimen(sheet, Cloud("sheet", atoms, numbers))
