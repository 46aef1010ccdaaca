"""Regions of interest: rectangles, polygons and mask files that limit what counts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, BoolArray, FloatArray
from amorph2d.micrographs.errors import MicrographError
from amorph2d.units import Sampling, angstrom_per, as_sampling, positions_to_pixels

REGION_TABLE = "regions.json"
"""Name of the table of regions in a folder of micrographs."""

Unit = Literal["Å", "px"]

_MASK_SUFFIXES = (".tif", ".tiff", ".png")
_WAYS = (
    "{x: [low, high], y: [low, high], unit: Å}, {polygon: [[x, y], ...], unit: Å}, the path of a mask "
    "or {regions: {name: one of these, ...}}"
)


@dataclass(frozen=True)
class Rectangle:
    """A rectangle with sides along x and y: `low` and `high` are x, y, in Å or pixels."""

    low: tuple[float, float]
    high: tuple[float, float]
    unit: Unit


@dataclass(frozen=True)
class Polygon:
    """A polygon whose sides do not cross: corners x, y, in order, in Å or pixels."""

    corners: tuple[tuple[float, float], ...]
    unit: Unit


@dataclass(frozen=True)
class MaskFile:
    """An image of the micrograph's shape that is not zero in the region."""

    path: Path


@dataclass(frozen=True)
class NamedRegions:
    """Several regions, each with a name; they may overlap, and together they are the region of interest."""

    parts: tuple[tuple[str, Rectangle | Polygon | MaskFile], ...]


Region = Rectangle | Polygon | MaskFile | NamedRegions


def parse_region(value: object, *, folder: Path | None = None) -> Region:
    """Return the region that a parameter or a table describes.

    Parameters
    ----------
    value
        ``{x: [low, high], y: [low, high], unit: Å}``, ``{polygon: [[x, y], ...], unit: Å}`` with at least
        three corners, or the path of a mask file (``.tif``, ``.png``), also as ``{mask: path}``. The unit is
        a length or ``px``. Of a rectangle x or y may be left out: then it is as wide or high as the image.
        Several of these with names: ``{regions: {left: ..., right: ...}}``.
    folder
        Folder that relative paths of masks start from; None: the working folder.

    Raises
    ------
    MicrographError
        If it is none of these, the unit is missing, a number is not finite, low is not below high, or the
        polygon has fewer than three corners, no area, or sides that cross; the message says which.
    """
    if isinstance(value, str | Path):
        return _parse_mask(value, folder)
    if not isinstance(value, Mapping):
        raise MicrographError(f"a region must be {_WAYS}, got {value!r}")
    entries = dict(value)
    if set(entries) == {"regions"}:
        return _parse_named(entries["regions"], folder)
    if set(entries) == {"mask"}:
        return _parse_mask(entries["mask"], folder)
    if "polygon" in entries and set(entries) <= {"polygon", "unit"}:
        scale, unit = _parse_unit(entries)
        return _parse_polygon(entries["polygon"], scale, unit)
    if entries.keys() & {"x", "y"} and set(entries) <= {"x", "y", "unit"}:
        scale, unit = _parse_unit(entries)
        bounds = [_parse_bounds(entries.get(name), name, scale) for name in ("x", "y")]
        return Rectangle((bounds[0][0], bounds[1][0]), (bounds[0][1], bounds[1][1]), unit)
    raise MicrographError(f"a region must be {_WAYS}, got {value!r}")


def region_mask(region: Region, shape: tuple[int, int], sampling: Sampling) -> BoolArray:
    """Return the pixels whose centres lie in a region.

    The centre of pixel (0, 0) is the origin, in Å and in pixels: a rectangle from 0 to 2 px holds three
    pixels. Centres on a side belong to a rectangle; to a polygon those on a side whose inside is to the right
    of it or below, so that polygons with a common side share no pixel.

    Parameters
    ----------
    region
        The region.
    shape
        Rows and columns of the image.
    sampling
        Its sampling, one value or (y, x), > 0 [Å/px].

    Returns
    -------
    BoolArray
        (rows, columns).

    Raises
    ------
    MicrographError
        If no pixel lies in the region, or a mask file cannot be read or has another shape than the image.
    ValueError
        If the sampling is not positive.
    """
    steps = np.array(as_sampling(sampling))[::-1]
    if isinstance(region, NamedRegions):
        parts = named_masks(region, shape, sampling)
        return np.logical_or.reduce(list(parts.values()))
    if isinstance(region, MaskFile):
        mask = _read_mask(region.path, shape)
    elif isinstance(region, Rectangle):
        mask = _draw_rectangle(region, shape, steps if region.unit == "Å" else np.ones(2))
    else:
        mask = _draw_polygon(region, shape, steps if region.unit == "Å" else np.ones(2))
    if not mask.any():
        extent = " × ".join(f"{(n - 1) * step:.4g}" for n, step in zip(shape[::-1], steps, strict=True))
        raise MicrographError(
            f"the region {_describe(region)} holds no pixel of the image, which reaches from 0 to {extent} Å "
            f"({shape[1]} × {shape[0]} px)"
        )
    return mask


