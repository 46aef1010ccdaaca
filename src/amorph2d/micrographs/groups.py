"""Groups of micrographs: samples, temperatures, treatments."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from amorph2d.micrographs.errors import MicrographError

GROUP_TABLE = "groups.csv"
"""Name of the table of groups in a folder of micrographs."""


def read_group_table(path: Path) -> dict[str, str]:
    """Read a table of groups, ``file,group`` with a header line.

    Parameters
    ----------
    path
        A CSV file in UTF-8; other columns and empty lines are ignored.

    Returns
    -------
    dict
        Group by name of file, with or without its suffix, as it stands in the table.

    Raises
    ------
    MicrographError
        If a column is missing, or a row lacks a name or a group or names a file again; the message names the
        row by its line in the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MicrographError(f"{path.name} is not text in UTF-8: {error}") from error
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    header = [cell.strip().lower() for cell in next(rows, [])]
    if not {"file", "group"} <= set(header):
        raise MicrographError(f"{path.name} must begin with the line 'file,group', got {','.join(header)!r}")
    table: dict[str, str] = {}
    for row in rows:
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        if not any(cells.values()):
            continue
        where = f"{path.name}, line {rows.line_num}"
        name, group = cells.get("file", ""), cells.get("group", "")
        if not name or not group:
            raise MicrographError(f"{where}: the {'group' if name else 'name of the file'} is missing")
        if name in table:
            raise MicrographError(f"{where}: {name!r} is there twice")
        table[name] = group
    return table


def assign_groups(
    files: Mapping[str, Path], patterns: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """Return the group of each micrograph, by a ``groups.csv`` beside it or else by patterns.

    Parameters
    ----------
    files
        File of each micrograph, by the name of its results.
    patterns
        Patterns of these names for each group, with ``*`` and ``?``.

    Returns
    -------
    groups, unknown
        Group by micrograph, of those that have one; names in tables and patterns that no micrograph has.

    Raises
    ------
    MicrographError
        If a table is wrong, or a micrograph matches the patterns of two groups.
    """
    tables = {folder: folder / GROUP_TABLE for folder in {path.parent for path in files.values()}}
    read = {folder: read_group_table(path) for folder, path in tables.items() if path.is_file()}
    groups, used = {}, set()
    for stem, path in files.items():
        table = read.get(path.parent, {})
        name = next((each for each in (path.name, path.stem, stem) if each in table), None)
        if name is not None:
            groups[stem] = table[name]
            used.add((path.parent, name))
        elif not table:
            found = _matching(stem, patterns)
            if len(found) > 1:
                raise MicrographError(f"{stem} must be in one group, matches those of {', '.join(found)}")
            if found:
                groups[stem] = found[0]
    unknown = [name for folder, table in read.items() for name in table if (folder, name) not in used]
    if not read:
        unknown += [
            each
            for own in patterns.values()
            for each in own
            if not any(fnmatchcase(stem, each) for stem in files)
        ]
    return groups, unknown


def _matching(stem: str, patterns: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the groups one of whose patterns a name matches."""
    return [group for group, own in patterns.items() if any(fnmatchcase(stem, each) for each in own)]
