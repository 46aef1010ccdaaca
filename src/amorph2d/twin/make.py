"""From a micrograph and the atoms found in it to its twin."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import BoolArray, Float32Array
from amorph2d.localisation.slow import slow_mean
from amorph2d.localisation.tiles import cover
from amorph2d.twin.compare import deviation_map, measure_noise, misfit_map, site_misfit
from amorph2d.twin.config import TwinParameters
from amorph2d.twin.optics import FittedOptics, NothingToFit, fit_optics
from amorph2d.twin.scene import Scene, as_scene, richest
from amorph2d.twin.simulate import SheetWave, sheet_wave
from amorph2d.units import as_sampling

HALO = 12.0  # of a tile [Å]
LEAST_SIDE = 25.0  # of an image, for a twin to say anything [Å]
COARSEST = 0.5  # pixels that show the first reflections of graphene with something to spare [Å/px]

MADE, NOT_MADE = "made", "not made"


@dataclass(frozen=True, eq=False)
class Twin:
    """A micrograph simulated again.

    Attributes
    ----------
    status
        ``made``, or ``not made`` for the `reason` given; then the arrays are NaN and the figures missing.
    reason
        What is to be said of the result, in words.
    window
        Rows and columns of the micrograph that were simulated.
    sampling
        Of the micrograph, (y, x) [Å/px].
    image, residual
        Twin, and micrograph less twin, in the micrograph's grey values, (rows, columns) of the window. What
        varies slowly is taken over from the micrograph.
    compared
        Which pixels are compared, (rows, columns).
    misfit
        Mean square of the residual behind a filter matched to an atom's image, over its expectation for
        noise alone, in blocks; NaN where nothing is compared. Pixel (0, 0) lies on that of the window.
    misfit_sampling
        Sampling of `misfit`, (y, x) [Å].
    correlation
        Of micrograph and twin where they are compared, without what varies slowly.
    attainable
        What the correlation would be if the residual were noise alone; NaN where the noise is not known.
    noise_floor
        Standard deviation of the noise of a pixel, in grey values.
    noise_source
        ``high frequencies``, or ``residual``: then `misfit` is relative to the image's own mean.
    optics
        What was fitted, by name, with errors; lengths in Å.
    sites
        The table of sites with ``twin_misfit`` (as `misfit`, about the site; NaN close to the edges) and
        ``is_doubtful`` (only where they are compared).
    """

    status: str
    reason: str
    window: tuple[slice, slice]
    sampling: tuple[float, float]
    image: Float32Array
    residual: Float32Array
    compared: BoolArray
    misfit: Float32Array
    misfit_sampling: tuple[float, float]
    sites: pd.DataFrame
    correlation: float = float("nan")
    attainable: float = float("nan")
    noise_floor: float = float("nan")
    noise_source: str = ""
    optics: dict[str, float] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return the figures of the twin, by name."""
        known = self.misfit[np.isfinite(self.misfit)]
        figures: dict[str, Any] = {
            "status": self.status,
            "reason": self.reason,
            "correlation": self.correlation,
            "attainable": self.attainable,
            "noise_floor": self.noise_floor,
            "noise_source": self.noise_source,
            "misfit": float(np.median(known)) if known.size else float("nan"),
            "n_doubtful": int(self.sites["is_doubtful"].sum()),
        }
        return figures | {f"optics_{name}": value for name, value in self.optics.items()}