def named_masks(region: Region, shape: tuple[int, int], sampling: Sampling) -> dict[str, BoolArray]:
    """Return the pixels of each named region, (rows, columns), as `region_mask` does; none without names."""
    if not isinstance(region, NamedRegions):
        return {}
    masks = {}
    for name, part in region.parts:
        try:
            masks[name] = region_mask(part, shape, sampling)
        except MicrographError as error:
            raise MicrographError(f"region {name!r}: {error}") from error
    return masks


def in_region(
    positions: ArrayLike,
    region: Region | BoolArray,
    *,
    sampling: Sampling,
    shape: tuple[int, int] | None = None,
) -> BoolArray:
    """Say which positions lie in a region: on one of its pixels.

    Parameters
    ----------
    positions
        Positions, (N, 2), x then y [Å].
    region
        A region, or its pixels as `region_mask` gives them, (rows, columns).
    sampling
        Sampling of the image, one value or (y, x), > 0 [Å/px].
    shape
        Rows and columns of the image; needed for a region that is not given by its pixels.

    Returns
    -------
    BoolArray
        (N,).

    Raises
    ------
    ValueError
        If a shape is wrong or missing, or the sampling is not positive.
    """
    if not isinstance(region, np.ndarray):
        if shape is None:
            raise ValueError("shape of the image is needed to say what lies in a region, got None")
        region = region_mask(region, shape, sampling)
    pixels = np.rint(positions_to_pixels(positions, sampling)).astype(np.int64)
    is_inside = np.asarray(((pixels >= 0) & (pixels < region.shape)).all(axis=1))
    is_inside[is_inside] = region[tuple(pixels[is_inside].T)]
    return is_inside


