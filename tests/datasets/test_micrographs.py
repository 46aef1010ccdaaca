import io
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from kedro.io import DatasetError
from PIL import Image

from amorph2d.datasets.micrographs import MicrographFolder, MicrographLoader, read_truth
from amorph2d.micrographs.errors import MicrographError

REALDATA = Path(__file__).parents[3] / "shared" / "realdata"


@pytest.fixture
def image():
    return np.random.default_rng(3).poisson(100, (40, 64)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, image):
    """Three readable files and everything that is not a micrograph."""
    np.save(tmp_path / "c.npy", image)
    tifffile.imwrite(tmp_path / "a.tif", image)
    Image.fromarray(image.astype("u1")).save(tmp_path / "B.png")
    for name in (
        ".hidden.tif",
        "README.md",
        "readme.txt",
        "LICENSE",
        "License.md",
        "Thumbs.db",
        "a.truth.parquet",
    ):
        (tmp_path / name).write_text("no micrograph")
    (tmp_path / "sampling.csv").write_text("file,sampling\na.tif,0.11\n")
    (tmp_path / "sub").mkdir()
    np.save(tmp_path / "sub" / "d.npy", image)
    return tmp_path


def load(path):
    return MicrographFolder(filepath=str(path)).load()


def test_loaders_are_sorted_and_complete(folder):
    loaders = load(folder)
    assert list(loaders) == ["B", "a", "c"]
    assert [loader.path.name for loader in loaders.values()] == ["B.png", "a.tif", "c.npy"]
    assert [loader.stem for loader in loaders.values()] == list(loaders)


def test_loader_reads_when_called(folder, image):
    micrograph = load(folder)["a"]()
    assert micrograph.stem == "a"
    np.testing.assert_array_equal(micrograph.image, image)


def test_nothing_is_read_at_load(folder):
    (folder / "c.npy").write_bytes(b"damaged")
    loaders = load(folder)
    with pytest.raises(MicrographError, match=r"c\.npy is not a numpy array file"):
        loaders["c"]()
    assert loaders["a"]().stem == "a"


def test_loaders_survive_pickling(folder, image):
    loader = pickle.loads(pickle.dumps(load(folder)["a"]))
    assert loader == load(folder)["a"]
    np.testing.assert_array_equal(loader().image, image)


def test_dataset_survives_pickling(folder):
    dataset = pickle.loads(pickle.dumps(MicrographFolder(filepath=str(folder))))
    assert list(dataset.load()) == ["B", "a", "c"]


def test_sampling_table_goes_along(folder):
    assert load(folder)["c"].sampling_table == {"a.tif": 0.11}
    (folder / "sampling.csv").unlink()
    assert load(folder)["c"].sampling_table == {}


def test_wrong_sampling_table_stops_at_once(folder):
    (folder / "sampling.csv").write_text("file,sampling\na.tif,zero\n")
    with pytest.raises(DatasetError, match=r"sampling\.csv, line 2: the sampling of 'a\.tif'"):
        load(folder)


def test_unknown_kinds_are_reported_when_called(folder):
    (folder / "notes.docx").write_text("x")
    loaders = load(folder)
    assert list(loaders) == ["B", "a", "c", "notes"]
    with pytest.raises(MicrographError, match=r"notes\.docx is of an unknown kind.*\.dm3"):
        loaders["notes"]()


def test_what_is_named_like_a_micrograph_is_reported(folder):
    (folder / "sub").rename(folder / "sub.tif")
    (folder / "loop.dm3").symlink_to("loop.dm3")
    os.mkfifo(folder / "pipe.mrc")
    loaders = load(folder)
    assert list(loaders) == ["B", "a", "c", "loop", "pipe", "sub"]
    for stem, reason in (
        ("loop", "symbolic links"),
        ("pipe", "is a pipe or a device, no MRC file"),
        ("sub", "is a folder, no TIFF file"),
    ):
        with pytest.raises(MicrographError, match=reason):
            loaders[stem]()


def test_stems_that_collide_keep_their_suffix(folder, image):
    for name in ("a.png", "A.npy", "a.tif.npy"):
        np.save(folder / "x.npy", image)
        shutil.move(folder / "x.npy", folder / name)
    assert set(load(folder)) == {"B", "c", "a.png", "A.npy", "a.tif", "a.tif.npy"}
    assert load(folder)["a.tif"]().stem == "a.tif"


