"""What the pixels of an image show, and which atoms, bonds and rings lie in a field of a periodic sheet."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import FloatArray, IntArray, as_pairs, as_points
from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
from amorph2d.structures.network import RingedSheet, bond_vectors
from amorph2d.structures.periodic import as_box, unwrapped_polygons

BOND_REACH = 0.71  # half a bond of carbon: how far the sheet reaches beyond its outermost bonds [Å]
ATOM_RADIUS = 1.7  # van der Waals radius of carbon: what an atom of a second layer or of debris covers [Å]

Place = tuple[float, float]


def region_mask(
    *,
    shape: tuple[int, int],
    sampling: float,
    atoms: ArrayLike,
    bonds: ArrayLike,
    rings: tuple[FloatArray, IntArray],
    overlay_positions: ArrayLike,
    scale: float = 1.0,
) -> NDArray[np.uint8]:
    """Say what each pixel shows: 0 vacuum, 1 monolayer, 2 other.

    Other is what an atom of a second layer, of debris or an adatom covers, a disc with the van der Waals
    radius of carbon, 1.7 Å, which leaves no hole at the ring centres of a second layer. Monolayer is the
    rest of what lies in a ring or within half a bond, 0.71 Å, of a bond; a pore is vacuum.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    sampling
        Pixel size, > 0 [Å/px].
    atoms
        Atoms of the sheet, (N, 2), from the centre of pixel (0, 0); outside the image as well [Å].
    bonds
        Index pairs into `atoms`, (B, 2).
    rings
        Corners of the rings one after another, (M, 2) [Å], and where each ring starts, and the end, (R + 1,).
    overlay_positions
        Atoms above or below the sheet, (K, 2) [Å].
    scale
        Spacing of the nodes in units of carbon's, by which the reach of bonds is multiplied.

    Returns
    -------
    NDArray[uint8]
        Mask, (rows, columns).

    Raises
    ------
    ValueError
        If `sampling` or `scale` is not positive, or an array has the wrong shape.

    References
    ----------
    A. Bondi, J. Phys. Chem. 68, 441 (1964), doi:10.1021/j100785a001: the radius of carbon.
    """
    if sampling <= 0 or scale <= 0:
        raise ValueError(f"sampling and scale must be > 0, got {sampling} Å/px and {scale}")
    points = as_points(atoms, "atoms") / sampling
    pairs = as_pairs(bonds, len(points), "bonds")
    overlay = as_points(overlay_positions, "overlay_positions") / sampling
    corners, offsets = rings
    mask = np.zeros(shape, dtype=np.uint8)
    _fill_polygons(mask, as_points(corners, "rings") / sampling, np.asarray(offsets, dtype=np.int64))
    _fill_capsules(mask, points[pairs[:, 0]], points[pairs[:, 1]], BOND_REACH * scale / sampling, MONOLAYER)
    _fill_capsules(mask, overlay, overlay, ATOM_RADIUS / sampling, OTHER)
    return mask


@njit(cache=True)
def _fill_polygons(
    mask: NDArray[np.uint8], corners: FloatArray, offsets: IntArray
) -> None:  # pragma: no cover
    """Mark the pixels whose centres lie in a polygon, by the even-odd rule."""
    n_rows, n_columns = mask.shape
    for ring in range(len(offsets) - 1):
        polygon = corners[offsets[ring] : offsets[ring + 1]]
        top = max(0, int(np.ceil(polygon[:, 1].min())))
        bottom = min(n_rows - 1, int(np.floor(polygon[:, 1].max())))
        left = max(0, int(np.ceil(polygon[:, 0].min())))
        right = min(n_columns - 1, int(np.floor(polygon[:, 0].max())))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                if mask[row, column] != VACUUM:
                    continue
                is_inside = False
                before = len(polygon) - 1
                for k in range(len(polygon)):
                    y0, y1 = polygon[before, 1], polygon[k, 1]
                    if (y0 > row) != (y1 > row):
                        x0, x1 = polygon[before, 0], polygon[k, 0]
                        if column < x0 + (row - y0) * (x1 - x0) / (y1 - y0):
                            is_inside = not is_inside
                    before = k
                if is_inside:
                    mask[row, column] = MONOLAYER


@njit(cache=True)
def _fill_capsules(
    mask: NDArray[np.uint8], starts: FloatArray, ends: FloatArray, radius: float, value: int
) -> None:  # pragma: no cover
    """Mark the pixels within `radius` of a line from start to end [px]."""
    n_rows, n_columns = mask.shape
    for k in range(len(starts)):
        x0, y0 = starts[k, 0], starts[k, 1]
        dx, dy = ends[k, 0] - x0, ends[k, 1] - y0
        length = dx * dx + dy * dy
        top = max(0, int(np.ceil(min(y0, y0 + dy) - radius)))
        bottom = min(n_rows - 1, int(np.floor(max(y0, y0 + dy) + radius)))
        left = max(0, int(np.ceil(min(x0, x0 + dx) - radius)))
        right = min(n_columns - 1, int(np.floor(max(x0, x0 + dx) + radius)))
        for row in range(top, bottom + 1):
            for column in range(left, right + 1):
                if mask[row, column] == value:
                    continue
                along = 0.0
                if length > 0:
                    along = min(1.0, max(0.0, ((column - x0) * dx + (row - y0) * dy) / length))
                away_x, away_y = column - x0 - along * dx, row - y0 - along * dy
                if away_x * away_x + away_y * away_y <= radius * radius:
                    mask[row, column] = value


def _images(
    points: FloatArray, box: FloatArray, origin: Place, extent: Place, margin: float
) -> tuple[FloatArray, IntArray, IntArray, FloatArray]:
    """Periodic images in a field, whose they are, their boxes, and the points they are images of."""
    size = np.asarray(extent, dtype=np.float64) + 2 * margin
    base = (points - np.asarray(origin, dtype=np.float64) + margin) % box
    n_x, n_y = np.floor(size / box).astype(np.int64) + 1
    shifts = np.stack(np.meshgrid(np.arange(n_x), np.arange(n_y), indexing="ij"), axis=-1).reshape(-1, 2)
    images = base + shifts[:, None] * box
    shift, index = np.nonzero((images <= size).all(axis=-1))
    return images[shift, index] - margin, index, shifts[shift], base - margin


def sites_in_field(
    positions: ArrayLike, box: ArrayLike, *, origin: Place, extent: Place, margin: float = 0.0
) -> FloatArray:
    """Return all periodic images of `positions` in and around a field, measured from its origin.

    Parameters
    ----------
    positions
        Points, (N, 2), x then y [Å].
    box
        Periods along x and y, (2,) [Å].
    origin, extent
        Corner and size of the field, x then y [Å].
    margin
        Distance outside the field at which points are still returned, ≥ 0 [Å].

    Returns
    -------
    FloatArray
        Points with -margin ≤ x ≤ extent[0] + margin and likewise for y, (M, 2) [Å].

    Raises
    ------
    ValueError
        If `margin` is negative.
    """
    _check_margin(margin)
    return _images(as_points(positions, "positions"), as_box(box), origin, extent, margin)[0]


def _check_margin(margin: float) -> None:
    if margin < 0:
        raise ValueError(f"margin must be ≥ 0 Å, got {margin}")


def bonds_in_field(
    sheet: RingedSheet, *, origin: Place, extent: Place, margin: float
) -> tuple[FloatArray, IntArray]:
    """Return the atoms in and around a field of a periodic sheet, and the bonds between them.

    Parameters
    ----------
    sheet
        Periodic sheet; a field larger than its box shows it repeated.
    origin, extent
        Corner and size of the field, x then y [Å].
    margin
        Distance outside the field at which atoms are still returned, ≥ 0 [Å].

    Returns
    -------
    atoms
        Positions from the origin of the field, (N, 2) [Å].
    bonds
        Index pairs i < j into `atoms`, sorted, (B, 2); bonds with an end beyond the margin are left out.

    Raises
    ------
    ValueError
        If `margin` is negative.
    """
    _check_margin(margin)
    atoms, index, boxes, base = _images(sheet.positions, sheet.box, origin, extent, margin)
    if len(atoms) == 0 or len(sheet.bonds) == 0:
        return atoms, np.empty((0, 2), dtype=np.int64)
    first, second = sheet.bonds.T
    crossing = np.rint((base[first] + bond_vectors(sheet) - base[second]) / sheet.box).astype(np.int64)
    n_x, n_y = boxes.max(axis=0) + 1
    table = np.full((len(sheet.positions), n_x + 2, n_y + 2), -1, dtype=np.int64)
    table[index, boxes[:, 0] + 1, boxes[:, 1] + 1] = np.arange(len(atoms))
    found = []
    for x in range(n_x):
        for y in range(n_y):
            partner = np.clip(np.array([x, y]) + crossing + 1, 0, [n_x + 1, n_y + 1])
            found.append(
                np.stack([table[first, x + 1, y + 1], table[second, partner[:, 0], partner[:, 1]]], axis=1)
            )
    pairs = np.concatenate(found)
    pairs = np.sort(pairs[(pairs >= 0).all(axis=1)], axis=1)
    return atoms, pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def polygons_in_field(
    sheet: RingedSheet, *, origin: Place, extent: Place, margin: float
) -> tuple[FloatArray, IntArray]:
    """Return the polygons of the rings in and around a field of a periodic sheet.

    Parameters
    ----------
    sheet
        Periodic sheet; a field larger than its box shows it repeated.
    origin, extent
        Corner and size of the field, x then y [Å].
    margin
        Distance outside the field at which the middle of a ring may still lie, ≥ 0 [Å].

    Returns
    -------
    corners
        Corners of each ring in one piece, one ring after another, from the origin of the field, (M, 2) [Å].
    offsets
        Where each ring starts in `corners`, and the end, (R + 1,).

    Raises
    ------
    ValueError
        If `margin` is negative.
    """
    _check_margin(margin)
    sizes = sheet.ring_sizes
    if len(sizes) == 0:
        return np.empty((0, 2)), np.zeros(1, dtype=np.int64)
    corners = unwrapped_polygons(sheet.positions, sheet.ring_members, sheet.ring_offsets, sheet.box)
    middles = np.add.reduceat(corners, sheet.ring_offsets[:-1], axis=0) / sizes[:, None]
    places, ring, _, _ = _images(middles, sheet.box, origin, extent, margin)
    offsets = np.concatenate([[0], np.cumsum(sizes[ring])]).astype(np.int64)
    corner = np.arange(offsets[-1]) + np.repeat(sheet.ring_offsets[ring] - offsets[:-1], sizes[ring])
    return corners[corner] + np.repeat(places - middles[ring], sizes[ring], axis=0), offsets
