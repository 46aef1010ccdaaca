"""Structure factor S(q) of positions observed in a window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.sparse import csr_array

from amorph2d.arrays import Float32Array, FloatArray, IntArray, as_points
from amorph2d.measures.config import StructureFactorParameters
from amorph2d.measures.mask_window import MaskWindow
from amorph2d.measures.tables import site_positions, split_frames
from amorph2d.measures.window import Blocks, RectangularWindow, Window
from amorph2d.units import as_sampling

STRUCTURE_FACTOR_COLUMNS = {"frame": "int32", "q": "float64", "s": "float64", "s_error": "float64"}
STRUCTURE_FACTOR_UNITS = {"frame": "", "q": "1/Å", "s": "", "s_error": ""}

_KERNEL = 6  # grid points along x and y that a position is spread over
_FINER = 1.5  # times as fine as needed is the grid
_BETA = np.pi * _KERNEL * (1 - 1 / (2 * _FINER)) * 0.98  # shape of the kernel


@dataclass(frozen=True, eq=False)
class StructureFactor:
    """Structure factor in bins of q.

    Attributes
    ----------
    q
        Middles of the bins, (K,) [1/Å].
    s
        S(q), mean over all directions, (K,); NaN where the window resolves no q.
    s_error
        Its standard error, (K,).
    """

    q: FloatArray
    s: FloatArray
    s_error: FloatArray


def structure_factor(
    positions: ArrayLike, window: Window, *, q_max: float, q_step: float, subtract_window: bool = True
) -> StructureFactor:
    """Measure how strongly positions in a window scatter, mean over all directions.

    What is summed is not exp(iq·r) over the positions alone, which at small q shows the outline of the
    window, but minus the amplitude of the window filled evenly, ρ ∫ t(r) exp(iq·r) dr, whatever its shape.
    This is divided by what independent positions in the window would give, so that those have S = 1 at all q.

    The window is covered with tiles of 4π/q_step, each overlapping the next by half, with the weight t = sin
    (πx/L) sin (πy/L) in each; the squares of the weights of every position add up to 1. So the sharp outlines
    of tiles do not fill the gaps between peaks, and the time grows in proportion to the area. A peak is as
    wide as about 0.6 q_step; correlations over distances longer than a tile are not resolved. In a window
    narrower than a tile, peaks are wider still. The outline of the window itself stays sharp: where S is next
    to nothing, at small q in a sheet of even density, it adds up to a bond length times the window's
    perimeter over its area.

    Unlike the transform of g(r) this needs no end of the range of r, and where S is small, its error is, too:
    the Poisson errors of g(r), which are the same at all q, cannot tell a sheet of even density from a gas.

    Parameters
    ----------
    positions
        Positions, (N, 2), x then y [Å]; those outside the window are left out.
    window
        Where positions were observed.
    q_max
        Largest q, > 0 [1/Å].
    q_step
        Width of a bin, > 0 [1/Å]; narrowed so that a whole number of bins fits.
    subtract_window
        False takes the positions alone, without the forward direction q = 0.

    Returns
    -------
    StructureFactor
        S(q) with its errors: that of a mean of independent intensities of exponential distribution, as many
        as the area holds in the bin; those of neighbouring bins are correlated.

    Raises
    ------
    ValueError
        If a shape is wrong, or `q_max` or `q_step` is not positive.
    TypeError
        If the window is neither a rectangle nor a mask.

    References
    ----------
    Hawat, Gautier, Bardenet and Lachièze-Rey, Stat. Comput. 33, 61 (2023),
    https://doi.org/10.1007/s11222-023-10219-1: tapered estimators from which the window is subtracted.
    Barnett, Magland and af Klinteberg, SIAM J. Sci. Comput. 41, C479 (2019),
    https://doi.org/10.1137/18M120885X: Fourier sums by the kernel exp(β √(1 − z²)).
    """
    points = as_points(positions, "positions")
    for name, value in {"q_max": q_max, "q_step": q_step}.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0 1/Å, got {value}")
    if not isinstance(window, RectangularWindow | MaskWindow):
        raise TypeError(f"window must be a rectangle or a mask, got {type(window).__name__}")
    points = points[window.contains(points)]
    edges = np.linspace(0, q_max, max(1, int(np.ceil(q_max / q_step - 1e-9))) + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    if len(points) == 0 or window.area == 0:
        nothing = np.full(len(middles), np.nan)
        return StructureFactor(middles, nothing, nothing.copy())
    return StructureFactor(middles, *_average(points, window, edges, subtract_window))


def structure_factor_table(
    sites: pd.DataFrame, window: Window, parameters: StructureFactorParameters
) -> pd.DataFrame:
    """Measure the structure factor of the analysable atoms of each frame.

    Parameters
    ----------
    sites
        Located sites.
    window
        The area in which atoms are analysable; atoms outside it are left out.
    parameters
        Range and bins.

    Returns
    -------
    DataFrame
        `frame`, `q` [1/Å], `s`, `s_error`.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    parts = [pd.DataFrame({name: [] for name in STRUCTURE_FACTOR_COLUMNS})]
    for frame, rows in split_frames(sites):
        is_counted = (rows["kind"] == "atom").to_numpy() & rows["analysable"].to_numpy(bool)
        positions = site_positions(rows[is_counted])
        found = structure_factor(positions, window, q_max=parameters.q_max, q_step=parameters.q_step)
        parts.append(pd.DataFrame({"frame": frame, "q": found.q, "s": found.s, "s_error": found.s_error}))
    return pd.concat(parts[1:] or parts, ignore_index=True).astype(STRUCTURE_FACTOR_COLUMNS)


