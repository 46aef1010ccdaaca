"""Windows in which positions are observed: area, blocks, and the overlap with themselves when shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.topology.periodic import pad_with_images
from amorph2d.units import Sampling, as_sampling


@dataclass(frozen=True, eq=False)
class Blocks:
    """A grid of equal blocks laid over a window.

    Attributes
    ----------
    origin
        Corner of the first block, (2,), x then y [Å].
    size
        Edges of a block, (2,), x then y [Å].
    shape
        Blocks along x and y.
    areas
        Area of the window in each block, (blocks,) [Å²].
    """

    origin: FloatArray
    size: FloatArray
    shape: tuple[int, int]
    areas: FloatArray

    def number(self, positions: FloatArray) -> IntArray:
        """Return the block in which each position, (N, 2) [Å], lies, or the nearest one, (N,)."""
        cell = np.floor((positions - self.origin) / self.size).astype(np.int64)
        column, row = np.clip(cell, 0, np.array(self.shape) - 1).T
        return column * self.shape[1] + row

    @property
    def fourfold(self) -> IntArray:
        """The block of two by two of these that each belongs to, (blocks,); of one or two at odd ends."""
        column, row = np.divmod(np.arange(len(self.areas)), self.shape[1])
        return column // 2 * ((self.shape[1] + 1) // 2) + row // 2


class Window(Protocol):
    """What a statistic needs to know about the observed area."""

    @property
    def area(self) -> float:
        """Area [Å²]."""

    def contains(self, positions: ArrayLike) -> BoolArray:
        """Tell which positions, (N, 2) [Å], lie in the window, (N,)."""

    def set_covariance(self, r: ArrayLike) -> FloatArray:
        """Area of the overlap with the window shifted by r [Å], mean over all directions [Å²]."""

    def blocks(self, size: float, *, parts: int = 1) -> Blocks:
        """Cut the window into blocks with edges of about `size` [Å], and each into parts × parts."""


@dataclass(frozen=True)
class RectangularWindow:
    """A rectangle with sides along x and y.

    Attributes
    ----------
    x0, y0, x1, y1
        Lower and upper bounds [Å].
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        bounds = (self.x0, self.y0, self.x1, self.y1)
        if not np.isfinite(bounds).all() or self.x1 < self.x0 or self.y1 < self.y0:
            raise ValueError(f"window must have finite x0 ≤ x1 and y0 ≤ y1 [Å], got {bounds}")

    @classmethod
    def around(cls, positions: ArrayLike) -> RectangularWindow:
        """Estimate the window from the N ≥ 2 positions in it, (N, 2) [Å].

        The bounding box of uniform points is by (N − 1) / (N + 1) too short on average, so it is widened.

        References
        ----------
        Ripley and Rasson, J. Appl. Probab. 14, 483 (1977), https://doi.org/10.2307/3213451.
        """
        points = as_points(positions, "positions")
        if len(points) < 2:
            raise ValueError(f"positions must be at least two to show their window, got {len(points)}")
        low, high = points.min(axis=0), points.max(axis=0)
        margin = (high - low) / (len(points) - 1)
        (x0, y0), (x1, y1) = (low - margin).tolist(), (high + margin).tolist()
        return cls(x0, y0, x1, y1)

    @property
    def sides(self) -> FloatArray:
        """Lengths along x and y, (2,) [Å]."""
        return np.array([self.x1 - self.x0, self.y1 - self.y0])

    @property
    def area(self) -> float:
        """Area [Å²]."""
        return float(self.sides.prod())

    def contains(self, positions: ArrayLike) -> BoolArray:
        """Tell which positions, (N, 2) [Å], lie in the window, (N,)."""
        points = as_points(positions, "positions")
        is_inside: BoolArray = (points >= (self.x0, self.y0)) & (points <= (self.x1, self.y1))
        return np.asarray(is_inside.all(axis=1))

    def set_covariance(self, r: ArrayLike) -> FloatArray:
        """Area of the overlap with the window shifted by r [Å], mean over all directions [Å²].

        With sides a and b, (2/π) ∫ (a − r cos φ)(b − r sin φ) dφ over the φ from 0 to π/2 that leave an
        overlap; below the shorter side this is ab − 2 r (a + b)/π + r²/π.

        References
        ----------
        Illian et al., Statistical Analysis and Modelling of Spatial Point Patterns (2008), chapter 4 and
        appendix B, https://doi.org/10.1002/9780470725160: isotropised set covariance.
        """
        a, b = self.sides
        r = np.maximum(np.abs(np.asarray(r, dtype=np.float64)), 1e-12)
        start = np.arccos(np.minimum(1, a / r))
        stop = np.maximum(start, np.arcsin(np.minimum(1, b / r)))
        sine, cosine = np.sin(stop) - np.sin(start), np.cos(stop) - np.cos(start)
        squares = np.sin(stop) ** 2 - np.sin(start) ** 2
        return 2 / np.pi * (a * b * (stop - start) - b * r * sine + a * r * cosine + r**2 / 2 * squares)

    def blocks(self, size: float, *, parts: int = 1) -> Blocks:
        """Cut the window into equal blocks with edges of about `size` [Å], and each into parts × parts."""
        n_x, n_y = np.maximum(1, np.rint(self.sides / size)).astype(int) * parts
        areas = np.full(n_x * n_y, self.area / (n_x * n_y))
        edges = np.maximum(self.sides, 1e-9) / (n_x, n_y)  # an empty window has one block of no area
        return Blocks(np.array([self.x0, self.y0]), edges, (int(n_x), int(n_y)), areas)


