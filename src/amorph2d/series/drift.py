"""Drift of a series: measured from its images, taken from its positions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_image
from amorph2d.measures.window import RectangularWindow, analysable_window
from amorph2d.series.config import DriftParameters
from amorph2d.series.correlation import Circle, Displacement, SpectralGrid, Spectrum, measure_displacement
from amorph2d.units import Sampling, as_sampling

DRIFT_COLUMNS = ("frame", "dx", "dy", "error", "correlation", "is_reliable")

_REACH = 2  # frames back that each frame is compared with
_ANCHOR_RADIUS = 1.0  # around the drift known so far, in which the anchor is looked for [Å]
_LARGEST_SHIFT = 0.25  # of the field, by which the anchor may be displaced
_FLOOR = 0.01  # error of a displacement that no scatter of phases shows [Å]
_OUTLIER = 2.385  # scaled residual at which a Cauchy weight is a half
_DISAGREEMENT = 0.5  # residual from which on a displacement is wrong [Å]
_N_ROUNDS = 20
_BLOCK = 256


class _Pair(NamedTuple):
    """Displacement of frame `second` against frame `first`."""

    first: int
    second: int
    vector: FloatArray
    error: float
    is_sound: bool


def estimate_drift(
    frames: Iterable[ArrayLike], *, sampling: Sampling, parameters: DriftParameters
) -> pd.DataFrame:
    """Measure the drift of each frame of a series against the first.

    Each frame is compared with the two before it and with an anchor, the first frame or, where that has
    become too different, a later one. Of all these displacements the drift is the robust least-squares
    solution, so that one wrong displacement is outvoted and small errors do not add up. Frames are read one
    at a time; of four of them the Fourier coefficients within the band are held.

    Parameters
    ----------
    frames
        Images of one shape, each (rows, columns), in the order of their times; read once.
    sampling
        Their sampling, one value or (y, x), > 0 [Å/px].
    parameters
        Band, largest drift per frame, and when a displacement is believed.

    Returns
    -------
    DataFrame
        One row per frame, from 0 on: ``frame``; ``dx``, ``dy``, how far what it shows has moved since the
        first [Å]; ``error``, the standard deviation per axis [Å]; ``correlation`` with the frame before,
        the mean cosine of the phase differences (1 for the first); ``is_reliable``, whether significant and
        unambiguous displacements that agree lead from the first frame to it. Where they do not, the drift
        goes on as before and the error is large.

    Raises
    ------
    ValueError
        If the sampling is not valid, a frame is no finite image or of another shape than the first, or the
        band holds no frequency of it.

    References
    ----------
    Holland and Welsch, Commun. Stat. A 6, 813 (1977), doi:10.1080/03610927708827533: iteratively reweighted
    least squares, and the constant of the Cauchy weights.
    """
    steps = as_sampling(sampling)
    pairs, correlations = _measure_pairs(frames, steps, parameters)
    n_frames = len(correlations)
    drift, errors, is_agreeing = _solve(pairs, n_frames)
    return _drift_table(
        np.arange(n_frames), drift, errors, correlations, _reached(pairs, is_agreeing, n_frames)
    )


def remove_drift(tables: Sequence[pd.DataFrame], drift: pd.DataFrame) -> list[pd.DataFrame]:
    """Move the sites of each frame to where they are in the coordinates of the first.

    Parameters
    ----------
    tables
        Sites of each frame; ``frame``, ``x`` and ``y`` [Å] are used.
    drift
        Drift of each frame, as of `estimate_drift`.

    Returns
    -------
    list of DataFrame
        Copies with other ``x`` and ``y``.

    Raises
    ------
    ValueError
        If a frame of the tables has no row in `drift`, or a column is missing.
    """
    vectors = drift.set_index("frame")[["dx", "dy"]]
    return [_moved(table, vectors) for table in tables]


def common_field(drift: pd.DataFrame, shape: tuple[int, int], sampling: Sampling) -> RectangularWindow:
    """Return the area that all frames show, in the coordinates of the first.

    Parameters
    ----------
    drift
        Drift of the frames that count, at least one; leave out those that are not to be used.
    shape
        Rows and columns of a frame [px].
    sampling
        Sampling, one value or (y, x), > 0 [Å/px].

    Returns
    -------
    RectangularWindow
        The intersection, from the outer edges of the pixels [Å].

    Raises
    ------
    ValueError
        If there is no frame, or no area that all of them show.
    """
    if drift.empty:
        raise ValueError("drift must have at least one frame, got none")
    field = analysable_window(shape, sampling, border=0.0)
    x, y = drift["dx"].to_numpy(np.float64), drift["dy"].to_numpy(np.float64)
    low = field.x0 - x.min(), field.y0 - y.min()
    high = field.x1 - x.max(), field.y1 - y.max()
    if not (low[0] < high[0] and low[1] < high[1]):
        raise ValueError(
            f"drift must leave an area that all frames show, got {np.ptp(x):.1f} Å along x and "
            f"{np.ptp(y):.1f} Å along y in a field of {field.sides[0]:.1f} Å × {field.sides[1]:.1f} Å"
        )
    return RectangularWindow(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def restrict_to_field(tables: Sequence[pd.DataFrame], field: RectangularWindow) -> list[pd.DataFrame]:
    """Return copies of tables in which sites outside of `field` are not ``analysable``."""
    return [
        table.assign(
            analysable=table["analysable"].to_numpy(bool) & field.contains(table[["x", "y"]].to_numpy())
        )
        for table in tables
    ]


def _moved(table: pd.DataFrame, vectors: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its sites moved back by the drift of their frames."""
    missing = sorted(set(table["frame"]) - set(vectors.index))
    if missing:
        raise ValueError(f"drift must have a row for each frame, got none for {missing[0]}")
    shift = vectors.loc[table["frame"]].to_numpy(np.float64)
    return table.assign(
        x=table["x"].to_numpy(np.float64) - shift[:, 0], y=table["y"].to_numpy(np.float64) - shift[:, 1]
    )


