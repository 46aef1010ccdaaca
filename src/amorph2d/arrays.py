"""Array types and the one place where shapes are checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import pandas as pd

FloatArray: TypeAlias = NDArray[np.float64]
Float32Array: TypeAlias = NDArray[np.float32]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
AnyArray: TypeAlias = NDArray[Any]


def as_points(value: ArrayLike, name: str = "points") -> FloatArray:
    """Return `value` as finite points, (N, 2) float64; an empty sequence gives (0, 2).

    Raises
    ------
    ValueError
        If the shape is not (N, 2) or a coordinate is not finite.
    """
    points = np.ascontiguousarray(value, dtype=np.float64)
    if points.size == 0:
        return np.empty((0, 2))
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name} must have the shape (N, 2), got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(
            f"{name} must be finite, got {int((~np.isfinite(points)).sum())} non-finite coordinates"
        )
    return points


def as_image(value: ArrayLike, name: str = "image") -> Float32Array:
    """Return `value` as a finite two-dimensional image, (rows, columns) float32.

    Raises
    ------
    ValueError
        If the array is not two-dimensional, is empty, or has values that are not finite.
    """
    array = np.asarray(value)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must be two-dimensional and not empty, got the shape {array.shape}")
    image = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(image).all():
        bad = int((~np.isfinite(image)).sum())
        raise ValueError(f"{name} must be finite, got {bad} pixels that are NaN or infinite")
    return image


def as_pairs(value: ArrayLike, n_points: int, name: str = "pairs") -> IntArray:
    """Return `value` as index pairs into `n_points` points, (B, 2) int64; an empty sequence gives (0, 2).

    Raises
    ------
    ValueError
        If the shape is not (B, 2) or an index lies outside 0 … n_points − 1.
    """
    pairs = np.asarray(value)
    if pairs.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ValueError(f"{name} must have the shape (B, 2), got {pairs.shape}")
    pairs = np.ascontiguousarray(pairs, dtype=np.int64)
    if pairs.min() < 0 or pairs.max() >= n_points:
        raise ValueError(f"{name} must index {n_points} points, got {pairs.min()} to {pairs.max()}")
    return pairs


def as_records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as dictionaries by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict(orient="records")]
