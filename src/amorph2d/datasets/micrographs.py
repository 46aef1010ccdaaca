"""A folder of micrographs, read one by one."""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from amorph2d.micrographs.calibrate import SAMPLING_TABLE, read_sampling_table
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.formats import KINDS
from amorph2d.micrographs.read import Micrograph, read_micrograph
from amorph2d.micrographs.regions import REGION_TABLE
from amorph2d.micrographs.remote import RemoteFile, copy_here, find

TRUTH_SUFFIX = ".truth.parquet"
_TRUTH_COLUMNS = ("kind", "x", "y")
_SITE_KINDS = {"atom", "ring"}
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", SAMPLING_TABLE, REGION_TABLE}


@dataclass(frozen=True)
class MicrographLoader:
    """One file of a folder of micrographs; call it to read the micrograph.

    Attributes
    ----------
    path
        The file. Of a file elsewhere (`remote`) a path with its name, at which there is nothing.
    stem
        Name of the micrograph in its folder: the file's name without its suffix, or with it where two files
        differ in nothing else.
    sampling_table
        The samplings in the folder's `sampling.csv` by name of file [Å/px]; empty where there is none.
    remote
        Where the file is if that is not on this machine, or None.
    """

    path: Path
    stem: str
    sampling_table: Mapping[str, float] = field(default_factory=dict)
    remote: RemoteFile | None = None

    def __call__(self) -> Micrograph:
        """Read the micrograph.

        Raises
        ------
        MicrographError
            If it cannot be used.
        """
        where = self.path if self.remote is None else self.remote
        return dataclasses.replace(read_micrograph(where), stem=self.stem)

    @contextmanager
    def beside(self, name: str) -> Iterator[Path | None]:
        """Give the file of another name in the same folder, for as long as it is needed, or None.

        Raises
        ------
        MicrographError
            If it cannot be fetched.
        """
        if self.remote is None:
            path = self.path.with_name(name)
            yield path if path.is_file() else None
            return
        with _here(self.remote.beside(name)) as copy:
            yield copy

    def truth(self) -> pd.DataFrame | None:
        """Return the true sites from ``<stem>.truth.parquet`` next to the file, or None where there are none.

        Returns
        -------
        DataFrame or None
            Columns `kind` ("atom" or "ring"), `x` and `y` [Å].

        Raises
        ------
        MicrographError
            If the file is damaged, lacks a column, or has other kinds or positions that are not finite.
        """
        with self.beside(f"{self.stem}{TRUTH_SUFFIX}") as path:
            return None if path is None else read_truth(path)


@contextmanager
def _here(remote: RemoteFile) -> Iterator[Path | None]:
    """Give a copy of a remote file for as long as it is needed; None if there is no such file."""
    if not remote.is_file():
        yield None
        return
    copy = copy_here(remote)
    try:
        yield copy.path
    finally:
        copy.remove()


def read_truth(path: Path) -> pd.DataFrame:
    """Read the true sites of a micrograph.

    Parameters
    ----------
    path
        Parquet file with the columns `kind`, `x`, `y`; others are ignored.

    Returns
    -------
    DataFrame
        Columns `kind` ("atom" or "ring"), `x` and `y` f64 [Å].

    Raises
    ------
    MicrographError
        If the file is damaged, lacks a column, or has other kinds or positions that are not finite.
    """
    try:
        # Opened here: given a path, pandas would take "year=2024" in the name of a folder for a column.
        with path.open("rb") as file:
            table = pd.read_parquet(file)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise MicrographError(f"{path.name} cannot be read as a parquet file ({reason})") from error
    missing = [name for name in _TRUTH_COLUMNS if name not in table.columns]
    if missing:
        raise MicrographError(f"{path.name} must have the columns kind, x, y; {', '.join(missing)} missing")
    truth = table[list(_TRUTH_COLUMNS)].reset_index(drop=True)
    kinds = set(truth["kind"].unique()) - _SITE_KINDS
    if kinds:
        raise MicrographError(f"{path.name}: kind must be 'atom' or 'ring', got {sorted(map(str, kinds))}")
    try:
        truth = truth.astype({"x": "float64", "y": "float64"})
    except (TypeError, ValueError) as error:
        raise MicrographError(f"{path.name}: x and y must be numbers in Å ({error})") from error
    bad = int((~(truth[["x", "y"]].abs() < float("inf"))).any(axis=1).sum())
    if bad:
        raise MicrographError(f"{path.name}: {bad} of {len(truth)} positions are not finite")
    return truth


