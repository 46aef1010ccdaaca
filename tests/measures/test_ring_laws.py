import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorph2d.measures.ring_adjacency import neighbour_size_sums
from amorph2d.measures.ring_laws import (
    AboavWeaire,
    Assortativity,
    Variance,
    fit_aboav_weaire,
    lemaitre_variance,
    ring_size_variance,
    size_assortativity,
    weaire_sums,
)
from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.ring_neighbours import ring_neighbours
from amorph2d.topology.rings import planar_rings
from ring_sheets import neighbours_of, voronoi_tables
from strategies import honeycomb

FRACTIONS = {5: 0.25, 6: 0.5, 7: 0.2, 8: 0.05}


def switched(seed, box=(33, 27)):
    """Atoms, bonds and box of a disordered periodic network with three bonds at each atom."""
    sheet = bond_switched_network(box, rng=np.random.default_rng(seed), ring_fractions=FRACTIONS, n_trials=5)
    return sheet.positions, sheet.bonds, sheet.box


def periodic(atoms, bonds, box):
    rings = planar_rings(atoms, bonds, max_size=60, box=box)
    return rings, ring_neighbours(rings.members, rings.sizes)


@pytest.mark.parametrize("seed", range(4))
def test_weaires_sum_rule_is_exact(seed):
    rings, neighbours = periodic(*switched(seed))
    around, squares = weaire_sums(rings.sizes, neighbours)
    assert neighbours.is_interior.all()
    assert around == squares > 36.5
    assert ring_size_variance(rings.sizes) == pytest.approx(squares - 36)


@pytest.mark.parametrize("seed", range(3))
def test_weaires_sum_rule_is_exact_with_vacancies(seed):
    atoms, bonds, box = switched(seed)
    gone = np.random.default_rng(seed).choice(len(atoms), 3, replace=False)
    kept = np.delete(np.arange(len(atoms)), gone)
    bonds = np.searchsorted(kept, bonds[~np.isin(bonds, gone).any(axis=1)])
    rings, neighbours = periodic(atoms[kept], bonds, box)
    around, squares = weaire_sums(rings.sizes, neighbours)
    assert around == squares
    # Not so if each neighbour counts once.
    assert (neighbours.n_bonds > 1).any()
    assert (rings.sizes * neighbours.n_neighbours).sum() < (rings.sizes**2).sum()


def test_the_sum_rule_fails_in_open_sheets():
    _, rings, ring_atoms = voronoi_tables(np.random.default_rng(0).uniform(-20, 20, (200, 2)))
    around, squares = weaire_sums(rings["size"], ring_neighbours(ring_atoms["atom"], rings["size"]))
    assert around < 0.97 * squares
    assert np.isnan(weaire_sums([], ring_neighbours([], []))).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_line_goes_through_its_fixed_point(seed):
    rings, neighbours = periodic(*switched(seed))
    fit = fit_aboav_weaire(rings.sizes, neighbours)
    assert fit.intercept == pytest.approx(fit.expected_intercept)
    assert fit.n_rings == len(rings)
    slope, intercept = np.polyfit(rings.sizes, neighbour_size_sums(rings.sizes, neighbours), 1)
    assert [6 - fit.a, fit.intercept] == pytest.approx([slope, intercept])


def test_honeycomb_has_neither_slope_nor_correlation():
    atoms, centres, box = honeycomb(5, 4)
    rings, neighbours = periodic(atoms, delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box), box)
    np.testing.assert_array_equal(neighbour_size_sums(rings.sizes, neighbours), 36)
    assert weaire_sums(rings.sizes, neighbours) == (36, 36)
    assert np.isnan(fit_aboav_weaire(rings.sizes, neighbours).a)
    assert np.isnan(size_assortativity(rings.sizes, neighbours))
    assert ring_size_variance(rings.sizes) == 0
    assert lemaitre_variance(1.0) == 0


def test_small_rings_between_large_ones_are_anticorrelated():
    members, sizes = [], []
    for k in range(8):  # a strip of rings, each with bonds to the one before and the one after only
        size = 5 if k % 2 else 7
        own = [2 * k, 2 * k + 1, 2 * (k + 1) % 16 + 1, 2 * (k + 1) % 16]
        members += [*own, *range(100 * (k + 1), 100 * (k + 1) + size - 4)]
        sizes.append(size)
    neighbours = ring_neighbours(members, sizes)
    assert neighbours.n_neighbours.tolist() == [2] * 8
    np.testing.assert_array_equal(neighbour_size_sums(sizes, neighbours), [10, 14] * 4)
    assert size_assortativity(sizes, neighbours) == pytest.approx(-1)
    assert fit_aboav_weaire(sizes, neighbours).n_rings == 0
    assert np.isnan(fit_aboav_weaire(sizes, neighbours).a)


def test_error_of_the_fit_is_that_of_many_samples():
    """Sizes drawn without regard to the neighbours: a = 6 − cov/var with a known scatter."""
    rings, neighbours = periodic(*switched(1, box=(60, 50)))
    rng = np.random.default_rng(2)
    fits = [fit_aboav_weaire(rng.permutation(rings.sizes), neighbours) for _ in range(300)]
    a, error = np.array([[fit.a, fit.a_error] for fit in fits]).T
    assert a.mean() == pytest.approx(6, abs=4 * a.std() / np.sqrt(300))
    assert a.std() == pytest.approx(np.median(error), rel=0.15)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10)
