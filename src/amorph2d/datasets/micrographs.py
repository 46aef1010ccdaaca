"""A folder of micrographs, read one by one."""

from __future__ import annotations

import dataclasses
import glob
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from amorph2d.micrographs.calibrate import SAMPLING_TABLE, read_sampling_table
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.formats import KINDS
from amorph2d.micrographs.read import Micrograph, read_micrograph

TRUTH_SUFFIX = ".truth.parquet"
_TRUTH_COLUMNS = ("kind", "x", "y")
_SITE_KINDS = {"atom", "ring"}
_SYSTEM_FILES = {"thumbs.db", "desktop.ini", SAMPLING_TABLE}


@dataclass(frozen=True)
class MicrographLoader:
    """One file of a folder of micrographs; call it to read the micrograph.

    Attributes
    ----------
    path
        The file.
    stem
        Name of the micrograph in its folder: the file's name without its suffix, or with it where two files
        differ in nothing else.
    sampling_table
        The samplings in the folder's `sampling.csv` by name of file [Å/px]; empty where there is none.
    """

    path: Path
    stem: str
    sampling_table: Mapping[str, float] = field(default_factory=dict)

    def __call__(self) -> Micrograph:
        """Read the micrograph.

        Raises
        ------
        MicrographError
            If it cannot be used.
        """
        return dataclasses.replace(read_micrograph(self.path), stem=self.stem)

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
        path = self.path.with_name(f"{self.stem}{TRUTH_SUFFIX}")
        return read_truth(path) if path.is_file() else None


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


def _is_micrograph(path: Path) -> bool:
    """Whether a file stands for a micrograph, readable or not, and not for something that goes with one."""
    name = path.name.lower()
    if path.name.startswith(".") or name in _SYSTEM_FILES or name.startswith(("readme", "license")):
        return False
    # TIA writes one a.emi to its a_1.ser, a_2.ser …
    if path.suffix.lower() == ".emi" and any(path.parent.glob(f"{glob.escape(path.stem)}_*.ser")):
        return False
    return not name.endswith(TRUTH_SUFFIX)


def _stems(paths: list[Path]) -> list[str]:
    """Name each file without its suffix; where that is not unique, with it."""
    names = [path.stem for path in paths]
    # Twice: a.tif beside a.png keeps its suffix, and then so must a.tif.png, whose stem is "a.tif". Compared
    # without case, as results of a.tif and A.tif would fall into one file on Windows or macOS.
    for _ in range(2):
        counts = Counter(name.lower() for name in names)
        names = [
            name if counts[name.lower()] == 1 else path.name for name, path in zip(names, paths, strict=True)
        ]
    return names


class MicrographFolder(AbstractDataset[None, dict[str, MicrographLoader]]):
    """A folder of micrographs, or a single one.

    `load` returns a loader for each file in sorted order; no image is read before its loader is called. Files
    of unknown kinds are among them and raise `MicrographError` when called, so that they are reported.
    Hidden files, subfolders, `sampling.csv`, `README*`, `LICENSE*`, `*.truth.parquet` and the `.emi` of a
    `.ser` are not among them.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._path = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, MicrographLoader]:
        """List the micrographs by stem.

        Raises
        ------
        DatasetError
            If the folder is missing or has no micrographs, or its `sampling.csv` is wrong.
        """
        paths = self._paths()
        table = self._sampling_table()
        return {
            stem: MicrographLoader(path, stem, table) for stem, path in zip(_stems(paths), paths, strict=True)
        }

    def save(self, data: None) -> None:  # noqa: ARG002
        """Refuse: micrographs are raw data."""
        raise DatasetError(f"micrographs are raw data and are never written ({self._path})")

    def preview(self, nrows: int = 20) -> TablePreview:
        """Show names, kinds and sizes of the first files."""
        paths = self._paths()[:nrows]
        rows = [[p.name, _kind_name(p), round(p.stat().st_size / 1e6, 3)] for p in paths]
        return TablePreview(
            {"index": list(range(len(rows))), "columns": ["file", "kind", "size [MB]"], "data": rows}
        )

    def _paths(self) -> list[Path]:
        """Return the files that stand for micrographs, sorted by name."""
        if self._path.is_file():
            return [self._path]
        known = ", ".join(sorted(KINDS))
        if not self._path.is_dir():
            raise DatasetError(
                f"the folder of micrographs {self._path} does not exist; name one with files of {known}"
            )
        paths = sorted(path for path in self._path.iterdir() if path.is_file() and _is_micrograph(path))
        if not paths:
            raise DatasetError(f"the folder {self._path} has no micrographs; put files of {known} into it")
        return paths

    def _sampling_table(self) -> dict[str, float]:
        """Return the folder's table of samplings, empty where there is none."""
        path = (self._path.parent if self._path.is_file() else self._path) / SAMPLING_TABLE
        try:
            return read_sampling_table(path) if path.is_file() else {}
        except MicrographError as error:
            raise DatasetError(f"{path.parent}: {error}") from error

    def _exists(self) -> bool:
        return self._path.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._path)}


def _kind_name(path: Path) -> str:
    """Return the name of a file's kind, by its suffix."""
    kind = KINDS.get(path.suffix.lower())
    return "unknown" if kind is None else kind.name