def _is_micrograph(name: str, names: Sequence[str]) -> bool:
    """Whether a file stands for a micrograph, readable or not, and not for something that goes with one."""
    lower, path = name.lower(), PurePath(name)
    if name.startswith(".") or lower in _SYSTEM_FILES or lower.startswith(("readme", "license")):
        return False
    # TIA writes one a.emi to its a_1.ser, a_2.ser …
    if path.suffix.lower() == ".emi" and fnmatch.filter(names, f"{glob.escape(path.stem)}_*.ser"):
        return False
    return not lower.endswith(TRUTH_SUFFIX)


def _is_listed(path: Path) -> bool:
    """Whether an entry of a folder is a file, or is named like one: a folder, a pipe, a dead link."""
    return path.is_file() or PurePath(path.name).suffix.lower() in KINDS


def _stems(files: Sequence[str]) -> list[str]:
    """Name each file without its suffix; where that is not unique, with it."""
    names = [PurePath(file).stem for file in files]
    # Twice: a.tif beside a.png keeps its suffix, and then so must a.tif.png, whose stem is "a.tif". Compared
    # without case, as results of a.tif and A.tif would fall into one file on Windows or macOS.
    for _ in range(2):
        counts = Counter(name.lower() for name in names)
        names = [name if counts[name.lower()] == 1 else file for name, file in zip(names, files, strict=True)]
    return names


class MicrographFolder(AbstractDataset[None, dict[str, MicrographLoader]]):
    """A folder of micrographs, or a single one.

    `load` returns a loader for each file in sorted order; no image is read before its loader is called. Files
    of unknown kinds are among them and raise `MicrographError` when called, so that they are reported.
    Hidden files, subfolders (but for those named like a micrograph), `sampling.csv`, `README*`, `LICENSE*`,
    `*.truth.parquet` and the `.emi` of a `.ser` are not among them.

    The folder may be an address that fsspec knows (``s3://…``, ``zip://…::…``, ``memory://…``); its files are
    then copied one by one to temporary files while they are read.
    """

    def __init__(
        self,
        *,
        filepath: str,
        credentials: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self._filepath = str(filepath)
        self._credentials = credentials
        self.metadata = metadata

    def load(self) -> dict[str, MicrographLoader]:
        """List the micrographs by stem.

        Raises
        ------
        DatasetError
            If the folder is missing, cannot be reached or has no micrographs, or its `sampling.csv` is wrong.
        """
        files = self._files()
        table = self._sampling_table()
        stems = _stems([file.name for file in files])
        return {stem: _loader(file, stem, table) for stem, file in zip(stems, files, strict=True)}

    def save(self, data: None) -> None:  # noqa: ARG002
        """Refuse: micrographs are raw data."""
        raise DatasetError(f"micrographs are raw data and are never written ({self._filepath})")

    def preview(self, nrows: int = 20) -> TablePreview:
        """Show names, kinds and sizes of the first files."""
        rows = [
            [file.name, _kind_name(file.name), round(_size(file) / 1e6, 3)] for file in self._files()[:nrows]
        ]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": ["file", "kind", "size [MB]"], "data": rows}
        )

    def _where(self) -> Path | RemoteFile:
        """Return the folder or file that the address means."""
        try:
            return find(self._filepath, self._credentials)
        except Exception as error:  # each file system has errors of its own
            raise DatasetError(f"{self._filepath} cannot be opened ({error})") from error

    def _files(self) -> Sequence[Path | RemoteFile]:
        """Return the files that stand for micrographs, sorted by name."""
        where = self._where()
        files: Sequence[Path | RemoteFile] | None = (
            _local_files(where) if isinstance(where, Path) else _remote_files(where)
        )
        known = ", ".join(sorted(KINDS))
        if files is None:
            raise DatasetError(
                f"the folder of micrographs {self._filepath} does not exist; name one with files of {known}"
            )
        if not files:
            raise DatasetError(
                f"the folder {self._filepath} has no micrographs; put files of {known} into it"
            )
        return files

    def _sampling_table(self) -> dict[str, float]:
        """Return the folder's table of samplings, empty where there is none."""
        where = self._where()
        try:
            if isinstance(where, Path):
                path = (where.parent if _is_one(where) else where) / SAMPLING_TABLE
                return read_sampling_table(path) if path.is_file() else {}
            beside = RemoteFile(where.filesystem, f"{where.location}/{SAMPLING_TABLE}")
            with _here(where.beside(SAMPLING_TABLE) if where.is_file() else beside) as copy:
                return {} if copy is None else read_sampling_table(copy)
        except MicrographError as error:
            raise DatasetError(f"{self._filepath}: {error}") from error

    def _exists(self) -> bool:
        where = self._where()
        return where.exists() if isinstance(where, Path) else bool(where.filesystem.exists(where.location))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath}


