"""The calibration table as text: what is known of each file, and which files were not analysed and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.report.rounding import choose_decimals, format_count, format_value
from amorph2d.report.statistics import humanise

NOT_ANALYSED = "not analysed"

_LABELS: Mapping[str, str] = {
    "file": "File",
    "rows": "Rows [px]",
    "columns": "Columns [px]",
    "sampling": "Sampling [Å/px]",
    "sampling_y": "Sampling along y [Å/px]",
    "sampling_x": "Sampling along x [Å/px]",
    "sampling_source": "Sampling from",
    "length_scale": "Lengths over those of carbon",
    "n_frames": "Frames",
    "dose_per_area": "Dose, estimated [e⁻/Å²]",
    "energy": "Electron energy [eV]",
    "polarity": "Contrast",
    "in_domain": "In the training domain",
    "n_atoms": "Atoms found",
    "n_rings": "Ring centres found",
    "network": "Network",
    "network_sha256": "SHA-256 of the network",
    "sha256": "SHA-256 of the file",
    "code_version": "Version of amorph2d",
}
_HIDDEN = ("micrograph", "status", "reason", "domain_reason", "warnings")
_SCORE = re.compile(r"(atom|ring)_(precision|recall|f1|rmse)")


@dataclass(frozen=True)
class FileEntry:
    """What the report says of one file.

    Attributes
    ----------
    name, stem
        The file and the name under which its results go.
    facts
        Labels and values, in the order in which they are shown.
    warnings
        Warnings, one line each.
    error
        Why the file was not analysed; empty if it was.
    in_domain
        Whether it lies in the training domain of the network; None where that is not known.
    """

    name: str
    stem: str
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()
    error: str = ""
    in_domain: bool | None = None


def file_entries(calibration: pd.DataFrame) -> list[FileEntry]:
    """Return an entry for each row of the calibration table; columns that are not known are shown, too."""
    rows = calibration.to_dict("records")
    return [_entry({str(key): value for key, value in row.items()}) for row in rows]


def network_names(calibration: pd.DataFrame) -> list[str]:
    """Return the networks named in the calibration table, each once, in order of appearance."""
    if "network" not in calibration:
        return []
    return list(dict.fromkeys(line for cell in calibration["network"] for line in _lines(cell)))


def score_label(name: str) -> str:
    """Return how a score of the results is written: ``Atoms, RMSE [Å]`` for ``atom_rmse``."""
    match = _SCORE.fullmatch(name)
    if match is None:
        return humanise(name)
    kind = "Atoms" if match[1] == "atom" else "Ring centres"
    return f"{kind}, {({'f1': 'F1', 'rmse': 'RMSE [Å]'}).get(match[2], match[2])}"


def _entry(row: dict[str, Any]) -> FileEntry:
    """Turn one row into text."""
    if row.get("sampling_y") == row.get("sampling_x"):
        row = {"sampling" if key == "sampling_y" else key: row[key] for key in row if key != "sampling_x"}
    row = _with_error(row)
    order = {name: place for place, name in enumerate(_LABELS)}
    shown = [key for key in row if key not in _HIDDEN and not _SCORE.fullmatch(key)]
    shown.sort(key=lambda key: order.get(key, len(order)))
    facts = [(_LABELS.get(key, humanise(key)), _write(row[key])) for key in shown]
    name, stem = str(row.get("file", "?")), str(row.get("micrograph", "?"))
    warnings = [line for key in ("warnings", "domain_reason") for line in _lines(row.get(key))]
    failed = row.get("status") == NOT_ANALYSED
    return FileEntry(
        name=name,
        stem=stem,
        facts=tuple((label, text) for label, text in facts if text),
        warnings=() if failed else tuple(dict.fromkeys(warnings)),
        in_domain=bool(row["in_domain"]) if isinstance(row.get("in_domain"), (bool, np.bool_)) else None,
        error=("; ".join(_lines(row.get("reason"))) or "no reason is known") if failed else "",
    )


def _with_error(row: dict[str, Any]) -> dict[str, Any]:
    """Write the sampling with its error, if there is one."""
    error = row.get("sampling_error")
    if not isinstance(error, (float, np.floating)) or not np.isfinite(error):
        return {key: value for key, value in row.items() if key != "sampling_error"}
    decimals = choose_decimals(0.0, -float(error), float(error))
    spread = format_value(float(error), decimals=decimals)
    shown = {
        key: f"{format_value(float(row[key]), decimals=decimals)} ± {spread}"
        for key in ("sampling", "sampling_y", "sampling_x")
        if isinstance(row.get(key), (float, np.floating)) and np.isfinite(row[key])
    }
    return {key: shown.get(key, value) for key, value in row.items() if key != "sampling_error"}


def _write(value: Any) -> str:
    """Write any cell; nothing for a missing one."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)) and np.isfinite(value):
        return format_count(float(value)) if value == round(value) else format_value(float(value))
    if isinstance(value, (int, np.integer)):
        return format_count(int(value))
    return "; ".join(_lines(value))


def _lines(value: Any) -> list[str]:
    """Return a cell as lines: a list has one for each of its items, a missing value none."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [line for item in value for line in _lines(item)]
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return []
    text = str(value).strip()
    return [text] if text else []
