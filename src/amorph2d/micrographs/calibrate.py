"""The sampling of a micrograph, and whether image, metadata and network's training domain agree."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, as_image, as_points
from amorph2d.micrographs.dose import estimate_dose
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.read import Micrograph
from amorph2d.units import Sampling, as_sampling, positions_to_pixels

SAMPLING_TABLE = "sampling.csv"
"""Name of the table of samplings in a folder of micrographs."""

AUTO: Literal["auto"] = "auto"
"""Value of the parameter `sampling` with which it is estimated from each image."""

Polarity = Literal["bright atoms", "dark atoms", "unknown"]

_MIN_SITES = 10
_BESIDE = 4.0  # farthest atom that a ring centre is compared with [Å]
CALIBRATION_COLUMNS = (
    "file",
    "micrograph",
    "status",
    "reason",
    "rows",
    "columns",
    "sampling_y",
    "sampling_x",
    "sampling_source",
    "sampling_error",
    "length_scale",
    "n_frames",
    "dose_per_area",
    "energy",
    "polarity",
    "in_domain",
    "domain_reason",
    "warnings",
    "network",
    "network_sha256",
    "sha256",
    "code_version",
)
_TOLERANCE = 0.15
_LEAST_FIELD = 5.0


def read_sampling_table(path: Path) -> dict[str, float]:
    """Read a table of samplings, ``file,sampling`` with a header line.

    Parameters
    ----------
    path
        A CSV file in UTF-8; other columns and empty lines are ignored.

    Returns
    -------
    dict
        Sampling [Å/px] by name of file, with or without its suffix, as it stands in the table.

    Raises
    ------
    MicrographError
        If a column is missing, or a row has no name, no positive number, or a name that an earlier row has;
        the message names the row by its line in the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise MicrographError(f"{path.name} is not text in UTF-8: {error}") from error
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    header = [cell.strip().lower() for cell in next(rows, [])]
    missing = [name for name in ("file", "sampling") if name not in header]
    if missing:
        raise MicrographError(
            f"{path.name} must begin with the line 'file,sampling' (in Å/px), got {','.join(header)!r}"
        )
    table: dict[str, float] = {}
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        where = f"{path.name}, line {rows.line_num}"
        cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
        name = cells.get("file", "")
        if not name:
            raise MicrographError(f"{where}: the name of the file is missing")
        if name in table:
            raise MicrographError(f"{where}: {name!r} is there twice")
        table[name] = _table_value(cells.get("sampling", ""), where, name)
    return table


def _table_value(text: str, where: str, name: str) -> float:
    """Check a sampling in a table."""
    try:
        value = float(text)
    except ValueError:
        raise MicrographError(
            f"{where}: the sampling of {name!r} must be a number in Å/px, got {text!r}"
        ) from None
    if not (math.isfinite(value) and value > 0):
        raise MicrographError(f"{where}: the sampling of {name!r} must be > 0 Å/px, got {text}")
    return value


def resolve_sampling(
    micrograph: Micrograph, *, parameter: float | None = None, table: Mapping[str, Sampling] | None = None
) -> tuple[tuple[float, float], str]:
    """Return the sampling of a micrograph and where it comes from.

    The order is: `parameter`, then `table`, then the file's own calibration.

    Parameters
    ----------
    micrograph
        The micrograph.
    parameter
        The parameter `sampling`, for all micrographs alike [Å/px], or None.
    table
        Samplings by name of file, with or without suffix [Å/px], or None.

    Returns
    -------
    tuple
        Sampling along y and x [Å/px], and "parameter", "sampling.csv" or "file".

    Raises
    ------
    MicrographError
        If a value is not positive, or there is none at all; then the message names the file and the three
        ways to give one.
    """
    if parameter is not None:
        return _as_sampling(parameter, "the parameter sampling"), "parameter"
    # The name with its suffix goes first: a.tif and a.png may differ.
    for name in (micrograph.path.name, micrograph.path.stem, micrograph.stem):
        if table and name in table:
            return _as_sampling(table[name], f"the sampling of {name!r} in {SAMPLING_TABLE}"), SAMPLING_TABLE
    if micrograph.sampling is not None:
        return micrograph.sampling, "file"
    why = micrograph.metadata.get("calibration") or "the file states none"
    name = micrograph.path.name
    raise MicrographError(
        f"{name} has no calibration ({why}). Give its sampling in Å/px in one of three ways: the parameter "
        "sampling (--params sampling=0.11, or sampling=auto to estimate it from the image), a line "
        f"'{name},0.11' in {SAMPLING_TABLE} (header file,sampling) next to it, or a calibration with a unit "
        "of length in the file itself"
    )


