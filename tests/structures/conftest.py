"""Networks that several tests use."""

from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.network import RingedSheet
from amorph2d.structures.relax import relax_network
from amorph2d.structures.seeds import poisson_disk_seeds
from amorph2d.structures.voronoi import voronoi_network


@pytest.fixture(scope="session")
def honeycomb() -> RingedSheet:
    """Graphene, 9 × 4 rectangular cells of four atoms, bonds of 1.42 Å."""
    spacing = 1.42 * np.sqrt(3)
    cell = np.array([spacing, spacing * np.sqrt(3)])
    corners = np.stack(np.meshgrid(np.arange(9), np.arange(4)), axis=-1).reshape(-1, 1, 2)
    seeds = ((corners + np.array([[0.1, 0.2], [0.6, 0.7]])) * cell).reshape(-1, 2)
    return voronoi_network(seeds, cell * [9, 4])


@pytest.fixture(scope="session")
def network() -> RingedSheet:
    """A disordered network, not relaxed, in a box that is not square."""
    box = [29.0, 41.0]
    return voronoi_network(poisson_disk_seeds(box, spacing=1.91, rng=np.random.default_rng(5)), box)


@pytest.fixture(scope="session")
def relaxed(network: RingedSheet) -> RingedSheet:
    """The disordered network, relaxed."""
    return relax_network(network)