def make_twin(
    image: ArrayLike,
    sites: pd.DataFrame,
    *,
    sampling: tuple[float, float],
    energy: float | None,
    mask: NDArray[np.uint8],
    parameters: TwinParameters,
) -> Twin:
    """Simulate a micrograph again from the atoms found in it, and compare.

    The optics are fitted to the part of the sheet that shows most atoms; then all atoms, as a flat sheet of
    carbon, are imaged with them, without noise. Atoms beyond the edges are not known: a strip along them is
    not compared. Atoms where the mask shows something other than the sheet are left out.

    Parameters
    ----------
    image
        Micrograph, (rows, columns), of any real type; it may be a memory map.
    sites
        Table of sites of this image: ``kind``, ``x``, ``y`` [Å]; of these the atoms are imaged.
    sampling
        Along y and x, > 0 [Å/px].
    energy
        Electron energy [eV]; None: that of the parameters is assumed, and the result says so.
    mask
        0 vacuum, 1 monolayer, 2 other, (rows, columns).
    parameters
        How it is done.

    Returns
    -------
    Twin
        With a status and, where it is not made, the reason: too small an image, or too few atoms.

    Raises
    ------
    ValueError
        If image, mask or sampling are not valid or do not fit each other, or the energy is not positive.
    """
    steps = as_sampling(sampling)
    pixels: Any = image if hasattr(image, "shape") else np.asarray(image)
    if len(pixels.shape) != 2 or mask.shape != pixels.shape:
        raise ValueError(f"image and mask must be of one shape, got {pixels.shape} and {mask.shape}")
    if energy is not None and not (np.isfinite(energy) and energy > 0):
        raise ValueError(f"energy must be > 0 eV, got {energy}")
    scene = as_scene(pixels, sites, mask, sampling=steps, parameters=parameters)
    objection = _objection(scene, parameters)
    if objection:
        return _not_made(scene, sites, objection)
    waves = _Waves(scene, parameters.energy if energy is None else float(energy))
    try:
        fitted = _fit(scene, waves, parameters)
    except NothingToFit as error:
        return _not_made(scene, sites, str(error))
    remarks = [] if energy is not None else [f"an energy of {parameters.energy / 1e3:g} keV is assumed"]
    if scene.image.shape != pixels.shape:
        remarks.append(f"only the {parameters.max_side} px that show most of the sheet are simulated")
    return _made(scene, sites, waves, fitted, parameters, "; ".join(remarks))


class _Waves:
    """Exit waves of parts of a scene; the last is kept, as small scenes are fitted and simulated whole."""

    def __init__(self, scene: Scene, energy: float) -> None:
        self._scene, self._energy = scene, energy
        self._last: tuple[tuple[slice, slice], SheetWave] | None = None

    def of(self, window: tuple[slice, slice]) -> SheetWave:
        """Return the wave behind all atoms that reach into a window."""
        if self._last is None or self._last[0] != window:
            sampling = self._scene.sampling
            corner = [window[1].start * sampling[1], window[0].start * sampling[0]]
            shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
            atoms = self._scene.atoms - corner
            self._last = window, sheet_wave(atoms, shape=shape, sampling=sampling, energy=self._energy)
        return self._last[1]


def _objection(scene: Scene, parameters: TwinParameters) -> str:
    """Why no twin can be made, or nothing."""
    shortest = min(n * step for n, step in zip(scene.image.shape, scene.sampling, strict=True))
    if shortest < LEAST_SIDE:
        return f"the image is {shortest:.3g} Å wide, and {LEAST_SIDE:g} Å are needed"
    if max(scene.sampling) > COARSEST:
        return f"pixels of {max(scene.sampling):.3g} Å are too coarse, {COARSEST:g} Å are needed"
    compared = scene.image[scene.is_compared]
    if not compared.size or compared.min() == compared.max():
        return "the image shows no sheet that could be compared"
    n_atoms = len(scene.atoms)
    if n_atoms < parameters.min_atoms:
        return f"{n_atoms} atoms are too few, {parameters.min_atoms} are needed"
    return ""


def _not_made(scene: Scene, sites: pd.DataFrame, reason: str) -> Twin:
    """Say that there is no twin."""
    nothing = np.full(scene.image.shape, np.nan, dtype=np.float32)
    unknown = np.full(len(sites), np.nan, dtype=np.float32)
    return Twin(
        status=NOT_MADE,
        reason=reason,
        window=scene.window,
        sampling=scene.sampling,
        image=nothing,
        residual=nothing,
        compared=scene.is_compared,
        misfit=np.full((1, 1), np.nan, dtype=np.float32),
        misfit_sampling=scene.sampling,
        sites=sites.assign(twin_misfit=unknown, is_doubtful=np.zeros(len(sites), dtype=np.bool_)),
    )


