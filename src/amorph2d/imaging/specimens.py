"""From a recipe to a specimen: the sheet of its family, what is wrong with it, and what lies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from amorph2d.arrays import FloatArray
from amorph2d.structures.bond_switching import bond_switched_network, switch_bonds
from amorph2d.structures.debris import adatoms, amorphous_carbon, hydrocarbon
from amorph2d.structures.defects import insert_defects
from amorph2d.structures.deformation import ripple, strain_field
from amorph2d.structures.dopants import rest_lengths, substitute
from amorph2d.structures.edges import contract_edges
from amorph2d.structures.lattices import BORON_NITRIDE, BORON_NITRIDE_BOND, CARBON_BOND, honeycomb_sheet
from amorph2d.structures.layers import second_layer
from amorph2d.structures.molecular import molecular_network
from amorph2d.structures.network import RingedSheet, moved
from amorph2d.structures.openings import open_rings
from amorph2d.structures.outlines import DIRECTIONS, Outline, irregular_blob, random_patches, rough_band
from amorph2d.structures.pores import cut_pore
from amorph2d.structures.relax import GRAPHENE, relax_network
from amorph2d.structures.seeds import (
    poisson_disk_seeds,
    polycrystal_seeds,
    relaxed_seeds,
    without_small_rings,
)
from amorph2d.structures.silica import bilayer_silica
from amorph2d.structures.specimen import Cloud, Specimen, flat_specimen
from amorph2d.structures.voronoi import voronoi_network

FIELD_MARGIN = 24  # pixels of the sheet beyond each edge of the field
SHRINKAGE = 1.02  # how much larger a box starts whose relaxation may shrink it
DISK_AREA = 1.43  # mean area of a seed of a maximal Poisson-disk sample, in units of its spacing squared
MOST_POROUS = 0.4  # share of the sheet that pores may take; further pores of a recipe are left out
RESIDUAL_FORCE = 0.05  # at which a network counts as relaxed: 0.002 Å from the minimum for a bond [eV/Å]
DEFECT_SPACING = 12.0  # between the centres of two defects, at least [Å]
OPEN_SHARE = 0.3  # share of the box beyond an open edge
SMALLEST_SWITCHED = 15.2  # box in which bonds are switched, in bonds
FARTHEST_GROUND = 3.0  # from an adatom to the next atom of the sheet, seen along the beam [Å]
EDGE_ROUGHNESS = 3.0  # of an open edge, root mean square [Å]

Recipe = Mapping[str, Any]


def build_specimen(recipe: Recipe) -> Specimen:
    """Build the periodic specimen of a recipe, at least as large as its field."""
    streams = np.random.SeedSequence(recipe["structure_seed"]).spawn(6)
    network, faults, pores, motion, overlays, edges = map(np.random.default_rng, streams)
    scale = recipe["length_scale"]
    columns, rows = recipe["columns"] + 2 * FIELD_MARGIN, recipe["rows"] + 2 * FIELD_MARGIN
    box = np.array([columns, rows]) * recipe["specimen_sampling"] / scale
    box = box / np.cos(np.deg2rad(recipe["tilt"]))
    sheet = _with_faults(_NETWORKS[recipe["family"]](recipe, box, network), recipe, faults)
    sheet = _with_pores(sheet, recipe, pores)
    if recipe["family"] == "silica":
        return bilayer_silica(sheet, node_distance=CARBON_BOND * scale)
    if recipe["family"] == "polymer":
        return molecular_network(sheet, node_distance=CARBON_BOND * scale)
    if recipe["contraction"] > 0:
        sheet = contract_edges(
            sheet,
            contraction=recipe["contraction"],
            rng=edges,
            potential=replace(GRAPHENE, bond_length=recipe["bond_length"]),
            tolerance=RESIDUAL_FORCE,
        )
    sheet = _deformed(sheet, recipe, motion)
    heights = ripple(
        sheet.positions,
        sheet.box,
        amplitude=recipe["ripple"],
        wavelength=recipe["wavelength"],
        rng=motion,
    )
    specimen = flat_specimen(sheet, heights)
    on_top = _stacked(tuple(_overlays(sheet.box, recipe, overlays)), specimen)
    specimen = replace(specimen, overlays=on_top)
    return tilted(specimen, tilt=recipe["tilt"], direction=recipe["tilt_direction"])


def _voronoi(recipe: Recipe, box: FloatArray, rng: np.random.Generator) -> RingedSheet:
    spacing = float(np.sqrt(recipe["ring_area"] / DISK_AREA))
    return voronoi_network(poisson_disk_seeds(box, spacing=spacing, rng=rng), box)


def _relaxed(recipe: Recipe, box: FloatArray, rng: np.random.Generator) -> RingedSheet:
    box = box * SHRINKAGE
    spacing = float(np.sqrt(1.5 * np.sqrt(3) / DISK_AREA) * recipe["bond_length"])
    seeds = poisson_disk_seeds(box, spacing=spacing, rng=rng)
    seeds = relaxed_seeds(seeds, box, n_iterations=recipe["lloyd_iterations"])
    seeds = without_small_rings(seeds, box, min_size=recipe["smallest_ring"])
    return _at_rest(voronoi_network(seeds, box), recipe)


def _polycrystal(recipe: Recipe, box: FloatArray, rng: np.random.Generator) -> RingedSheet:
    box, spacing = box * SHRINKAGE, np.sqrt(3) * recipe["bond_length"]
    seeds = polycrystal_seeds(
        box, spacing=spacing, n_grains=recipe["grains"], jitter=recipe["jitter"], rng=rng
    )
    seeds = without_small_rings(seeds, box, min_size=recipe["smallest_ring"])
    return _at_rest(voronoi_network(seeds, box), recipe)


def _switched(recipe: Recipe, box: FloatArray, rng: np.random.Generator) -> RingedSheet:
    box = np.maximum(box, SMALLEST_SWITCHED * recipe["bond_length"])
    if recipe["grains"]:
        grains = _polycrystal(recipe, box, rng)
        potential = replace(GRAPHENE, bond_length=recipe["bond_length"])
        wanted = ring_fractions(recipe["hexagons"])
        return switch_bonds(grains, ring_fractions=wanted, potential=potential, rng=rng)
    return bond_switched_network(
        box,
        ring_fractions=ring_fractions(recipe["hexagons"]),
        bond_length=recipe["bond_length"],
        rng=rng,
    )


def _graphene(recipe: Recipe, box: FloatArray, rng: np.random.Generator) -> RingedSheet:  # noqa: ARG001
    return honeycomb_sheet(box, bond_length=recipe["bond_length"], rotation=recipe["rotation"])


def _boron_nitride(recipe: Recipe, box: FloatArray, rng: np.random.Generator) -> RingedSheet:  # noqa: ARG001
    bond_length = BORON_NITRIDE_BOND / CARBON_BOND * recipe["bond_length"]
    return honeycomb_sheet(box, bond_length=bond_length, rotation=recipe["rotation"], numbers=BORON_NITRIDE)


_NETWORKS: dict[str, Callable[[Recipe, FloatArray, np.random.Generator], RingedSheet]] = {
    "voronoi": _voronoi,
    "relaxed": _relaxed,
    "polycrystal": _polycrystal,
    "switched": _switched,
    "graphene": _graphene,
    "boron_nitride": _boron_nitride,
    "silica": _switched,
    "polymer": _switched,
}


def ring_fractions(hexagons: float) -> dict[int, float]:
    """Return the fractions of rings of five to eight atoms of a sheet with a given share of hexagons.

    Between the crystal and three sheets of monolayer amorphous carbon models, with 75, 63 and 47 % of
    hexagons, the fractions are interpolated, and below 47 % towards 49/0/27/12 % without any hexagon; then
    pentagons and heptagons give way until the mean size is 6.
    """
    if not 0 < hexagons <= 1:
        raise ValueError(f"hexagons must be > 0 and ≤ 1, got {hexagons}")
    shares = np.array([0.0, 0.47, 0.63, 0.75, 1.0])
    table = {
        5: [0.49, 0.27, 0.19, 0.13, 0.0],
        7: [0.27, 0.17, 0.14, 0.10, 0.0],
        8: [0.12, 0.06, 0.03, 0.02, 0.0],
    }
    fractions = {size: float(np.interp(hexagons, shares, values)) for size, values in table.items()}
    rest = 1.0 - hexagons
    total = sum(fractions.values())
    fractions = {size: share * rest / total if total else 0.0 for size, share in fractions.items()}
    excess = -fractions[5] + fractions[7] + 2 * fractions[8]
    fractions[5] += excess / 2
    fractions[7] -= excess / 2
    return {6: hexagons, **fractions}


def _at_rest(sheet: RingedSheet, recipe: Recipe, bond_lengths: FloatArray | None = None) -> RingedSheet:
    """Relax a network of carbon."""
    potential = replace(GRAPHENE, bond_length=recipe["bond_length"])
    return relax_network(sheet, potential=potential, tolerance=RESIDUAL_FORCE, bond_lengths=bond_lengths)


def _with_faults(sheet: RingedSheet, recipe: Recipe, rng: np.random.Generator) -> RingedSheet:
    """Insert defects, foreign atoms and atoms with two bonds, and relax what they strain."""
    bond_lengths = None
    if recipe["defect"] != "none":
        n_defects = max(1, int(rng.poisson(recipe["defect_density"] * sheet.box.prod() / 100)))
        sheet, _ = insert_defects(sheet, {recipe["defect"]: n_defects}, rng=rng, spacing=DEFECT_SPACING)
        bond_lengths = rest_lengths(sheet, bond_length=recipe["bond_length"])
    if recipe["dopant"]:
        fractions = {recipe["dopant"]: recipe["dopant_share"]}
        sheet, bond_lengths = substitute(
            sheet, fractions=fractions, rng=rng, bond_length=recipe["bond_length"]
        )
    if bond_lengths is not None and recipe["family"] != "voronoi":
        sheet = _at_rest(sheet, recipe, bond_lengths)
    if recipe["opening_share"] > 0:
        potential = replace(GRAPHENE, bond_length=recipe["bond_length"])
        return open_rings(
            sheet,
            share=recipe["opening_share"],
            rng=rng,
            potential=potential,
            tolerance=RESIDUAL_FORCE,
        )
    return sheet


def _with_pores(sheet: RingedSheet, recipe: Recipe, rng: np.random.Generator) -> RingedSheet:
    """Cut pores, and the sheet beyond an open edge."""
    radius = recipe["pore_radius"] / recipe["length_scale"]
    n_pores = min(recipe["pores"], int(MOST_POROUS * sheet.box.prod() / (np.pi * radius**2)))
    for _ in range(n_pores):
        outline = irregular_blob(
            sheet.box,
            centre=rng.uniform(0, sheet.box),
            radius=radius,
            roughness=recipe["pore_roughness"],
            rng=rng,
        )
        sheet = cut_pore(sheet, outline, erosion=recipe["erosion"], rng=rng)
    if recipe["open_edge"]:
        direction = DIRECTIONS[rng.integers(len(DIRECTIONS))]
        edge = rough_band(sheet.box, direction=direction, share=OPEN_SHARE, roughness=EDGE_ROUGHNESS, rng=rng)
        sheet = cut_pore(sheet, edge, erosion=recipe["erosion"], rng=rng)
    return sheet


def _deformed(sheet: RingedSheet, recipe: Recipe, rng: np.random.Generator) -> RingedSheet:
    """Strain the sheet smoothly and displace its atoms."""
    if recipe["strain"] > 0:
        sheet = strain_field(sheet, amplitude=recipe["strain"], wavelength=recipe["wavelength"], rng=rng)
    return displace(sheet, recipe["displacement"], rng)


def displace(sheet: RingedSheet, sigma: float, rng: np.random.Generator) -> RingedSheet:
    """Return `sheet` with its atoms displaced at random, standard deviation `sigma` per axis [Å].

    One frozen pattern, seen by all images of a specimen and by their labels: static disorder.
    """
    if sigma < 0:
        raise ValueError(f"sigma must be ≥ 0 Å, got {sigma}")
    if sigma == 0:
        return sheet
    return moved(sheet, sheet.positions + rng.normal(0, sigma, sheet.positions.shape), sheet.box)


def tilted(specimen: Specimen, *, tilt: float, direction: float) -> Specimen:
    """Tilt a specimen about an axis in its plane through the middle of its box.

    Lengths across the axis shrink, one side rises and the other sinks, and what lies higher moves aside.
    The box stays a rectangle: the shrinking along x and y is exact, the shear of an oblique axis is left out.

    Parameters
    ----------
    specimen
        What is tilted.
    tilt
        Angle, 0 ≤ tilt ≤ 30 [°].
    direction
        Direction in which the sheet rises, from x towards y [°].
    """
    if not 0 <= tilt <= 30:
        raise ValueError(f"tilt must lie in 0 … 30°, got {tilt}")
    if tilt == 0:
        return specimen
    angle, towards = np.deg2rad(tilt), np.deg2rad(direction)
    slope = np.tan(angle) * np.array([np.cos(towards), np.sin(towards)])
    shrink = 1 / np.sqrt(1 + slope**2)
    sheet = specimen.sheet
    box = sheet.box * shrink

    def lay(cloud: Cloud) -> Cloud:
        xy, z = cloud.positions[:, :2], cloud.positions[:, 2]
        aside = (xy * shrink - z[:, None] * slope * shrink) % box
        risen = z * np.cos(angle) + (xy - sheet.box / 2) @ (slope * shrink)
        return replace(cloud, positions=np.column_stack([aside, risen]))

    layer = lay(specimen.layer)
    heights = specimen.layer.positions[:, 2]
    flat = moved(sheet, sheet.positions * shrink - heights[:, None] * slope * shrink, box)
    return Specimen(flat, layer, tuple(lay(cloud) for cloud in specimen.overlays))


def _overlays(box: FloatArray, recipe: Recipe, rng: np.random.Generator) -> Iterator[Cloud]:
    """Second layer, debris and adatoms of a recipe."""
    if recipe["layer"] != "none":
        yield _second_layer(box, recipe, rng)
    if recipe["debris"] != "none":
        outline = random_patches(
            box, share=recipe["debris_coverage"], wavelength=recipe["wavelength"], rng=rng
        )
        fill = hydrocarbon if recipe["debris"] == "hydrocarbon" else amorphous_carbon
        yield fill(outline, thickness=recipe["debris_thickness"], density=recipe["debris_density"], rng=rng)
    if recipe["adatom"]:
        n_adatoms = max(1, int(rng.poisson(recipe["adatom_density"] * box.prod() / 100)))
        yield adatoms(box, number=recipe["adatom"], n=n_adatoms, cluster_size=recipe["cluster"], rng=rng)


def _stacked(overlays: tuple[Cloud, ...], specimen: Specimen) -> tuple[Cloud, ...]:
    """Lay overlays on a rippled sheet, debris and adatoms outside the second layer, adatoms on atoms."""
    if not overlays:
        return ()
    tree = cKDTree(specimen.sheet.positions, boxsize=specimen.sheet.box)
    layers = [cloud for cloud in overlays if cloud.kind == "layer" and len(cloud.positions)]
    gap = layers[0].positions[0, 2] if layers else 0.0
    laid = []
    for cloud in overlays:
        distance, nearest = tree.query(cloud.positions[:, :2])
        x, y, z = cloud.positions.T
        if cloud.kind != "layer":
            z = np.where(z * gap > 0, z + gap, z)
        z = z + specimen.layer.positions[nearest, 2]
        has_ground = np.asarray(distance) <= FARTHEST_GROUND
        is_kept = has_ground if cloud.kind == "adatoms" else np.ones(len(z), dtype=bool)
        laid.append(Cloud(cloud.kind, np.column_stack([x, y, z])[is_kept], cloud.numbers[is_kept]))
    return tuple(laid)


def _second_layer(box: FloatArray, recipe: Recipe, rng: np.random.Generator) -> Cloud:
    """Amorphous or twisted layer over all or part of the box."""
    if recipe["layer"] == "amorphous":
        layer = bond_switched_network(
            np.maximum(box, SMALLEST_SWITCHED * recipe["bond_length"]),
            ring_fractions=ring_fractions(0.6),
            bond_length=recipe["bond_length"],
            rng=rng,
        )
    else:
        layer = honeycomb_sheet(box, bond_length=recipe["bond_length"], rotation=recipe["layer_rotation"])
    outline: Outline | None = None
    if recipe["layer_share"] < 1:
        outline = random_patches(box, share=recipe["layer_share"], wavelength=recipe["wavelength"], rng=rng)
    return second_layer(layer, box=box, gap=recipe["layer_gap"], outline=outline, rng=rng)