def read_region_table(path: Path) -> dict[str, Region]:
    """Read a table of regions, ``{"name of file": region, ...}``.

    Parameters
    ----------
    path
        A JSON file in UTF-8. Regions are those of `parse_region`; masks are looked for from its folder.

    Returns
    -------
    dict
        Region by name of file, with or without its suffix, as it stands in the table.

    Raises
    ------
    MicrographError
        If it is no JSON, a name is there twice, or a region is wrong; the message names the file of the
        region.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise MicrographError(f"{path.name} is not JSON in UTF-8: {error}") from error
    except MicrographError as error:
        raise MicrographError(f"{path.name}: {error}") from None
    if not isinstance(table, dict):
        raise MicrographError(f"{path.name} must hold regions by name of file, got {type(table).__name__}")
    regions = {}
    for name, value in table.items():
        try:
            regions[name] = parse_region(value, folder=path.parent)
        except MicrographError as error:
            raise MicrographError(f"{path.name}, {name!r}: {error}") from error
    return regions


def regions_of(
    path: Path, value: object, *, shape: tuple[int, int], sampling: Sampling
) -> dict[str, BoolArray]:
    """Return the pixels of each named region of a micrograph; arguments and errors as of `region_of`."""
    region, _ = _find_region(path, value)
    return {} if region is None else named_masks(region, shape, sampling)


def region_of(path: Path, value: object, *, shape: tuple[int, int], sampling: Sampling) -> BoolArray | None:
    """Return the pixels of a micrograph's region of interest: of all its regions together.

    The line of the micrograph in a ``regions.json`` next to it goes before the parameter.

    Parameters
    ----------
    path
        File of the micrograph.
    value
        The parameter `region` for all micrographs, as for `parse_region`; None: none.
    shape, sampling
        Of the micrograph: rows and columns, and one value or (y, x) [Å/px].

    Returns
    -------
    BoolArray or None
        (rows, columns); None where everything counts.

    Raises
    ------
    MicrographError
        If the table or the region is wrong.
    """
    region, where = _find_region(path, value)
    if region is None:
        return None
    try:
        return region_mask(region, shape, sampling)
    except MicrographError as error:
        raise MicrographError(f"{where}: {error}") from error


def _find_region(path: Path, value: object) -> tuple[Region | None, str]:
    """Return the region of a micrograph, and where it is from."""
    file = path.parent / REGION_TABLE
    table = read_region_table(file) if file.is_file() else {}
    for name in (path.name, path.stem):
        if name in table:
            return table[name], f"{REGION_TABLE}, {name!r}"
    return (None if value is None else parse_region(value)), "the parameter region"


def _parse_named(value: object, folder: Path | None) -> NamedRegions:
    """Return several regions by name."""
    if not isinstance(value, Mapping) or not value:
        raise MicrographError(f"regions must be given by name, got {value!r}")
    parts = []
    for name, each in value.items():
        try:
            part = parse_region(each, folder=folder)
        except MicrographError as error:
            raise MicrographError(f"region {name!r}: {error}") from error
        if isinstance(part, NamedRegions):
            raise MicrographError(f"region {name!r} must be one region, got several")
        parts.append((str(name), part))
    return NamedRegions(tuple(parts))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, refusing a name that is there twice."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        names = [name for name, _ in pairs]
        raise MicrographError(f"{next(n for n in names if names.count(n) > 1)!r} is there twice")
    return entries


def _parse_unit(entries: Mapping[str, Any]) -> tuple[float, Unit]:
    """Return a factor and the unit, Å or px, in which the numbers of a region are kept."""
    unit = entries.get("unit")
    if unit == "px":
        return 1.0, "px"
    if not isinstance(unit, str):
        raise MicrographError(f"the unit of a region must be a length or 'px', got {unit!r}: {dict(entries)}")
    try:
        return angstrom_per(unit), "Å"
    except ValueError:
        raise MicrographError(f"the unit of a region must be a length or 'px', got {unit!r}") from None


def _parse_bounds(value: object, name: str, scale: float) -> tuple[float, float]:
    """Return the bounds of a rectangle along one axis; without any the whole image."""
    if value is None:
        return -math.inf, math.inf
    if not _is_pair(value):
        raise MicrographError(f"{name} of a rectangle must be [low, high], got {value!r}")
    low, high = (float(bound) * scale for bound in value)  # type: ignore[attr-defined]
    if not low < high:
        raise MicrographError(f"{name} of a rectangle must be [low, high] with low < high, got {value!r}")
    return low, high


def _is_pair(value: object) -> bool:
    """Say whether something is a list of two finite numbers."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) == 2
        and all(isinstance(v, Real) and not isinstance(v, bool) and math.isfinite(float(v)) for v in value)
    )


