"""How often bonds switch: rates of events in an observed area and time, or per dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

from amorph2d.arrays import FloatArray
from amorph2d.series.events import EVENT_KINDS, EventParameters

PER_NM2 = 100.0
"""Factor from 1/(Å² s) to 1/(nm² s)."""

RATE_COLUMNS = {
    "kind": "str",
    "n_events": "int64",
    "rate": "float64",
    "rate_low": "float64",
    "rate_high": "float64",
    "per_dose": "float64",
    "per_dose_low": "float64",
    "per_dose_high": "float64",
}
RATE_UNITS = {
    "kind": "",
    "n_events": "",
    "rate": "1/(Å² s)",
    "rate_low": "1/(Å² s)",
    "rate_high": "1/(Å² s)",
    "per_dose": "1/e⁻",
    "per_dose_low": "1/e⁻",
    "per_dose_high": "1/e⁻",
}


@dataclass(frozen=True)
class Exposure:
    """What was watched.

    Attributes
    ----------
    area
        Analysable area that all frames show, ≥ 0 [Å²].
    time
        Time in which a lasting event would have been seen, ≥ 0 or NaN [s].
    dose
        Dose in this time, ≥ 0 or NaN [e⁻/Å²].
    """

    area: float
    time: float
    dose: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.area) and self.area >= 0):
            raise ValueError(f"area must be >= 0 Å², got {self.area}")
        if self.time < 0 or self.dose < 0:
            raise ValueError(f"time and dose must be >= 0, got {self.time} s and {self.dose} e⁻/Å²")


def event_exposure(
    times: ArrayLike, *, area: float, parameters: EventParameters, dose_per_frame: float = np.nan
) -> Exposure:
    """Return area, time and dose in which events that last could be seen.

    An event counts only when the old and the new state are seen for `min_frames` frames each, so those in the
    first and the last ``min_frames - 1`` intervals of a series are not counted, and neither is their time.

    Parameters
    ----------
    times
        Times of all frames in order, (N,), NaN where not known [s].
    area
        Analysable area that all frames show, ≥ 0 [Å²].
    parameters
        `min_frames` is used.
    dose_per_frame
        Dose between the starts of two frames, ≥ 0; NaN where not known [e⁻/Å²].

    Returns
    -------
    Exposure
        Of no time in a series of fewer than ``2 min_frames`` frames.

    Raises
    ------
    ValueError
        If a time is before the one of the frame before it, or the area or dose is negative.
    """
    steps = np.diff(np.asarray(times, dtype=np.float64))
    if (steps < 0).any():
        raise ValueError(f"times must ascend, got a step of {steps[steps < 0][0]} s")
    skipped = parameters.min_frames - 1
    counted = steps[skipped : max(len(steps) - skipped, skipped)]
    return Exposure(area, float(counted.sum()), len(counted) * dose_per_frame if len(counted) else 0.0)


def event_rates(events: pd.DataFrame, exposure: Exposure, *, level: float = 0.95) -> pd.DataFrame:
    """Return the rates of events that last, by kind, with exact Poisson intervals.

    Parameters
    ----------
    events
        As `events_table` makes them.
    exposure
        Where and how long they were looked for.
    level
        Share of intervals that cover the truth at least, 0 to 1.

    Returns
    -------
    DataFrame
        `RATE_COLUMNS` for each kind, and last for "all": number of events, rate [1/(Å² s)], and number per
        electron [1/e⁻] with their intervals; NaN where time or dose are not known or 0.

    Raises
    ------
    ValueError
        If `level` is out of its bounds.

    References
    ----------
    Garwood, Biometrika 28, 437 (1936), doi:10.1093/biomet/28.3-4.437: the interval.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be within 0 … 1, got {level}")
    kinds = events["kind"][events["persistent"].to_numpy(bool)].to_numpy(object)
    n = np.array([(kinds == kind).sum() for kind in EVENT_KINDS] + [len(kinds)])
    bounds = np.stack([n, *poisson_interval(n, level=level)])
    rate, per_dose = (
        bounds / (exposure.area * amount or np.nan) for amount in (exposure.time, exposure.dose)
    )
    columns = [pd.Series([*EVENT_KINDS, "all"], dtype="str"), n, *rate, *per_dose]
    return pd.DataFrame(dict(zip(RATE_COLUMNS, columns, strict=True))).astype(RATE_COLUMNS)


def poisson_interval(n_events: ArrayLike, *, level: float) -> tuple[FloatArray, FloatArray]:
    """Return Garwood's exact interval of the expected number, where `n_events` were counted."""
    n, tail = np.asarray(n_events, dtype=np.float64), (1 - level) / 2
    low = np.where(n > 0, gammaincinv(np.maximum(n, 1), tail), 0.0)
    return low, np.asarray(gammaincinv(n + 1, 1 - tail))
