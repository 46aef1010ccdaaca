"""The rings that follow from found and from true sites."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.imaging.simulated import OTHER, SimulatedImage
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.rings import Rings, planar_rings
from amorph2d.units import positions_to_pixels

# As the statistics have them for carbon, in whose units images are evaluated: the shortest and the longest
# bond [Å] and the atoms in the largest ring.
BOND_LIMITS = (0.5, 1.9)
LARGEST_RING = 16
RING_SIZES = (4, 5, 6, 7, 8)
RING_CLASSES = (*map(str, RING_SIZES), "other")


def count_rings(
    image: SimulatedImage, found: pd.DataFrame, *, window: tuple[float, float, float, float]
) -> dict[str, int]:
    """Count the true and the found rings of an image by size.

    True rings are faces of the true bonds, found ones those of the bonds that the statistics draw between the
    found atoms. Rings count whose atoms all lie in the window, and which nothing lies on: neither on the ring
    nor as close to its centre as its farthest atom, in which case faces that go around an overlay are left
    out as well.

    Parameters
    ----------
    image
        The image with its truth, in units of carbon.
    found
        Located sites: kind, x and y [Å].
    window
        Where sites count, (x0, y0, x1, y1) [Å].

    Returns
    -------
    dict
        n_true_4 … n_true_8, n_true_other, n_found_4 … n_found_other; all 0 for an image whose bonds are not
        known.
    """
    names = [f"n_{which}_{size}" for which in ("true", "found") for size in RING_CLASSES]
    if len(image.bonds) == 0:
        return dict.fromkeys(names, 0)
    atoms, centres = (
        found.loc[found["kind"] == kind, ["x", "y"]].to_numpy(np.float64) for kind in ("atom", "ring")
    )
    clearance = _clearance(image)
    true = _ring_sizes(image.atoms, image.bonds, window, clearance, image.sampling)
    bonds = delaunay_bonds(atoms, centres, limits=BOND_LIMITS)
    seen = _ring_sizes(atoms, bonds, window, clearance, image.sampling)
    return dict(zip(names, [*_by_class(true), *_by_class(seen)], strict=True))


def ring_fraction_error(counts: pd.DataFrame) -> pd.Series:
    """Return the largest absolute difference between the found and the true share of a ring size.

    Parameters
    ----------
    counts
        Summed counts with the names that `count_rings` gives them.

    Returns
    -------
    Series
        Between 0 and 1; NaN where there are no rings.
    """
    true, found = (
        counts[[f"n_{which}_{size}" for size in RING_CLASSES]].set_axis(RING_CLASSES, axis=1)
        for which in ("true", "found")
    )
    true, found = (table.div(table.sum(axis=1).where(lambda n: n > 0), axis=0) for table in (true, found))
    return (true - found).abs().max(axis=1, skipna=False)


def lie_in(points: FloatArray, window: tuple[float, float, float, float]) -> BoolArray:
    """Say which points, (N, 2), lie in a window (x0, y0, x1, y1), its edges included [Å]."""
    low, high = np.array(window[:2]), np.array(window[2:])
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def _clearance(image: SimulatedImage) -> FloatArray | None:
    """Distance of each pixel to the next on which something lies [Å]; None without any."""
    if image.mask is None or not (image.mask == OTHER).any():
        return None
    return np.asarray(distance_transform_edt(image.mask != OTHER) * image.sampling, dtype=np.float64)


def _ring_sizes(
    atoms: FloatArray,
    bonds: IntArray,
    window: tuple[float, float, float, float],
    clearance: FloatArray | None,
    sampling: float,
) -> IntArray:
    """Return the sizes of the rings that count."""
    rings = planar_rings(atoms, bonds, max_size=LARGEST_RING, is_analysable=lie_in(atoms, window))
    counts = rings.is_complete
    if clearance is not None and len(rings):
        nearest = np.rint(positions_to_pixels(rings.centroids, sampling)).astype(np.int64)
        rows, columns = np.clip(nearest, 0, np.array(clearance.shape) - 1).T
        counts = counts & (clearance[rows, columns] > _radii(rings, atoms))
    return rings.sizes[counts]


def _radii(rings: Rings, atoms: FloatArray) -> FloatArray:
    """Distance of the farthest atom of each ring from its centre [Å]."""
    corners = atoms[rings.members] - np.repeat(rings.centroids, rings.sizes, axis=0)
    return np.asarray(np.maximum.reduceat(np.hypot(*corners.T), rings.starts))


def _by_class(sizes: IntArray) -> list[int]:
    """Return the number of rings of each class of sizes."""
    counts = [int((sizes == size).sum()) for size in RING_SIZES]
    return [*counts, len(sizes) - sum(counts)]
