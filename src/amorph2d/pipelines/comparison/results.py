"""Folders of results of earlier runs, opened together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

TABLES = {"counts": ".records/counts", "sites": "sites", "bonds": "bonds", "angles": "angles", "pdf": "pdf"}
_CALIBRATION = "calibration.parquet"

Reader = Callable[[], pd.DataFrame]


class FolderParameters(BaseModel):
    """Which folders of results are held against each other."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: dict[str, str | list[str]] = Field(description="Folder of results, or several, of each group.")


@dataclass(frozen=True, eq=False)
class Opened:
    """Micrographs of several folders, each named ``group/micrograph``.

    Attributes
    ----------
    groups
        Group of each micrograph.
    tables
        Reader of each table of `TABLES` of each micrograph.
    """

    groups: dict[str, str] = field(default_factory=dict)
    tables: dict[str, dict[str, Reader]] = field(default_factory=lambda: {name: {} for name in TABLES})


def open_results(folders: Mapping[str, str | list[str]]) -> Opened:
    """Find the micrographs that were analysed in the folders of each group.

    Parameters
    ----------
    folders
        Folder of results, or several, of each group.

    Raises
    ------
    ValueError
        If there are fewer than two groups, two name the same folder, or a folder has no results of the
        statistics pipeline, or of no micrograph.
    """
    named = [
        (group, Path(folder))
        for group, own in folders.items()
        for folder in ([own] if isinstance(own, str) else own)
    ]
    _check(folders, named)
    opened = Opened()
    several = {group for group, own in folders.items() if not isinstance(own, str) and len(own) > 1}
    for group, folder in named:
        _add(opened, group, folder, prefix=f"{group}/{folder.name}" if group in several else group)
    empty = [group for group in folders if group not in opened.groups.values()]
    if empty:
        raise ValueError(f"comparison.groups: no micrograph of {empty[0]!r} was analysed")
    return opened


def _check(folders: Mapping[str, str | list[str]], named: list[tuple[str, Path]]) -> None:
    """Raise ValueError unless there are two groups or more, each of folders of its own."""
    if len(folders) < 2:
        raise ValueError(
            "comparison.groups must name the folders of at least two groups, {name: folder, …}, got "
            f"{', '.join(folders) or 'none'}; groups of micrographs in one folder are compared by the "
            "statistics pipeline"
        )
    used: dict[Path, str] = {}
    for group, folder in named:
        if folder.resolve() in used:
            raise ValueError(
                f"comparison.groups: {folder} must be named once, got it in {used[folder.resolve()]!r} and "
                f"{group!r}"
            )
        used[folder.resolve()] = group
    names = [(group, folder.name) for group, folder in named]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"comparison.groups: folders of {twice[0][0]!r} must have different names, got "
            f"{twice[0][1]!r} twice"
        )


def _add(opened: Opened, group: str, folder: Path, *, prefix: str) -> None:
    """Add the analysed micrographs of one folder."""
    from amorph2d.datasets.tables import TableFolder, read_table

    missing = [name for name in (_CALIBRATION, *TABLES.values()) if not (folder / name).exists()]
    if missing:
        raise ValueError(
            f"comparison.groups, {group!r}: {folder} has no {missing[0]}; analyse its micrographs first, "
            f'with kedro run --params "micrographs=…,results={folder}"'
        )
    calibration = read_table(folder / _CALIBRATION)
    analysed = calibration.loc[calibration["status"] == "analysed", "micrograph"]
    for name, place in TABLES.items():
        readers = TableFolder(filepath=str(folder / place)).load()
        lacking = [stem for stem in analysed if stem not in readers]
        if lacking:
            raise ValueError(
                f"comparison.groups, {group!r}: {folder / place} has nothing of {lacking[0]!r}; run the "
                "statistics pipeline on it again"
            )
        opened.tables[name].update({f"{prefix}/{stem}": readers[stem] for stem in analysed})
    opened.groups.update({f"{prefix}/{stem}": group for stem in analysed})
