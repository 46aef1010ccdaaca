import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.crystallites import CrystalliteParameters
from amorph2d.measures.intervals import resample_blocks
from amorph2d.measures.order import neighbour_distances, ring_order_table
from amorph2d.measures.order_sums import ORDER_STATISTICS, SIGNED_ORDER_STATISTICS, order_sums
from amorph2d.measures.ring_adjacency import neighbourhood_weights, ring_adjacency_table
from amorph2d.measures.ring_counts import corner_boxes
from amorph2d.measures.ring_laws import fit_aboav_weaire, ring_size_variance, size_assortativity
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.measures.window import RectangularWindow
from ring_sheets import SPACING, neighbours_of, tables_of, triangular, two_grains, voronoi_tables
from strategies import make_sites

CRYSTALLITES = CrystalliteParameters(
    min_hexagon_neighbours=4, min_psi6=0.0, max_misorientation=30, min_rings=3
)
WINDOW = RectangularWindow(-30, -22, 30, 22)


def disordered(seed=0):
    centres = two_grains(70, 54, (3, 30))
    noise = np.random.default_rng(seed).normal(0, 0.45, centres.shape)
    return voronoi_tables(centres + noise, window=(60, 44))


def order_of(tables, parameters=CRYSTALLITES):
    """Pairs and order of the rings."""
    pairs = ring_pairs_table(*tables[1:])
    return pairs, ring_order_table(*tables, ring_pairs=pairs, parameters=parameters)


def count(tables, block=11.0, **columns):
    pairs, order = order_of(tables)
    rings = tables[1].assign(**columns)
    return order, order_sums(WINDOW.blocks(block), rings, ring_pairs=pairs, ring_order=order)


def evaluate(sums):
    total = {name: np.float64(value.sum()) for name, value in sums.items()}
    return {name: float(statistic(total)) for name, statistic in ORDER_STATISTICS.items()}


