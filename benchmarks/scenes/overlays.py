"""What lies on a sheet, or is missing from it: holes, a turned second layer, debris."""

from __future__ import annotations

import numpy as np
from matplotlib.path import Path as Polygon

from scenes.structures import Structure, cut_out, without_dangling

GAP = 3.35  # between layers, and below debris [Å]


def random_outline(
    centre: np.ndarray, radius: float, rng: np.random.Generator, *, roughness: float = 0.25, n: int = 14
) -> Polygon:
    """Return a closed polygon around a place whose corners lie at about `radius` [Å] from it."""
    angles = np.sort(rng.uniform(0, 2 * np.pi / n, n) + np.arange(n) * 2 * np.pi / n)
    radii = radius * np.exp(rng.normal(0, roughness, n))
    return Polygon(centre + np.column_stack([radii * np.cos(angles), radii * np.sin(angles)]))


def with_hole(sheet: Structure, outline: Polygon) -> Structure:
    """Return a sheet without the atoms in an outline and without those that hang into the hole."""
    return without_dangling(sheet.kept(~outline.contains_points(sheet.positions[:, :2])))


def second_layer(outline: Polygon, side: int, rng: np.random.Generator) -> Structure:
    """Return a flake of graphene within an outline, turned at random, above or below the sheet."""
    from ase.build import graphene

    low, high = outline.vertices.min(axis=0), outline.vertices.max(axis=0)
    n = int(np.ceil(np.hypot(*(high - low)) / 2.0)) + 4
    flat = graphene(a=2.46, size=(n, 2 * n, 1)).positions[:, :2]
    angle = rng.uniform(0, np.pi / 3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    flat = (flat - flat.mean(axis=0)) @ turn.T + (low + high) / 2 + rng.uniform(-1, 1, 2)
    flat = flat[outline.contains_points(flat)]
    return Structure(np.column_stack([flat, np.full(len(flat), side * GAP)]), np.full(len(flat), 6))


def debris(
    slab: Structure,
    outline: Polygon,
    *,
    thickness: float,
    side: int,
    extent: tuple[float, float],
    rng: np.random.Generator,
) -> Structure:
    """Return a lump cut out of a slab: within an outline, thinner and uneven towards its edge."""
    material = cut_out(slab, extent, rng)
    flat, z = material.positions[:, :2], material.positions[:, 2] - slab.positions[:, 2].min()
    middle = outline.vertices[:-1].mean(axis=0)
    reach = np.hypot(*(outline.vertices - middle).T).mean()
    waves = rng.normal(0, 1, (3, 2)) / reach * 3
    uneven = sum(np.cos(flat @ wave + rng.uniform(0, 6)) for wave in waves) / 3
    share = 1 - (np.hypot(*(flat - middle).T) / (1.3 * reach)) ** 2
    height = thickness * np.clip(share * (1 + 0.4 * uneven), 0, 1)
    is_in = outline.contains_points(flat) & (z <= height)
    positions = np.column_stack([flat[is_in], side * (GAP + z[is_in])])
    return Structure(positions, material.numbers[is_in])


def joined(*parts: Structure) -> Structure:
    """Return all atoms of several structures."""
    return Structure(
        np.concatenate([part.positions for part in parts]), np.concatenate([part.numbers for part in parts])
    )
