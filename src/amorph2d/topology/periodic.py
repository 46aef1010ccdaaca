"""Open sheets and periodic boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from amorph2d.arrays import FloatArray, IntArray


def as_box(box: ArrayLike | None) -> FloatArray | None:
    """Return the edge lengths of a periodic box, (2,) x then y [Å], or None for an open sheet.

    Raises
    ------
    ValueError
        If the shape is not (2,) or a length is not positive and finite.
    """
    if box is None:
        return None
    lengths = np.asarray(box, dtype=np.float64)
    if lengths.shape != (2,) or not np.isfinite(lengths).all() or (lengths <= 0).any():
        raise ValueError(f"box must be two lengths > 0 Å, got {box}")
    return lengths


def nearest_image(vectors: FloatArray, box: FloatArray | None) -> FloatArray:
    """Shorten vectors, (..., 2) [Å], to those to the nearest images in a periodic box."""
    return vectors if box is None else vectors - box * np.round(vectors / box)


def wrap(points: FloatArray, box: FloatArray | None) -> FloatArray:
    """Move points, (N, 2) [Å], into a periodic box: 0 ≤ x < box."""
    if box is None:
        return points
    wrapped = points % box
    return np.where(wrapped < box, wrapped, 0.0)  # a tiny negative coordinate rounds up to the edge itself


def pad_with_images(points: FloatArray, box: FloatArray, margin: float) -> tuple[FloatArray, IntArray]:
    """Wrap points into the box and add their images within the margin [Å]; also the point behind each."""
    wrapped = wrap(points, box)
    n_x, n_y = np.ceil(margin / box).astype(int)
    cells = [(i, j) for i in range(-n_x, n_x + 1) for j in range(-n_y, n_y + 1) if (i, j) != (0, 0)]
    padded, source = [wrapped], [np.arange(len(points))]
    for cell in cells:
        images = wrapped + np.array(cell) * box
        near = np.flatnonzero(((images > -margin) & (images < box + margin)).all(axis=1))
        padded.append(images[near])
        source.append(near)
    return np.concatenate(padded), np.concatenate(source)


def build_tree(points: FloatArray, box: FloatArray | None) -> cKDTree:
    """Return a search tree of points, (N, 2) [Å], that knows the periodic box."""
    return cKDTree(wrap(points, box), boxsize=box)