def test_descriptions_of_ser_files_are_no_micrographs(tmp_path):
    for name in ("run_1.ser", "run.emi", "other.emi"):
        (tmp_path / name).write_text("x")
    assert list(load(tmp_path)) == ["other", "run_1"]


def test_single_file(folder, image):
    loaders = load(folder / "a.tif")
    assert list(loaders) == ["a"]
    np.testing.assert_array_equal(loaders["a"]().image, image)
    assert loaders["a"].sampling_table == {"a.tif": 0.11}


def test_missing_folder(tmp_path):
    dataset = MicrographFolder(filepath=str(tmp_path / "missing"))
    with pytest.raises(DatasetError, match=r"missing does not exist.*\.dm3"):
        dataset.load()
    assert not dataset.exists()


def test_folder_without_micrographs(tmp_path):
    (tmp_path / "README").write_text("x")
    with pytest.raises(DatasetError, match=rf"{tmp_path} has no micrographs.*\.dm3.*\.tif"):
        load(tmp_path)


def test_raw_data_are_never_written(folder):
    with pytest.raises(DatasetError, match="raw data"):
        MicrographFolder(filepath=str(folder)).save("something")


def test_description_and_preview(folder):
    dataset = MicrographFolder(filepath=str(folder), metadata={"kedro-viz": {"layer": "raw"}})
    assert dataset.exists()
    assert dataset._describe() == {"filepath": str(folder)}
    assert dataset.metadata == {"kedro-viz": {"layer": "raw"}}
    (folder / "d.doc").write_text("x" * 5000)
    preview = dataset.preview(nrows=4)
    assert preview["columns"] == ["file", "kind", "size [MB]"]
    assert [row[:2] for row in preview["data"]] == [
        ["B.png", "PNG"],
        ["a.tif", "TIFF"],
        ["c.npy", "numpy array"],
        ["d.doc", "unknown"],
    ]
    assert preview["data"][3][2] == 0.005
    assert MicrographFolder.preview.__annotations__["return"] == "TablePreview"  # by this kedro-viz draws


# ---------------------------------------------------------------- elsewhere


@pytest.fixture
def memory(image):
    """A folder in fsspec's memory, removed afterwards."""
    import fsspec

    filesystem = fsspec.filesystem("memory")
    buffer = io.BytesIO()
    np.save(buffer, image)
    filesystem.pipe("/set/b.npy", buffer.getvalue())
    filesystem.pipe("/set/notes.docx", b"x")
    filesystem.pipe("/set/README.md", b"x")
    filesystem.pipe("/set/sub/c.npy", b"x")
    filesystem.pipe("/set/sampling.csv", b"file,sampling\nb.npy,0.2\n")
    yield filesystem
    filesystem.rm("/set", recursive=True)


def test_folder_elsewhere(memory, image):
    loaders = load("memory://set")
    assert list(loaders) == ["b", "notes"]
    loader = pickle.loads(pickle.dumps(loaders["b"]))
    assert (loader.path.name, loader.sampling_table) == ("b.npy", {"b.npy": 0.2})
    assert not loader.path.exists()
    micrograph = loader()
    assert (micrograph.stem, micrograph.path.name) == ("b", "b.npy")
    np.testing.assert_array_equal(micrograph.image, image)
    with pytest.raises(MicrographError, match=r"^notes\.docx is of an unknown kind"):
        loaders["notes"]()


def test_one_file_elsewhere(memory):
    loaders = load("memory://set/b.npy")
    assert list(loaders) == ["b"]
    assert loaders["b"].sampling_table == {"b.npy": 0.2}


def test_wrong_table_elsewhere(memory):
    memory.pipe("/set/sampling.csv", b"file,sampling\nb.npy,zero\n")
    with pytest.raises(DatasetError, match=r"sampling\.csv, line 2"):
        load("memory://set")


def test_truth_elsewhere(memory, truth, tmp_path):
    assert load("memory://set")["b"].truth() is None
    truth.to_parquet(tmp_path / "t")
    memory.put(str(tmp_path / "t"), "/set/b.truth.parquet")
    assert len(load("memory://set")["b"].truth()) == 3


def test_files_that_have_gone(memory):
    loader = load("memory://set")["b"]
    memory.rm("/set/b.npy")
    with pytest.raises(MicrographError, match=r"b\.npy cannot be fetched \(FileNotFoundError"):
        loader()