@dataclass(frozen=True, eq=False)
class _Tile:
    """A periodic grid over a tile, and the q at which its Fourier sums are taken.

    Attributes
    ----------
    edges
        Length along x and y, (2,) [Å].
    q_max
        Largest q along x and y [1/Å].
    """

    edges: FloatArray
    q_max: float

    @cached_property
    def n_modes(self) -> IntArray:
        """Largest multiple of 2π/edge along x and y, (2,)."""
        return np.asarray(np.floor(self.q_max * self.edges / (2 * np.pi) + 1e-9), dtype=np.int64)

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Grid points along y and x."""
        wanted = np.maximum(np.ceil(_FINER * 2 * (self.n_modes + 1)).astype(int), 2 * _KERNEL)
        n_x, n_y = (int(fft.next_fast_len(int(n), real=True)) for n in wanted)
        return n_y, n_x

    @cached_property
    def steps(self) -> FloatArray:
        """Distance between grid points along x and y, (2,) [Å]."""
        return self.edges / self.shape[::-1]

    @cached_property
    def modes(self) -> tuple[IntArray, IntArray]:
        """Multiples of 2π/edge along y, which begin with those ≥ 0, and along x, which are ≥ 0."""
        m_x, m_y = self.n_modes
        return np.concatenate([np.arange(m_y + 1), np.arange(-m_y, 0)]), np.arange(m_x + 1)

    @cached_property
    def q(self) -> FloatArray:
        """Length of q of each Fourier sum, (modes along y, modes along x) [1/Å]."""
        return self.shifted_q(0, 0)

    def shifted_q(self, down: int, right: int) -> FloatArray:
        """Length of q so many modes away from each Fourier sum [1/Å]."""
        (k_x, k_y), (along_y, along_x) = 2 * np.pi / self.edges, self.modes
        return np.hypot((along_y[:, None] + down) * k_y, (along_x + right) * k_x)

    @cached_property
    def spreading(self) -> Float32Array:
        """Fourier transform of the kernel by which positions are spread, of the shape of `q`."""
        nodes, weights = np.polynomial.legendre.leggauss(40)
        kernel = weights * np.exp(_BETA * (np.sqrt(1 - nodes**2) - 1))
        along = [
            _KERNEL / 2 * np.cos(np.outer(np.pi * _KERNEL * modes / n, nodes)) @ kernel
            for modes, n in zip(self.modes, self.shape, strict=True)
        ]
        return np.outer(*along).astype(np.float32)

    @cached_property
    def taper(self) -> Float32Array:
        """Weight at each grid point."""
        along = [np.sin(np.pi * np.arange(n) / n) for n in self.shape]
        return np.outer(*along).astype(np.float32)

    def cell_edges(self, corner: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Edges along x and y of the cells around the grid points, if the tile begins at a corner [Å]."""
        x, y = (
            start + (np.arange(n + 1) - 0.5) * step
            for start, n, step in zip(corner, self.shape[::-1], self.steps, strict=True)
        )
        return x, y

    def transform(self, field: Float32Array) -> NDArray[np.complex64]:
        """Fourier sums of values at the grid points, of the shape of `q`."""
        m_x, m_y = self.n_modes
        spectrum = fft.rfft(field, axis=1)[:, : m_x + 1]
        spectrum = fft.fft(spectrum, axis=0, overwrite_x=True)
        return np.concatenate([spectrum[: m_y + 1], spectrum[len(spectrum) - m_y :]])

    def scatter(self, points: FloatArray) -> NDArray[np.complex64]:
        """Fourier sums of weighted positions, (N, 2) from the corner of the tile [Å]."""
        field = np.zeros(self.shape, np.float32)
        _spread(points / self.edges, field, _BETA)
        return self.transform(field) / self.spreading


