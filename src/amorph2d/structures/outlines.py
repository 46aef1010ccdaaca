"""Regions of a periodic box with rough edges: pores, patches of a second layer, spots of debris."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.fft import next_fast_len
from scipy.ndimage import distance_transform_edt, map_coordinates

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.structures.periodic import as_box, shortest_image, wrap

Direction = Literal["x", "y", "diagonal", "antidiagonal"]
DIRECTIONS: tuple[Direction, ...] = ("x", "y", "diagonal", "antidiagonal")

SHORTEST_WAVELENGTH = 5.0  # of an edge: finer roughness is the business of single atoms [Å]
_SMOOTHEST_CONTOUR = 7  # harmonics of the smallest blobs
_SAMPLES_PER_PERIOD = 16
_N_DIRECTIONS = 720
_PATCH_STEP = 1.0  # grid of the patches [Å]
_PATCH_HURST = 0.8  # exponent of the patches' random field: islands and bays on all scales, but few specks
_FINEST_PATCH = 3.0  # scale below which the patches' edges are smooth [Å]
_FARTHEST = 30.0  # depth beyond which patches no longer know how deep a point is [Å]
_WINDING = {"x": (0, 1), "y": (1, 0), "diagonal": (1, -1), "antidiagonal": (1, 1)}


class Outline(ABC):
    """A region of a periodic box.

    Attributes
    ----------
    box
        Edge lengths of the periodic box along x and y, (2,) [Å].
    """

    box: FloatArray

    @abstractmethod
    def depth(self, points: FloatArray) -> FloatArray:
        """Return how far points (N, 2) lie inside, negative outside, (N,) [Å]; exact in its sign only."""

    def contains(self, points: FloatArray) -> BoolArray:
        """Say which points (N, 2) lie inside, (N,)."""
        return self.depth(points) > 0


@dataclass(frozen=True, eq=False)
class Blob(Outline):
    """A star-shaped region around a centre.

    Attributes
    ----------
    centre
        Centre, (2,) [Å].
    contour
        Distance of the edge from the centre in K equally spaced directions, from +x towards +y, (K,) [Å].
    box
        Edge lengths of the periodic box along x and y, (2,) [Å].
    """

    centre: FloatArray
    contour: FloatArray
    box: FloatArray

    def depth(self, points: FloatArray) -> FloatArray:
        """Return how far points (N, 2) lie inside, along the ray from the centre, (N,) [Å]."""
        x, y = shortest_image(points - self.centre, self.box).T
        edge = _periodic_values(self.contour, np.arctan2(y, x) / (2 * np.pi))
        return edge - np.hypot(x, y)


@dataclass(frozen=True, eq=False)
class Band(Outline):
    """A strip that runs through the periodic box and closes on itself; its two edges are rough.

    Attributes
    ----------
    direction
        Where the strip runs: along x, along y, or along a diagonal of the box.
    middle
        Where its middle line crosses the box, 0 to 1.
    half_width
        Mean distance of an edge from the middle line [Å].
    edges
        Displacement of both edges outwards at K equally spaced places along the strip, (2, K) [Å].
    box
        Edge lengths of the periodic box along x and y, (2,) [Å].
    """

    direction: Direction
    middle: float
    half_width: float
    edges: FloatArray
    box: FloatArray

    def depth(self, points: FloatArray) -> FloatArray:
        """Return how far points (N, 2) lie inside, straight across the strip, (N,) [Å]."""
        winding = np.array(_WINDING[self.direction])
        normal = winding / self.box
        tangent = np.array([-winding[1], winding[0]]) * self.box
        step = np.array([0, self.box[1]]) if self.direction == "x" else np.array([self.box[0], 0])
        nearest = np.rint(points @ normal - self.middle)
        depths = []
        # An edge may reach beyond the line where the box repeats: the next images of the strip count as well.
        for image in (-1, 0, 1):
            moved = points - (nearest + image)[:, None] * step
            offset = (moved @ normal - self.middle) / np.hypot(*normal)
            upper, lower = (
                _periodic_values(edge, moved @ tangent / (tangent @ tangent)) for edge in self.edges
            )
            depths.append(self.half_width + np.minimum(upper - offset, lower + offset))
        return np.max(depths, axis=0)


@dataclass(frozen=True, eq=False)
class Patches(Outline):
    """Islands of any shape, on a periodic grid.

    Attributes
    ----------
    depths
        Depth at the grid's points, the first one at the origin, rows along y, (rows, columns) [Å].
    box
        Edge lengths of the periodic box along x and y, (2,) [Å].
    """

    depths: FloatArray
    box: FloatArray

    def depth(self, points: FloatArray) -> FloatArray:
        """Return how far points (N, 2) lie inside, at most 30 Å, (N,) [Å]."""
        pixels = (wrap(points, self.box) / self.box)[:, ::-1] * self.depths.shape
        return map_coordinates(self.depths, pixels.T, order=1, mode="grid-wrap")


def circle(box: ArrayLike, *, centre: ArrayLike, radius: float) -> Blob:
    """Return a circle, narrower than the periodic box.

    Parameters
    ----------
    box
        Edge lengths along x and y, (2,) [Å].
    centre
        Centre, (2,) [Å].
    radius
        Radius, > 0 and below half of the shorter box edge [Å].

    Raises
    ------
    ValueError
        If the circle does not fit into the box, or `centre` is no point.
    """
    return Blob(_as_centre(centre), np.full(1, float(radius)), _checked_box(box, radius, radius))


def irregular_blob(
    box: ArrayLike, *, centre: ArrayLike, radius: float, roughness: float, rng: Generator
) -> Blob:
    """Draw a blob with a random contour.

    The contour is a circle times 1 + h(θ), h being a sum of random harmonics whose amplitudes fall with their
    order: the contour is rough on all scales from the blob's own size down to 5 Å.

    Parameters
    ----------
    box
        Edge lengths along x and y, (2,) [Å].
    centre
        Centre, (2,) [Å].
    radius
        Mean radius, > 0 [Å].
    roughness
        Largest relative deviation of the contour from the circle, 0 ≤ roughness < 1;
        `radius` × (1 + `roughness`) must be below half of the shorter box edge.
    rng
        Source of random numbers.

    Raises
    ------
    ValueError
        If `roughness` is out of its bounds, or the blob does not fit into the box.
    """
    if not 0 <= roughness < 1:
        raise ValueError(f"roughness must be ≥ 0 and < 1, got {roughness}")
    edges = _checked_box(box, radius, radius * (1 + roughness))
    n_harmonics = max(_SMOOTHEST_CONTOUR, int(2 * np.pi * radius / SHORTEST_WAVELENGTH))
    shape = _rough_line(np.arange(2, n_harmonics + 1), rng)
    return Blob(_as_centre(centre), radius * (1 + roughness * shape / np.abs(shape).max()), edges)


def rough_band(
    box: ArrayLike, *, direction: Direction, share: float, roughness: float, rng: Generator
) -> Band:
    """Draw a strip with rough edges at a random place: half of a field, or a ribbon.

    Parameters
    ----------
    box
        Edge lengths along x and y, (2,) [Å].
    direction
        Where the strip runs: ``x``, ``y``, or along a diagonal of the box, ``diagonal`` or ``antidiagonal``.
    share
        Share of the box that it covers, 0 < share < 1.
    roughness
        Root mean square displacement of the edges, ≥ 0 [Å]; they are self-affine down to 5 Å.
    rng
        Source of random numbers.

    Raises
    ------
    ValueError
        If an argument is out of its bounds.

    References
    ----------
    Feder, Fractals, Plenum (1988), ch. 13: the amplitudes of a self-affine line with the Hurst exponent ½,
    that of a random walk, fall with their order n as 1/n.
    """
    edges = as_box(box)
    _check_share(share)
    if direction not in _WINDING:
        raise ValueError(f"direction must be one of {', '.join(_WINDING)}, got {direction!r}")
    if not (np.isfinite(roughness) and roughness >= 0):
        raise ValueError(f"roughness must be ≥ 0 Å, got {roughness}")
    n, m = _WINDING[direction]
    length = np.hypot(m * edges[0], n * edges[1])
    orders = np.arange(1, max(1, int(length / SHORTEST_WAVELENGTH)) + 1)
    lines = np.stack([_rough_line(orders, rng) for _ in range(2)])
    lines *= roughness / lines.std(axis=1, keepdims=True)
    half_width = share / np.hypot(*(np.array([n, m]) / edges)) / 2
    return Band(direction, float(rng.random()), float(half_width), lines, edges)


def random_patches(box: ArrayLike, *, share: float, wavelength: float, rng: Generator) -> Patches:
    """Draw islands or a film with holes: where a smooth periodic random field is high.

    Parameters
    ----------
    box
        Edge lengths along x and y, (2,) [Å].
    share
        Share of the box that they cover, 0 < share < 1.
    wavelength
        Typical distance of two islands, > 0 [Å]; their edges are rough below it, down to 3 Å.
    rng
        Source of random numbers.

    Raises
    ------
    ValueError
        If an argument is out of its bounds.
    """
    edges = as_box(box)
    _check_share(share)
    if not (np.isfinite(wavelength) and wavelength > 0):
        raise ValueError(f"wavelength must be > 0 Å, got {wavelength}")
    columns, rows = (max(8, next_fast_len(int(np.ceil(edge / _PATCH_STEP)), real=True)) for edge in edges)
    field = _random_field((rows, columns), edges, wavelength, rng)
    is_inside = field > np.quantile(field, 1 - share)
    return Patches(_signed_distance(is_inside, (edges[1] / rows, edges[0] / columns)), edges)


def _random_field(shape: tuple[int, int], box: FloatArray, wavelength: float, rng: Generator) -> FloatArray:
    """Return a periodic random field, white above and self-affine below a wavelength, (rows, columns)."""
    rows, columns = shape
    q_y = np.fft.fftfreq(rows, box[1] / rows)[:, None]
    q_x = np.fft.rfftfreq(columns, box[0] / columns)
    q_squared = q_x**2 + q_y**2
    amplitude = (1 + q_squared * wavelength**2) ** (-(1 + _PATCH_HURST) / 2)
    amplitude *= np.exp(-q_squared * _FINEST_PATCH**2)
    return np.asarray(np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * amplitude, s=shape))


def _signed_distance(is_inside: BoolArray, steps: tuple[float, float]) -> FloatArray:
    """Return the distance of each grid point to the edge, negative outside, at most 30 Å [Å]."""
    pad = [min(int(np.ceil(_FARTHEST / step)), n) for n, step in zip(is_inside.shape, steps, strict=True)]
    padded = np.pad(is_inside, [(pad[0],) * 2, (pad[1],) * 2], mode="wrap")
    inside = np.asarray(distance_transform_edt(padded, sampling=steps))
    outside = np.asarray(distance_transform_edt(~padded, sampling=steps))
    # The edge runs half-way between two points of either kind.
    signed = np.where(padded, inside - min(steps) / 2, min(steps) / 2 - outside)
    return np.clip(
        signed[pad[0] :, pad[1] :][: is_inside.shape[0], : is_inside.shape[1]], -_FARTHEST, _FARTHEST
    )


def _rough_line(orders: IntArray, rng: Generator) -> FloatArray:
    """Return a closed random line of the given harmonics, amplitudes falling as 1/order, (K,)."""
    n_samples = max(_N_DIRECTIONS, next_fast_len(int(orders.max()) * _SAMPLES_PER_PERIOD, real=True))
    spectrum = np.zeros(n_samples // 2 + 1, dtype=np.complex128)
    amplitudes = rng.normal(size=len(orders)) / orders
    spectrum[orders] = amplitudes * np.exp(1j * rng.uniform(0, 2 * np.pi, len(orders))) * n_samples / 2
    return np.asarray(np.fft.irfft(spectrum, n_samples))


def _periodic_values(table: FloatArray, turns: FloatArray) -> FloatArray:
    """Return a function given at K equally spaced places of a turn at other places."""
    closed = np.append(table, table[0])
    return np.interp(turns % 1.0, np.linspace(0, 1, len(closed)), closed)


def _as_centre(centre: ArrayLike) -> FloatArray:
    points = as_points(np.atleast_2d(np.asarray(centre, dtype=np.float64)), "centre")
    if len(points) != 1:
        raise ValueError(f"centre must be one point, got {len(points)}")
    return points[0]


def _checked_box(box: ArrayLike, radius: float, reach: float) -> FloatArray:
    edges = as_box(box)
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be > 0 Å, got {radius}")
    if reach >= edges.min() / 2:
        raise ValueError(
            f"blob must be narrower than the box: it reaches {reach:g} Å from its centre, half of the box "
            f"{edges.tolist()} Å is {edges.min() / 2:g} Å"
        )
    return edges


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise ValueError(f"share must be > 0 and < 1, got {share}")