def _fit(scene: Scene, waves: _Waves, parameters: TwinParameters) -> FittedOptics:
    """Fit the optics to the richest window, in units of the mean of the image where that is a brightness."""
    window = richest(scene, parameters.fit_side)
    details = scene.details[window]
    spread = float(details.std(dtype=np.float64))
    mean = float(scene.image[window].mean(dtype=np.float64))
    unit = np.float32(mean if mean > spread else spread)
    fitted = fit_optics(
        details / unit,
        scene.soft_weight(window),
        waves.of(window),
        defocus=parameters.defocus,
        Cs=parameters.Cs,
    )
    return replace(fitted, contrast=fitted.contrast * float(unit))


def _simulated(scene: Scene, waves: _Waves, fitted: FittedOptics, parameters: TwinParameters) -> Float32Array:
    """Image of all atoms in the window, tile by tile, without what varies slowly."""
    halo = int(np.ceil(HALO / min(scene.sampling)))
    simulated = np.empty_like(scene.image)
    for tile in cover(scene.image.shape, tile_size=max(parameters.tile_size, 3 * halo), halo=halo, stride=1):
        wave = waves.of(tile.read)
        seen = wave.window(wave.intensity(fitted.optics, blur=fitted.blur))
        inner = tuple(
            slice(own.start - read.start, own.stop - read.start)
            for own, read in zip(tile.own, tile.read, strict=True)
        )
        simulated[tile.own] = seen[inner]
    return simulated - slow_mean(simulated, scene.sigma, scene.weight)


def _made(
    scene: Scene,
    sites: pd.DataFrame,
    waves: _Waves,
    fitted: FittedOptics,
    parameters: TwinParameters,
    remark: str,
) -> Twin:
    """Simulate and compare."""
    simulated = _simulated(scene, waves, fitted, parameters)
    here, there = (values[scene.is_compared].astype(np.float64) for values in (scene.details, simulated))
    power = float(there @ there)
    gain = float(here @ there) / power if power > 0 else 0.0
    variance = float(here @ here) / len(here)
    correlation = gain * np.sqrt(power / len(here) / variance)
    fitted = replace(fitted, contrast=gain)
    residual = scene.details - np.float32(gain) * simulated
    twin = scene.slow + np.float32(gain) * simulated
    noise = measure_noise(residual[richest(scene, parameters.fit_side)], scene.sampling)
    deviation = deviation_map(residual * scene.is_inside, scene.is_compared, fitted, noise, scene.sampling)
    misfit, misfit_sampling = misfit_map(deviation, scene.is_inside, scene.sampling, block=parameters.block)
    of_sites = site_misfit(deviation, scene.is_inside, scene.points, scene.sampling)
    return Twin(
        status=MADE,
        reason=remark,
        window=scene.window,
        sampling=scene.sampling,
        image=twin,
        residual=scene.image - twin,
        compared=scene.is_compared,
        misfit=misfit,
        misfit_sampling=misfit_sampling,
        sites=sites.assign(twin_misfit=of_sites, is_doubtful=_doubtful(of_sites, scene, parameters.doubtful)),
        correlation=float(correlation),
        attainable=float("nan") if noise is None else float(np.sqrt(max(1 - noise.variance / variance, 0))),
        noise_floor=float(np.sqrt(noise.variance if noise else residual[scene.is_compared].var())),
        noise_source="high frequencies" if noise else "residual",
        optics=fitted.describe(),
    )


def _doubtful(misfit: Float32Array, scene: Scene, threshold: float) -> BoolArray:
    """Say which of the compared sites have a misfit far above 1 and above what is usual in the image."""
    rows, columns = np.clip(np.rint(scene.points), 0, np.array(scene.image.shape) - 1).astype(np.int64).T
    counts = scene.is_compared[rows, columns] & np.isfinite(misfit)
    typical = max(float(np.median(misfit[counts])), 1.0) if counts.any() else 1.0
    return np.asarray(counts & (misfit > threshold * typical))