def test_assortativity_is_the_correlation_across_bonds(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-15, 15, (80, 2))
    _, rings, ring_atoms = voronoi_tables(points)
    sizes = rings["size"].to_numpy()
    neighbours = ring_neighbours(ring_atoms["atom"], sizes)
    both = sizes[np.repeat(neighbours.ordered_pairs, np.tile(neighbours.n_bonds, 2), axis=0)]
    expected = np.corrcoef(both.T)[0, 1]
    assert size_assortativity(sizes, neighbours) == pytest.approx(expected)


def test_known_numbers_of_poisson_voronoi_cells():
    """μ2 = 1.7808 of the cells of random points, and small ones next to large ones."""
    points = np.random.default_rng(5).uniform(-100, 100, (20_000, 2))
    _, rings, ring_atoms = voronoi_tables(points, window=(180, 180), max_size=60)
    neighbours = neighbours_of(rings, ring_atoms)
    sizes = rings["size"].to_numpy()
    complete = sizes[rings["complete"]]
    assert ring_size_variance(complete) == pytest.approx(1.7808, abs=0.06)
    assert size_assortativity(sizes, neighbours) < -0.1
    fit = fit_aboav_weaire(sizes, neighbours)
    assert 0.5 < fit.a < 0.9
    # Lemaître's law at p6 = 0.2947, where it is already some per cent off.
    p6 = (complete == 6).mean()
    assert lemaitre_variance(p6) == pytest.approx(1.7808, rel=0.06)


def test_lemaitres_law():
    assert lemaitre_variance([0.5, 0.65, 0.8, 1]) == pytest.approx([2 / np.pi, 0.37669, 0.2, 0], abs=1e-5)
    for p6 in (0.7, 0.9):  # pentagons and heptagons in equal parts
        half = (1 - p6) / 2
        variance = ring_size_variance([5, 6, 7], weights=[half, p6, half])
        assert lemaitre_variance(p6) == pytest.approx(variance)
    for wrong in (0, -0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="hexagon_fraction must be > 0 and ≤ 1, got"):
            lemaitre_variance(wrong)


def test_variance_of_nothing_is_undefined():
    assert np.isnan(ring_size_variance([]))
    assert np.isnan(ring_size_variance([5, 6], weights=[0, 0]))


def test_statistics_of_sums_are_those_of_the_rings():
    rings, neighbours = periodic(*switched(3))
    n, around = rings.sizes.astype(float), neighbour_size_sums(rings.sizes, neighbours).astype(float)
    sums = {"n": n, "s": around, "ns": n * around, "nn": n**2, "one": np.ones(len(n))}
    total = {name: np.float64(value.sum()) for name, value in sums.items()}
    law = AboavWeaire("n", "s", "ns", "nn", "one")
    assert float(law(total)) == pytest.approx(fit_aboav_weaire(rings.sizes, neighbours).a)
    assert float(Variance("n", "nn", "one")(total)) == pytest.approx(ring_size_variance(rings.sizes))
    draws = np.random.default_rng(0).integers(0, len(n), (5, len(n)))
    samples = {name: value[draws].sum(axis=1) for name, value in sums.items()}
    found, variance = law(samples), Variance("n", "nn", "one")(samples)
    for k, draw in enumerate(draws):
        assert found[k] == pytest.approx(6 - np.polyfit(n[draw], around[draw], 1)[0])
        assert variance[k] == pytest.approx(n[draw].var())


def test_statistics_of_nothing_are_undefined():
    nothing = dict.fromkeys("nspqc", np.zeros(3))
    for statistic in (
        AboavWeaire("n", "s", "p", "q", "c"),
        Assortativity("n", "p", "q", "c"),
        Variance("n", "q", "c"),
    ):
        assert np.isnan(statistic(nothing)).tolist() == [True] * 3


def test_weights_enter_the_fit():
    rings, neighbours = periodic(*switched(2))
    twice = np.where(rings.sizes == 5, 2.0, 1.0)
    repeated = np.repeat(np.arange(len(rings)), twice.astype(int))
    around = neighbour_size_sums(rings.sizes, neighbours)
    fit = fit_aboav_weaire(rings.sizes, neighbours, weights=twice)
    assert 6 - fit.a == pytest.approx(np.polyfit(rings.sizes[repeated], around[repeated], 1)[0])


def test_nothing():
    assert np.isnan(size_assortativity([], ring_neighbours([], [])))
    assert fit_aboav_weaire([], ring_neighbours([], [])).n_rings == 0


def test_refuses_what_does_not_belong_together():
    neighbours = ring_neighbours(np.arange(6), [6])
    with pytest.raises(ValueError, match=r"weights must have the shape \(1,\), got \(2,\)"):
        fit_aboav_weaire([6], neighbours, weights=[1, 1])
    with pytest.raises(ValueError, match="sizes must be 1, got 2"):
        fit_aboav_weaire([6, 6], neighbours)
