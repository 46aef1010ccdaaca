"""Coordination numbers by integrating the shells of the pair distribution."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.measures.config import ShellParameters
from amorph2d.measures.tables import by_frame

SHELL_COLUMNS = {
    "frame": "int32",
    "shell": "int32",
    "r_low": "float64",
    "r_high": "float64",
    "r_peak": "float64",
    "n": "float64",
    "n_error": "float64",
}
SHELL_UNITS = {"frame": "", "shell": "", "r_low": "Å", "r_high": "Å", "r_peak": "Å", "n": "", "n_error": ""}
RUNNING_COORDINATION_COLUMNS = {"frame": "int32", "r": "float64", "n": "float64", "n_error": "float64"}
RUNNING_COORDINATION_UNITS = {"frame": "", "r": "Å", "n": "", "n_error": ""}


class Shells(NamedTuple):
    """Shells of neighbours, K of them, from the nearest on.

    Attributes
    ----------
    r_low, r_high
        Bounds, the minima of g(r), (K,) [Å]; `r_high` of the last is NaN where no minimum follows.
    r_peak
        Where g(r) is highest, (K,) [Å].
    n, n_error
        Neighbours and the standard error, (K,); NaN without an upper bound.
    """

    r_low: FloatArray
    r_high: FloatArray
    r_peak: FloatArray
    n: FloatArray
    n_error: FloatArray


def running_coordination(
    r: ArrayLike, g: ArrayLike, g_error: ArrayLike, *, density: float
) -> tuple[FloatArray, FloatArray]:
    """Count the neighbours nearer than the outer edge of each bin, N(r) = 2πρ ∫ g r dr.

    Parameters
    ----------
    r
        Middles of equal bins that begin at 0, (K,) [Å].
    g, g_error
        Pair distribution and its standard error, (K,); bins that are NaN add nothing.
    density
        Positions per area, ≥ 0 [1/Å²].

    Returns
    -------
    n, n_error
        Neighbours and standard errors, (K,). Errors of the bins are taken as independent; where positions are
        ordered they are not, and the error of N is then too large, as fluctuations of the density, which an
        ordered sheet does not have, are counted in.

    Raises
    ------
    ValueError
        If the bins are not equal or do not begin at 0, shapes differ, or `density` is negative.
    """
    middles, width = _as_bins(r)
    values, errors = np.asarray(g, dtype=np.float64), np.asarray(g_error, dtype=np.float64)
    if values.shape != middles.shape or errors.shape != middles.shape:
        raise ValueError(
            f"g and g_error must have the shape of r, {middles.shape}, got {values.shape}, {errors.shape}"
        )
    if not density >= 0:
        raise ValueError(f"density must be ≥ 0 1/Å², got {density}")
    by_chance = density * 2 * np.pi * middles * width  # exact: a bin's area is 2πr times its width
    n = np.cumsum(by_chance * np.nan_to_num(values))
    return n, np.sqrt(np.cumsum((by_chance * np.nan_to_num(errors)) ** 2))


def find_shells(
    r: ArrayLike, g: ArrayLike, g_error: ArrayLike, *, density: float, parameters: ShellParameters
) -> Shells:
    """Find the shells of neighbours as peaks of g(r), and count the neighbours in each.

    A shell reaches from one minimum to the next; the first begins at 0. Peaks and minima are those of the
    smoothed distribution; a minimum that is flat, as where g is 0, lies in its middle. What is integrated is
    not smoothed.

    Parameters
    ----------
    r
        Middles of equal bins that begin at 0, (K,) [Å].
    g, g_error
        Pair distribution and its Poisson error, (K,).
    density
        Positions per area, ≥ 0 [1/Å²].
    parameters
        What counts as a shell.

    Returns
    -------
    Shells
        At most `n_shells`; a peak with no further one behind it comes last and has no upper bound. The errors
        of the bins are taken as independent, and the bounds as exact.

    Raises
    ------
    ValueError
        As `running_coordination`.
    """
    n, n_error = running_coordination(r, g, g_error, density=density)
    middles, width = _as_bins(r)
    if len(middles) == 0:
        return Shells(*(np.empty(0) for _ in range(5)))
    smooth, error = _smooth(
        *_counts(np.asarray(g, np.float64), np.asarray(g_error, np.float64)), parameters.smoothing / width
    )
    peaks, found = find_peaks(smooth, prominence=parameters.min_prominence)
    peaks = peaks[found["prominences"] >= parameters.significance * error[peaks]]
    bounds = np.array([_lowest(smooth, *pair) for pair in pairwise(peaks.tolist())], dtype=np.int64)
    peaks = peaks[: parameters.n_shells]
    return _integrate(middles + width / 2, n, n_error, middles[peaks], bounds[: len(peaks)])


def shells_table(
    pdf: pd.DataFrame, density: float | Mapping[int, float], parameters: ShellParameters
) -> pd.DataFrame:
    """Find the shells of neighbours of each frame.

    Parameters
    ----------
    pdf
        `frame`, `r`, `g`, `g_error`, as `tables.pdf_table` gives them.
    density
        Analysable atoms per area of their window, of all frames or by frame [1/Å²].
    parameters
        What counts as a shell.

    Returns
    -------
    DataFrame
        `frame`, `shell` from 1 on, `r_low`, `r_high`, `r_peak` [Å], `n`, `n_error`; fewer rows where there
        are fewer shells.

    Raises
    ------
    ValueError
        As `running_coordination`.
    """
    parts = [pd.DataFrame({name: [] for name in SHELL_COLUMNS})]
    for frame, rows in by_frame(pdf).items():
        r, g, g_error = (rows[name].to_numpy(np.float64) for name in ("r", "g", "g_error"))
        found = find_shells(r, g, g_error, density=_density_of(density, frame), parameters=parameters)
        numbers = {"frame": frame, "shell": np.arange(1, len(found.n) + 1)}
        parts.append(pd.DataFrame(numbers | found._asdict()))
    return pd.concat(parts[1:] or parts, ignore_index=True).astype(SHELL_COLUMNS)


def running_coordination_table(pdf: pd.DataFrame, density: float | Mapping[int, float]) -> pd.DataFrame:
    """Count the neighbours nearer than r in each frame.

    Parameters
    ----------
    pdf
        `frame`, `r`, `g`, `g_error`, as `tables.pdf_table` gives them.
    density
        Analysable atoms per area of their window, of all frames or by frame [1/Å²].

    Returns
    -------
    DataFrame
        `frame`, `r`, the outer edges of the bins [Å], `n`, `n_error`.

    Raises
    ------
    ValueError
        As `running_coordination`.
    """
    parts = [pd.DataFrame({name: [] for name in RUNNING_COORDINATION_COLUMNS})]
    for frame, rows in by_frame(pdf).items():
        r, g, g_error = (rows[name].to_numpy(np.float64) for name in ("r", "g", "g_error"))
        n, n_error = running_coordination(r, g, g_error, density=_density_of(density, frame))
        _, width = _as_bins(r)
        parts.append(pd.DataFrame({"frame": frame, "r": r + width / 2, "n": n, "n_error": n_error}))
    return pd.concat(parts[1:] or parts, ignore_index=True).astype(RUNNING_COORDINATION_COLUMNS)


def _density_of(density: float | Mapping[int, float], frame: int) -> float:
    """Density of a frame."""
    return density[frame] if isinstance(density, Mapping) else density


def _as_bins(r: ArrayLike) -> tuple[FloatArray, float]:
    """Middles of bins and their width."""
    middles = np.asarray(r, dtype=np.float64)
    width = 2 * float(middles[0]) if middles.ndim == 1 and len(middles) else 1.0
    if middles.ndim != 1 or not np.allclose(
        middles, (np.arange(len(middles)) + 0.5) * width, rtol=1e-6, atol=0
    ):
        raise ValueError("r must be the middles of equal bins that begin at 0 Å")
    return middles, width


def _counts(g: FloatArray, g_error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Pairs found and pairs expected, of which g is the quotient and g_error the Poisson error."""
    has = np.isfinite(g) & (g_error > 0)
    one = np.ones(len(g))
    n_found = np.rint(np.divide(g, g_error, out=0 * one, where=has) ** 2)
    return n_found, np.divide(np.sqrt(np.maximum(n_found, 1)), g_error, out=0 * one, where=has)