def _as_sampling(value: Any, name: str) -> tuple[float, float]:
    """Check a sampling that a user gave."""
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    if len(values) != 2 or any(isinstance(v, bool) or not isinstance(v, Real) for v in values):
        raise MicrographError(f"{name} must be a number in Å/px, got {value!r}")
    try:
        return as_sampling((float(values[0]), float(values[1])))
    except ValueError:
        raise MicrographError(f"{name} must be > 0 Å/px, got {value}") from None


def check_bond_length(sampling: Sampling, bond_mean: float, expected: float = 1.42) -> str | None:
    """Compare the mean bond length of a micrograph with the one expected; return a warning, or None.

    Parameters
    ----------
    sampling
        The stated sampling, with which `bond_mean` was measured [Å/px].
    bond_mean
        Mean bond length [Å]; NaN where there are no bonds.
    expected
        Mean bond length of the material, > 0 [Å].

    Returns
    -------
    str or None
        A warning with both samplings where the image contradicts the stated one by more than 15 %.

    Raises
    ------
    ValueError
        If `expected` is not positive.
    """
    if not expected > 0:
        raise ValueError(f"expected must be > 0 Å, got {expected}")
    if not (math.isfinite(bond_mean) and bond_mean > 0):
        return None
    stated = math.sqrt(math.prod(as_sampling(sampling)))
    apparent = stated * expected / bond_mean
    deviation = apparent / stated - 1
    if abs(deviation) <= _TOLERANCE:
        return None
    return (
        f"the stated sampling of {stated:.4g} Å/px contradicts the image: its bonds of {bond_mean:.3f} Å "
        f"instead of {expected:.2f} Å would mean {apparent:.4g} Å/px ({100 * deviation:+.0f} %); "
        "check the calibration"
    )


def contrast_polarity(image: ArrayLike, atoms: ArrayLike, rings: ArrayLike, sampling: Sampling) -> Polarity:
    """Say whether atoms are brighter or darker than the ring centres beside them.

    Each ring centre is compared with the atoms beside it, so slow changes of the illumination do not matter.

    Parameters
    ----------
    image
        Intensities, (rows, columns).
    atoms, rings
        Positions of atoms and ring centres, (N, 2) and (M, 2) [Å]; those outside the image do not count.
    sampling
        Along y and x [Å/px].

    Returns
    -------
    str
        "bright atoms", "dark atoms", or "unknown" with fewer than ten atoms or ring centres in the image, or
        a difference below two standard errors.
    """
    from scipy.spatial import cKDTree

    array = as_image(image)
    (atoms_inside, at_atoms), (rings_inside, at_rings) = (
        _intensities(array, as_points(points, name), sampling)
        for points, name in ((atoms, "atoms"), (rings, "rings"))
    )
    if min(len(at_atoms), len(at_rings)) < _MIN_SITES:
        return "unknown"
    distances, beside = cKDTree(atoms_inside).query(rings_inside, k=4, distance_upper_bound=_BESIDE)
    is_near = np.isfinite(distances)
    counts = is_near.sum(axis=1)
    sums = np.append(at_atoms, 0.0)[beside].sum(
        axis=1
    )  # an atom that is missing has the index beyond the last
    difference = (sums[counts > 0] / counts[counts > 0]) - at_rings[counts > 0]
    if len(difference) < _MIN_SITES:
        return "unknown"
    error = difference.std(ddof=1) / math.sqrt(len(difference))
    mean = difference.mean()
    if abs(mean) <= 2 * error:
        return "unknown"
    return "bright atoms" if mean > 0 else "dark atoms"