def _average(
    points: FloatArray, window: RectangularWindow | MaskWindow, edges: FloatArray, subtract_window: bool
) -> tuple[FloatArray, FloatArray]:
    """S and its error in the bins between edges."""
    cells = window.blocks(2 * np.pi / (edges[1] - edges[0]))
    tile = _Tile(2 * cells.size, edges[-1])
    twice = np.full(tile.q.shape, 2.0)  # for q and −q, of which those with q_x < 0 are not there
    twice[:, 0] = 1
    twice[0, 0] = 0  # q = 0 says only how many there are
    n_modes, share, found, expected, found_squared, expected_squared = (
        _sum_in_bins(tile.q, twice * each, edges)
        for each in (
            np.ones(tile.q.shape),
            _share_of_variance(tile, edges),
            *_add_up_tiles(points, window, tile, cells, subtract_window),
        )
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 is NaN where there are no modes
        s = found / expected
        # An intensity scatters as much as it is large: twice the mean square is the mean of squares.
        variance = np.maximum(found_squared / expected_squared / 2, s**2)
        n_independent = n_modes * window.area / (2 * tile.edges.prod())
        return s, np.sqrt(variance * np.minimum(1, share / n_modes / n_independent))


def _add_up_tiles(
    points: FloatArray,
    window: RectangularWindow | MaskWindow,
    tile: _Tile,
    cells: Blocks,
    subtract_window: bool,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Add up the intensity, that of independent positions, and both squared, over tiles, for each mode."""
    density, area = np.float32(len(points) / window.area), np.float32(tile.steps.prod())
    sums = (np.zeros(tile.q.shape), np.zeros(tile.q.shape), np.zeros(tile.q.shape), np.zeros(tile.q.shape))
    whole: NDArray[np.complex64] | None = None
    for corner, own in _tiles(points, cells):
        cover = _cover(window, *tile.cell_edges(corner))
        if cover is None:
            whole = tile.transform(tile.taper) if whole is None else whole
            amplitude, squares = whole, float((tile.taper**2).sum(dtype=np.float64))
        else:
            amplitude = tile.transform(cover * tile.taper)
            squares = float((cover * tile.taper**2).sum(dtype=np.float64))
        if squares == 0:
            continue
        even = density * area * amplitude
        total = tile.scatter(own - corner) - (even if subtract_window else 0)
        found = (total.real**2 + total.imag**2).astype(np.float64)
        expected = density * area * squares - (even.real**2 + even.imag**2) / len(points)
        for one, more in zip(sums, (found, expected, found**2, expected**2), strict=True):
            one += more
    return sums


def _share_of_variance(tile: _Tile, edges: FloatArray) -> FloatArray:
    """Share of the covariance of each intensity with all around it that is with those of its own bin.

    It falls off as the squares of the overlap of a tile with itself and its neighbours, ∫ t t' exp(iκx) dx,
    added up; for κ of 0, 1 and 2 times 2π/L these are, along x or y, 1 + 2/π², 1/4 + 2/16 and 2/(9π²).
    """
    along = np.array([1 + 2 / np.pi**2, 3 / 8, 2 / (9 * np.pi**2)])
    along /= along[0] + 2 * along[1:].sum()
    own, share = _bin_number(tile.q, edges), np.zeros(tile.q.shape)
    for down in range(-2, 3):
        for right in range(-2, 3):
            is_same = _bin_number(tile.shifted_q(down, right), edges) == own
            share += along[abs(down)] * along[abs(right)] * is_same
    return share


def _tiles(points: FloatArray, cells: Blocks) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Corner and points of each square of 2 × 2 cells, so that every cell is in four of them."""
    n_x, n_y = cells.shape
    cell = cells.number(points)
    order = np.argsort(cell, kind="stable")
    ordered, starts = points[order], np.searchsorted(cell[order], np.arange(n_x * n_y + 1))
    for column in range(-1, n_x):
        for row in range(-1, n_y):
            parts = [
                ordered[starts[c * n_y + max(row, 0)] : starts[c * n_y + min(row + 2, n_y)]]
                for c in (column, column + 1)
                if 0 <= c < n_x
            ]
            yield cells.origin + cells.size * (column, row), np.concatenate(parts)


def _cover(
    window: RectangularWindow | MaskWindow, x_edges: FloatArray, y_edges: FloatArray
) -> Float32Array | None:
    """Share of each cell of a grid that is in the window, (rows, columns); None if all of all."""
    if isinstance(window, RectangularWindow):
        bounds = ((y_edges, window.y0, window.y1), (x_edges, window.x0, window.x1))
        shares = [np.diff(np.clip(edges, low, high)) / np.diff(edges) for edges, low, high in bounds]
        # In the outermost half cells the weight is next to 0.
        if all(share[1:-1].min() >= 1 - 1e-9 for share in shares):
            return None
        return np.outer(*shares).astype(np.float32)
    step_y, step_x = as_sampling(window.sampling)
    n_rows, n_columns = window.mask.shape
    rows, columns = y_edges / step_y + 0.5, x_edges / step_x + 0.5
    top, left = (int(np.clip(np.floor(e[0]), 0, n)) for e, n in ((rows, n_rows), (columns, n_columns)))
    stop, end = (int(np.clip(np.ceil(e[-1]), 0, n)) for e, n in ((rows, n_rows), (columns, n_columns)))
    part = window.mask[top:stop, left:end]
    is_all_inside = rows[1] >= 0 and columns[1] >= 0 and rows[-2] <= n_rows and columns[-2] <= n_columns
    if is_all_inside and part.all():
        return None
    by_row = _overlaps(rows - top, len(part)) @ part.astype(np.float32)
    return np.ascontiguousarray((_overlaps(columns - left, part.shape[1]) @ by_row.T).T)


def _overlaps(edges: FloatArray, n_pixels: int) -> csr_array:
    """Share of each cell between equal edges that each pixel covers, pixel k reaching from k to k + 1."""
    low, high = np.clip(edges[:-1], 0, n_pixels), np.clip(edges[1:], 0, n_pixels)
    first, n = np.floor(low).astype(np.int64), np.ceil(high).astype(np.int64)
    n = np.maximum(n - first, 0)
    cell, starts = np.repeat(np.arange(len(n)), n), np.concatenate([[0], np.cumsum(n)])
    pixel = np.arange(starts[-1]) - starts[cell] + first[cell]
    covered = np.minimum(high[cell], pixel + 1) - np.maximum(low[cell], pixel)
    shares = (covered / (edges[1] - edges[0])).astype(np.float32)
    return csr_array((shares, pixel, starts), shape=(len(n), n_pixels))


def _sum_in_bins(q: FloatArray, values: FloatArray | float, edges: FloatArray) -> FloatArray:
    """Add up values by the bin that q lies in."""
    n = len(edges) - 1
    weights = np.broadcast_to(values, q.shape).ravel()
    return np.bincount(_bin_number(q, edges).ravel(), weights, minlength=n + 1)[:n].astype(np.float64)


def _bin_number(q: FloatArray, edges: FloatArray) -> IntArray:
    """Bin that q lies in, or the number of bins if in none."""
    return np.minimum(q / (edges[1] - edges[0]), len(edges) - 1).astype(np.int64)


@njit(cache=True)
def _spread(places: FloatArray, field: Float32Array, beta: float) -> None:  # pragma: no cover
    """Add each position, 0 to 1 along x and y, times its weight, to the grid points around it."""
    n_y, n_x = field.shape
    along_x, along_y = np.empty(_KERNEL), np.empty(_KERNEL)
    for i in range(len(places)):
        x, y = places[i, 0] * n_x, places[i, 1] * n_y
        first_x, first_y = int(np.ceil(x - _KERNEL / 2)), int(np.ceil(y - _KERNEL / 2))
        weight = np.sin(np.pi * places[i, 0]) * np.sin(np.pi * places[i, 1])
        for k in range(_KERNEL):
            z_x, z_y = (first_x + k - x) * 2 / _KERNEL, (first_y + k - y) * 2 / _KERNEL
            along_x[k] = np.exp(beta * (np.sqrt(max(1 - z_x * z_x, 0.0)) - 1))
            along_y[k] = weight * np.exp(beta * (np.sqrt(max(1 - z_y * z_y, 0.0)) - 1))
        for j in range(_KERNEL):
            row = (first_y + j) % n_y
            for k in range(_KERNEL):
                field[row, (first_x + k) % n_x] += along_y[j] * along_x[k]
