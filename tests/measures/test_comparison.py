from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.comparison import (
    BETWEEN,
    COMPARISON_COLUMNS,
    WITHIN,
    compare_groups,
    distribution_distance,
)
from amorph2d.measures.grouped import compare_all
from strategies import honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters(intervals={"n_resamples": 200}, comparison={"n_permutations": 199})
INTERVALS = PARAMETERS.intervals


def settings(**changes):
    return PARAMETERS.comparison.model_copy(update=changes)


def blocks(rng, *, mean=1.42, n_blocks=9, between=0.0):
    """Sums of bonds in blocks whose lengths have a mean, which differs between micrographs."""
    own = mean + rng.normal(0, between)
    n = rng.poisson(60, n_blocks).astype(float)
    length = n * own + rng.normal(0, 0.05, n_blocks) * np.sqrt(n)
    return pd.DataFrame({"bonds": n, "length": length, "length_squared": length**2 / n})


def compare(counts, groups, **changes):
    rng = np.random.default_rng(3)
    table = compare_groups(counts, groups, parameters=settings(**changes), intervals=INTERVALS, rng=rng)
    return table.set_index("statistic")


def drawn(rng, n, **difference):
    counts = {f"a{k}": blocks(rng, between=0.004) for k in range(n)}
    counts |= {f"b{k}": blocks(rng, between=0.004, **difference) for k in range(n)}
    return counts, {name: name[0] for name in counts}


def test_values_and_difference_are_those_of_all_blocks():
    counts, groups = drawn(np.random.default_rng(0), 4, mean=1.45)
    row = compare(counts, groups).loc["bond_mean"]
    for side, value in (("b", row["value_group"]), ("a", row["value_reference"])):
        own = pd.concat([counts[name] for name in counts if name[0] == side])
        assert value == pytest.approx(own["length"].sum() / own["bonds"].sum())
    assert row["difference"] == pytest.approx(row["value_group"] - row["value_reference"])
    assert row["low"] < row["difference"] < row["high"]
    assert (row["group"], row["reference"], row["test"]) == ("b", "a", BETWEEN)
    assert row["n_micrographs_group"] == 4


def test_p_values_of_few_micrographs_are_exact():
    counts, groups = drawn(np.random.default_rng(1), 3, mean=1.6)
    row = compare(counts, groups).loc["bond_mean"]
    # Of the twenty ways to draw three of six, this one and its opposite differ most.
    assert row["p_value"] == pytest.approx(0.1)
    names = sorted(counts)
    sums = {name: (counts[name]["length"].sum(), counts[name]["bonds"].sum()) for name in names}

    def mean(chosen):
        return np.divide(*np.sum([sums[name] for name in chosen], axis=0))

    near, near_groups = drawn(np.random.default_rng(5), 3)
    sums = {name: (near[name]["length"].sum(), near[name]["bonds"].sum()) for name in near}
    found = compare(near, near_groups).loc["bond_mean"]
    differences = [abs(mean(three) - mean(set(near) - set(three))) for three in combinations(sorted(near), 3)]
    expected = np.mean(np.array(differences) >= abs(found["difference"]) * (1 - 1e-9))
    assert found["p_value"] == pytest.approx(expected)


@pytest.mark.parametrize(("n", "test"), [(6, BETWEEN), (1, WITHIN)])
def test_equal_groups_differ_as_often_as_stated(n, test):
    rng = np.random.default_rng(7)
    spread = 0.004 if test == BETWEEN else 0.0
    found = []
    for _ in range(60):
        counts = {f"{side}{k}": blocks(rng, between=spread) for side in "ab" for k in range(n)}
        row = compare(counts, {name: name[0] for name in counts}).loc["bond_mean"]
        assert row["test"] == test
        found.append((row["p_value"] <= 0.1, row["low"] <= 0 <= row["high"]))
    rejected, covered = np.mean(found, axis=0)
    assert rejected < 0.22  # three standard errors above 0.1
    assert covered > 0.86


