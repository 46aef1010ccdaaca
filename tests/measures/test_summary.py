import numpy as np
import pandas as pd
import pytest

from amorph2d.datasets.tables import read_units, write_table
from amorph2d.measures.config import IntervalParameters
from amorph2d.measures.statistics import STATISTICS
from amorph2d.measures.summary import count_in_blocks, summarise_blocks, summary_table
from amorph2d.measures.tables import angles_table, bonds_table, rings_table
from amorph2d.measures.window import RectangularWindow
from strategies import BOND, honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters(intervals={"block": 8.0, "n_resamples": 200})
INTERVALS: IntervalParameters = PARAMETERS.intervals
MANY = INTERVALS.model_copy(update={"n_resamples": 2000})


def count(sites, window, block=INTERVALS.block):
    bonds = bonds_table(sites, PARAMETERS)
    angles = angles_table(sites, bonds)
    return count_in_blocks(
        sites, bonds, angles, rings_table(sites, bonds, PARAMETERS), window=window, block=block
    )


def summarise(counts):
    return summarise_blocks(counts, INTERVALS, np.random.default_rng(0))


def sheet(seed=0, noise=0.05, missing=6, frame=0, border=4.0):
    """Part of a disordered sheet, and the window in which it is analysable."""
    atoms, centres, box = honeycomb(14, 9)
    rng = np.random.default_rng(seed)
    atoms = np.delete(atoms, rng.choice(len(atoms), missing, replace=False), axis=0)
    atoms = atoms + rng.normal(0, noise, atoms.shape)
    window = RectangularWindow(border, border, *(box - border).tolist())
    sites = make_sites(atoms, centres, frame=frame)
    return sites.assign(analysable=window.contains(sites[["x", "y"]].to_numpy())), window


def test_graphene():
    sites, window = sheet(noise=0, missing=0)
    row = summarise(count(sites, window))
    assert row["ring_fraction_6"] == row["coordination_fraction_3"] == 1
    assert row["ring_fraction_5"] == row["ring_fraction_9_or_more"] == row["coordination_fraction_2"] == 0
    assert row["mean_ring_size"] == 6
    assert row["coordination_mean"] == 3
    assert row["angles_per_bond"] == 2
    assert row["bond_mean"] == pytest.approx(BOND)
    assert row["bond_std"] == pytest.approx(0, abs=1e-6)
    assert row["angle_mean"] == pytest.approx(120)
    assert row["angle_std"] == pytest.approx(0, abs=1e-5)
    assert row["density"] == pytest.approx(4 / (3 * np.sqrt(3)) / BOND**2, rel=0.02)
    assert row["euler_characteristic"] == 1
    assert row["n_ring_count_disagreements"] == 0


def test_counts_follow_from_the_tables():
    sites, window = sheet()
    bonds = bonds_table(sites, PARAMETERS)
    angles = angles_table(sites, bonds)
    rings = rings_table(sites, bonds, PARAMETERS)
    row = summarise(count(sites, window))
    counted = sites.loc[sites["analysable"] & (sites["kind"] == "atom"), "site"]
    both = bonds["atom_i"].isin(counted) & bonds["atom_j"].isin(counted)
    at = angles["vertex"].isin(counted)
    complete = rings[rings["complete"]]
    ends = pd.concat([bonds["atom_i"], bonds["atom_j"]]).value_counts().reindex(counted, fill_value=0)
    assert row["n_atoms"] == len(counted)
    assert row["n_bonds"] == both.sum()
    assert row["n_angles"] == at.sum()
    assert (row["n_rings"], row["n_complete_rings"]) == (len(rings), len(complete))
    assert len(complete) < len(rings)
    assert row["euler_characteristic"] == len(counted) - both.sum() + len(complete)
    assert row["bond_mean"] == pytest.approx(bonds.loc[both, "length"].mean())
    assert row["bond_std"] == pytest.approx(bonds.loc[both, "length"].std(ddof=0))
    assert row["angle_mean"] == pytest.approx(angles.loc[at, "angle"].mean())
    assert row["angle_std"] == pytest.approx(angles.loc[at, "angle"].std(ddof=0))
    assert row["mean_ring_size"] == pytest.approx(complete["size"].mean())
    assert row["ring_fraction_6"] == pytest.approx((complete["size"] == 6).mean())
    assert row["ring_fraction_9_or_more"] == pytest.approx((complete["size"] >= 9).mean())
    assert row["ring_fraction_9_or_more"] > 0
    assert row["coordination_mean"] == pytest.approx(ends.mean())
    assert row["coordination_fraction_2"] == pytest.approx((ends == 2).mean())
    assert row["density"] == pytest.approx(len(counted) / window.area)


