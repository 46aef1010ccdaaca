"""Events of a series and their rates, from the tables of its analysis."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from amorph2d.measures.config import StatisticsParameters
from amorph2d.measures.window import RectangularWindow, analysable_window
from amorph2d.series.drift import common_field
from amorph2d.series.event_rates import RATE_COLUMNS, event_exposure, event_rates
from amorph2d.series.events import events_table
from amorph2d.units import Sampling


def find_changes(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    drift: pd.DataFrame,
    *,
    shape: tuple[int, int],
    sampling: Sampling,
    area: float,
    parameters: StatisticsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find the events of one series and their rates.

    Parameters
    ----------
    sites, bonds, rings, ring_atoms, drift
        Tables of the series.
    shape
        Rows and columns of a frame.
    sampling
        One value or (y, x) [Å/px].
    area
        Least area in which atoms are analysable, of all frames [Å²].
    parameters
        `events` and the level of `intervals` are used.

    Returns
    -------
    events, rates
        As `events.events_table` and `event_rates.event_rates` give them. Where the drift leaves nothing that
        all frames show, there are no events, and rates are not known.
    """
    try:
        field = common_field(drift, shape, sampling)
    except ValueError:
        field = RectangularWindow(0.0, 0.0, 0.0, 0.0)
    events = events_table(sites, bonds, rings, ring_atoms, parameters.events, field=field)
    times = drift.sort_values("frame")["time"]
    exposure = event_exposure(times, area=min(area, field.area), parameters=parameters.events)
    return events, event_rates(events, exposure, level=parameters.intervals.level)


def join_rates(rates: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rates of several series, by name, as one table with the column `micrograph` first."""
    parts = [table.assign(micrograph=name) for name, table in rates.items()]
    joined = pd.concat(parts) if parts else pd.DataFrame(columns=list(RATE_COLUMNS)).assign(micrograph="")
    return joined[["micrograph", *RATE_COLUMNS]].astype(RATE_COLUMNS).reset_index(drop=True)


def shown_field(drift: pd.DataFrame, shape: tuple[int, int], sampling: Sampling) -> RectangularWindow:
    """Return the area that all frames of a series show, or that of the first where there is none."""
    try:
        return common_field(drift, shape, sampling)
    except ValueError:
        return analysable_window(shape, sampling, border=0.0)
