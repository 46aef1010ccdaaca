"""From a recipe to an image with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, FloatArray, as_points
from amorph2d.imaging.detector import blur, illumination, record
from amorph2d.imaging.optics import Optics
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.imaging.waves import exit_wave, form_image
from amorph2d.structures.sheet import Sheet

MARGIN = 24  # pixels simulated beyond each edge of the field, for the reach of the MTF
COARSEST_WAVE = 0.21  # sampling above which the wave is computed on a grid twice as fine [Å/px]
DISK_AREA = 1.43  # mean area of a seed of a maximal Poisson-disk sample, in units of its spacing squared
MOST_POROUS = 0.4  # share of the sheet that pores may take; further pores of a recipe are left out
RESIDUAL_FORCE = 0.05  # at which a network counts as relaxed: 0.002 Å from the minimum for a bond [eV/Å]
OPTICS_COLUMNS = tuple(Optics.__dataclass_fields__)


def build_sheet(recipe: Mapping[str, Any]) -> Sheet:
    """Build the periodic sheet of a recipe, at least as large as its field."""
    from amorph2d.structures.pores import irregular_pore
    from amorph2d.structures.relax import GRAPHENE, relax_network
    from amorph2d.structures.voronoi import voronoi_network

    rng = np.random.default_rng(recipe["structure_seed"])
    rows, columns = recipe["rows"] + 2 * MARGIN, recipe["columns"] + 2 * MARGIN
    box = np.array([columns, rows]) * recipe["sampling"] * (1.0 if recipe["family"] == "voronoi" else 1.02)
    sheet = voronoi_network(_draw_seeds(recipe, box, rng), box)
    if recipe["family"] == "relaxed":
        potential = replace(GRAPHENE, bond_length=recipe["bond_length"])
        sheet = relax_network(sheet, potential=potential, tolerance=RESIDUAL_FORCE)
    area = np.pi * recipe["pore_radius"] ** 2
    for _ in range(min(recipe["pores"], int(MOST_POROUS * sheet.box.prod() / area))):
        sheet = irregular_pore(
            sheet,
            centre=rng.uniform(0, sheet.box),
            radius=recipe["pore_radius"],
            roughness=recipe["pore_roughness"],
            rng=rng,
        )
    return displace(sheet, recipe["displacement"], rng)


def _draw_seeds(recipe: Mapping[str, Any], box: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Ring centres of the sheet before relaxation."""
    from amorph2d.structures.seeds import (
        poisson_disk_seeds,
        polycrystal_seeds,
        relaxed_seeds,
        without_small_rings,
    )

    if recipe["family"] == "voronoi":
        return poisson_disk_seeds(box, spacing=np.sqrt(recipe["ring_area"] / DISK_AREA), rng=rng)
    ring_area = 1.5 * np.sqrt(3) * recipe["bond_length"] ** 2
    if recipe["seeds"] == "polycrystal":
        spacing = np.sqrt(2 / np.sqrt(3) * ring_area)
        seeds = polycrystal_seeds(
            box, spacing=spacing, n_grains=recipe["grains"], jitter=recipe["jitter"], rng=rng
        )
    else:
        seeds = poisson_disk_seeds(box, spacing=np.sqrt(ring_area / DISK_AREA), rng=rng)
        seeds = relaxed_seeds(seeds, box, n_iterations=recipe["lloyd_iterations"])
    return without_small_rings(seeds, box, min_size=recipe["smallest_ring"])


def displace(sheet: Sheet, sigma: float, rng: np.random.Generator) -> Sheet:
    """Return `sheet` with its atoms displaced at random, standard deviation `sigma` per axis [Å]."""
    if sigma < 0:
        raise ValueError(f"sigma must be ≥ 0 Å, got {sigma}")
    moved = (sheet.positions + rng.normal(0, sigma, sheet.positions.shape)) % sheet.box
    return Sheet(moved, sheet.numbers, sheet.bonds, sheet.ring_centres, sheet.ring_sizes, sheet.box)