def test_missing_folders_elsewhere(memory):
    dataset = MicrographFolder(filepath="memory://nothing")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="memory://nothing does not exist"):
        dataset.load()
    memory.pipe("/set/empty/README", b"x")
    with pytest.raises(DatasetError, match="has no micrographs"):
        load("memory://set/empty")
    with pytest.raises(DatasetError, match="nowhere://a cannot be opened"):
        load("nowhere://a")


def test_file_addresses_are_local(folder):
    loaders = load(f"file://{folder}")
    assert loaders["a"].path == folder / "a.tif"
    assert loaders["a"].remote is None


def test_archive(folder, image, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder / "a.tif", "inner/a.tif")
        archive.write(folder / "sampling.csv", "inner/sampling.csv")
    loaders = load(f"zip://inner::{tmp_path / 'all.zip'}")
    assert list(loaders) == ["a"]
    assert loaders["a"].sampling_table == {"a.tif": 0.11}
    np.testing.assert_array_equal(loaders["a"]().image, image)
    preview = MicrographFolder(filepath=f"zip://inner::{tmp_path / 'all.zip'}").preview()
    assert preview["data"][0][:2] == ["a.tif", "TIFF"]
    assert preview["data"][0][2] > 0


def test_credentials_go_to_the_file_system_and_are_not_shown(monkeypatch):
    given = {}

    def url_to_fs(address, **options):
        given.update(options)
        raise ImportError("install s3fs")

    monkeypatch.setattr("fsspec.core.url_to_fs", url_to_fs)
    dataset = MicrographFolder(filepath="s3://bucket/set", credentials={"secret": "hidden"})
    with pytest.raises(DatasetError, match=r"s3://bucket/set cannot be opened .*install s3fs"):
        dataset.load()
    assert given == {"secret": "hidden"}
    assert "hidden" not in str(dataset)


def test_folder_that_is_a_micrograph(tmp_path):
    (tmp_path / "a.zspy").mkdir()
    (tmp_path / "a.zspy" / "x").write_text("x")
    assert list(load(tmp_path / "a.zspy")) == ["a"]
    assert list(load(tmp_path)) == ["a"]


# ---------------------------------------------------------------- truth


@pytest.fixture
def truth():
    return pd.DataFrame(
        {"kind": ["atom", "ring", "atom"], "x": [0.5, 1, 2], "y": [3, 4, 5.5], "more": 1}, index=[4, 5, 6]
    )


def test_truth(tmp_path, truth):
    truth.to_parquet(tmp_path / "a.b.truth.parquet")
    table = MicrographLoader(tmp_path / "a.b.tif", "a.b").truth()
    assert list(table.columns) == ["kind", "x", "y"]
    assert table["x"].dtype == np.float64
    assert table.to_numpy().tolist() == [["atom", 0.5, 3.0], ["ring", 1.0, 4.0], ["atom", 2.0, 5.5]]
    assert MicrographLoader(tmp_path / "c.tif", "c").truth() is None


def test_empty_truth(tmp_path, truth):
    truth.iloc[:0].to_parquet(tmp_path / "a.truth.parquet")
    assert len(read_truth(tmp_path / "a.truth.parquet")) == 0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.drop(columns=["y", "kind"]), "must have the columns kind, x, y; kind, y missing"),
        (lambda t: t.assign(kind="bond"), r"kind must be 'atom' or 'ring', got \['bond'\]"),
        (lambda t: t.assign(kind=[None, "atom", "ring"]), "kind must be 'atom' or 'ring'"),
        (lambda t: t.assign(x="left"), "x and y must be numbers in Å"),
        (lambda t: t.assign(x=[np.nan, np.inf, 0.0]), "2 of 3 positions are not finite"),
    ],
)
def test_malformed_truth(tmp_path, truth, change, match):
    change(truth).to_parquet(tmp_path / "a.truth.parquet")
    with pytest.raises(MicrographError, match=rf"a\.truth\.parquet.*{match}"):
        read_truth(tmp_path / "a.truth.parquet")


def test_truth_that_is_no_parquet_file(folder):
    with pytest.raises(MicrographError, match=r"a\.truth\.parquet cannot be read as a parquet file"):
        load(folder)["a"].truth()


# ---------------------------------------------------------------- real data


@pytest.mark.skipif(not REALDATA.is_dir(), reason="the folder of real data is absent")
def test_real_folder():
    loaders = load(REALDATA / "ulm")
    assert list(loaders) == ["graphene_defect_raw", "graphene_filtered"]
    assert len(load(REALDATA / "ncem")) == 175  # 87 images, 87 labels, and a table of another name
