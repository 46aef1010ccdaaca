"""Bad files of as many kinds as there are, among a few good ones: each is named with its own reason."""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from amorph2d.datasets.micrographs import MicrographFolder
from amorph2d.micrographs.calibrate import resolve_sampling
from amorph2d.micrographs.errors import MicrographError

sys.path.insert(0, str(Path(__file__).parents[1]))

from bad_files import AT_ONCE, BAD, TOO_LITTLE, WITHOUT_SAMPLING, tif
from micrograph_files import write_mrc, write_rsciio

GOOD = ("big_endian.tif", "good.hspy", "good.mrc", "good.npy", "good.tif")


@pytest.fixture(scope="module")
def folder(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name, _, write in BAD:
        write(folder / name)
    whole = tifffile.imread(project / "data/01_raw/micrographs/example.tif")
    image = whole[:150, :180].astype(np.float32)
    write_rsciio(folder / "good.hspy", image, (0.02, 0.02), "nm")
    write_mrc(folder / "good.mrc", image, (180 * 0.2, 150 * 0.2))
    np.save(folder / "good.npy", image)
    (folder / "sampling.csv").write_text("file,sampling\ngood.npy,0.2\n")
    tif(folder / "good.tif", image)
    tif(folder / "big_endian.tif", image.astype(np.uint16), byteorder=">")
    return folder


@pytest.fixture(scope="module")
def loaders(folder):
    return {loader.path.name: loader for loader in MicrographFolder(filepath=str(folder)).load().values()}


def test_at_least_sixty_kinds():
    assert len({name for name, *_ in BAD}) == len(BAD) >= 60


def test_every_file_is_listed(loaders):
    assert set(loaders) == {name for name, *_ in BAD} | set(GOOD)


@pytest.mark.parametrize(("name", "reason"), [row[:2] for row in AT_ONCE])
def test_bad_files_are_refused_when_they_are_read(loaders, name, reason):
    with pytest.raises(MicrographError, match=reason) as caught:
        loaders[name]()
    assert str(caught.value).startswith(f"{name} ")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("name", "reason"), [row[:2] for row in WITHOUT_SAMPLING])
def test_files_without_a_sampling_say_why(loaders, name, reason):
    micrograph = loaders[name]()
    assert micrograph.sampling is None
    with pytest.raises(MicrographError, match=reason):
        resolve_sampling(micrograph, table=loaders[name].sampling_table)


@pytest.mark.parametrize("name", [*GOOD, *(row[0] for row in TOO_LITTLE)])
def test_good_files_are_read(loaders, name):
    assert loaders[name]().image.std() > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_that_may_not_be_read(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(40))
    (tmp_path / "a.npy").chmod(0)
    with pytest.raises(MicrographError, match=r"a\.npy cannot be opened: Permission denied"):
        MicrographFolder(filepath=str(tmp_path)).load()["a"]()


# ---------------------------------------------------------------- a whole run


@pytest.fixture(scope="module")
def outcome(copy, folder, tmp_path_factory):
    results = tmp_path_factory.mktemp("bad_results")
    return copy.analyse(folder, results), results


@pytest.fixture(scope="module")
def table(outcome):
    return pd.read_parquet(outcome[1] / "calibration.parquet").set_index("file")


def test_a_run_fails_without_a_traceback_and_reports(outcome):
    done, results = outcome
    assert done.code == 1
    assert "Traceback" not in done.text
    assert (results / "report.html").exists()


def test_a_run_analyses_the_good_files(outcome, table):
    assert set(table.index[table["status"] == "analysed"]) == set(GOOD)
    assert len(list((outcome[1] / "sites").glob("*.parquet"))) == len(GOOD)


def test_a_run_names_each_bad_file_with_its_reason(outcome, table):
    done, results = outcome
    page = (results / "report.html").read_text()
    wrong = {
        name: table.loc[name, "reason"]
        for name, reason, _ in BAD
        if table.loc[name, "status"] != "not analysed" or not re.search(reason, table.loc[name, "reason"])
    }
    assert not wrong
    assert not [name for name, *_ in BAD if name not in done.text or name not in page]
