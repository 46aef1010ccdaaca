"""Tables, records and pages on disk; each file appears whole or not at all."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import JSONPreview, TablePreview

TABLE_SUFFIX = ".parquet"
RECORD_SUFFIX = ".json"
_TEMPORARY = ".tmp"


# ---------------------------------------------------------------- whole files


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file such that it is seen whole or not at all, whenever the writer is killed.

    Parameters
    ----------
    path
        File to write; its folder is made, and an older file is replaced.
    write
        Writes the content to the path that it is given: a hidden file in the same folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.parent / f".{secrets.token_hex(8)}{_TEMPORARY}"
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_table(path: Path, table: pd.DataFrame, units: Mapping[str, str] | None = None) -> None:
    """Write a table as one parquet file.

    Parameters
    ----------
    path
        File to write.
    table
        Table of any length.
    units
        Unit by column, kept as the metadata `unit` of the column; columns that the table lacks are left out.
        Beside these those in ``table.attrs["units"]``.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    known = {**table.attrs.get("units", {}), **(units or {})}
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    for index, field in enumerate(arrow.schema):
        if field.name in known:
            column = field.with_metadata({"unit": known[field.name]})
            arrow = arrow.set_column(index, column, arrow.column(index))
    write_whole(path, lambda partial: pq.write_table(arrow, partial))


def read_table(path: Path) -> pd.DataFrame:
    """Read a table from a parquet file.

    Raises
    ------
    DatasetError
        If the file is not whole or is not a parquet file.
    """
    try:
        # Opened here: given a path, pandas would take "year=2024" in the name of a folder for a column.
        with path.open("rb") as file:
            return pd.read_parquet(file)
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing; run the pipeline that writes it") from None
    except Exception as error:
        raise DatasetError(
            f"{path} is no parquet file, or not a whole one ({error}); remove it and run again"
        ) from error


def read_units(path: Path) -> dict[str, str]:
    """Return the unit of each column of a parquet file that has one."""
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    return {
        field.name: field.metadata[b"unit"].decode() for field in schema if b"unit" in (field.metadata or {})
    }


def plain(value: Any) -> Any:
    """Return `value` as what JSON knows: NaN and infinities become None, arrays lists, paths text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is pd.NA or value is pd.NaT:
        return None
    return str(value) if isinstance(value, Path) else value


def _encode(record: Any, indent: int | None) -> str:
    """Return a record as JSON; most hold nothing but what JSON knows, which is quicker."""
    known: dict[str, Any] = {"indent": indent, "ensure_ascii": False, "allow_nan": False}
    try:
        return json.dumps(record, **known)
    except (TypeError, ValueError):
        return json.dumps(plain(record), **known)


def write_record(path: Path, record: Any, *, indent: int | None = 1) -> None:
    """Write a record as one JSON file; NaN and infinities become null.

    Raises
    ------
    DatasetError
        If the record holds something that JSON does not know.
    """
    try:
        text = _encode(record, indent)
    except TypeError as error:
        raise DatasetError(f"{path.name} cannot be written as JSON: {error}") from error
    write_whole(path, lambda partial: partial.write_text(text + "\n", encoding="utf-8"))


def read_record(path: Path) -> Any:
    """Read a record from a JSON file.

    Raises
    ------
    DatasetError
        If the file is not whole or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing; run the pipeline that writes it") from None
    except ValueError as error:
        raise DatasetError(
            f"{path} is no JSON, or not a whole file ({error}); remove it and run again"
        ) from error


@dataclass(frozen=True)
class TableLoader:
    """Reads one table when called."""

    path: Path

    def __call__(self) -> pd.DataFrame:
        """Read the table."""
        return read_table(self.path)


@dataclass(frozen=True)
class RecordLoader:
    """Reads one record when called."""

    path: Path

    def __call__(self) -> dict[str, Any]:
        """Read the record."""
        return dict(read_record(self.path))


# ---------------------------------------------------------------- folders


def stems_in(folder: Path, suffix: str) -> dict[str, Path]:
    """Return the whole files of a folder by stem, sorted; hidden and unfinished ones are not among them."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is missing; run the pipeline that writes it")
    paths = [
        p for p in folder.iterdir() if p.name.endswith(suffix) and not p.name.startswith(".") and p.is_file()
    ]
    return {path.name.removesuffix(suffix): path for path in sorted(paths)}


def stem_file(folder: Path, stem: str, suffix: str) -> Path:
    """Return the path of the file of one stem."""
    if not stem or stem.startswith(".") or Path(stem).name != stem or "\\" in stem:
        raise DatasetError(f"{stem!r} cannot name a file in {folder}: no separators and no dot at the start")
    return folder / f"{stem}{suffix}"


class TableFolder(AbstractDataset[dict[str, pd.DataFrame], dict[str, TableLoader]]):
    """A folder with one parquet file a stem.

    `save` adds files and replaces those of the same stem, so nodes can yield one stem after another; an empty
    mapping makes the folder. The index of a table is not kept. `load` returns loaders: call one to read.
    """

    def __init__(
        self, *, filepath: str, units: dict[str, str] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder = Path(filepath)
        self._units = units
        self.metadata = metadata

    def save(self, data: dict[str, pd.DataFrame]) -> None:
        """Write the tables of some stems."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for stem, table in data.items():
            write_table(stem_file(self._folder, stem, TABLE_SUFFIX), table, self._units)

    def load(self) -> dict[str, TableLoader]:
        """List the tables by stem, sorted."""
        return {stem: TableLoader(path) for stem, path in stems_in(self._folder, TABLE_SUFFIX).items()}

    def preview(self, nrows: int = 5) -> TablePreview:
        """Show the first rows of the first table."""
        files = stems_in(self._folder, TABLE_SUFFIX)
        return _table_preview(read_table(next(iter(files.values()))).head(nrows) if files else pd.DataFrame())

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "units": self._units}