def sites_in_field(
    positions: ArrayLike, box: ArrayLike, *, origin: tuple[float, float], extent: tuple[float, float]
) -> FloatArray:
    """Return all periodic images of `positions` inside a field, measured from its origin.

    Parameters
    ----------
    positions
        Points, (N, 2), x then y [Å].
    box
        Periods along x and y, (2,) [Å].
    origin, extent
        Corner and size of the field, x then y [Å].

    Returns
    -------
    FloatArray
        Points with 0 ≤ x ≤ extent[0] and 0 ≤ y ≤ extent[1], (M, 2) [Å].
    """
    points, period, size = as_points(positions), np.asarray(box, float), np.asarray(extent, float)
    wrapped = (points - np.asarray(origin, float)) % period
    repeats = np.ceil(size / period).astype(int) + 1
    shifts = (
        np.stack(np.meshgrid(np.arange(repeats[0]), np.arange(repeats[1])), axis=-1).reshape(-1, 2) * period
    )
    images = (wrapped[None] + shifts[:, None]).reshape(-1, 2)
    return images[(images <= size).all(axis=1)]


def simulate_image(recipe: Mapping[str, Any]) -> SimulatedImage:
    """Simulate the image of a recipe; nothing but the recipe decides it."""
    return image_sheet(build_sheet(recipe), recipe)


def image_sheet(sheet: Sheet, recipe: Mapping[str, Any]) -> SimulatedImage:
    """Image a periodic sheet under the optics, detector and noise seed of a recipe.

    Parameters
    ----------
    sheet
        The structure; it is strained by less than half a pixel over the box so that the box is a whole
        number of pixels.
    recipe
        The columns of `draw_recipe` that describe optics and detector.

    Returns
    -------
    SimulatedImage
        Rows × columns of the recipe, with the atoms and ring centres in it. A field larger than the box
        shows the sheet repeated.
    """
    rng = np.random.default_rng(recipe["noise_seed"])
    sampling, rows, columns = recipe["sampling"], recipe["rows"], recipe["columns"]
    intensity, box = _intensity(sheet, recipe)
    corner = np.floor(rng.uniform(0, intensity.shape)).astype(int)
    window = np.ix_(
        np.arange(corner[0] - MARGIN, corner[0] + rows + MARGIN) % intensity.shape[0],
        np.arange(corner[1] - MARGIN, corner[1] + columns + MARGIN) % intensity.shape[1],
    )
    field = intensity[window]
    light = illumination(field.shape, gradient=recipe["gradient"], direction=recipe["gradient_direction"])
    signal = record(
        np.maximum(field * light, 0),
        electrons_per_pixel=recipe["dose_per_area"] * sampling**2,
        floor=recipe["mtf_floor"],
        width=recipe["mtf_width"],
        exponent=recipe["mtf_exponent"],
        rng=rng,
    )[MARGIN:-MARGIN, MARGIN:-MARGIN]
    origin = (corner[1] * sampling, corner[0] * sampling)
    extent = ((columns - 1) * sampling, (rows - 1) * sampling)
    scale = box / sheet.box
    return SimulatedImage(
        index=int(recipe["index"]),
        image=np.ascontiguousarray(signal),
        sampling=float(sampling),
        atoms=sites_in_field(sheet.positions * scale, box, origin=origin, extent=extent),
        rings=sites_in_field(sheet.ring_centres * scale, box, origin=origin, extent=extent),
        recipe=dict(recipe),
    )


def _intensity(sheet: Sheet, recipe: Mapping[str, Any]) -> tuple[Float32Array, FloatArray]:
    """Noise-free periodic image of the sheet at the recipe's sampling, and the box that it covers."""
    sampling = recipe["sampling"]
    columns, rows = (int(n) for n in np.round(sheet.box / sampling))
    box = np.array([columns, rows]) * sampling
    finer = 2 if sampling > COARSEST_WAVE else 1
    wave = exit_wave(
        sheet.positions * (box / sheet.box),
        sheet.numbers,
        box=(float(box[0]), float(box[1])),
        shape=(rows * finer, columns * finer),
        energy=recipe["energy"],
    )
    intensity = form_image(wave, Optics(**{name: recipe[name] for name in OPTICS_COLUMNS}))
    intensity = blur(intensity, recipe["vibration"] * finer / sampling)
    return (_halve(intensity) if finer == 2 else intensity), box


def _halve(image: Float32Array) -> Float32Array:
    """Halve the sampling of a periodic image by cutting its spectrum; pixel (0, 0) keeps its centre."""
    rows, columns = image.shape[0] // 2, image.shape[1] // 2
    spectrum = np.fft.rfft2(image)
    kept = np.concatenate([spectrum[: (rows + 1) // 2], spectrum[-(rows // 2) :]])[:, : columns // 2 + 1]
    return (np.fft.irfft2(kept, s=(rows, columns)) / 4).astype(np.float32)
