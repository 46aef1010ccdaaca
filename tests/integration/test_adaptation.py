import json

import numpy as np
import pandas as pd
import pytest
import tifffile

SMALL = {
    "adaptation.n_images": 4,
    "adaptation.search.n_candidates": 8,
    "adaptation.comparison.n_images": 4,
    "synthesis.images_per_shard": 2,
    "computing.scheduler": "none",
}


def adapt(copy, micrographs, **parameters):
    given = {"micrographs": micrographs} | SMALL | parameters
    joined = ",".join(f"{name}={value}" for name, value in given.items())
    return copy.kedro("run", "--pipelines", "adaptation", "--env", "demo", "--params", joined)


@pytest.fixture(scope="module")
def outcome(copy, tmp_path_factory):
    """One good micrograph beside two that cannot be used."""
    folder = tmp_path_factory.mktemp("microscope")
    image = tifffile.imread(copy.folder / "data/01_raw/micrographs/example.tif")[:256, :300]
    tifffile.imwrite(folder / "good.tif", image, imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    (folder / "not_an_image.dm3").write_text("this is text")
    np.save(folder / "uncalibrated.npy", np.random.default_rng(0).random((64, 64)))
    done = adapt(copy, folder)
    return done, copy.folder / "data/05_model_input/simulated_demo_matched"


def test_a_matched_set_is_made_and_the_bad_files_are_named(outcome):
    done, folder = outcome
    assert done.code == 1
    assert "Traceback" not in done.text
    assert "2 of 3 micrographs were not analysed" in done.text
    for name in ("not_an_image.dm3", "uncalibrated.npy"):
        assert f"Not analysed: {name}" in done.text
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["n_images"] == 4


def test_conditions_are_those_of_the_example(outcome):
    table = pd.read_parquet(outcome[1] / "conditions.parquet").set_index("file")
    assert list(table.index) == ["good.tif", "not_an_image.dm3", "uncalibrated.npy", "pooled"]
    good = table.loc["good.tif"]
    assert good["sampling"] == pytest.approx(0.2)
    assert good["dose_per_area"] == pytest.approx(4e4, rel=0.25)
    assert good["gradient"] == pytest.approx(0.1 * 278 / 512, abs=0.03)
    assert good["polarity"] == "bright atoms"
    assert "sampling.csv" in table.loc["uncalibrated.npy", "reason"]
    assert table.loc["pooled", "dose_per_area"] == pytest.approx(good["dose_per_area"])


def test_recipes_lie_in_the_matched_ranges(outcome):
    folder = outcome[1]
    recipes = pd.read_parquet(folder / "recipes.parquet")
    matched = json.loads((folder / "matched_ranges.json").read_text())
    assert recipes["sampling"].between(0.19, 0.21).all()
    assert recipes["dose_per_area"].between(*matched["detector"]["dose_per_area"]).all()
    assert recipes["defocus"].between(*matched["optics"]["defocus"]).all()
    assert not set(recipes["family"]) & {"silica", "polymer", "boron_nitride"}
    ranges = pd.read_parquet(folder / "matched_ranges.parquet").set_index("parameter")
    assert ranges.loc["detector.dose_per_area", "source"] == "shot noise"
    assert len(pd.read_parquet(folder / "candidates.parquet")) == 8


def test_the_matched_set_looks_more_alike_than_the_unmatched(outcome):
    folder = outcome[1]
    distances = pd.read_parquet(folder / "comparison.parquet").set_index("set")
    assert list(distances.index) == ["matched", "unmatched", "floor"]
    assert np.isfinite(distances.to_numpy()).all()
    assert (folder / "comparison.png").stat().st_size > 50_000
    assert (folder / "contact_sheet.png").exists()


def test_the_set_can_be_trained_on(outcome):
    from amorph2d.datasets.shards import SimulatedSetDataset

    simulated = SimulatedSetDataset(filepath=str(outcome[1])).load()
    assert len(simulated) == 4
    assert simulated[0].image.shape == (256, 256)
    assert len(simulated[0].atoms) > 500


def test_without_any_usable_micrograph_nothing_is_made(copy, tmp_path):
    (tmp_path / "bad.dm4").write_bytes(b"nothing")
    done = adapt(copy, tmp_path)
    assert done.code != 0
    assert "none of the 1 micrographs can be used: bad.dm4" in " ".join(done.text.split())


def test_it_is_not_part_of_the_default(copy):
    done = copy.kedro("registry", "describe", "__default__")
    assert done.code == 0
    assert "measure_micrographs" not in done.text


def test_listing_it_imports_nothing_heavy(project):
    import subprocess
    import sys

    code = (
        "import sys\n"
        "from amorph2d.pipelines import adaptation\n"
        "assert len(adaptation.create_pipeline().nodes) == 7\n"
        "heavy = ('torch', 'matplotlib', 'abtem', 'mlflow', 'rsciio', 'scipy')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"
