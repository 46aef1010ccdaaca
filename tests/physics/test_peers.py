"""Pair distribution and rings are those that other libraries find: freud and matscipy."""

import ase
import freud
import numpy as np
import pytest
from matscipy.neighbours import neighbour_list
from matscipy.rings import ring_statistics

from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.window import PeriodicWindow
from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.topology.shortest_path import shortest_path_rings

R_MAX, BINS, BOND_LIMIT = 10.0, 200, 1.9
SHARES = {5: 0.24, 6: 0.52, 7: 0.19, 8: 0.05}


@pytest.fixture(scope="module", params=["bond-switched", "random", "polycrystal"])
def sheet(request):
    """Positions (N, 2), box (2,) [Å], and bonds of a periodic sheet, where it has any."""
    rng = np.random.default_rng(11)
    if request.param == "random":
        box = np.array([71.0, 43.0])
        return rng.uniform(0, box, (1500, 2)), box, None
    if request.param == "bond-switched":
        network = bond_switched_network((61.0, 44.0), ring_fractions=SHARES, rng=rng)
        return network.positions, np.asarray(network.box), network.bonds
    folder = request.getfixturevalue("realdata") / "coordinates"
    numbers = np.array((folder / "10024-695eV.data").read_text(encoding="utf-8").split(), dtype=float)
    atoms = numbers[4 : 4 + 4 * 10024].reshape(-1, 4)[:, 1:3]
    return atoms, numbers[:2], numbers[4 + 4 * 10024 :].reshape(-1, 3)[:, 1:].astype(np.int64)


def test_pair_distribution_is_that_of_freud(sheet):
    positions, box, _ = sheet
    theirs = freud.density.RDF(bins=BINS, r_max=R_MAX, normalization_mode="finite_size")
    centred = np.column_stack([(positions - box / 2), np.zeros(len(positions))])
    theirs.compute((freud.box.Box(*box, is2D=True), freud.box.Box(*box, is2D=True).wrap(centred)))
    ours = pair_distribution(
        positions, PeriodicWindow(0, 0, *box.tolist()), r_max=R_MAX, bin_width=R_MAX / BINS
    )
    # freud keeps positions in single precision: a pair within 1e-5 Å of an edge may change its bin.
    n_pairs = np.asarray(theirs.bin_counts) / 2
    near_an_edge = 2e-5 * n_pairs.max() / (R_MAX / BINS)
    np.testing.assert_allclose(ours.n_pairs.cumsum(), n_pairs.cumsum(), atol=1 + near_an_edge)
    has_pairs = n_pairs > 0
    expected = (theirs.rdf[has_pairs] * ours.n_pairs[has_pairs] / n_pairs[has_pairs]).astype(float)
    np.testing.assert_allclose(ours.g[has_pairs], expected, rtol=2e-5)


def test_shortest_path_rings_are_those_of_matscipy(sheet):
    positions, box, bonds = sheet
    if bonds is None:
        pytest.skip("no bonds")
    flat = np.column_stack([positions, np.zeros(len(positions))])
    atoms = ase.Atoms(f"C{len(positions)}", flat, cell=[*box, 10], pbc=True)
    near = np.transpose(neighbour_list("ij", atoms, BOND_LIMIT))  # of the polycrystal more than the bonds
    theirs = ring_statistics(atoms, BOND_LIMIT, maxlength=12)
    sizes = shortest_path_rings(len(positions), near[near[:, 0] < near[:, 1]], max_size=12).sizes
    assert theirs[5:8].all()
    np.testing.assert_array_equal(np.bincount(sizes, minlength=len(theirs)), theirs)
