"""Second layers above or below a sheet."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.structures.outlines import Outline
from amorph2d.structures.periodic import as_box, wrap
from amorph2d.structures.sheet import Sheet
from amorph2d.structures.specimen import Cloud

SMALLEST_GAP, LARGEST_GAP = 1.0, 5.0  # [Å]
CLOSEST_AT_SEAM = 1.1  # atoms closer than this where a layer meets its own edge are one too many [Å]


def second_layer(
    layer: Sheet, *, box: ArrayLike, gap: float, rng: Generator, outline: Outline | None = None
) -> Cloud:
    """Lay a second layer on a sheet, over all of its box or over a part of it.

    The layer is shifted at random and repeated or cut to the box. It need not fit: where it meets its own
    edge, an atom goes of each pair that would be closer than 1.1 Å.

    Parameters
    ----------
    layer
        Layer of any structure, periodic in its own box.
    box
        Edge lengths of the sheet's box along x and y, (2,) [Å].
    gap
        Distance from the sheet along the beam; < 0 before the sheet, 1 ≤ |gap| ≤ 5 [Å].
    rng
        Source of the shift.
    outline
        Where the layer is, in the sheet's box; everywhere if not given.

    Returns
    -------
    Cloud
        Atoms of the layer at z = `gap`; none where the outline holds none.

    Raises
    ------
    ValueError
        If the gap is out of its bounds.
    """
    if not SMALLEST_GAP <= abs(gap) <= LARGEST_GAP:
        raise ValueError(
            f"gap must lie in {SMALLEST_GAP:g} … {LARGEST_GAP:g} Å above or below the sheet, got {gap}"
        )
    edges = as_box(box)
    positions, index = _fill(layer.positions, layer.box, edges, rng.uniform(0, 1, 2) * layer.box)
    is_kept = _without_overlaps(positions, edges)
    if outline is not None:
        is_kept &= outline.contains(positions)
    kept = positions[is_kept]
    z = np.full(len(kept), float(gap))
    return Cloud("layer", np.column_stack([kept, z]), layer.numbers[index[is_kept]])


def _fill(
    points: FloatArray, period: FloatArray, box: FloatArray, shift: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Return the periodic images of shifted points in the box, and which points they are images of."""
    base = wrap(points + shift, period)
    repeats = np.ceil(box / period).astype(np.int64)
    cells = np.stack(np.meshgrid(*map(np.arange, repeats)), axis=-1).reshape(-1, 2) * period
    images = base + cells[:, None]
    cell, index = np.nonzero((images < box).all(axis=-1))
    return images[cell, index], index


def _without_overlaps(points: FloatArray, box: FloatArray) -> BoolArray:
    """Say which points stay so that no two in the periodic box are too close."""
    is_kept = np.ones(len(points), dtype=bool)
    if len(points):
        pairs = cKDTree(points, boxsize=box).query_pairs(CLOSEST_AT_SEAM, output_type="ndarray")
        is_kept[pairs.max(axis=1, initial=-1)] = False
    return is_kept
