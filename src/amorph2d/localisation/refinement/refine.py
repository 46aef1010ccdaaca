"""Positions of atoms fitted to the image, window by window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from amorph2d.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray, as_points
from amorph2d.imaging.simulated import OTHER
from amorph2d.localisation.refinement.assemble import (
    Refinement,
    assembled,
    atoms_of,
    unchanged,
    with_columns,
)
from amorph2d.localisation.refinement.config import RefinementParameters
from amorph2d.localisation.refinement.grid import Grid
from amorph2d.localisation.refinement.judge import Fitted, fit_window
from amorph2d.localisation.refinement.rounds import LEAST_WEIGHT, Stepper, band_limit, estimate_kernel
from amorph2d.localisation.refinement.window import Window
from amorph2d.localisation.tiles import Tile, cover
from amorph2d.units import as_sampling, positions_to_pixels

_FEWEST = 40  # atoms from which the image of one is estimated
_OTHER_BLUR = 0.8  # by which the edges of second layers and debris are softened [Å]


def refine_sites(
    image: AnyArray,
    sites: pd.DataFrame,
    *,
    sampling: tuple[float, float],
    parameters: RefinementParameters,
    mask: NDArray[np.uint8] | None = None,
    weaker: pd.DataFrame | None = None,
    workers: int = 1,
) -> Refinement:
    """Fit amplitudes and positions of atoms to an image.

    The image less its slow background is the sum of equal images of single atoms,
    I(r) = Σᵢ aᵢ f(r − rᵢ), under noise of a spectrum P. Both f and P come from the image and the network's
    atoms, in turns with damped Gauss-Newton steps of all aᵢ and rᵢ; nothing about the optics is needed. The
    network's positions are a prior. Then atoms of too little contrast are removed, atoms are added where the
    residual shows one, and where it exceeds the noise the network's position stays. Everything stays where
    the fit would remove many more atoms than the network's confidences allow for.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map, of which windows are read.
    sites
        Table of sites; only atoms are fitted.
    sampling
        (y, x), > 0 [Å/px].
    parameters
        Priors, rounds, windows and limits.
    mask
        0 vacuum, 1 monolayer, 2 other, (rows, columns); what shows other matter is left out.
    weaker
        Table of weaker peaks of the network; missing atoms near one, or near a site that is no longer there,
        need less contrast.
    workers
        Windows fitted at a time, ≥ 1.

    Raises
    ------
    ValueError
        If the shapes of image and mask differ, the sampling or `workers` is not valid, or a pixel is not
        finite.

    References
    ----------
    The steps: J. Nocedal and S. J. Wright, Numerical Optimization (2006), chapter 10. Student's t as a sum of
    Gaussians: K. L. Lange, R. J. A. Little and J. M. G. Taylor, J. Am. Stat. Assoc. 84, 881 (1989),
    doi:10.1080/01621459.1989.10478852.
    """
    steps = as_sampling(sampling)
    _check(image, mask, workers)
    table = with_columns(sites)
    atoms = np.flatnonzero((sites["kind"] == "atom").to_numpy())
    positions = as_points(sites.iloc[atoms][["x", "y"]].to_numpy(), "sites")
    scene = _Scene(image, mask, steps, parameters)
    chosen = scene.samples(positions)
    windows = [scene.window(tile) for tile in chosen]
    inside = [positions[_is_read(tile, positions, steps)] - scene.corner(tile) for tile in chosen]
    reason = _doubt(windows, inside)
    if reason:
        return unchanged(table, reason)
    kernel, explained = estimate_kernel(windows, inside, parameters)
    del windows
    stepper = Stepper(kernel, parameters)
    if not stepper.power >= parameters.least_signal**2:
        return unchanged(table, "the image of an atom is lost in the noise", explained)
    support = np.concatenate([positions, atoms_of(weaker)])
    rejected, fit = scene.fit_all(positions, support, stepper, workers)
    return assembled(table, atoms, rejected, fit, weaker, stepper, explained, parameters)


def _check(image: AnyArray, mask: NDArray[np.uint8] | None, workers: int) -> None:
    """Check what the signature cannot."""
    if len(image.shape) != 2 or min(image.shape) < 1:
        raise ValueError(f"image must be two-dimensional and not empty, got the shape {image.shape}")
    if mask is not None and mask.shape != image.shape:
        raise ValueError(f"mask must have the shape {image.shape} of the image, got {mask.shape}")
    if workers < 1:
        raise ValueError(f"workers must be ≥ 1, got {workers}")


def _doubt(windows: Sequence[Window], atoms: Sequence[FloatArray]) -> str:
    """Say why no fit is tried, nothing if it is."""
    weights = (window.weights_at(each) for window, each in zip(windows, atoms, strict=True))
    if sum(int((weight >= LEAST_WEIGHT).sum()) for weight in weights) < _FEWEST:
        return f"fewer than {_FEWEST} atoms"
    if not any(window.values.any() for window in windows):
        return "the image has no contrast"
    return ""


def _is_read(tile: Tile, positions: FloatArray, sampling: tuple[float, float]) -> BoolArray:
    """Say which positions lie in the window of a tile."""
    return Tile(tile.read, tile.read).owns(positions_to_pixels(positions, sampling))


class _Scene:
    """An image of which windows are read, and what the windows have in common."""

    def __init__(
        self,
        image: AnyArray,
        mask: NDArray[np.uint8] | None,
        sampling: tuple[float, float],
        parameters: RefinementParameters,
    ) -> None:
        self.image, self.mask, self.sampling, self.parameters = image, mask, sampling, parameters
        self.halo = int(np.ceil((parameters.border + parameters.kernel_reach) / min(sampling)))
        self._grid: Callable[[tuple[int, int]], Grid] = cache(self._make_grid)

    def _make_grid(self, shape: tuple[int, int]) -> Grid:
        """Return the Fourier space of windows of a shape."""
        limit = band_limit(self.sampling, self.parameters)
        room = self.parameters.kernel_reach
        return Grid(shape, self.sampling, room=room, max_frequency=limit)

    def corner(self, tile: Tile) -> FloatArray:
        """Return the position of the first pixel that a tile reads, (2,) [Å]."""
        return np.asarray(tile.origin[::-1] * np.array(self.sampling[::-1]))

    def window(self, tile: Tile) -> Window:
        """Read the window of a tile."""
        pixels = np.asarray(self.image[tile.read[0], tile.read[1]], dtype=np.float32)
        if not np.isfinite(pixels).all():
            raise ValueError("image must be finite, got pixels that are NaN or infinite")
        weight = _edge_weight(pixels.shape, self.sampling, self.parameters.border)
        if self.mask is not None:
            weight *= _mask_weight(self.mask[tile.read[0], tile.read[1]], self.sampling)
        grid = self._grid((pixels.shape[0], pixels.shape[1]))
        return Window(pixels, weight, grid, background=self.parameters.background)

    def tiles(self, size: int) -> list[Tile]:
        """Return windows at most `size` px wide, or as wide as two halos demand."""
        return cover(self.image.shape, tile_size=max(size, 4 * self.halo), halo=self.halo, stride=1)

    def samples(self, positions: FloatArray) -> list[Tile]:
        """Return windows with many atoms of one layer, spread over the image."""
        tiles = self.tiles(self.parameters.sample_size)
        pixels = np.rint(positions_to_pixels(positions, self.sampling)).astype(np.int64)
        pixels = pixels.clip(0, np.array(self.image.shape) - 1)
        is_counted = np.ones(len(pixels), dtype=np.bool_)
        if self.mask is not None and len(pixels):
            is_counted = np.asarray(self.mask[pixels[:, 0], pixels[:, 1]]) != OTHER
        counts = np.array([np.count_nonzero(_within(tile, pixels) & is_counted) for tile in tiles])
        good = np.flatnonzero(counts >= 0.8 * counts.max())
        n_chosen = min(self.parameters.n_samples, len(good))
        places = (
            np.linspace(0, len(good) - 1, n_chosen + 2)[1:-1] if n_chosen < len(good) else range(n_chosen)
        )
        return [tiles[good[round(place)]] for place in places]

    def fit_all(
        self, positions: FloatArray, support: FloatArray, stepper: Stepper, workers: int
    ) -> tuple[IntArray, Fitted]:
        """Fit all tiles; return the numbers of the atoms that are none, and the others."""
        tiles = self.tiles(self.parameters.tile_size)
        spectra = cache(lambda shape: self._grid(shape).spectra(stepper.kernel))

        def fit(tile: Tile) -> tuple[IntArray, Fitted]:
            return self._fit(tile, positions, support, stepper, spectra)

        if workers == 1 or len(tiles) == 1:
            fits = [fit(tile) for tile in tiles]
        else:
            with ThreadPoolExecutor(workers) as pool:
                fits = list(pool.map(fit, tiles))
        rejected = np.concatenate([gone for gone, _ in fits])
        names = Fitted.__dataclass_fields__
        joined = (np.concatenate([getattr(each, name) for _, each in fits]) for name in names)
        return rejected, Fitted(*joined)

    def _fit(
        self, tile: Tile, positions: FloatArray, support: FloatArray, stepper: Stepper, spectra: Callable
    ) -> tuple[IntArray, Fitted]:
        """Fit a tile; return what it owns, with positions in the image."""
        window, corner = self.window(tile), self.corner(tile)
        inside = np.flatnonzero(_is_read(tile, positions, self.sampling))
        fitted = fit_window(
            window,
            positions[inside] - corner,
            support[_is_read(tile, support, self.sampling)] - corner,
            stepper=stepper,
            spectra=spectra(window.values.shape),
            parameters=self.parameters,
        )
        owners = fitted.positions + corner
        is_old = fitted.number >= 0
        owners[is_old] = positions[inside[fitted.number[is_old]]]
        is_owned = tile.owns(positions_to_pixels(owners, self.sampling))
        number = np.where(is_old, inside[fitted.number] if len(inside) else -1, -1)
        owned = inside[tile.owns(positions_to_pixels(positions[inside], self.sampling))]
        kept = Fitted(
            number[is_owned],
            fitted.positions[is_owned] + corner,
            *(
                getattr(fitted, name)[is_owned].astype(np.float32)
                for name in ("sigma", "amplitudes", "misfit", "weights")
            ),
        )
        return np.setdiff1d(owned, kept.number), kept


def _within(tile: Tile, pixels: IntArray) -> BoolArray:
    """Say which pixels a tile reads."""
    low = [axis.start for axis in tile.read]
    high = [axis.stop for axis in tile.read]
    return np.asarray(((pixels >= low) & (pixels < high)).all(axis=1))


def _edge_weight(shape: tuple[int, ...], sampling: tuple[float, float], width: float) -> Float32Array:
    """Return weights that rise from the edges of a window."""
    sides = []
    for size, step in zip(shape, sampling, strict=True):
        place = (np.arange(size) + 0.5) * step
        depth = np.minimum(place, size * step - place)
        sides.append(np.sin(np.pi / 2 * np.clip(depth / width, 0, 1)) ** 2)
    return np.outer(*sides).astype(np.float32)


def _mask_weight(mask: NDArray[np.uint8], sampling: tuple[float, float]) -> Float32Array | float:
    """Return weights that are 0 where other matter is, and soon 1 beside it."""
    is_other = np.asarray(mask) == OTHER
    if not is_other.any():
        return 1.0
    near = gaussian_filter(is_other.astype(np.float32), [_OTHER_BLUR / step for step in sampling])
    return np.asarray(np.clip(1 - 2 * near, 0, 1))