def _parse_polygon(value: object, scale: float, unit: Unit) -> Polygon:
    """Check the corners of a polygon."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise MicrographError(f"a polygon must be [[x, y], ...], got {value!r}")
    bad = next((corner for corner in value if not _is_pair(corner)), None)
    if bad is not None:
        raise MicrographError(f"corners of a polygon must be [x, y], two finite numbers, got {bad!r}")
    corners = np.array([[float(x) * scale, float(y) * scale] for x, y in value]).reshape(-1, 2)
    if len(corners) > 1 and (corners[0] == corners[-1]).all():
        corners = corners[:-1]  # closed by hand
    if len(corners) < 3:
        raise MicrographError(f"a polygon must have at least three corners, got {len(corners)}")
    crossing = _first_crossing(corners)
    if crossing is not None:
        first, second = (f"{k + 1}" for k in crossing)
        raise MicrographError(f"sides of a polygon must not cross or touch, sides {first} and {second} do")
    return Polygon(tuple((float(x), float(y)) for x, y in corners), unit)


def _first_crossing(corners: FloatArray) -> tuple[int, int] | None:
    """Return two sides of a polygon that have more in common than a corner they share, if there are any."""
    n = len(corners)
    ends = np.roll(corners, -1, axis=0)
    one, other = np.triu_indices(n, 1)
    is_next = (other == one + 1) | ((one == 0) & (other == n - 1))
    a, b, c, d = corners[one], ends[one], corners[other], ends[other]
    sides = [np.sign(_cross(q - p, r - p)) for p, q, r in ((a, b, c), (a, b, d), (c, d, a), (c, d, b))]
    meets = (sides[0] * sides[1] <= 0) & (sides[2] * sides[3] <= 0)
    is_flat = (sides[0] == 0) & (sides[1] == 0) & (sides[2] == 0) & (sides[3] == 0)
    # On one line: they meet where their extents do; neighbours only where one runs back over the other.
    overlap = (np.maximum(np.minimum(a, b), np.minimum(c, d)) <= np.minimum(
        np.maximum(a, b), np.maximum(c, d)
    )).all(axis=1)  # fmt: skip
    shared = np.where((other == one + 1)[:, None], b, a)
    before, after = np.where((other == one + 1)[:, None], a, b), np.where((other == one + 1)[:, None], d, c)
    runs_back = is_flat & (((before - shared) * (after - shared)).sum(axis=1) >= 0)
    bad = np.where(is_next, runs_back, np.where(is_flat, overlap, meets))
    first = np.flatnonzero(bad)[:1]
    return (int(one[first[0]]), int(other[first[0]])) if len(first) else None


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Signed areas of the parallelograms between vectors, (N, 2)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _parse_mask(value: object, folder: Path | None) -> MaskFile:
    """Check the path of a mask file."""
    if not isinstance(value, str | Path) or not str(value):
        raise MicrographError(f"the mask of a region must be the path of an image, got {value!r}")
    path = Path(value)
    if path.suffix.lower() not in _MASK_SUFFIXES:
        raise MicrographError(f"the mask of a region must be one of {', '.join(_MASK_SUFFIXES)}, got {path}")
    return MaskFile(path if folder is None else folder / path)


def _read_mask(path: Path, shape: tuple[int, int]) -> BoolArray:
    """Read a mask file: not zero inside; of colours, not black."""
    try:
        pixels = _read_pixels(path)
    except FileNotFoundError:
        raise MicrographError(f"the mask {path} does not exist") from None
    except Exception as error:  # a reader may raise anything on a damaged file
        reason = " ".join(str(error).split())[:200]
        raise MicrographError(f"the mask {path.name} cannot be read ({reason})") from error
    mask = pixels != 0
    if mask.ndim == 3 and mask.shape[2] in (2, 4):
        mask = mask[..., :-1]  # opacity says nothing of the region
    if mask.ndim == 3 and mask.shape[2] in (1, 3):
        mask = mask.any(axis=2)
    if mask.shape != tuple(shape):
        raise MicrographError(
            f"the mask {path.name} must have the shape of the image, {tuple(shape)}, got {mask.shape}"
        )
    return np.asarray(mask)


def _read_pixels(path: Path) -> AnyArray:
    """Read the pixels of an image file."""
    if path.suffix.lower() == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image.convert("RGB") if image.mode == "P" else image)
    import tifffile

    return np.asarray(tifffile.imread(path))


def _draw_rectangle(region: Rectangle, shape: tuple[int, int], steps: FloatArray) -> BoolArray:
    """Return the pixels whose centres lie in a rectangle, its sides included."""
    x, y = (
        (np.arange(n) * step >= low - 1e-9 * step) & (np.arange(n) * step <= high + 1e-9 * step)
        for n, step, low, high in zip(shape[::-1], steps, region.low, region.high, strict=True)
    )
    return np.logical_and.outer(y, x)


def _draw_polygon(region: Polygon, shape: tuple[int, int], steps: FloatArray) -> BoolArray:
    """Return the pixels whose centres lie in a polygon: an odd number of its sides lies to the left."""
    corners = np.array(region.corners) / steps
    n_rows, n_columns = shape
    toggles = np.zeros((n_rows, n_columns + 1), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # Rows from the upper end, included, to the lower end, not included: a corner counts for one side.
        first, last = (int(np.clip(np.ceil(y), 0, n_rows)) for y in sorted((y0, y1)))
        rows = np.arange(first, last)
        if len(rows):
            crossing = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
            toggles[rows, np.clip(np.ceil(crossing), 0, n_columns).astype(np.int64)] ^= True
    return np.logical_xor.accumulate(toggles[:, :-1], axis=1)


def _describe(region: Region) -> str:
    """Put a region into words."""
    if isinstance(region, MaskFile):
        return region.path.name
    if isinstance(region, NamedRegions):
        return ", ".join(f"{name} ({_describe(part)})" for name, part in region.parts)
    if isinstance(region, Polygon):
        corners = ", ".join(f"({x:g}, {y:g})" for x, y in region.corners[:4])
        return f"with the corners {corners}{', ...' if len(region.corners) > 4 else ''} {region.unit}"
    (x0, y0), (x1, y1) = region.low, region.high
    return f"x {x0:g} to {x1:g} {region.unit}, y {y0:g} to {y1:g} {region.unit}"
