import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner

from amorph2d.datasets.tables import (
    AtomicJSON,
    AtomicParquet,
    FinishedRecords,
    HtmlDataset,
    RecordFolder,
    TableFolder,
    plain,
    read_record,
    read_table,
    read_units,
    write_whole,
)


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "frame": np.array([0, 0], np.int32),
            "site": np.array([0, 1], np.int64),
            "kind": ["atom", "ring"],
            "x": [0.5, np.nan],
            "sigma": np.array([0.1, 0.2], np.float32),
            "analysable": [True, False],
        }
    )


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- whole files


def test_file_is_whole_or_absent(tmp_path):
    """Killed while it writes, the old file stays and no rest is left."""
    path = tmp_path / "deep" / "a.txt"
    write_whole(path, lambda partial: partial.write_text("old"))

    def fails(partial):
        partial.write_text("half")
        assert path.read_text() == "old"
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        write_whole(path, fails)
    assert path.read_text() == "old"
    assert names(path.parent) == ["a.txt"]


def test_temporary_file_lies_hidden_in_the_same_folder(tmp_path):
    seen = []
    write_whole(tmp_path / "a.txt", lambda partial: (seen.append(partial), partial.write_text("x")))
    assert seen[0].parent == tmp_path
    assert seen[0].name.startswith(".")


# ---------------------------------------------------------------- folders of tables


def test_tables_come_back(tmp_path, table):
    dataset = TableFolder(filepath=str(tmp_path / "sites"))
    dataset.save({"b": table, "a.tif": table.iloc[:0]})
    loaders = dataset.load()
    assert list(loaders) == ["a.tif", "b"]
    pd.testing.assert_frame_equal(loaders["b"](), table)
    pd.testing.assert_frame_equal(loaders["a.tif"](), table.iloc[:0])
    assert names(tmp_path / "sites") == ["a.tif.parquet", "b.parquet"]


def test_save_adds_and_replaces(tmp_path, table):
    dataset = TableFolder(filepath=str(tmp_path))
    dataset.save({"a": table})
    dataset.save({"b": table})
    dataset.save({"a": table.assign(x=7.0)})
    assert list(dataset.load()) == ["a", "b"]
    assert dataset.load()["a"]()["x"].tolist() == [7.0, 7.0]


def test_units_are_kept_by_column(tmp_path, table):
    dataset = TableFolder(filepath=str(tmp_path), units={"x": "Å", "sigma": "Å", "angle": "°"})
    dataset.save({"a": table})
    assert read_units(tmp_path / "a.parquet") == {"x": "Å", "sigma": "Å"}
    assert pq.read_schema(tmp_path / "a.parquet").field("x").metadata == {b"unit": "Å".encode()}
    pd.testing.assert_frame_equal(dataset.load()["a"](), table)


def test_unfinished_and_foreign_files_are_not_read(tmp_path, table):
    dataset = TableFolder(filepath=str(tmp_path))
    dataset.save({"a": table})
    for name in (".1234.tmp", ".b.parquet", "c.parquet.tmp", "d.csv"):
        (tmp_path / name).write_text("half")
    (tmp_path / "e.parquet").mkdir()
    assert list(dataset.load()) == ["a"]


def test_missing_folder(tmp_path):
    dataset = TableFolder(filepath=str(tmp_path / "missing"))
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="missing is missing; run the pipeline that writes it"):
        dataset.load()
    dataset.save({})
    assert dataset.exists()
    assert dataset.load() == {}
    assert dataset.preview() == {"index": [], "columns": [], "data": []}


@pytest.mark.parametrize("stem", ["", "a/b", "../a", ".a", "a\\b"])
def test_stems_stay_in_the_folder(tmp_path, table, stem):
    with pytest.raises(DatasetError, match="cannot name a file"):
        TableFolder(filepath=str(tmp_path / "sites")).save({stem: table})
    assert names(tmp_path) == ["sites"]


def test_damaged_and_vanished_tables(tmp_path, table):
    dataset = TableFolder(filepath=str(tmp_path))
    dataset.save({"a": table, "b": table})
    loaders = dataset.load()
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:200])
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(DatasetError, match=r"a\.parquet is no parquet file, or not a whole one"):
        loaders["a"]()
    with pytest.raises(DatasetError, match=r"b\.parquet is missing"):
        loaders["b"]()


def test_folder_whose_name_looks_like_a_column(tmp_path, table):
    """Given the path, pandas would add a column `year`."""
    dataset = TableFolder(filepath=str(tmp_path / "year=2024"))
    dataset.save({"a": table})
    assert list(dataset.load()["a"]().columns) == list(table.columns)


def test_generator_nodes_save_piece_by_piece(tmp_path, table):
    seen = []

    def measure():
        for stem in ("a", "b", "c"):
            yield {stem: table}
            seen.append(names(tmp_path / "sites"))

    catalog = DataCatalog({"sites": TableFolder(filepath=str(tmp_path / "sites"))})
    SequentialRunner().run(pipeline([node(measure, None, "sites")]), catalog)
    assert seen[1] == ["a.parquet", "b.parquet"]
    assert list(catalog["sites"].load()) == ["a", "b", "c"]


def test_folder_preview(tmp_path, table):
    dataset = TableFolder(filepath=str(tmp_path))
    dataset.save({"b": table, "a": table})
    preview = dataset.preview(nrows=1)
    assert preview == {
        "index": [0],
        "columns": list(table.columns),
        "data": [[0, 0, "atom", 0.5, preview["data"][0][4], True]],
    }
    json.dumps(dataset.preview(), allow_nan=False)  # the NaN of the second row must not reach the browser


# ---------------------------------------------------------------- records