def _measure_pairs(
    frames: Iterable[ArrayLike], steps: tuple[float, float], parameters: DriftParameters
) -> tuple[list[_Pair], FloatArray]:
    """Read the frames; return their displacements against each other and each one's correlation."""
    follower: _Follower | None = None
    for frame in frames:
        image = as_image(frame, "frame")
        if follower is None:
            follower = _Follower(SpectralGrid(image.shape, steps, parameters), parameters)
        follower.add(image)
        del frame, image  # or two would be held while the next is read
    return (follower.pairs, np.array(follower.correlations)) if follower else ([], np.empty(0))


class _Follower:
    """Compares each frame with earlier ones."""

    def __init__(self, grid: SpectralGrid, parameters: DriftParameters) -> None:
        self.pairs: list[_Pair] = []
        self.correlations: list[float] = []
        self._grid, self._parameters = grid, parameters
        self._recent: deque[Spectrum] = deque(maxlen=_REACH)
        self._places: list[FloatArray] = []
        self._velocity, self._n_lost = np.zeros(2), 0
        self._anchor = 0
        self._farthest = _LARGEST_SHIFT * float((np.array(grid.shape) * grid.steps).min())

    def add(self, image: ArrayLike) -> None:
        """Compare the next frame with those before it."""
        spectrum = self._grid.transform(image)
        k = len(self.correlations)
        if k == 0:
            self._places.append(np.zeros(2))
            self._anchored = spectrum
            self.correlations.append(1.0)
        else:
            self._compare(spectrum, k)
        self._recent.append(spectrum)

    def _compare(self, spectrum: Spectrum, k: int) -> None:
        """Compare frame `k` with its neighbours and the anchor, and say where it is."""
        found: list[_Pair] = []
        for lag in range(1, len(self._recent) + 1):
            found.append(self._beside(spectrum, k, lag, found))
        sound = [pair for pair in found if pair.is_sound]
        self._n_lost = 0 if sound else self._n_lost + 1
        place = self._places[-1] + self._velocity
        if sound:
            place = self._places[sound[0].first] + sound[0].vector
        if k - self._anchor > _REACH:
            place = self._beside_anchor(spectrum, k, place)
        if sound and sound[0].first == k - 1:
            self._velocity = sound[0].vector
        self.pairs += found
        self._places.append(place)

    def _beside(self, spectrum: Spectrum, k: int, lag: int, found_before: Sequence[_Pair]) -> _Pair:
        """Compare frame `k` with that `lag` before it, near where shorter steps lead if they are sound."""
        circle = Circle(np.zeros(2), lag * self._parameters.max_step, lag * self._velocity)
        if lag > 1 and found_before[0].is_sound and not self._n_lost:
            place = self._places[-1] + found_before[0].vector - self._places[-lag]
            circle = Circle(place, self._parameters.max_step, place)
        found = self._measure(self._recent[-lag], spectrum, circle)
        if lag == 1:
            self.correlations.append(found.correlation)
        if not found.is_significant:  # it may go on as before
            return _Pair(k - lag, k, circle.expected, circle.radius, False)
        is_sound = found.is_unique
        error = np.hypot(found.error, _FLOOR if is_sound else self._parameters.max_step)
        return _Pair(k - lag, k, found.vector, float(error), is_sound)

    def _beside_anchor(self, spectrum: Spectrum, k: int, place: FloatArray) -> FloatArray:
        """Compare frame `k` with the anchor, or make it the anchor; return its place."""
        expected = place - self._places[self._anchor]
        circle = Circle(expected, _ANCHOR_RADIUS + self._n_lost * self._parameters.max_step, expected)
        if np.hypot(*expected) <= self._farthest:
            found = self._measure(self._anchored, spectrum, circle)
            if found.is_significant and found.is_unique:
                self._n_lost = 0
                error = float(np.hypot(found.error, _FLOOR))
                self.pairs.append(_Pair(self._anchor, k, found.vector, error, True))
                return self._places[self._anchor] + found.vector
        if self._n_lost == 0:
            self._anchor, self._anchored = k, spectrum
        return place

    def _measure(self, first: Spectrum, second: Spectrum, circle: Circle) -> Displacement:
        return measure_displacement(self._grid, first, second, circle=circle, parameters=self._parameters)