def test_ring_fractions_do_not_count_rings_cut_by_the_border():
    sites, window = sheet(missing=0)
    cut = sites[sites["analysable"] | (sites["x"] < 20)]
    row = summarise(count(cut, window))
    assert row["n_complete_rings"] < row["n_rings"]
    assert row["ring_fraction_6"] == 1


def test_bonds_across_the_border_count_half_in_angles_per_bond():
    sites, window = sheet(missing=0)
    row = summarise(count(sites, window))
    assert row["angles_per_bond"] == 2
    assert row["n_angles"] / row["n_bonds"] > 2.05


def test_every_statistic_lies_in_its_interval():
    row = summarise(count(*sheet(noise=0.08, missing=20)))
    for name in STATISTICS:
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"], name
    assert row["bond_mean_low"] < row["bond_mean_high"]


def test_criteria_that_disagree_are_counted():
    sites, window = sheet(noise=0, missing=0)
    bonds = bonds_table(sites, PARAMETERS)
    rings = rings_table(sites, bonds, PARAMETERS)
    complete = rings.index[rings["complete"]]
    rings.loc[complete[[3, 30]], "size"] = 7
    tables = (sites, bonds, angles_table(sites, bonds), rings)
    assert summarise(count_in_blocks(*tables, window=window, block=8))["n_ring_count_disagreements"] == 2


def test_blocks_add_up_to_the_whole():
    sites, window = sheet()
    fine, whole = count(sites, window), count(sites, window, block=1000)
    assert len(fine) > 6
    assert len(whole) == 4  # quarters of one block
    assert whole["wide"].nunique() == 1
    sums = [table.drop(columns=["block", "wide"]).sum() for table in (fine, whole)]
    np.testing.assert_allclose(*sums)
    assert whole["area"].sum() == pytest.approx(window.area)


def test_one_block_has_no_interval():
    row = summarise(count(*sheet(), block=1000))
    assert row["n_atoms"] > 0
    assert np.isnan([row["bond_mean_low"], row["ring_fraction_6_high"], row["density_low"]]).all()


@pytest.mark.parametrize("atoms", [[], [[5, 6]], [[5, 6], [6.4, 6]]])
def test_little_or_nothing(atoms):
    row = summarise(count(make_sites(atoms), RectangularWindow(0, 0, 20, 31)))
    assert (row["n_atoms"], row["n_bonds"], row["n_rings"]) == (len(atoms), max(len(atoms) - 1, 0), 0)
    assert row["density"] == len(atoms) / 620
    assert np.isnan(row["ring_fraction_6"])
    assert np.isnan(row["angle_std_high"])
    assert np.isnan(row["coordination_mean"]) == (len(atoms) == 0)


def test_pooled_row_is_that_of_all_items():
    first, window = sheet(0)
    second, _ = sheet(1, noise=0.1, frame=4)
    third, small = sheet(2, missing=30, border=9.0)
    counts = {"a": count(pd.concat([first, second]), window), "b": count(third, small)}
    table = summary_table(counts, INTERVALS, np.random.default_rng(0))
    assert table[["micrograph", "frame"]].to_numpy().tolist() == [
        ["a", 0],
        ["a", 4],
        ["b", 0],
        ["pooled", -1],
    ]
    each, pooled = table.iloc[:-1], table.iloc[-1]
    for name in ("n_atoms", "n_bonds", "n_angles", "n_complete_rings"):
        assert pooled[name] == each[name].sum()
    assert pooled["bond_mean"] == pytest.approx(np.average(each["bond_mean"], weights=each["n_bonds"]))
    assert pooled["ring_fraction_6"] == pytest.approx(
        np.average(each["ring_fraction_6"], weights=each["n_complete_rings"])
    )
    assert pooled["density"] == pytest.approx(each["n_atoms"].sum() / (2 * window.area + small.area))


