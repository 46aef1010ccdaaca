import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile


def write(folder, name, array, nm_per_px=0.02):
    scale = 1 / nm_per_px
    tifffile.imwrite(folder / name, array, imagej=True, resolution=(scale, scale), metadata={"unit": "nm"})


@pytest.fixture(scope="module")
def outcome(copy, tmp_path_factory):
    """One good micrograph among all kinds of bad ones."""
    folder, results = tmp_path_factory.mktemp("mixed"), tmp_path_factory.mktemp("mixed_results")
    rng = np.random.default_rng(0)
    good = copy.folder / "data/01_raw/micrographs/example.tif"
    write(folder, "good.tif", tifffile.imread(good)[:200, :240])
    shutil.copy(good, folder / "truncated.tif")
    with (folder / "truncated.tif").open("r+b") as file:
        file.truncate(1000)
    (folder / "not_an_image.dm3").write_text("this is text")
    (folder / "notes.docx").write_bytes(b"PK")
    (folder / "empty.tif").write_bytes(b"")
    np.save(folder / "one_dimension.npy", rng.random(100))
    np.save(folder / "uncalibrated.npy", rng.random((64, 64)))
    write(folder, "zero.tif", np.zeros((64, 64), np.uint16))
    write(folder, "nan.tif", np.where(np.eye(64) > 0, np.nan, 1.0).astype(np.float32))
    tifffile.imwrite(
        folder / "colour.tif", rng.integers(0, 255, (64, 64, 3), dtype=np.uint8), photometric="rgb"
    )
    write(folder, "tiny.tif", rng.random((8, 8)).astype(np.float32))
    write(folder, "narrow.tif", rng.random((40, 40)).astype(np.float32), nm_per_px=0.01)
    done = copy.analyse(folder, results)
    return done, results


def test_the_good_one_is_analysed_and_the_command_fails(outcome):
    done, results = outcome
    assert done.code == 1
    assert "Traceback" not in done.text
    assert "Report:" in done.text
    assert (results / "sites" / "good.parquet").exists()
    assert (results / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("truncated.tif", "could not be read"),
        ("not_an_image.dm3", "is not a DigitalMicrograph 3 file"),
        ("notes.docx", "docx"),
        ("empty.tif", "empty"),
        ("one_dimension.npy", "1-D with 100 values"),
        ("uncalibrated.npy", "sampling.csv"),
        ("zero.tif", "all its pixels are 0"),
        ("nan.tif", "64 of 4096 pixels"),
        ("colour.tif", "colour"),
        ("tiny.tif", "8 × 8 px"),
        ("narrow.tif", "4 × 4 Å"),
    ],
)
def test_each_bad_one_is_named_with_its_reason(outcome, file, reason):
    done, results = outcome
    row = pd.read_parquet(results / "calibration.parquet").set_index("file").loc[file]
    assert row["status"] == "not analysed"
    assert reason in row["reason"]
    assert file in done.text
    assert file in (results / "report.html").read_text()


def test_nothing_but_bad_files_still_gives_a_report(copy, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.dm4").write_bytes(b"nothing")
    done = copy.analyse(folder, tmp_path / "results")
    assert done.code == 1
    assert "Traceback" not in done.text
    assert (tmp_path / "results" / "report.html").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sampleing": 0.1}, 'did you mean "sampling"'),
        ({"sampling": -0.1}, "must be > 0 Å/px, got -0.1"),
        ({"sampling": "large"}, "must be a number in Å/px"),
        ({"localisation.borders": 1.0}, "borders"),
    ],
)
def test_wrong_parameters_are_refused(copy, tmp_path, parameters, message):
    done = copy.analyse("data/01_raw/micrographs", tmp_path, **parameters)
    assert done.code != 0
    assert message in done.text
    assert not (tmp_path / "sites").exists()


def test_empty_folder_is_named(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    done = copy.analyse(tmp_path / "empty", tmp_path / "results")
    assert done.code != 0
    assert "has no micrographs" in done.text
    done = copy.analyse(tmp_path / "missing", tmp_path / "results")
    assert done.code != 0
    assert "does not exist" in done.text
