import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from amorph2d.pipelines.comparison.nodes import compare_folders
from amorph2d.pipelines.comparison.results import FolderParameters, open_results
from results_folders import PARAMETERS, write_results


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(1)
    return [
        str(write_results(folder / name, rng, bond=bond, names=names))
        for name, bond, names in (
            ("narrow", 1.42, ("one", "two", "three")),
            ("wide", 1.45, ("one", "two")),
            ("more", 1.45, ("one",)),
        )
    ]


def test_micrographs_of_several_folders_are_found(folders):
    opened = open_results({"a": folders[0], "b": folders[1:]})
    assert opened.groups == {
        "a/one": "a",
        "a/two": "a",
        "a/three": "a",
        "b/wide/one": "b",
        "b/wide/two": "b",
        "b/more/one": "b",
    }
    for name in ("counts", "sites", "bonds", "angles", "pdf"):
        assert opened.tables[name].keys() == opened.groups.keys()
    first, second = (opened.tables["bonds"][key]()["length"].mean() for key in ("a/one", "b/more/one"))
    assert (first, second) == (pytest.approx(1.42, abs=0.01), pytest.approx(1.45, abs=0.01))


def test_folders_are_compared(folders):
    chosen = FolderParameters(groups={"a": folders[0], "b": folders[1:]})
    comparison, distances, record, *figures = compare_folders(chosen, PARAMETERS)
    row = comparison.set_index("statistic").loc["bond_mean"]
    assert (row["group"], row["reference"], row["test"]) == ("b", "a", "between micrographs")
    assert row["difference"] == pytest.approx(0.03, abs=0.006)
    assert row["low"] < row["difference"] < row["high"]
    assert row["p_value"] == pytest.approx(0.1)  # the least that three against three can have
    assert set(distances["quantity"]) == {"bond length", "bond angle"}
    assert record["groups"]["b"] == ["b/wide/one", "b/wide/two", "b/more/one"]
    assert len(record["comparison"]) == len(comparison)
    assert len(record["literature"]) == len(PARAMETERS.literature)
    lengths, angles, rings, pairs, printed, same = figures
    for figure in (lengths, angles, rings, pairs):
        assert [trace.name for trace in figure.data if trace.name] != []
    assert {trace.name for trace in pairs.data if trace.name} == {"a", "b"}
    assert printed is same


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "at least two groups, {name: folder, …}, got none"),
        ({"a": "0"}, "at least two groups, {name: folder, …}, got a;"),
        ({"a": "0", "b": "0"}, "must be named once, got it in 'a' and 'b'"),
        ({"a": "0", "b": "nowhere"}, "nowhere has no calibration.parquet; analyse its micrographs first"),
        ({"a": "0", "b": []}, "no micrograph of 'b' was analysed"),
    ],
)
def test_wrong_groups(folders, groups, message):
    named = {
        name: folders[int(folder)] if folder in ("0", "1") else folder for name, folder in groups.items()
    }
    with pytest.raises(ValueError) as caught:
        open_results(named)
    assert message in str(caught.value)


def test_folders_of_one_name_in_one_group(folders, tmp_path):
    shutil.copytree(folders[1], tmp_path / "wide")
    with pytest.raises(ValueError, match="folders of 'b' must have different names, got 'wide' twice"):
        open_results({"a": folders[0], "b": [folders[1], str(tmp_path / "wide")]})


def test_unfinished_results(folders, tmp_path):
    shutil.copytree(folders[1], tmp_path / "results")
    (tmp_path / "results" / "bonds" / "two.parquet").unlink()
    with pytest.raises(ValueError, match="bonds has nothing of 'two'; run the statistics pipeline"):
        open_results({"a": folders[0], "b": str(tmp_path / "results")})
    calibration = pd.DataFrame({"micrograph": ["one"], "status": ["not analysed"]})
    calibration.to_parquet(tmp_path / "results" / "calibration.parquet")
    with pytest.raises(ValueError, match="no micrograph of 'b' was analysed"):
        open_results({"a": folders[0], "b": str(tmp_path / "results")})