def even_blocks(rng, mean=1.4, scatter=0.01, n=64):
    """Blocks of bonds, without anything that neighbours have in common, and their quarters."""
    length = 10 * mean + 10 * rng.normal(0, scatter, 4 * n)
    blocks = pd.DataFrame({"frame": np.int32(0), "block": np.arange(4 * n), "bonds": 10.0})
    return blocks.assign(wide=blocks["block"] // 4, length=length)


def test_intervals_of_pooled_micrographs_are_narrower():
    rng = np.random.default_rng(3)
    table = summary_table({"a": even_blocks(rng), "b": even_blocks(rng)}, MANY, rng)
    width = table["bond_mean_high"] - table["bond_mean_low"]
    assert width.iloc[-1] / width.iloc[:-1].mean() == pytest.approx(np.sqrt(0.5), abs=0.1)


def test_frames_of_a_series_show_the_same_sheet_in_the_pooled_row():
    rng = np.random.default_rng(4)
    once = even_blocks(rng)
    frames = [once.assign(frame=np.int32(frame)) for frame in range(6)]
    table = summary_table({"a": pd.concat(frames, ignore_index=True)}, MANY, rng)
    width = table["bond_mean_high"] - table["bond_mean_low"]
    assert width.iloc[-1] / width.iloc[0] == pytest.approx(1, abs=0.1)


def test_many_micrographs_are_drawn_whole():
    # Each is even in itself, and differs from the others: blocks of it do not tell by how much.
    rng = np.random.default_rng(5)
    means = rng.normal(1.4, 0.01, 8)
    counts = {str(number): even_blocks(rng, mean, scatter=1e-5) for number, mean in enumerate(means)}
    few = summary_table(dict(list(counts.items())[:2]), MANY, rng).iloc[-1]
    assert few["bond_mean_high"] - few["bond_mean_low"] < np.ptp(means[:2])
    table = summary_table(counts, MANY, rng)
    half = 2.365 * means.std(ddof=1) / np.sqrt(8)  # Student's t with 7 degrees of freedom
    assert table["bond_mean_high"].iloc[-1] == pytest.approx(means.mean() + half, abs=0.1 * half)


def test_same_seed_same_table():
    counts = {"a": count(*sheet())}
    tables = [summary_table(counts, INTERVALS, np.random.default_rng(3)) for _ in range(2)]
    pd.testing.assert_frame_equal(*tables)


def test_no_micrographs_leave_an_empty_pooled_row():
    table = summary_table({}, INTERVALS, np.random.default_rng(0))
    assert table["micrograph"].tolist() == ["pooled"]
    assert table["n_atoms"].tolist() == [0]
    assert np.isnan(table["bond_mean"]).all()
    assert list(table) == list(summary_table({"a": count(*sheet())}, INTERVALS, np.random.default_rng(0)))


def test_refuses_blocks_without_size():
    with pytest.raises(ValueError, match="block must be > 0 Å, got 0"):
        count(*sheet(), block=0)


def test_units_are_those_of_statistics_that_there_are(tmp_path):
    table = summary_table({}, INTERVALS, np.random.default_rng(0))
    write_table(tmp_path / "summary.parquet", table)
    units = read_units(tmp_path / "summary.parquet")
    assert units["bond_std_high"] == "Å"
    assert units["density"] == "1/Å²"
    assert units == table.attrs["units"]


def test_what_was_not_seen_may_be_rare():
    blocks = pd.DataFrame(
        {"defects_stone_wales": 0.0, "defects_vacancy": [0.0, 2.0, 1.0], "defect_area": 400.0}
    )
    row = summarise_blocks(blocks, INTERVALS, np.random.default_rng(0))
    assert row["defect_density_stone_wales"] == row["defect_density_stone_wales_low"] == 0
    # No event where 3.689 are expected is as likely as a half of 5 %.
    assert row["defect_density_stone_wales_high"] == pytest.approx(3.689 / 1200, rel=1e-3)
    assert row["defect_density_vacancy"] == pytest.approx(3 / 1200)
    assert row["defect_density_vacancy_low"] < 3 / 1200 < row["defect_density_vacancy_high"]


def test_missed_and_false_atoms_widen_intervals():
    counts = {"a": count(*sheet(1)), "b": count(*sheet(2))}
    rows = pd.DataFrame(
        {
            "frame": np.int32(0),
            "statistic": ["ring_fraction_6", "density"],
            "n_atoms": 300,
            "n_false": 2.0,
            "n_missed": 4.0,
            "shift": [0.03, 0.0],
            "shift_error": [0.04, 0.0],
        }
    )
    surer = rows.assign(n_atoms=100, n_missed=1.0, shift=0.0, shift_error=0.0)
    without, given = (
        summary_table(counts, MANY, np.random.default_rng(0), detection=detection)
        for detection in (None, {"a": rows, "b": surer})
    )
    assert without["n_missed_expected"].isna().all()
    assert given["n_missed_expected"].tolist() == [4, 1, 5]
    assert given["n_false_expected"].tolist() == [2, 2, 4]
    np.testing.assert_allclose(given["ring_fraction_6"], without["ring_fraction_6"])
    up, higher = (table["ring_fraction_6_high"] - table["ring_fraction_6"] for table in (without, given))
    added = np.array([0.05, 0, 0.05 * 300 / 400])  # of all frames: averaged by their atoms
    np.testing.assert_allclose(
        higher, np.minimum(np.hypot(up, added), 1 - given["ring_fraction_6"]), rtol=1e-4
    )
    np.testing.assert_allclose(given["density_low"], without["density_low"])
    assert given["ring_fraction_6_high"].max() <= 1


def test_what_is_alone_is_pooled_as_it_is():
    table = summary_table({"a": count(*sheet())}, INTERVALS, np.random.default_rng(0))
    alone, pooled = (row.drop(["micrograph", "frame"]) for _, row in table.iterrows())
    pd.testing.assert_series_equal(alone, pooled, check_names=False)