def test_blocks_of_one_micrograph_cannot_tell_its_sample_from_itself():
    rng = np.random.default_rng(11)
    p_between, p_within = [], []
    for _ in range(20):
        counts = {f"{side}{k}": blocks(rng, between=0.03) for side in "ab" for k in range(4)}
        groups = {name: name[0] for name in counts}
        p_between.append(compare(counts, groups).loc["bond_mean", "p_value"])
        p_within.append(compare(counts, groups, min_micrographs=5).loc["bond_mean", "p_value"])
    assert np.mean(np.array(p_between) <= 0.05) < 0.2
    assert np.mean(np.array(p_within) <= 0.05) > 0.3  # micrographs differ, the groups do not


def test_a_difference_is_found():
    counts, groups = drawn(np.random.default_rng(2), 8, mean=1.45)
    row = compare(counts, groups).loc["bond_mean"]
    assert row["p_value"] <= 0.01
    assert row["q_value"] >= row["p_value"]
    assert row["low"] > 0
    assert row["low"] < 0.03 < row["high"]


def test_each_group_against_the_reference():
    rng = np.random.default_rng(4)
    counts = {f"{side}{k}": blocks(rng) for side in "abc" for k in range(3)}
    table = compare(counts, {name: name[0] for name in counts}, reference="b")
    assert set(zip(table["group"], table["reference"], strict=True)) == {("a", "b"), ("c", "b")}


@pytest.mark.parametrize(
    ("groups", "reference", "message"),
    [
        ({"a0": "x", "a1": "x"}, None, "groups must be at least two, got x"),
        ({}, None, "groups must be at least two, got none"),
        ({"a0": "x", "z": "y"}, None, "groups must be of analysed micrographs, got z"),
        ({"a0": "x", "a1": "y"}, "w", "reference must be one of x, y, got w"),
    ],
)
def test_refuses(groups, reference, message):
    counts = {name: blocks(np.random.default_rng(0)) for name in ("a0", "a1")}
    with pytest.raises(ValueError, match=message):
        compare(counts, groups, reference=reference)


def test_distance_of_distributions():
    rng = np.random.default_rng(6)
    values = {f"{side}{k}": rng.normal(0.8 * (side == "b"), 1, 400) for side in "ab" for k in range(4)}
    groups = {name: name[0] for name in values}
    distance, p_value = distribution_distance(values, groups, n_permutations=199, rng=rng)
    assert distance == pytest.approx(0.31, abs=0.04)  # 2 Φ(0.4) − 1
    assert p_value == pytest.approx(2 / 70)
    same = {name: rng.normal(0, 1, 400) for name in values}
    assert distribution_distance(same, groups, n_permutations=199, rng=rng)[0] < 0.08
    nothing = {name: np.empty(0) for name in values}
    assert np.isnan(distribution_distance(nothing, groups, n_permutations=199, rng=rng)).all()
    with pytest.raises(ValueError, match="groups must be two, got 1"):
        distribution_distance(values, dict.fromkeys(values, "a"), n_permutations=99, rng=rng)


def test_values_of_the_groups_are_those_that_count():
    atoms, centres, _ = honeycomb(6, 4)
    from amorph2d.measures.counting import count_frame, frame_tables
    from amorph2d.measures.tables import angles_table, network_tables
    from amorph2d.measures.window import RectangularWindow

    window = RectangularWindow(2, 2, 12, 14)
    tables = {}
    for name, scale in (("a", 1.0), ("b", 1.02)):
        places = np.concatenate([atoms, centres]) * scale
        sites = make_sites(atoms * scale, centres * scale, analysable=window.contains(places))
        bonds, rings, ring_atoms = network_tables(sites, PARAMETERS)
        angles = angles_table(sites, bonds)
        found = frame_tables(0, sites, bonds, angles, rings, ring_atoms, window=window, seen=window)
        tables[name] = (sites, bonds, angles, count_frame(found, PARAMETERS))
    readers = [{name: partial(each.__getitem__, k) for name, each in tables.items()} for k in range(4)]
    found = compare_all(readers[3], tuple(readers[:3]), {"a": "small", "b": "large"}, PARAMETERS)
    row = found.comparison.set_index("statistic").loc["bond_mean"]
    assert found.lengths["small"] == pytest.approx(1.42)
    assert found.lengths["large"] == pytest.approx(1.42 * 1.02)
    assert row["value_reference"] == pytest.approx(1.42 * 1.02)  # the first group by name
    assert len(found.lengths["small"]) == tables["a"][3]["bonds"].sum()
    assert len(found.angles["small"]) == tables["a"][3]["angles"].sum()
    lengths = found.distances.set_index("quantity").loc["bond length"]
    assert lengths["distance"] == pytest.approx(1)
    nothing = compare_all(readers[3], tuple(readers[:3]), {}, PARAMETERS)
    assert {name: str(kind) for name, kind in nothing.comparison.dtypes.items()} == COMPARISON_COLUMNS
    assert len(nothing.comparison) == len(nothing.distances) == len(nothing.lengths) == 0