def _loader(file: Path | RemoteFile, stem: str, table: Mapping[str, float]) -> MicrographLoader:
    """Return the loader of a file here or elsewhere."""
    if isinstance(file, Path):
        return MicrographLoader(file, stem, table)
    return MicrographLoader(file.path, stem, table, file)


def _is_one(where: Path) -> bool:
    """Whether a path is a micrograph, and no folder of them."""
    kind = KINDS.get(where.suffix.lower())
    return where.is_file() or (where.is_dir() and kind is not None and kind.may_be_folder)


def _local_files(where: Path) -> list[Path] | None:
    """Return the micrographs in a folder, or a single one; None if there is no such folder."""
    if _is_one(where):
        return [where]
    if not where.is_dir():
        return None
    names = sorted(path.name for path in where.iterdir() if _is_listed(path))
    return [where / name for name in names if _is_micrograph(name, names)]


def _remote_files(where: RemoteFile) -> list[RemoteFile] | None:
    """Return the micrographs in a folder elsewhere, or a single one; None if there is no such folder."""
    filesystem = where.filesystem
    try:
        if filesystem.isfile(where.location):
            return [where]
        if not filesystem.isdir(where.location):
            return None
        entries = filesystem.ls(where.location, detail=True)
    except Exception as error:  # each file system has errors of its own
        raise DatasetError(f"{where.path} cannot be opened ({type(error).__name__}: {error})") from error
    files = [RemoteFile(filesystem, str(entry["name"]).rstrip("/")) for entry in entries]
    kept = [
        file
        for file, entry in zip(files, entries, strict=True)
        if entry["type"] == "file" or PurePath(file.name).suffix.lower() in KINDS
    ]
    names = [file.name for file in kept]
    return sorted((f for f in kept if _is_micrograph(f.name, names)), key=lambda file: file.name)


def _size(file: Path | RemoteFile) -> int:
    """Return the size of a file [bytes]; 0 where it has none."""
    try:
        return (
            file.stat().st_size if isinstance(file, Path) else int(file.filesystem.size(file.location) or 0)
        )
    except OSError:
        return 0


def _kind_name(name: str) -> str:
    """Return the name of a file's kind, by its suffix."""
    kind = KINDS.get(PurePath(name).suffix.lower())
    return "unknown" if kind is None else kind.name
