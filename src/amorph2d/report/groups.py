"""Series against time, and groups of micrographs held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.plotting.colours import SERIES
from amorph2d.report.charts import interval_chart, time_chart
from amorph2d.report.panels import Chart
from amorph2d.report.rounding import format_interval, format_value
from amorph2d.report.statistics import Statistic, find_statistic

_SERIES_COLUMNS = ("micrograph", "time", "statistic", "value", "low", "high")
_GROUP_COLUMNS = ("group", "reference", "statistic", "difference", "low", "high", "p_value", "q_value")
MOST_CHARTS = 12
SMALL_P = 1e-4


@dataclass(frozen=True)
class SeriesPanel:
    """A chart over time for each statistic, and what the colours stand for."""

    charts: Sequence[Chart]
    legend: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class GroupPanel:
    """Differences between groups: a chart for each statistic, and lines of the table."""

    charts: Sequence[Chart]
    lines: Sequence[Mapping[str, str]]


def series_panel(series: pd.DataFrame | None) -> SeriesPanel | None:
    """Draw each statistic of the series against time; None without any.

    Parameters
    ----------
    series
        Columns ``micrograph``, ``time`` [s], ``statistic``, ``value``, ``low``, ``high``, or None.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    if series is None or series.empty:
        return None
    _check(series, _SERIES_COLUMNS, "series")
    charts = []
    for key, rows in series.groupby("statistic", sort=False):
        statistic = find_statistic(str(key))
        title = _title(statistic)
        drawing = time_chart(
            _in_unit(rows, statistic), quantity=title, name=f"{statistic.label} against time"
        )
        charts.append(Chart(title, drawing))
    names = list(dict.fromkeys(series["micrograph"].astype(str)))
    legend = [(name, SERIES[number % len(SERIES)]) for number, name in enumerate(names)]
    return SeriesPanel(charts, legend)


def group_panel(groups: pd.DataFrame | None) -> GroupPanel | None:
    """Draw and list the differences between groups; None without any.

    Parameters
    ----------
    groups
        Columns ``group``, ``reference``, ``statistic``, ``difference``, ``low``, ``high``, ``p_value``,
        ``q_value``, or None.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    if groups is None or groups.empty:
        return None
    _check(groups, _GROUP_COLUMNS, "groups")
    charts: list[Chart] = []
    lines: list[Mapping[str, str]] = []
    for key, rows in groups.groupby("statistic", sort=False):
        statistic = find_statistic(str(key))
        numbers = statistic.factor * rows[["difference", "low", "high"]].to_numpy(dtype=float)
        names = [f"{row['group']} − {row['reference']}" for row in rows.to_dict("records")]
        if len(charts) < MOST_CHARTS and np.isfinite(numbers[:, 0]).any():
            drawing = interval_chart(
                names, *numbers.T, pooled=None, rule=0.0, name=f"Difference in {statistic.label}"
            )
            charts.append(Chart(f"Δ {_title(statistic)}", drawing))
        for number, (row, values) in enumerate(zip(rows.to_dict("records"), numbers, strict=True)):
            lines.append(_line(statistic, names[number], number + 1, row, values))
    return GroupPanel(charts, lines)


def _line(
    statistic: Statistic, name: str, number: int, row: Mapping[Any, Any], values: np.ndarray
) -> dict[str, str]:
    """Write one line of the table of differences."""
    value, interval = format_interval(*(float(item) for item in values))
    return {
        "number": str(number),
        "name": name,
        "label": statistic.label,
        "unit": statistic.unit,
        "value": value,
        "interval": interval,
        "p": _probability(float(row["p_value"])),
        "q": _probability(float(row["q_value"])),
    }


def _probability(value: float) -> str:
    """Write a probability with two digits; small ones as a bound."""
    return f"< {SMALL_P:.4f}" if value < SMALL_P else format_value(value, digits=2)


def _title(statistic: Statistic) -> str:
    """Return label and unit."""
    return f"{statistic.label} [{statistic.unit}]" if statistic.unit else statistic.label


def _in_unit(rows: pd.DataFrame, statistic: Statistic) -> pd.DataFrame:
    """Return value and limits in the unit in which a statistic is written."""
    columns = ["value", "low", "high"]
    return rows.assign(**{name: statistic.factor * rows[name].astype(float) for name in columns})


def _check(table: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """Raise ValueError if a column is missing."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{name} must have the columns {', '.join(columns)}, missing {', '.join(missing)}")
