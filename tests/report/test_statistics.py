import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.statistics import STATISTICS as MEASURED
from amorph2d.report.statistics import (
    COMPARED,
    GROUPS,
    HEADLINES,
    Statistic,
    estimate,
    find_row,
    find_statistic,
    statistics_table,
)

ROW = {
    "micrograph": "a",
    "frame": 0,
    "n_atoms": 20000,
    "bond_mean": 1.42357,
    "bond_mean_low": 1.42201,
    "bond_mean_high": 1.42513,
    "density": 0.3753,
    "density_low": 0.3714,
    "density_high": 0.3792,
    "noise_floor": 0.05,
    "noise_floor_low": 0.04,
    "noise_floor_high": 0.062,
    "note": "text",
}


def lines(table):
    return {row.label: row for rows in table.values() for row in rows}


def test_values_are_written_with_their_intervals():
    rows = lines(statistics_table(ROW, None))
    assert rows["Atoms"].shown.value == "20\u202f000"
    assert rows["Bond length, mean"].shown.value == "1.4236"
    assert rows["Bond length, mean"].shown.interval == "1.4220 – 1.4251"
    assert rows["Bond length, mean"].unit == "Å"


def test_units_are_converted():
    row = lines(statistics_table(ROW, None))["Atoms per area"]
    assert (row.shown.value, row.shown.interval, row.unit) == ("37.53", "37.14 – 37.92", "nm⁻²")


def test_columns_without_a_group_are_not_lost():
    table = statistics_table(ROW, None)
    (further,) = table["Further"]
    assert (further.label, further.shown.value, further.shown.interval) == (
        "Noise floor",
        "0.050",
        "0.040 – 0.062",
    )


def test_pooled_values_stand_beside():
    rows = lines(statistics_table(ROW, {**ROW, "n_atoms": 60000}))
    assert rows["Atoms"].pooled.value == "60\u202f000"


def test_what_neither_row_knows_is_left_out():
    unknown = {"bond_mean": np.nan, "bond_std": np.nan}
    assert statistics_table(unknown, None) == {}
    kept = lines(statistics_table(unknown, {"bond_mean": 1.4}))
    assert list(kept) == ["Bond length, mean"]
    assert kept["Bond length, mean"].shown.value == "–"


def test_no_row_gives_no_table():
    assert statistics_table(None, ROW) == {}


def test_rows_are_found_by_name_and_frame():
    summary = pd.DataFrame({"micrograph": ["a", "a", "pooled"], "frame": [0, 1, -1], "n_atoms": [1, 2, 3]})
    assert find_row(summary, "a", 1)["n_atoms"] == 2
    assert find_row(summary, "pooled")["n_atoms"] == 3
    assert find_row(summary, "b", 0) is None
    assert find_row(pd.DataFrame(), "a", 0) is None


@pytest.mark.parametrize("statistic", [*HEADLINES, *COMPARED], ids=lambda item: item.key)
def test_what_is_shown_is_what_is_measured(statistic):
    assert statistic.key in {*MEASURED, "n_atoms"}


def test_every_measured_statistic_has_a_name():
    assert set(MEASURED) <= {statistic.key for group in GROUPS.values() for statistic in group}


def test_an_estimate_that_is_not_there():
    assert estimate({}, HEADLINES[0]) is None
    assert estimate(None, HEADLINES[0]) is None
    assert estimate({"n_atoms": True}, HEADLINES[0]).value == "–"


def test_a_statistic_is_found_by_its_column():
    assert find_statistic("crystalline_share").unit == "%"
    assert find_statistic("n_new_things") == Statistic("n_new_things", "N new things", is_count=True)
