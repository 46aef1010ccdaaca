"""Real micrographs and structures of another making; skipped where shared/realdata is not there."""

import shutil

import pandas as pd
import pytest
from scipy.spatial import cKDTree


@pytest.fixture(scope="module")
def ulm(realdata, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ulm")
    shutil.copy(realdata / "ulm" / "graphene_defect_raw.dm3", folder)
    return folder


def test_without_a_sampling_the_error_names_the_three_ways(copy, ulm, tmp_path):
    done = copy.analyse(ulm, tmp_path)
    assert done.code == 1
    assert "Traceback" not in done.text
    text = " ".join(done.text.split())
    assert "graphene_defect_raw.dm3" in text
    for way in ("sampling=", "sampling.csv"):
        assert way in text


def test_graphene_with_a_grain_boundary(copy, ulm, tmp_path):
    done = copy.analyse(ulm, tmp_path, sampling=0.109)
    assert done.code == 0, done.text
    row = pd.read_parquet(tmp_path / "summary.parquet").iloc[0]
    rings = pd.read_parquet(tmp_path / "rings" / "graphene_defect_raw.parquet")
    rings = rings[rings["complete"]]
    # Beside the debris atoms are missing, and what is left around them may be taken for one large ring.
    is_hole = rings["size"] > 8
    assert is_hole.sum() <= 1
    rings = rings[~is_hole]
    # A chain of pentagons and heptagons crosses the field; a ring is away from it beyond its neighbours.
    places, is_hexagon = rings[["x", "y"]].to_numpy(), (rings["size"] == 6).to_numpy()
    to_next = cKDTree(places[~is_hexagon]).query(places, k=2)[0]
    assert to_next[~is_hexagon, 1].max() < 5
    assert set(rings["size"]) == {5, 6, 7}
    away = to_next[:, 0] > 6
    assert away.sum() > 300
    assert is_hexagon[away].all()
    assert row["ring_fraction_6"] >= 0.935
    assert row["bond_mean"] == pytest.approx(1.42, abs=0.03)
    assert row["angle_mean"] == pytest.approx(120, abs=2)
    calibration = pd.read_parquet(tmp_path / "calibration.parquet").iloc[0]
    assert calibration["polarity"] == "dark atoms"
    assert calibration["sampling_source"] == "parameter"


@pytest.mark.slow
@pytest.mark.parametrize("bright", [True, False])
def test_polycrystal_imaged_by_abtem(realdata, project, monkeypatch, bright):
    from amorph2d.learning.storage import load_network

    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    from scenes.cache import simulate
    from scenes.judge import judge_sites, ratios
    from scenes.standard import site_images, structure_paths

    paths = structure_paths([realdata / "coordinates" / "20000-1488eV.data"], None)
    chosen = next(
        image
        for image in site_images(paths)
        if image.conditions.bright_atoms == bright and image.conditions.dose_per_area == 1e4
    )
    network = load_network(project / "src" / "amorph2d" / "networks" / "sites")
    counts = pd.Series({"images": 1, **judge_sites(simulate(chosen, paths), network)})
    scores = ratios(counts)
    assert scores["atom F1"] >= 0.999
    assert scores["ring F1"] >= 0.998
    assert scores["atom RMSE"] <= 0.07
    assert abs(scores["Δ6"]) <= 0.5