def _intensities(image: ArrayLike, points: FloatArray, sampling: Sampling) -> tuple[FloatArray, FloatArray]:
    """Return the points that lie in the image, and its bilinear intensities there."""
    from scipy.ndimage import map_coordinates

    array = np.asarray(image)
    pixels = positions_to_pixels(points, sampling)
    inside = ((pixels >= 0) & (pixels <= np.array(array.shape) - 1)).all(axis=1)
    return points[inside], map_coordinates(array, pixels[inside].T, output=np.float64, order=1)


def has_sampling(micrograph: Micrograph, table: Mapping[str, Sampling] | None = None) -> bool:
    """Say whether the table of samplings or the file itself states a sampling."""
    names = (micrograph.path.name, micrograph.path.stem, micrograph.stem)
    return micrograph.sampling is not None or any(name in (table or {}) for name in names)


def check_length_scale(length_scale: object) -> float:
    """Check the parameter `length_scale`, the lengths of the material over those of carbon.

    Raises
    ------
    MicrographError
        If it is not a positive number.
    """
    if isinstance(length_scale, int | float) and not isinstance(length_scale, bool):
        value = float(length_scale)
        if math.isfinite(value) and value > 0:
            return value
    raise MicrographError(
        "the parameter length_scale must be a number > 0, the bond length of the material over the 1.42 Å of "
        f"carbon, got {length_scale!r}"
    )


def check_sampling_parameter(sampling: object) -> float | Literal["auto"] | None:
    """Check the parameter `sampling`: a number in Å/px, ``auto``, or None.

    Raises
    ------
    MicrographError
        If it is anything else; the message says what may be given.
    """
    if sampling is None:
        return None
    if sampling == AUTO:
        return AUTO
    if isinstance(sampling, str):
        raise MicrographError(f"the parameter sampling must be a number in Å/px or 'auto', got {sampling!r}")
    return _as_sampling(sampling, "the parameter sampling")[0]


def recorded_dose(micrograph: Micrograph, sampling: Sampling) -> float:
    """Estimate the dose of a micrograph [e⁻/Å²]; NaN for 8-bit files, which are stretched for display."""
    if micrograph.metadata.get("dtype") == "uint8":
        return math.nan
    return estimate_dose(micrograph.image, sampling)


def check_field(micrograph: Micrograph, sampling: Sampling, *, border: float) -> None:
    """Check that a micrograph shows enough to be analysed.

    Parameters
    ----------
    micrograph
        The micrograph.
    sampling
        Its sampling, one value or (y, x) [Å/px].
    border
        Strip along the edges in which sites do not count [Å].

    Raises
    ------
    MicrographError
        If the field without its border is less than 5 Å wide, which is one ring.
    """
    least = 2 * border + _LEAST_FIELD
    height, width = (n * step for n, step in zip(micrograph.image.shape, as_sampling(sampling), strict=True))
    if min(height, width) < least:
        raise MicrographError(
            f"{micrograph.path.name} shows {width:.3g} × {height:.3g} Å; at least {least:g} Å a side are "
            "needed: check the sampling"
        )


def typical_spacing(atoms: ArrayLike) -> float:
    """Return the median distance of an atom, (N, 2) [Å], to the nearest other [Å]; NaN below two."""
    from scipy.spatial import cKDTree

    points = as_points(atoms, "atoms")
    if len(points) < 2:
        return math.nan
    return float(np.median(np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1]))