class RecordFolder(AbstractDataset[dict[str, dict[str, Any]], dict[str, RecordLoader]]):
    """A folder with one JSON file a stem, with any suffix; NaN is written as null and comes back as None.

    `save` adds files and replaces those of the same stem; an empty mapping makes the folder. `load` returns
    loaders.
    """

    def __init__(
        self,
        *,
        filepath: str,
        suffix: str = RECORD_SUFFIX,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folder, self._suffix = Path(filepath), suffix
        self.metadata = metadata

    def save(self, data: dict[str, dict[str, Any]]) -> None:
        """Write the records of some stems."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for stem, record in data.items():
            write_record(stem_file(self._folder, stem, self._suffix), record, indent=None)

    def load(self) -> dict[str, RecordLoader]:
        """List the records by stem, sorted."""
        return {stem: RecordLoader(path) for stem, path in stems_in(self._folder, self._suffix).items()}

    def preview(self) -> JSONPreview:
        """Show the first record."""
        files = stems_in(self._folder, self._suffix)
        return JSONPreview(json.dumps({stem: read_record(path) for stem, path in list(files.items())[:1]}))

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


class FinishedRecords(AbstractDataset[None, dict[str, dict[str, Any]]]):
    """The records in a folder whose other results are all there; none where the folder is missing.

    Parameters
    ----------
    filepath
        Folder of the records.
    beside
        Folder of each other result, and the suffix of its files.
    """

    def __init__(
        self,
        *,
        filepath: str,
        beside: Sequence[tuple[str, str]],
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._folder = Path(filepath)
        self._beside = {Path(folder): suffix for folder, suffix in beside}
        self.metadata = metadata

    def load(self) -> dict[str, dict[str, Any]]:
        """Read the records; one that is damaged does not count."""
        if not self._folder.is_dir():
            return {}
        finished = {}
        for stem, path in stems_in(self._folder, RECORD_SUFFIX).items():
            if all((folder / f"{stem}{suffix}").is_file() for folder, suffix in self._beside.items()):
                with suppress(DatasetError):
                    finished[stem] = read_record(path)
        return finished

    def save(self, data: None) -> NoReturn:  # noqa: ARG002
        """Refuse: the records are written one by one."""
        raise DatasetError(f"{self._folder} is read only here")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


# ---------------------------------------------------------------- single files


class _OneFile:
    """What datasets of one file share."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def _exists(self) -> bool:
        return self._path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


class AtomicParquet(_OneFile, AbstractDataset[pd.DataFrame, pd.DataFrame]):
    """One table in a parquet file that is never seen half written, with the units of its columns."""

    def __init__(
        self, *, filepath: str, units: dict[str, str] | None = None, metadata: dict[str, Any] | None = None
    ) -> None:
        super().__init__(filepath=filepath, metadata=metadata)
        self._units = units

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        write_table(self._path, data, self._units)

    def load(self) -> pd.DataFrame:
        """Read the table."""
        return read_table(self._path)

    def preview(self, nrows: int = 5) -> TablePreview:
        """Show the first rows."""
        return _table_preview(read_table(self._path).head(nrows))


class AtomicJSON(_OneFile, AbstractDataset[Any, Any]):
    """One JSON file that is never seen half written; NaN is written as null."""

    def save(self, data: Any) -> None:
        """Write the record."""
        write_record(self._path, data)

    def load(self) -> Any:
        """Read the record."""
        return read_record(self._path)

    def preview(self) -> JSONPreview:
        """Show the record."""
        return JSONPreview(json.dumps(read_record(self._path)))


class HtmlDataset(_OneFile, AbstractDataset[str, str]):
    """One page of HTML that is never seen half written."""

    def save(self, data: str) -> None:
        """Write the page."""
        write_whole(self._path, lambda partial: partial.write_text(data, encoding="utf-8"))

    def load(self) -> str:
        """Read the page."""
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DatasetError(f"{self._path} is missing; run the pipeline that writes it") from None


def _table_preview(table: pd.DataFrame) -> TablePreview:
    """Convert a few rows into what kedro-viz shows."""
    rows: Sequence[Sequence[Any]] = plain(table.astype(object).to_numpy())
    return TablePreview(
        {"index": list(range(len(rows))), "columns": [str(c) for c in table.columns], "data": rows}
    )
