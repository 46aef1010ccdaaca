"""From a file's axes to a sampling: which of them are a calibration, and which only look like one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from amorph2d.micrographs.errors import MicrographError
from amorph2d.units import angstrom_per

PLAUSIBLE_SAMPLING = (0.005, 100.0)
"""Samplings [Å/px] that a transmission electron microscope can mean: finer than it resolves up to surveys.
Print resolutions (9600 dpi is 26 000 Å/px) and "one metre per pixel" lie far outside."""

_NO_UNIT = {
    "",
    "[]",
    "-",
    "1",
    "none",
    "_none_",
    "px",
    "pixel",
    "pixels",
    "undefined",
    "<undefined>",
    "unit",
    "units",
}
_LONG_NAMES = {
    "nanometer": "nm",
    "nanometre": "nm",
    "picometer": "pm",
    "picometre": "pm",
    "micrometer": "µm",
    "micrometre": "µm",
    "microns": "µm",
    "meter": "m",
    "metre": "m",
}
_OTHER_QUANTITIES = {"ev", "kev", "s", "sec", "ms", "hz"}


@dataclass(frozen=True)
class Axis:
    """One axis of an image as its file describes it: the size of a pixel in some unit, or in none."""

    scale: float = 1.0
    unit: str | None = None


NO_CALIBRATION = (Axis(), Axis())


def _is_reciprocal(unit: str) -> bool:
    """Whether a unit (in lower case) is an inverse length or an angle."""
    bare = unit.replace(" ", "")
    return bare.startswith("1/") or any(
        sign in bare for sign in ("^-1", "**-1", "⁻¹", "^{-1}", "rad", "deg", "°")
    )


def _pixel_size(axis: Axis, name: str) -> tuple[float | None, str]:
    """Return the size of a pixel along one axis [Å], or None and why there is none."""
    unit = (axis.unit or "").strip()
    lower = unit.lower()
    if _is_reciprocal(lower):
        raise MicrographError(
            f"is a diffraction pattern: its {name} axis is in {unit!r}; "
            "an image in real space is needed (nm, Å, pm, µm)"
        )
    if lower in _OTHER_QUANTITIES:
        raise MicrographError(
            f"is not an image in real space: its {name} axis is in {unit!r}; a length is needed"
        )
    if lower in _NO_UNIT:
        scale = "scale 1" if axis.scale == 1 else f"the scale {axis.scale:.5g}"
        return None, f"its axes have {scale} and no unit"
    try:
        size = abs(float(axis.scale)) * angstrom_per(_LONG_NAMES.get(lower.removesuffix("s"), unit))
    except ValueError:
        return None, f"its {name} axis has the unknown unit {unit!r}"
    low, high = PLAUSIBLE_SAMPLING
    if not math.isfinite(size) or not low <= size <= high:
        return None, f"its {axis.scale:.5g} {unit}/px is no microscope's sampling ({low:g} … {high:g} Å/px)"
    return size, ""


def axes_sampling(axes: tuple[Axis, Axis]) -> tuple[tuple[float, float] | None, str]:
    """Return the sampling that the axes of an image state, and a remark on it.

    Parameters
    ----------
    axes
        The axes along y (rows) and x (columns).

    Returns
    -------
    tuple
        Sampling along y and x [Å/px] or None, and a remark: what the file states, or why that is none.

    Raises
    ------
    MicrographError
        If the axes are those of a diffraction pattern or a spectrum.
    """
    (y, why_y), (x, why_x) = (_pixel_size(axis, name) for axis, name in zip(axes, "yx", strict=True))
    if y is None or x is None:
        return None, why_y or why_x
    stated = " × ".join(f"{axis.scale:.5g} {axis.unit}/px" for axis in axes)
    return (y, x), stated if axes[0] != axes[1] else stated.split(" × ")[0]