def _solve(pairs: Sequence[_Pair], n_frames: int) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Return the drift (N, 2), its error (N,) [Å], and which displacements agree with it."""
    if n_frames < 2:
        return np.zeros((n_frames, 2)), np.zeros(n_frames), np.empty(0, dtype=bool)
    ends = np.array([(pair.first, pair.second) for pair in pairs])
    vectors = np.array([pair.vector for pair in pairs])
    errors = np.array([pair.error for pair in pairs])
    differences = _differences(ends, n_frames)
    weights = errors**-2
    for _ in range(_N_ROUNDS):
        normal = splu((differences.T @ sparse.diags_array(weights) @ differences).tocsc())
        drift = normal.solve(differences.T @ (weights[:, None] * vectors))
        residuals = np.hypot(*(vectors - differences @ drift).T)
        scaled = residuals / errors
        weights = 1 / (errors**2 * (1 + (scaled / _OUTLIER) ** 2))
    variances = _inverse_diagonal(normal, n_frames - 1)
    # What the pairs disagree is at least their error, but nobody disagrees where nothing is counted twice.
    n_free = max(2 * (len(pairs) - n_frames + 1), 1)
    scale = max(1.0, float((weights * residuals**2).sum()) / n_free)
    errors_of_drift = np.sqrt(np.append(0.0, variances) * scale)
    return np.vstack([np.zeros(2), drift]), errors_of_drift, residuals < _DISAGREEMENT


def _differences(ends: IntArray, n_frames: int) -> sparse.csr_array:
    """Return the matrix that makes displacements of the drifts of all frames but the first."""
    rows = np.tile(np.arange(len(ends)), 2)
    signs = np.repeat([-1.0, 1.0], len(ends))
    matrix = sparse.csr_array((signs, (rows, ends.T.ravel())), shape=(len(ends), n_frames))
    return sparse.csr_array(matrix[:, 1:])


def _inverse_diagonal(normal: SuperLU, size: int) -> FloatArray:
    """Return the diagonal of the inverse, a block of columns at a time."""
    diagonal = np.empty(size)
    for start in range(0, size, _BLOCK):
        index = np.arange(start, min(start + _BLOCK, size))
        unit = np.zeros((size, len(index)))
        unit[index, np.arange(len(index))] = 1.0
        diagonal[index] = normal.solve(unit)[index, np.arange(len(index))]
    return diagonal


def _reached(pairs: Sequence[_Pair], is_agreeing: BoolArray, n_frames: int) -> BoolArray:
    """Say which frames are tied to the first by sound displacements that agree with the drift."""
    if n_frames == 0:
        return np.empty(0, dtype=bool)
    ends = np.array(
        [
            (pair.first, pair.second)
            for pair, is_kept in zip(pairs, is_agreeing, strict=True)
            if is_kept and pair.is_sound
        ],
        dtype=np.int64,
    ).reshape(-1, 2)
    graph = sparse.coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n_frames, n_frames))
    component = connected_components(graph, directed=False)[1]
    return np.asarray(component == component[0])


def _drift_table(
    frames: IntArray, drift: FloatArray, errors: FloatArray, correlations: FloatArray, is_reliable: BoolArray
) -> pd.DataFrame:
    """Return the drift as a table."""
    return pd.DataFrame(
        {
            "frame": frames.astype(np.int32),
            "dx": drift[:, 0],
            "dy": drift[:, 1],
            "error": errors,
            "correlation": correlations,
            "is_reliable": is_reliable,
        }
    )
