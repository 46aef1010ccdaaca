"""Real micrographs and structures of another making; skipped where shared/realdata is not there."""

import shutil

import numpy as np
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
    # A chain of pentagons and heptagons crosses the field; a ring is away from it beyond its neighbours.
    places, is_hexagon = rings[["x", "y"]].to_numpy(), (rings["size"] == 6).to_numpy()
    to_next = cKDTree(places[~is_hexagon]).query(places, k=2)[0]
    assert to_next[~is_hexagon, 1].max() < 5
    assert set(rings["size"]) == {5, 6, 7}
    away = to_next[:, 0] > 6
    assert away.sum() > 300
    assert is_hexagon[away].all()
    assert row["ring_fraction_6"] >= 0.94
    assert row["bond_mean"] == pytest.approx(1.42, abs=0.03)
    assert row["angle_mean"] == pytest.approx(120, abs=2)
    calibration = pd.read_parquet(tmp_path / "calibration.parquet").iloc[0]
    assert calibration["polarity"] == "dark atoms"
    assert calibration["sampling_source"] == "parameter"


@pytest.mark.parametrize("bright", [True, False])
def test_polycrystal_that_the_training_never_saw(realdata, project, bright):
    import importlib.util

    from amorph2d.imaging.simulate import image_sheet
    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.config import LocalisationParameters
    from amorph2d.localisation.locate import locate_sites
    from amorph2d.localisation.scores import score_sites

    spec = importlib.util.spec_from_file_location("accuracy", project / "benchmarks" / "accuracy.py")
    accuracy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(accuracy)
    sheet = accuracy.read_sheet(realdata / "coordinates" / "20000-1488eV.data")
    image = image_sheet(sheet, accuracy.condition(energy=8e4, bright_atoms=bright, dose=1e4, seed=1))
    parameters = LocalisationParameters(
        tile_size=1024,
        batch_size=1,
        thresholds={"atom": None, "ring": None},
        min_distance=0.6,
        border=2.0,
        precision="auto",
    )
    network = load_network(project / "src" / "amorph2d" / "networks" / "sites")
    sites = locate_sites(image.image, sampling=(0.2, 0.2), network=network, parameters=parameters)
    edge = 0.2 * (np.array(image.image.shape[::-1]) - 1) - 2.0
    found = sites.loc[sites["kind"] == "atom", ["x", "y"]].to_numpy()
    score = score_sites(found, image.atoms, max_distance=0.5, window=(2.0, 2.0, *edge))
    assert score.f1 >= 0.99
    assert score.rmse <= 0.10
