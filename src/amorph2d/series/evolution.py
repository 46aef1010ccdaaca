"""Statistics of a series against time or dose, and their trends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from amorph2d.arrays import FloatArray

EVOLUTION_COLUMNS = {
    "micrograph": "str",
    "frame": "int32",
    "time": "float64",
    "dose": "float64",
    "statistic": "str",
    "value": "float64",
    "low": "float64",
    "high": "float64",
}
EVOLUTION_UNITS = dict.fromkeys(EVOLUTION_COLUMNS, "") | {"time": "s", "dose": "e⁻/Å²"}
TREND_COLUMNS = {
    "micrograph": "str",
    "statistic": "str",
    "axis": "str",
    "n_frames": "int64",
    "slope": "float64",
    "slope_low": "float64",
    "slope_high": "float64",
    "p_value": "float64",
}
AXES = {"time": "s", "dose": "e⁻/Å²", "frame": ""}
"""What a statistic may be followed along, and the unit."""

_WIDEST = 2.0  # ratio of a frame's interval to the median one beyond which its weight stays the same
_LEAST_FRAMES = 4  # of a trend with an interval
_LEAST_BLOCKS = 6  # of frames that are averaged
_EXACT = 1e-12  # scatter relative to the values that is rounding


class Trend(NamedTuple):
    """Slope of a straight line, its interval, and the probability of such a slope without a trend."""

    slope: float
    low: float
    high: float
    p_value: float


def evolution_table(
    summary: pd.DataFrame, times: pd.DataFrame, *, dose_per_frame: float | None = None
) -> pd.DataFrame:
    """List each statistic of each frame of series with its interval.

    Parameters
    ----------
    summary
        One row per micrograph and frame, with ``name``, ``name_low`` and ``name_high`` for each statistic.
    times
        ``micrograph``, ``frame`` and ``time`` [s] (NaN where not known) of all frames of the series; rows of
        the summary that are of none of them are left out.
    dose_per_frame
        Dose that a frame takes, ≥ 0 [e⁻/Å²].

    Returns
    -------
    DataFrame
        `EVOLUTION_COLUMNS`, by micrograph, statistic and frame. ``dose`` is what the specimen had taken when
        the frame began, if all frames from 0 on were taken with the same dose; NaN where not known.

    Raises
    ------
    ValueError
        If a column is missing, or the dose is negative.
    """
    for table, name, needed in (
        (summary, "summary", ("micrograph", "frame")),
        (times, "times", ("micrograph", "frame", "time")),
    ):
        missing = [column for column in needed if column not in table]
        if missing:
            raise ValueError(
                f"{name} must have the columns {', '.join(needed)}, got none called {missing[0]}"
            )
    if dose_per_frame is not None and not dose_per_frame >= 0:
        raise ValueError(f"dose_per_frame must be >= 0 e⁻/Å², got {dose_per_frame}")
    statistics = [name for name in summary if {f"{name}_low", f"{name}_high"} <= set(summary)]
    rows = summary.merge(times[["micrograph", "frame", "time"]], on=["micrograph", "frame"])
    rows = rows.sort_values(["micrograph", "frame"])
    dose = rows["frame"] * (np.nan if dose_per_frame is None else dose_per_frame)
    parts = [
        pd.DataFrame(
            {
                "micrograph": rows["micrograph"],
                "frame": rows["frame"],
                "time": rows["time"],
                "dose": dose,
                "statistic": name,
                "value": rows[name],
                "low": rows[f"{name}_low"],
                "high": rows[f"{name}_high"],
            }
        )
        for name in statistics
    ]
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(EVOLUTION_COLUMNS))
    order = pd.Categorical(table["statistic"], statistics, ordered=True)
    table = table.assign(order=order).sort_values(["micrograph", "order", "frame"], ignore_index=True)
    return table[list(EVOLUTION_COLUMNS)].astype(EVOLUTION_COLUMNS)


def trend_table(evolution: pd.DataFrame, *, axis: str = "time", level: float = 0.95) -> pd.DataFrame:
    """Fit a straight line to each statistic of each series.

    Parameters
    ----------
    evolution
        As `evolution_table` makes it.
    axis
        "time", "dose" or "frame".
    level
        Share of intervals that cover the truth.

    Returns
    -------
    DataFrame
        `TREND_COLUMNS`; slopes per s, per e⁻/Å² or per frame, as `fit_trend` gives them.

    Raises
    ------
    ValueError
        If the axis is not known or the level not within 0 … 1.
    """
    if axis not in AXES:
        raise ValueError(f"axis must be one of {', '.join(AXES)}, got {axis!r}")
    found = []
    for (micrograph, statistic), rows in evolution.groupby(["micrograph", "statistic"], sort=False):
        x, y = rows[axis].to_numpy(np.float64), rows["value"].to_numpy(np.float64)
        width = (rows["high"] - rows["low"]).to_numpy(np.float64)
        n_frames = int((np.isfinite(x) & np.isfinite(y)).sum())
        found.append((micrograph, statistic, axis, n_frames, *fit_trend(x, y, width, level=level)))
    return pd.DataFrame(found, columns=list(TREND_COLUMNS)).astype(TREND_COLUMNS)


def fit_trend(x: ArrayLike, y: ArrayLike, width: ArrayLike, *, level: float = 0.95) -> Trend:
    """Fit a straight line to values that scatter about it, neighbours being alike.

    The frames of a series show the same area, so their values are not independent: what the sheet looks like
    besides its trend stays for some frames, and what it has of chance by being small is the same in all and
    does not change the slope. So the error comes from the scatter about the line, not from the intervals of
    the frames; these only set the weights, within a factor of 16, since the interval of a share is the
    narrower the nearer to 0 the share happens to be.

    The error has an effective number of frames, from the correlation of neighbouring residuals (first-order
    autoregression, corrected for its bias in short series). It is also taken from means of 2, 4, 8 … frames,
    down to six of them, and the widest interval counts: scatter that is mostly independent may hide a part
    that stays for long. In simulations 95 % intervals cover 97–99 % of the slopes where scatter is
    independent; where its correlation is 0.8 from frame to frame, 78 % for 10 frames, 91 % for 20, and 96 %
    for 50.

    Parameters
    ----------
    x, y
        Times or doses, and values, (N,); those not finite are left out.
    width
        Widths of the intervals of the values, (N,); where one is not known or 0, all weigh the same.
    level
        Share of intervals that cover the truth.

    Returns
    -------
    Trend
        NaN for fewer than two different `x`; bounds and probability NaN for fewer than four values.

    Raises
    ------
    ValueError
        If the shapes differ or the level is not within 0 … 1.

    References
    ----------
    Santer et al., J. Geophys. Res. 105, 7337 (2000), doi:10.1029/1999JD901105: effective number of values.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be within 0 … 1, got {level}")
    values = [np.asarray(column, dtype=np.float64) for column in (x, y, width)]
    if len({column.shape for column in values}) > 1 or values[0].ndim != 1:
        raise ValueError(f"x, y and width must be (N,), got {[column.shape for column in values]}")
    is_known = np.isfinite(values[0]) & np.isfinite(values[1])
    times, found, widths = (column[is_known] for column in values)
    if len(times) < 2 or np.ptp(times) == 0:
        return Trend(np.nan, np.nan, np.nan, np.nan)
    weights = _weights(widths)
    centred = times - np.average(times, weights=weights)
    lever = weights * centred / (weights @ centred**2)
    slope = float(lever @ found)
    rest = found - np.average(found, weights=weights) - slope * centred
    if len(times) < _LEAST_FRAMES:
        return Trend(slope, np.nan, np.nan, np.nan)
    errors, freedoms = _errors(np.sqrt(weights) * rest, lever / np.sqrt(weights))
    reaches = errors * stdtrit(freedoms, (1 + level) / 2)
    widest = int(reaches.argmax())
    error, freedom, reach = float(errors[widest]), float(freedoms[widest]), float(reaches[widest])
    if error <= _EXACT * np.abs(lever).max() * np.abs(found).max():
        return Trend(slope, slope, slope, float(slope == 0))
    return Trend(slope, slope - reach, slope + reach, float(2 * stdtr(freedom, -abs(slope) / error)))