def test_graphene():
    found = evaluate(count(voronoi_tables(triangular(70, 54, 11), window=(60, 44)))[1])
    expected = {
        "psi6_mean": 1,
        "ring_regularity_mean": 1,
        "crystalline_share": 1,
        "ring_area_6_mean": np.sqrt(3) / 2 * SPACING**2,
        "ring_distance_mean": SPACING,
        "hexagon_adjacency": 1,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert [found["ring_distance_std"], found["ring_size_variance"]] == pytest.approx([0, 0], abs=1e-6)
    undefined = {name for name, value in found.items() if np.isnan(value)}
    assert undefined == {
        "ring_area_5_mean",
        "ring_area_7_mean",
        "aboav_weaire_a",
        "ring_assortativity",
    }


def test_statistics_are_those_of_the_tables():
    _, rings, ring_atoms = tables = disordered()
    order, sums = count(tables)
    found = evaluate(sums)
    neighbours, sizes = neighbours_of(rings, ring_atoms), rings["size"].to_numpy()
    complete, inner = rings[rings["complete"]], order["complete"].to_numpy()
    assert 50 < inner.sum() < len(complete) < len(rings)
    distance = neighbour_distances(rings[["x", "y"]], neighbours)
    crystalline = inner & (order["crystallite"] >= 0)
    assert 0.1 < crystalline.sum() / inner.sum() < 0.9
    adjacency = ring_adjacency_table(rings, order_of(tables)[0])
    around = adjacency[adjacency["size"] == 6]
    to_hexagons = around.loc[around["neighbour_size"] == 6, "n_bonds"].sum()
    assert found == pytest.approx(
        {
            "psi6_mean": order.loc[inner, "psi6"].mean(),
            "ring_regularity_mean": order.loc[complete.index, "regularity"].mean(),
            "crystalline_share": rings.loc[crystalline, "area"].sum() / rings.loc[inner, "area"].sum(),
            **{f"ring_area_{n}_mean": complete.loc[complete["size"] == n, "area"].mean() for n in (5, 6, 7)},
            "ring_distance_mean": distance.mean(),
            "ring_distance_std": distance.std(),
            "hexagon_adjacency": to_hexagons / around["n_bonds"].sum(),
            "ring_size_variance": ring_size_variance(complete["size"]),
            "aboav_weaire_a": fit_aboav_weaire(sizes, neighbours).a,
            "ring_assortativity": size_assortativity(sizes, neighbours),
        }
    )
    assert found["ring_assortativity"] < 0


def test_weights_of_rings_are_used():
    tables = disordered()
    rings = tables[1]
    weight = np.where(rings["size"] == 7, 3.0, 1.0)
    found = evaluate(count(tables, weight=weight)[1])
    complete = rings["complete"].to_numpy()
    assert found["ring_size_variance"] == pytest.approx(
        ring_size_variance(rings["size"][complete], weights=weight[complete])
    )
    assert found["ring_area_7_mean"] == pytest.approx(evaluate(count(tables)[1])["ring_area_7_mean"])


def test_weights_of_neighbourhoods_are_used():
    sites, rings, ring_atoms = tables = disordered()
    order, sums = count(tables)
    pairs, neighbours = order_of(tables)[0], neighbours_of(rings, ring_atoms)
    weight = neighbourhood_weights(corner_boxes(rings, ring_atoms, sites), neighbours, WINDOW)
    inner = order["complete"].to_numpy()
    assert (weight[~inner] == 0).all()
    assert (weight[inner] > 1).all()
    grid, changed = WINDOW.blocks(9.0), order.assign(weight=weight)
    weighted = order_sums(grid, rings, ring_pairs=pairs, ring_order=changed)
    found, sizes = evaluate(weighted), rings["size"].to_numpy()
    fit = fit_aboav_weaire(sizes, neighbours, weights=weight)
    assert found["aboav_weaire_a"] == pytest.approx(fit.a)
    assert found["psi6_mean"] == pytest.approx(np.average(order["psi6"][inner], weights=weight[inner]))
    assert found["psi6_mean"] != pytest.approx(evaluate(sums)["psi6_mean"], rel=1e-6)
    areas = weight * rings["area"].to_numpy()
    is_crystalline = order["crystallite"].to_numpy() >= 0
    assert found["crystalline_share"] == pytest.approx(areas[is_crystalline].sum() / areas.sum())


def test_rings_that_are_not_complete_are_not_counted():
    sites, rings, ring_atoms = disordered()
    changed = rings.assign(area=np.where(rings["complete"], rings["area"], 1e6))
    for name, value in evaluate(count((sites, changed, ring_atoms))[1]).items():
        assert value == pytest.approx(evaluate(count((sites, rings, ring_atoms))[1])[name]), name


def test_blocks_add_up_and_resample():
    tables = disordered()
    fine, whole = count(tables)[1], count(tables, block=1000.0)[1]
    assert {len(value) for value in fine.values()} == {20}
    for name, value in fine.items():
        assert value.sum() == pytest.approx(whole[name].sum()), name
    sums = np.stack(list(fine.values()), axis=1)
    samples = resample_blocks(sums, n_resamples=200, rng=np.random.default_rng(0))
    resampled = dict(zip(fine, samples.T, strict=True))
    estimates = evaluate(fine)
    for name, statistic in ORDER_STATISTICS.items():
        values = statistic(resampled)
        assert values.shape == (200,)
        assert values.min() < estimates[name] < values.max(), name
        if name in SIGNED_ORDER_STATISTICS:
            assert np.isfinite(values).all()


def test_every_sum_is_made():
    sums = count(disordered())[1]
    wanted = {column for use in ORDER_STATISTICS.values() for column in vars(use).values() if column}
    assert wanted <= set(sums)


def test_crystalline_share_of_graphene_has_no_edge():
    """Rings at the edge, with few neighbours that are known, do not lower the share of a perfect crystal."""
    strict = CrystalliteParameters(min_hexagon_neighbours=6, min_psi6=0.9, max_misorientation=30, min_rings=3)
    tables = voronoi_tables(triangular(30, 24, 11))
    pairs, order = order_of(tables, strict)
    found = evaluate(order_sums(WINDOW.blocks(8.0), tables[1], ring_pairs=pairs, ring_order=order))
    assert found["crystalline_share"] == 1


@pytest.mark.parametrize("atoms", [[], [[5, 6]]])
def test_little_or_nothing(atoms):
    found = count(tables_of(make_sites(atoms), np.empty((0, 2), int)))[1]
    assert {value.sum() for value in found.values()} == {0}
    assert np.isnan(list(evaluate(found).values())).all()


def test_a_ring_of_one_place_has_no_shape():
    sites = make_sites([[0, 0], [0, 0], [0, 0]])
    rings = pd.DataFrame({"frame": [0], "size": 3, "x": 0.0, "y": 0.0, "area": 0.0, "complete": True})
    found = evaluate(count((sites, rings, pd.DataFrame({"frame": 0, "row": 0, "atom": [0, 1, 2]})))[1])
    assert found["ring_regularity_mean"] == 0


def test_refuses_what_does_not_belong_together():
    tables = disordered()
    pairs, order = order_of(tables)
    with pytest.raises(ValueError, match="ring_order must have"):
        order_sums(WINDOW.blocks(9.0), tables[1], ring_pairs=pairs, ring_order=order.iloc[1:])
