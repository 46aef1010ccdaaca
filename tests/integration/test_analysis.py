"""Series, regions, resuming and workers, through the command that a user types."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import simulate_image

SIDE, STEP = 224, 0.2
DRIFT = np.array([[0, 0], [3, -2], [7, -3], [9, 1]])  # rows and columns [px]


def simulated(seed: int, side: int):
    recipe = plain_recipe(
        family="switched", hexagons=0.7, rows=side, columns=side, sampling=STEP, structure_seed=seed,
        noise_seed=seed, defocus=-60.0, Cs=-1e5, focal_spread=25.0, dose_per_area=1e6, bits=0,
    )  # fmt: skip
    return simulate_image(recipe)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A series that drifts, and two images, one of them with a region of interest."""
    folder = tmp_path_factory.mktemp("micrographs")
    rng = np.random.default_rng(5)
    wide = simulated(3, SIDE + 20).image
    mean = float(wide.mean())
    frames = [
        rng.poisson(800 * wide[8 - dy : 8 - dy + SIDE, 8 - dx : 8 - dx + SIDE] / mean).astype(np.uint16)
        for dy, dx in DRIFT - DRIFT.min(axis=0) - [1, 0]
    ]
    tifffile.imwrite(
        folder / "series.tif", np.stack(frames), imagej=True, metadata={"axes": "TYX", "finterval": 2}
    )
    for seed, name in ((7, "first"), (8, "second")):
        image = simulated(seed, SIDE)
        np.save(
            folder / f"{name}.npy", rng.poisson(800 * image.image / image.image.mean()).astype(np.float32)
        )
    (folder / "sampling.csv").write_text(f"file,sampling\nseries,{STEP}\nfirst,{STEP}\nsecond,{STEP}\n")
    whole, left = ({"x": [10, end], "y": [8, 20], "unit": "Å"} for end in (30, 20))
    (folder / "regions.json").write_text(json.dumps({"second": {"regions": {"whole": whole, "left": left}}}))
    return folder


@pytest.fixture(scope="module")
def results(copy, folder, tmp_path_factory):
    results = tmp_path_factory.mktemp("results")
    run = copy.analyse(folder, results)
    assert run.code == 0, run.text
    return results


def sites_of(results, stem):
    return pd.read_parquet(results / "sites" / f"{stem}.parquet")


def test_series_is_analysed_frame_by_frame(results):
    sites = sites_of(results, "series")
    counts = sites[sites["kind"] == "atom"].groupby("frame").size()
    assert counts.index.tolist() == [0, 1, 2, 3]
    assert counts.min() > 0.3 * (SIDE * STEP) ** 2
    assert sites.groupby("frame")["time"].first().tolist() == [0, 2, 4, 6]
    summary = pd.read_parquet(results / "summary.parquet")
    assert summary.loc[summary["micrograph"] == "series", "frame"].tolist() == [0, 1, 2, 3]
    assert tifffile.imread(results / "masks" / "series.tif").shape == (4, SIDE, SIDE)


def test_drift_is_found_and_taken_away(results):
    drift = pd.read_parquet(results / "drift" / "series.parquet")
    expected = STEP * (DRIFT - DRIFT[0])
    assert drift["dy"].to_numpy() == pytest.approx(expected[:, 0], abs=0.02)
    assert drift["dx"].to_numpy() == pytest.approx(expected[:, 1], abs=0.02)
    sites = sites_of(results, "series")
    tracks = sites[sites["kind"] == "atom"].groupby("track")
    whole = tracks.filter(lambda track: len(track) == 4)
    assert len(whole) > 0.8 * (sites["kind"] == "atom").sum() * 0.8
    spread = whole.groupby("track")[["x_aligned", "y_aligned"]].std()
    assert spread.median().max() < 0.1


def test_series_is_followed_over_time(results):
    evolution = pd.read_parquet(results / "evolution.parquet")
    assert set(evolution["micrograph"]) == {"series"}
    bonds = evolution[evolution["statistic"] == "bond_mean"]
    assert bonds["time"].tolist() == [0, 2, 4, 6]
    assert (bonds["low"] < bonds["value"]).all()
    trends = pd.read_parquet(results / "trends.parquet").set_index("statistic")
    assert trends.loc["density", "slope_low"] <= 0 <= trends.loc["density", "slope_high"]
    # The sheet stays as it is, and four frames are too few for anything to last.
    assert len(pd.read_parquet(results / "events" / "series.parquet")) == 0
    assert pd.read_parquet(results / "event_rates.parquet")["rate"].isna().all()
    with Image.open(results / "figures" / "films" / "series.webp") as film:
        assert film.n_frames == 4


def test_region_limits_what_counts(results):
    sites = sites_of(results, "second")
    counted = sites[sites["analysable"]]
    assert counted["x"].between(9.9, 30.1).all()
    assert counted["y"].between(7.9, 20.1).all()
    assert 0.3 < (counted["kind"] == "atom").sum() / (20 * 12) < 0.45
    assert sites_of(results, "first")["analysable"].mean() > 0.7


def test_each_region_is_summarised(results):
    regions = pd.read_parquet(results / "regions.parquet").set_index("region")
    assert regions.index.tolist() == ["whole", "left"]
    assert (regions["micrograph"] == "second").all()
    summary = pd.read_parquet(results / "summary.parquet").set_index("micrograph").loc["second"]
    for name in ("n_atoms", "n_bonds", "n_complete_rings", "bond_mean", "ring_fraction_6", "density"):
        assert regions.loc["whole", name] == pytest.approx(summary[name]), name
    assert 0.4 < regions.loc["left", "n_atoms"] / regions.loc["whole", "n_atoms"] < 0.6
    assert regions.loc["left", "density"] == pytest.approx(regions.loc["whole", "density"], rel=0.2)


def test_only_what_is_missing_is_done_again(copy, folder, results):
    before = {path: path.stat().st_mtime_ns for path in (results / "sites").iterdir()}
    (results / "sites" / "first.parquet").unlink()
    run = copy.analyse(folder, results)
    assert run.code == 0, run.text
    assert "2 of 3 micrographs are finished" in " ".join(run.text.split())
    after = {path: path.stat().st_mtime_ns for path in (results / "sites").iterdir()}
    assert after.keys() == before.keys()
    assert {path.stem for path in after if after[path] != before[path]} == {"first"}


def test_workers_change_nothing(copy, folder, results, tmp_path):
    parameters = {"computing.scheduler": "local", "computing.n_workers": 2}
    run = copy.analyse(folder, tmp_path, **parameters)
    assert run.code == 0, run.text
    for stem in ("first", "second", "series"):
        pd.testing.assert_frame_equal(sites_of(tmp_path, stem), sites_of(results, stem), atol=1e-4, rtol=1e-3)
        here, there = (
            pd.read_parquet(folder / "rings" / f"{stem}.parquet") for folder in (tmp_path, results)
        )
        pd.testing.assert_frame_equal(here, there, atol=1e-3, rtol=1e-3)
    here, there = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path, results)
    )
    assert here == there