def _weights(width: FloatArray) -> FloatArray:
    """Return weights of mean 1 for values with intervals of these widths."""
    if not (np.isfinite(width) & (width > 0)).all():
        return np.ones(len(width))
    middle = np.median(width)
    weights = np.clip(width, middle / _WIDEST, middle * _WIDEST) ** -2.0
    return np.asarray(weights / weights.mean())


def _errors(rest: FloatArray, lever: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return standard errors of Σ lever × value and their degrees of freedom, one for each block length."""
    found, length = [], 1
    while length == 1 or len(rest) // length >= _LEAST_BLOCKS:
        starts = np.linspace(0, len(rest), len(rest) // length, endpoint=False).astype(int)
        sizes = np.diff(np.append(starts, len(rest)))
        found.append(_error(np.add.reduceat(rest, starts) / sizes, np.add.reduceat(lever, starts)))
        length *= 2
    errors, freedom = np.array(found).T
    return errors, freedom


def _error(rest: FloatArray, lever: FloatArray) -> tuple[float, float]:
    """Return the standard error of Σ lever × value and its degrees of freedom, from residuals."""
    n, squares = len(rest), float(rest @ rest)
    if squares == 0:
        return 0.0, n - 2.0
    alike = float(rest[1:] @ rest[:-1]) / squares
    # Residuals of a line fitted to N values look less alike than they are, by about (1 + 4 r)/N.
    alike = float(np.clip(alike + (1 + 4 * max(alike, 0.0)) / n, 0.0, 1 - 3 / n))
    n_effective = max(n * (1 - alike) / (1 + alike), 3.0)
    return float(np.sqrt(squares / (n_effective - 2) * float(lever @ lever))), n_effective - 2
