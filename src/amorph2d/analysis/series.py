"""The frames of a series brought together: drift, tracks and time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from amorph2d.series.drift import estimate_drift, remove_drift
from amorph2d.series.linking import link_sites
from amorph2d.series.refinement import refine_drift

if TYPE_CHECKING:
    from amorph2d.analysis.config import SeriesParameters
    from amorph2d.micrographs.read import Micrograph


def join_frames(
    tables: Sequence[pd.DataFrame],
    micrograph: Micrograph,
    *,
    sampling: tuple[float, float],
    parameters: SeriesParameters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Align the sites of all frames and link them.

    Parameters
    ----------
    tables
        Sites of each frame, in order.
    micrograph
        The series.
    sampling
        Its sampling, (y, x) [Å/px].
    parameters
        Of drift and linking.

    Returns
    -------
    sites
        All sites, with ``time`` [s] (NaN where the file has none), ``track``, and ``x_aligned`` and
        ``y_aligned`` [Å]: the position less the drift.
    drift
        One row per frame: ``frame``, ``time``, ``dx``, ``dy`` [Å] …
    """
    frames = (micrograph.frame(number) for number in range(micrograph.n_frames))
    drift = estimate_drift(frames, sampling=sampling, parameters=parameters.drift)
    drift = refine_drift(tables, drift, parameters=parameters.linking)
    times = np.full(len(tables), np.nan) if micrograph.times is None else np.asarray(micrograph.times, float)
    aligned = link_sites(remove_drift(tables, drift), parameters=parameters.linking)
    joined = [
        table.assign(time=time, track=moved["track"], x_aligned=moved["x"], y_aligned=moved["y"])
        for table, moved, time in zip(tables, aligned, times, strict=True)
    ]
    return pd.concat(joined, ignore_index=True), drift.assign(time=times)