@dataclass(frozen=True)
class PeriodicWindow(RectangularWindow):
    """A rectangle that goes on beyond each side with what is at the opposite one: the box of a simulation."""

    def contains(self, positions: ArrayLike) -> BoolArray:
        """Tell that all positions, (N, 2) [Å], lie in the window, (N,): each has an image there."""
        return np.ones(len(as_points(positions, "positions")), dtype=bool)

    def set_covariance(self, r: ArrayLike) -> FloatArray:
        """Area at every shift r [Å]: nothing is cut off [Å²]."""
        return np.full(np.shape(r), self.area)

    def images(self, positions: ArrayLike, reach: float) -> tuple[FloatArray, FloatArray]:
        """Return the positions moved into the window, (N, 2), and their images around it, (M, 2) [Å].

        Parameters
        ----------
        positions
            Positions, (N, 2), x then y [Å].
        reach
            How far around the window images are wanted, from 0 to half of its shorter side [Å].

        Raises
        ------
        ValueError
            If `reach` is more: a position would meet itself, or two images of another.
        """
        if not 0 <= reach <= self.sides.min() / 2:
            raise ValueError(
                f"reach must be from 0 to half of the shorter side, {self.sides.min() / 2} Å, got {reach} Å"
            )
        points = as_points(positions, "positions")
        together = pad_with_images(points - (self.x0, self.y0), self.sides, reach)[0]
        together += (self.x0, self.y0)
        return together[: len(points)], together[len(points) :]


def analysable_window(shape: tuple[int, int], sampling: Sampling, *, border: float) -> RectangularWindow:
    """Return the part of an image that is at least `border` away from its edges.

    Parameters
    ----------
    shape
        Rows and columns.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    border
        Width of the strip left out along each edge, ≥ 0 [Å].

    Returns
    -------
    RectangularWindow
        The window; of no area where the border leaves nothing.

    Raises
    ------
    ValueError
        If `border` is negative or `sampling` is not positive.
    """
    if not border >= 0:
        raise ValueError(f"border must be ≥ 0 Å, got {border}")
    steps = np.array(as_sampling(sampling))[::-1]
    low, high = -steps / 2, (np.array(shape)[::-1] - 0.5) * steps
    middle = (low + high) / 2
    (x0, y0), (x1, y1) = np.minimum(low + border, middle).tolist(), np.maximum(high - border, middle).tolist()
    return RectangularWindow(x0, y0, x1, y1)
