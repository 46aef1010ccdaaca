"""The standard list: which structure is imaged under which conditions."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scenes.imaging import Conditions, extent, margin_pixels
from scenes.overlays import debris, joined, random_outline, second_layer, with_hole
from scenes.structures import Structure, cut_out, read_structure

ENERGIES, SPHERICAL, DOSES = (6e4, 8e4), (-1e5, 1e5), (3e3, 1e4, 4e4)
SAMPLINGS, GRADIENTS = (0.2, 0.15, 0.25), (0.0, 0.2, 0.4)
TREFOIL, COMA = (600.0, 1400.0), (0.0, 1200.0)  # of poorly tuned lenses, C23 and C21 [Å]
# One condition at a time, all else as in BASELINE; Cs is of either sign.
VARIED: dict[str, tuple[float, ...]] = {
    "sampling": (0.06, 0.1, 0.3, 0.42), "Cs": (5e3, 2e4, 3e5, 1e6),
    "defocus_error": (-60.0, -30.0, 30.0, 60.0), "focal_spread": (10.0, 60.0, 90.0),
    "angular_spread": (1.0,), "semiangle_cutoff": (25.0,),
    "astigmatism": (50.0,), "vibration": (0.3, 0.5), "energy": (3e4, 2e5, 3e5),
    "dose_per_area": (3e2, 1e3, 1e5, 1e6), "gradient": (0.8,), "vignetting": (0.5,),
}  # fmt: skip
BASELINE = {"energy": 8e4, "Cs": 1e5, "dose_per_area": 1e4, "sampling": 0.2}
VARIED_SHEETS = ("grains-12", "grains-20-porous")
VARIED_FIELD, VARIED_LARGEST = 80.0, 1000  # [Å] and [px]
FIELD, LARGEST = 90.0, 500  # of images for sites [Å] and [px]
SCENE_PIXELS, SCENE_SAMPLING = 1024, 0.2
QUENCHED = ("quenched-fast", "quenched", "grains-8", "grains-12", "grains-20")
POROUS = ("quenched-porous", "grains-12-porous", "grains-20-porous")
LEARNT = ("learnt-small-12", "learnt-small-random")
DEBRIS = ("debris-carbon", "debris-hydrocarbon")


@dataclass(frozen=True)
class SiteImage:
    """An image of a bare sheet."""

    name: str
    structure: str
    group: str
    conditions: Conditions


@dataclass(frozen=True)
class Scene:
    """An image with holes, layers and debris; their radii and the thicknesses of the debris in Å."""

    name: str
    structure: str
    group: str
    conditions: Conditions
    holes: tuple[float, ...] = ()
    layers: tuple[float, ...] = ()
    lumps: tuple[tuple[str, float, float], ...] = ()  # material, radius, thickness


def seed_of(*names: str) -> int:
    """Return a number that depends on names only."""
    return zlib.crc32("/".join(names).encode())


def structure_paths(coordinates: list[Path], quenched: Path | None) -> dict[str, tuple[str, Path]]:
    """Return group and file of every sheet there is, by name."""
    found = {f"poly-{path.stem}": ("polycrystal", path) for path in coordinates}
    groups = {"quenched": QUENCHED, "porous": POROUS, "learnt": LEARNT, "debris": DEBRIS}
    for group, names in groups.items():
        for name in names:
            if quenched is not None and (quenched / f"{name}.extxyz").exists():
                found[name] = (group, quenched / f"{name}.extxyz")
    return found


def site_images(paths: dict[str, tuple[str, Path]]) -> Iterator[SiteImage]:
    """List six images of each sheet: both polarities and three doses, the rest in turn."""
    for name, (group, _) in sorted(paths.items()):
        number = seed_of(name)
        for k in range(6 if group != "debris" else 0):
            label = f"site-{name}-{k}"
            rng = np.random.default_rng(seed_of(label))
            sampling = SAMPLINGS[(k + number) % 3]
            yield SiteImage(
                label, name, group,
                Conditions(
                    energy=ENERGIES[(k + k // 2 + number) % 2], Cs=SPHERICAL[k % 2],
                    dose_per_area=DOSES[k // 2],
                    sampling=sampling, size=min(LARGEST, round(FIELD / sampling)),
                    seed=int(rng.integers(2**31)), defocus_error=float(rng.normal(0, 8)),
                    astigmatism=float(rng.uniform(0, 15)), gradient=GRADIENTS[(2 * k + number) % 3],
                    camera=("scintillator", "counting")[(k // 2 + number) % 2],
                ),
            )  # fmt: skip


def aberrated_images(paths: dict[str, tuple[str, Path]]) -> Iterator[SiteImage]:
    """List two images of each sheet, one of each polarity, with strong aberrations of odd order."""
    for name, (group, _) in sorted(paths.items()):
        for k in range(2 if group != "debris" else 0):
            label = f"aberrated-{name}-{k}"
            rng = np.random.default_rng(seed_of(label))
            sampling = SAMPLINGS[(k + seed_of(name)) % 3]
            yield SiteImage(
                label, name, group,
                Conditions(
                    energy=ENERGIES[(k + seed_of(name)) % 2], Cs=SPHERICAL[k], dose_per_area=1e4,
                    sampling=sampling, size=min(LARGEST, round(FIELD / sampling)),
                    seed=int(rng.integers(2**31)), defocus_error=float(rng.normal(0, 8)),
                    astigmatism=float(rng.uniform(0, 15)), camera=("scintillator", "counting")[k],
                    trefoil=float(rng.uniform(*TREFOIL)), trefoil_angle=float(rng.uniform(0, 120)),
                    coma=float(rng.uniform(*COMA)), coma_angle=float(rng.uniform(0, 360)),
                ),
            )  # fmt: skip


def varied_images(paths: dict[str, tuple[str, Path]]) -> Iterator[SiteImage]:
    """List images of two disordered sheets, both polarities, with one condition at a time far from usual.

    The group of an image names the condition and its value.
    """
    listed: list[tuple[str, dict[str, float]]] = [("baseline", {})]
    listed += [(f"{name} {value:g}", {name: value}) for name, values in VARIED.items() for value in values]
    for group, changed in listed:
        for name in (sheet for sheet in VARIED_SHEETS if sheet in paths):
            for polarity in (-1, 1):
                label = f"varied-{group.replace(' ', '-')}-{name}-{'dark' if polarity > 0 else 'bright'}"
                values = BASELINE | changed
                sampling = values["sampling"]
                yield SiteImage(
                    label, name, group,
                    Conditions(
                        **values | {"Cs": polarity * values["Cs"]},
                        size=min(VARIED_LARGEST, int(VARIED_FIELD / sampling)), seed=seed_of(label) % 2**31,
                    ),
                )  # fmt: skip


def scenes(paths: dict[str, tuple[str, Path]]) -> Iterator[Scene]:
    """List the scenes whose sheets and debris are there."""
    polycrystals = sorted(name for name, (group, _) in paths.items() if group == "polycrystal")
    first, last = (polycrystals[0], polycrystals[-1]) if polycrystals else ("", "")
    carbon, hydrocarbon = DEBRIS
    listed = (
        (last, 8e4, -1e5, 1e4, 0.2, (12.0, 25.0), (45.0,), ((carbon, 28.0, 8.0),)),
        (last, 6e4, 1e5, 1e4, 0.4, (35.0,), (), ((hydrocarbon, 40.0, 6.0), (carbon, 18.0, 12.0))),
        (first, 8e4, 1e5, 4e4, 0.0, (8.0, 15.0), (60.0,), ((hydrocarbon, 25.0, 10.0),)),
        (first, 6e4, -1e5, 3e3, 0.3, (20.0,), (40.0,), ((carbon, 35.0, 5.0),)),
        ("quenched", 8e4, -1e5, 1e4, 0.4, (10.0, 22.0), (50.0,), ((carbon, 30.0, 6.0),)),
        ("quenched", 6e4, 1e5, 4e4, 0.1, (30.0,), (35.0, 25.0), ((hydrocarbon, 30.0, 12.0),)),
        ("grains-20-porous", 8e4, 1e5, 1e4, 0.25, (40.0,), (), ((carbon, 45.0, 10.0),)),
        ("grains-20", 6e4, -1e5, 1e4, 0.0, (15.0, 18.0), (55.0,), ()),
    )
    for number, (name, energy, Cs, dose, gradient, holes, layers, lumps) in enumerate(listed):
        if name in paths and all(material in paths for material, _, _ in lumps):
            label = f"scene-{number}"
            rng = np.random.default_rng(seed_of(label))
            conditions = Conditions(
                energy=energy, Cs=Cs, dose_per_area=dose, sampling=SCENE_SAMPLING, size=SCENE_PIXELS,
                seed=int(rng.integers(2**31)), defocus_error=float(rng.normal(0, 8)),
                astigmatism=float(rng.uniform(0, 15)), gradient=gradient, vignetting=0.15 * (number % 3),
                camera=("scintillator", "counting")[number % 2],
            )  # fmt: skip
            yield Scene(label, name, paths[name][0], conditions, holes, layers, lumps)


def specimen_of(
    image: SiteImage | Scene, paths: dict[str, tuple[str, Path]]
) -> tuple[Structure, Structure, Structure]:
    """Return all atoms, those of the sheet and those that lie on it, from the corner of the margin."""
    rng = np.random.default_rng(seed_of(image.name, "specimen"))
    edge = extent(image.conditions)
    sheet = cut_out(read_structure(paths[image.structure][1]), (edge, edge), rng)
    nothing = Structure(np.empty((0, 3)), np.empty(0, int))
    if isinstance(image, SiteImage):
        return sheet, sheet, nothing
    parts = []
    for radius in image.holes:
        sheet = with_hole(sheet, random_outline(rng.uniform(0.1, 0.9, 2) * edge, radius, rng, roughness=0.15))
    for radius in image.layers:
        outline = random_outline(rng.uniform(0.15, 0.85, 2) * edge, radius, rng)
        parts.append(second_layer(outline, int(rng.choice([-1, 1])), rng))
    for material, radius, thickness in image.lumps:
        outline = random_outline(rng.uniform(0.15, 0.85, 2) * edge, radius, rng)
        slab = read_structure(paths[material][1])
        side = int(rng.choice([-1, 1]))
        parts.append(debris(slab, outline, thickness=thickness, side=side, extent=(edge, edge), rng=rng))
    overlay = joined(nothing, *parts)
    return joined(sheet, overlay), sheet, overlay


def in_field(structure: Structure, conditions: Conditions) -> Structure:
    """Return a structure with the centre of pixel (0, 0) of the field as its origin."""
    shift = margin_pixels(conditions) * conditions.sampling
    return replace(structure, positions=structure.positions - [shift, shift, 0])
