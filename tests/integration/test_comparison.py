"""Folders of results compared, through the command that a user types."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from results_folders import write_results


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("results"), np.random.default_rng(2)
    write_results(folder / "cold", rng, bond=1.42)
    write_results(folder / "hot", rng, bond=1.45)
    return folder


def compare(copy, folders, groups):
    named = {name: str(folders / folder) for name, folder in groups.items()}
    file = copy.folder / "conf" / "local" / "parameters_comparison.yml"
    file.write_text(yaml.safe_dump({"comparison": {"groups": named}}), encoding="utf-8")
    try:
        return copy.kedro("run", "--pipelines", "comparison", "--params", f"results={folders / 'both'}")
    finally:
        file.unlink()


def test_folders_are_compared(copy, folders):
    run = compare(copy, folders, {"cold": "cold", "hot": "hot"})
    assert run.code == 0, run.text
    both = folders / "both"
    row = pd.read_parquet(both / "comparison.parquet").set_index("statistic").loc["bond_mean"]
    assert (row["group"], row["reference"]) == ("hot", "cold")
    assert row["difference"] == pytest.approx(0.03, abs=0.006)
    assert row["n_micrographs_group"] == row["n_micrographs_reference"] == 3
    record = json.loads((both / "comparison.json").read_text(encoding="utf-8"))
    assert record["groups"]["hot"] == ["hot/first", "hot/second", "hot/third"]
    assert len(pd.read_parquet(both / "distribution_distances.parquet")) == 2
    for name in ("group_lengths", "group_angles", "group_rings", "group_pairs"):
        figure = json.loads((both / "figures" / f"{name}.json").read_text(encoding="utf-8"))
        assert {trace["name"] for trace in figure["data"] if "name" in trace} == {"cold", "hot"}, name
    assert (both / "figures" / "comparison.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (both / "figures" / "comparison.pdf").read_bytes().startswith(b"%PDF")


def test_a_folder_without_results_is_named(copy, folders):
    run = compare(copy, folders, {"cold": "cold", "hot": "nowhere"})
    assert run.code != 0
    assert "has no calibration.parquet; analyse its micrographs first" in " ".join(run.text.split())