def test_records_come_back(tmp_path):
    dataset = RecordFolder(filepath=str(tmp_path / "calibration"))
    dataset.save({"b": {"sampling": 0.2, "dose": np.nan, "why": ["Å"], "shape": (4, 5)}})
    dataset.save({"a": {"n": np.int64(3), "source": Path("x/y"), "limits": np.array([1.0, np.inf])}})
    loaders = dataset.load()
    assert list(loaders) == ["a", "b"]
    assert loaders["a"]() == {"n": 3, "source": str(Path("x/y")), "limits": [1.0, None]}
    assert loaders["b"]() == {"sampling": 0.2, "dose": None, "why": ["Å"], "shape": [4, 5]}
    assert "Å" in (tmp_path / "calibration" / "b.json").read_text(encoding="utf-8")
    assert json.loads(dataset.preview()) == {"a": loaders["a"]()}


def test_records_that_json_does_not_know(tmp_path):
    dataset = RecordFolder(filepath=str(tmp_path))
    with pytest.raises(DatasetError, match=r"a\.json cannot be written as JSON.*object"):
        dataset.save({"a": {"x": object()}})
    assert names(tmp_path) == []


def test_damaged_record(tmp_path):
    (tmp_path / "a.json").write_text('{"x": ')
    with pytest.raises(DatasetError, match=r"a\.json is no JSON, or not a whole file"):
        RecordFolder(filepath=str(tmp_path)).load()["a"]()
    with pytest.raises(DatasetError, match="is missing"):
        read_record(tmp_path / "b.json")


def test_missing_folder_of_records(tmp_path):
    dataset = RecordFolder(filepath=str(tmp_path / "missing"))
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="is missing"):
        dataset.load()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(np.nan), None),
        (-np.inf, None),
        (np.bool_(True), True),
        (pd.NA, None),
        (pd.NaT, None),
        ({1: {2.5}}, {"1": [2.5]}),
        (np.zeros((2, 0)), [[], []]),
        (None, None),
        ("text", "text"),
    ],
)
def test_plain_values(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


# ---------------------------------------------------------------- single files


def test_single_table(tmp_path, table):
    dataset = AtomicParquet(filepath=str(tmp_path / "deep" / "summary.parquet"), units={"x": "Å"})
    assert not dataset.exists()
    dataset.save(table)
    assert dataset.exists()
    pd.testing.assert_frame_equal(dataset.load(), table)
    assert read_units(tmp_path / "deep" / "summary.parquet") == {"x": "Å"}
    assert dataset.preview()["data"][1][3] is None
    assert names(tmp_path / "deep") == ["summary.parquet"]


def test_single_record(tmp_path):
    dataset = AtomicJSON(filepath=str(tmp_path / "summary.json"))
    dataset.save([{"x": np.nan}])
    assert dataset.load() == [{"x": None}]
    assert json.loads(dataset.preview()) == [{"x": None}]


def test_page(tmp_path):
    dataset = HtmlDataset(filepath=str(tmp_path / "report.html"))
    with pytest.raises(DatasetError, match=r"report\.html is missing"):
        dataset.load()
    dataset.save("<p>Å</p>")
    assert dataset.load() == "<p>Å</p>"
    assert names(tmp_path) == ["report.html"]


@pytest.mark.parametrize("kind", [TableFolder, RecordFolder, AtomicParquet, AtomicJSON, HtmlDataset])
def test_datasets_describe_themselves_and_survive_pickling(tmp_path, kind):
    dataset = pickle.loads(
        pickle.dumps(kind(filepath=str(tmp_path / "x"), metadata={"kedro-viz": {"layer": "y"}}))
    )
    assert dataset._describe()["filepath"] == str(tmp_path / "x")
    assert dataset.metadata == {"kedro-viz": {"layer": "y"}}


@pytest.mark.parametrize(
    ("kind", "annotation"),
    [
        (TableFolder, "TablePreview"),
        (AtomicParquet, "TablePreview"),
        (RecordFolder, "JSONPreview"),
        (AtomicJSON, "JSONPreview"),
    ],
)
def test_kedro_viz_finds_its_renderer(kind, annotation):
    assert kind.preview.__annotations__["return"] == annotation


def test_catalog_makes_them(tmp_path):
    config = {
        "sites": {
            "type": "amorph2d.datasets.tables.TableFolder",
            "filepath": str(tmp_path),
            "units": {"x": "Å"},
        },
        "report": {"type": "amorph2d.datasets.tables.HtmlDataset", "filepath": str(tmp_path / "r.html")},
    }
    catalog = DataCatalog.from_config(config)
    catalog["report"].save("x")
    assert catalog["report"].load() == "x"
    assert catalog["sites"].load() == {}


def test_read_table_of_a_text_file(tmp_path):
    (tmp_path / "a.parquet").write_text("x")
    with pytest.raises(DatasetError, match="no parquet file"):
        read_table(tmp_path / "a.parquet")


def test_only_records_whose_results_are_all_there_are_finished(tmp_path):
    records, sites = tmp_path / "records", tmp_path / "sites"
    finished = FinishedRecords(filepath=str(records), beside=[[str(sites), ".parquet"]])
    assert finished.load() == {}
    RecordFolder(filepath=str(records)).save({name: {"fingerprint": name} for name in ("a", "b", "c")})
    TableFolder(filepath=str(sites)).save({name: pd.DataFrame({"x": [1.0]}) for name in ("a", "c")})
    (records / "c.json").write_text("{")
    assert finished.load() == {"a": {"fingerprint": "a"}}
    assert finished.exists()
    with pytest.raises(DatasetError, match="read only"):
        finished.save({})
