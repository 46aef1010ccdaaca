"""Times of the frames of a series."""

from __future__ import annotations

import numpy as np

from amorph2d.arrays import FloatArray


def frame_times(n_frames: int, *, interval: float) -> FloatArray:
    """Return the times of frames that follow each other in equal intervals, from 0 on, (n_frames,) [s].

    Parameters
    ----------
    n_frames
        Number of frames, ≥ 0.
    interval
        Time from the start of a frame to that of the next, > 0 [s].

    Raises
    ------
    ValueError
        If `n_frames` is negative or `interval` is not positive.
    """
    if n_frames < 0:
        raise ValueError(f"n_frames must be >= 0, got {n_frames}")
    if not (np.isfinite(interval) and interval > 0):
        raise ValueError(f"interval must be > 0 s, got {interval}")
    return np.arange(n_frames, dtype=np.float64) * interval