def compare_sides(counts, **changes):
    return compare(counts, {name: name[0] for name in counts}, **changes)


def scattered(rng, *, scatter, n_blocks=9):
    own = 1.42 + rng.normal(0, scatter)
    n = rng.poisson(60, n_blocks).astype(float)
    numbers = np.arange(n_blocks)
    blocks = {"block": numbers, "wide": numbers}
    return pd.DataFrame(blocks | {"bonds": n, "length": n * own, "length_squared": n * own**2})


def test_groups_that_scatter_differently_differ_as_often_as_stated():
    rng, rejected = np.random.default_rng(0), []
    for _ in range(40):
        counts = {f"a{k}": scattered(rng, scatter=0.01) for k in range(6)}
        counts |= {f"b{k}": scattered(rng, scatter=0.002) for k in range(18)}
        rejected.append(compare_sides(counts).loc["bond_mean", "p_value"] <= 0.1)
    assert np.mean(rejected) < 0.25  # plain differences: 0.3 at half that level


def test_share_that_neither_group_has_is_known_only_to_so_much():
    rows = {"rings": np.full(5, 40.0), "ring_weight": np.full(5, 40.0), "weight_6": np.full(5, 40.0)}
    row = compare_sides({f"{side}{k}": pd.DataFrame(rows) for side in "ab" for k in range(4)})
    none = row.loc["ring_fraction_5"]
    assert none["difference"] == 0
    # Wilson: z² / (n + z²) of 800 rings, with z of Student for 6 degrees of freedom.
    expected = 2.447**2 / (800 + 2.447**2)
    assert none["high"] == pytest.approx(expected, rel=1e-3)
    assert none["low"] == pytest.approx(-expected, rel=1e-3)
    assert none["p_value"] == 1


def test_frames_of_a_series_show_the_same_sheet():
    rng = np.random.default_rng(1)
    once = {name: scattered(rng, scatter=0.01, n_blocks=12).assign(frame=0) for name in ("a0", "b0")}
    for table in once.values():
        table["length"] += rng.normal(0, 0.5, len(table))
    often = {
        name: pd.concat([table.assign(frame=frame) for frame in range(5)], ignore_index=True)
        for name, table in once.items()
    }
    first, second = (compare_sides(each, n_permutations=999).loc["bond_mean"] for each in (once, often))
    assert second["difference"] == pytest.approx(first["difference"])
    assert second["high"] - second["low"] == pytest.approx(first["high"] - first["low"], rel=1e-6)
    assert second["p_value"] == pytest.approx(first["p_value"])


def test_both_values_have_intervals_and_units():
    rng = np.random.default_rng(2)
    row = compare_sides({f"{side}{k}": scattered(rng, scatter=0.01) for side in "ab" for k in range(5)})
    bond = row.loc["bond_mean"]
    assert bond["unit"] == "Å"
    for side in ("group", "reference"):
        assert bond[f"low_{side}"] < bond[f"value_{side}"] < bond[f"high_{side}"]
    # Independent groups of one size: the interval of the difference is about √2 times as wide.
    widths = [bond[f"high_{side}"] - bond[f"low_{side}"] for side in ("group", "reference")]
    assert bond["high"] - bond["low"] == pytest.approx(np.hypot(*widths), rel=0.25)
