"""From a specimen to images with their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from amorph2d.arrays import Float32Array, FloatArray, IntArray
from amorph2d.imaging.detector import (
    as_stored,
    blur,
    dead_and_hot_pixels,
    drift_blur,
    illumination,
    record,
    xray_spikes,
)
from amorph2d.imaging.geometry import Distortion, distort, distorted_positions
from amorph2d.imaging.labels import bonds_in_field, polygons_in_field, region_mask, sites_in_field
from amorph2d.imaging.optics import Optics
from amorph2d.imaging.recipes import SPECIMEN_COLUMNS
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.imaging.specimens import build_specimen
from amorph2d.imaging.waves import exit_wave, form_image, resample_periodic
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.specimen import Specimen, flat_specimen

if TYPE_CHECKING:
    from abtem.waves import Waves

WAVE_SAMPLING = 0.2  # of the exit wave, whatever the image's; in units of the length scale [Å/px]
MTF_REACH = 20  # pixels simulated beyond each edge of the field, for the reach of the MTF
LABEL_REACH = 8.0  # distance beyond the field at which an atom still matters for the labels [Å]
SLICE_THICKNESS = 3.0  # [Å]
HOT_PIXEL = 8.0  # signal of a hot pixel relative to the mean
SPIKE = 12.0  # signal of an X-ray event relative to the mean
COUNTS_PER_ELECTRON = 8.0  # gain of 16-bit files where their range allows it
BRIGHTEST_COUNT = 3e4  # mean of a 16-bit file at most
CLIPPED = (0.001, 0.999)  # quantiles of the signal that an 8-bit file spans
OPTICS_COLUMNS = tuple(Optics.__dataclass_fields__)


def simulate_image(recipe: Mapping[str, Any]) -> SimulatedImage:
    """Simulate the image of a recipe; nothing but the recipe decides it."""
    return image_specimen(build_specimen(recipe), recipe)


def simulate_images(recipes: Sequence[Mapping[str, Any]]) -> Iterator[SimulatedImage]:
    """Simulate the images of recipes one by one; neighbours of one specimen share its exit wave.

    The images are the same as those of `simulate_image`.
    """
    for _, group in groupby(recipes, key=lambda recipe: [recipe[name] for name in SPECIMEN_COLUMNS]):
        same = list(group)
        specimen = build_specimen(same[0])
        wave = specimen_wave(specimen, same[0])
        for recipe in same:
            yield image_wave(wave, specimen, recipe)


def image_sheet(sheet: RingedSheet, recipe: Mapping[str, Any]) -> SimulatedImage:
    """Image a flat periodic sheet under the optics, detector and noise seed of a recipe."""
    return image_specimen(flat_specimen(sheet), recipe)


def image_specimen(specimen: Specimen, recipe: Mapping[str, Any]) -> SimulatedImage:
    """Image a periodic specimen under the optics, detector and noise seed of a recipe.

    Parameters
    ----------
    specimen
        The structure; the image is strained by less than half a pixel over the box so that the box is a
        whole number of pixels.
    recipe
        The columns of `draw_recipe` that describe optics and detector.

    Returns
    -------
    SimulatedImage
        Rows × columns of the recipe, with the atoms, bonds and ring centres in it, and its mask. A field
        larger than the box shows the sheet repeated.
    """
    return image_wave(specimen_wave(specimen, recipe), specimen, recipe)


def specimen_wave(specimen: Specimen, recipe: Mapping[str, Any]) -> Waves:
    """Return the exit wave of a specimen at the energy of a recipe, on a grid of its own."""
    box = specimen.sheet.box
    columns, rows = (
        next_fast_len(int(np.ceil(edge / WAVE_SAMPLING / recipe["length_scale"]))) for edge in box
    )
    return exit_wave(
        specimen.positions,
        specimen.numbers,
        box=(float(box[0]), float(box[1])),
        shape=(rows, columns),
        energy=recipe["energy"],
        slice_thickness=SLICE_THICKNESS,
    )


def image_wave(wave: Waves, specimen: Specimen, recipe: Mapping[str, Any]) -> SimulatedImage:
    """Image the exit wave of a specimen; see `image_specimen`."""
    rng = np.random.default_rng(recipe["noise_seed"])
    shape, sampling = (recipe["rows"], recipe["columns"]), recipe["sampling"]
    intensity = _intensity(wave, specimen.sheet.box, recipe)
    box = np.array(intensity.shape[::-1]) * sampling
    distortion = _distortion(recipe)
    corner = _corner(intensity.shape, recipe, rng)
    field = _field(intensity, corner, distortion, shape)
    signal = _recorded(field, recipe, rng)
    atoms, bonds, rings, mask = _truth(specimen, box, corner, distortion, recipe)
    return SimulatedImage(
        index=int(recipe["index"]),
        image=signal,
        sampling=float(sampling),
        atoms=atoms,
        rings=rings,
        recipe=dict(recipe),
        bonds=bonds,
        mask=mask,
    )


def _intensity(wave: Waves, box: FloatArray, recipe: Mapping[str, Any]) -> Float32Array:
    """Noise-free periodic image of the whole box at the recipe's sampling.

    Frequencies beyond those of the pixels are cut off; a camera would fold what its MTF leaves of them.
    """
    intensity = form_image(wave, Optics(**{name: recipe[name] for name in OPTICS_COLUMNS}))
    step = float(box[0]) / intensity.shape[1]
    if recipe["vibration"] > 0:
        intensity = blur(intensity, recipe["vibration"] / step)
    if recipe["drift"] > 0:
        intensity = drift_blur(intensity, length=recipe["drift"] / step, direction=recipe["drift_direction"])
    columns, rows = (int(n) for n in np.round(box / recipe["sampling"]))
    return resample_periodic(intensity, (rows, columns))


def _distortion(recipe: Mapping[str, Any]) -> Distortion:
    """Distortion of the image plane."""
    return Distortion(
        anisotropy=recipe["anisotropy"],
        anisotropy_direction=recipe["anisotropy_direction"],
        barrel=recipe["barrel"],
        wobble=recipe["wobble"],
        seed=recipe["noise_seed"],
    )


def _corner(shape: tuple[int, ...], recipe: Mapping[str, Any], rng: np.random.Generator) -> IntArray:
    """Draw the pixel of the box at which the field starts, row then column."""
    place = rng.random(2)
    if recipe["tilt"] == 0:
        return np.floor(place * shape).astype(np.int64)
    # The height of a tilted sheet jumps where the box closes: keep that away from the field.
    room = np.array(shape) - (recipe["rows"], recipe["columns"])
    spare = np.maximum(room - 4 * MTF_REACH, 0)
    return np.floor((room - spare) / 2 + place * spare).astype(np.int64)


def _field(
    intensity: Float32Array, corner: IntArray, distortion: Distortion, shape: tuple[int, int]
) -> Float32Array:
    """Cut the field with the margin that the MTF needs out of the periodic image, distorted."""
    around = MTF_REACH + distortion.reach(shape, beyond=MTF_REACH)
    window = np.ix_(
        *(
            np.arange(start - around, start + size + around) % period
            for start, size, period in zip(corner, shape, intensity.shape, strict=True)
        )
    )
    return distort(intensity[window], distortion, shape=shape, margin=around, keep=MTF_REACH)


def illumination_of(recipe: Mapping[str, Any], shape: tuple[int, ...]) -> Float32Array:
    """Return the illumination of a recipe over an image of (rows, columns), mean about 1."""
    return illumination(
        (shape[0], shape[1]),
        gradient=recipe["gradient"],
        direction=recipe["gradient_direction"],
        vignetting=recipe["vignetting"],
        unevenness=recipe["unevenness"],
        seed=recipe["noise_seed"],
    )


def _recorded(field: Float32Array, recipe: Mapping[str, Any], rng: np.random.Generator) -> Float32Array:
    """Return what the file holds of a noise-free field with margins."""
    light = np.pad(illumination_of(recipe, (recipe["rows"], recipe["columns"])), MTF_REACH, mode="edge")
    electrons = recipe["dose_per_area"] * recipe["sampling"] ** 2
    signal = record(
        np.maximum(field * light, 0),
        electrons_per_pixel=electrons,
        floor=recipe["mtf_floor"],
        width=recipe["mtf_width"],
        exponent=recipe["mtf_exponent"],
        readout_noise=recipe["readout_noise"] * np.sqrt(electrons),
        gain_noise=recipe["gain_noise"],
        rng=rng,
    )[MTF_REACH:-MTF_REACH, MTF_REACH:-MTF_REACH]
    if recipe["spikes"] > 0:
        signal = xray_spikes(signal, rate=recipe["spikes"], level=SPIKE, rng=rng)
    if recipe["dead_pixels"] > 0:
        share = recipe["dead_pixels"] * 1e-6
        signal = dead_and_hot_pixels(
            signal, dead_fraction=share, hot_fraction=share, hot_level=HOT_PIXEL, rng=rng
        )
    gain = min(COUNTS_PER_ELECTRON, BRIGHTEST_COUNT / electrons)
    return np.ascontiguousarray(
        as_stored(signal, bits=recipe["bits"], clip=CLIPPED, counts_per_electron=gain)
    )


def _truth(
    specimen: Specimen, box: FloatArray, corner: IntArray, distortion: Distortion, recipe: Mapping[str, Any]
) -> tuple[FloatArray, IntArray, FloatArray, NDArray[np.uint8]]:
    """Atoms, bonds and ring centres inside the image where it shows them, and its mask."""
    shape, sampling = (recipe["rows"], recipe["columns"]), recipe["sampling"]
    stretch = box / specimen.sheet.box
    sheet = replace(
        specimen.sheet,
        positions=specimen.sheet.positions * stretch,
        ring_centres=specimen.sheet.ring_centres * stretch,
        box=box,
    )
    reach = LABEL_REACH * recipe["length_scale"] + distortion.reach(shape) * sampling
    place: dict[str, Any] = {
        "origin": (corner[1] * sampling, corner[0] * sampling),
        "extent": ((shape[1] - 1) * sampling, (shape[0] - 1) * sampling),
        "margin": reach,
    }

    def seen(points: FloatArray) -> FloatArray:
        """Where the image shows points of the field."""
        return distorted_positions(points[:, ::-1] / sampling, shape, distortion)[:, ::-1] * sampling

    atoms, bonds = bonds_in_field(sheet, **place)
    corners, offsets = polygons_in_field(sheet, **place)
    rings = seen(sites_in_field(sheet.ring_centres, box, **place))
    others = [cloud.positions[:, :2] * stretch for cloud in specimen.overlays]
    overlay = sites_in_field(np.concatenate([np.empty((0, 2)), *others]), box, **place)
    atoms = seen(atoms)
    mask = region_mask(
        shape=shape,
        sampling=sampling,
        atoms=atoms,
        bonds=bonds,
        rings=(seen(corners), offsets),
        overlay_positions=seen(overlay),
        scale=recipe["length_scale"],
    )
    is_inside, is_ring_inside = (_is_in_image(points, place["extent"]) for points in (atoms, rings))
    kept = bonds[is_inside[bonds].all(axis=1)]
    return atoms[is_inside], (np.cumsum(is_inside) - 1)[kept], rings[is_ring_inside], mask


def _is_in_image(points: FloatArray, extent: tuple[float, float]) -> NDArray[np.bool_]:
    """Say which points lie between the centres of the outermost pixels."""
    return np.asarray(((points >= 0) & (points <= extent)).all(axis=1))