def _smooth(n_found: FloatArray, n_expected: FloatArray, sigma: float) -> tuple[FloatArray, FloatArray]:
    """Smoothed pair distribution and its error; a few pairs near r = 0 count as few."""
    reach = int(np.ceil(4 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    found, expected, squares = (
        np.convolve(counts, weights)[reach : reach + len(counts)]
        for counts, weights in ((n_found, kernel), (n_expected, kernel), (n_found, kernel**2))
    )
    scale = np.divide(1, expected, out=np.zeros(len(expected)), where=expected > 0)
    # In the tails of the kernel, too, nothing is known better than to one pair.
    return np.where(found > 1e-3, found, 0) * scale, np.sqrt(np.maximum(squares, 1)) * scale


def _lowest(values: FloatArray, start: int, stop: int) -> int:
    """Place of the minimum between two others; the middle of a flat one."""
    between = values[start : stop + 1]
    lowest = np.flatnonzero(between == between.min())
    return int(start + lowest[len(lowest) // 2])


def _integrate(
    outer: FloatArray, n: FloatArray, n_error: FloatArray, r_peak: FloatArray, bounds: IntArray
) -> Shells:
    """Count neighbours between the outer edges of the bins that hold the minima."""
    edges = np.full(len(r_peak) + 1, np.nan)
    running, variance = edges.copy(), edges.copy()
    edges[0], running[0], variance[0] = 0, 0, 0
    upto = slice(1, len(bounds) + 1)
    edges[upto], running[upto], variance[upto] = outer[bounds], n[bounds], n_error[bounds] ** 2
    return Shells(edges[:-1], edges[1:], r_peak, np.diff(running), np.sqrt(np.diff(variance)))
