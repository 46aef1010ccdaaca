"""What an image truly shows: sites, and the class of every pixel."""

from __future__ import annotations

import numpy as np
from matplotlib.path import Path as Polygon
from scipy.spatial import KDTree

from scenes.structures import LARGEST_RING, Structure, true_bonds, true_rings

BOND_REACH = 0.71  # of the sheet beyond its bonds [Å]
OVERLAY_RADIUS = 1.7  # of an atom on the sheet [Å]
VACUUM, MONOLAYER, OTHER = 0, 1, 2


def true_sites(sheet: Structure) -> tuple[np.ndarray, np.ndarray]:
    """Return the atoms of a sheet and the centres of its rings, (N, 2) and (M, 2) [Å]."""
    rings = true_rings(sheet.positions, true_bonds(sheet.positions), max_size=LARGEST_RING)
    return sheet.positions[:, :2], rings.centroids


def true_mask(sheet: Structure, overlay: Structure, *, size: int, sampling: float) -> np.ndarray:
    """Return 0 vacuum, 1 monolayer, 2 other for each pixel, (rows, columns).

    Other lies within 1.7 Å of an atom on the sheet; monolayer is the rest of what lies in a ring or within
    0.71 Å of a bond. The rules are those of `amorph2d.imaging.labels.region_mask`, not its code.
    """
    positions = sheet.positions[:, :2]
    bonds = true_bonds(positions)
    rings = true_rings(positions, bonds, max_size=LARGEST_RING)
    mask = np.zeros((size, size), np.uint8)
    for start, end in zip(rings.offsets[:-1], rings.offsets[1:], strict=True):
        _fill(mask, positions[rings.members[start:end]] / sampling)
    y, x = np.mgrid[:size, :size] * sampling
    pixels = np.column_stack([x.ravel(), y.ravel()])
    steps = np.linspace(0, 1, 16)[:, None, None]
    along = (positions[bonds[:, 0]] * (1 - steps) + positions[bonds[:, 1]] * steps).reshape(-1, 2)
    mask.ravel()[_within(pixels, along, BOND_REACH)] = MONOLAYER
    mask.ravel()[_within(pixels, overlay.positions[:, :2], OVERLAY_RADIUS)] = OTHER
    return mask


def _within(pixels: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """Say which pixels lie close to a point."""
    if len(points) == 0:
        return np.zeros(len(pixels), bool)
    return np.isfinite(KDTree(points).query(pixels, distance_upper_bound=radius)[0])


def _fill(mask: np.ndarray, corners: np.ndarray) -> None:
    """Mark the pixels in a polygon as monolayer."""
    low = np.maximum(np.ceil(corners.min(axis=0)).astype(int), 0)
    high = np.minimum(np.floor(corners.max(axis=0)).astype(int) + 1, mask.shape[::-1])
    if (high <= low).any():
        return
    y, x = np.mgrid[low[1] : high[1], low[0] : high[0]]
    is_inside = Polygon(corners).contains_points(np.column_stack([x.ravel(), y.ravel()]))
    window = mask[low[1] : high[1], low[0] : high[0]]
    window[is_inside.reshape(window.shape)] = MONOLAYER
