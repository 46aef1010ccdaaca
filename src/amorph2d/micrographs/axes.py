"""From a file's axes to a sampling: which of them are a calibration, and which only look like one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from amorph2d.arrays import FloatArray
from amorph2d.micrographs.errors import MicrographError
from amorph2d.units import angstrom_per

PLAUSIBLE_SAMPLING = (0.005, 100.0)
"""Samplings [Å/px] that a transmission electron microscope can mean: finer than it resolves up to surveys.
Print resolutions (9600 dpi is 26 000 Å/px) and "one metre per pixel" lie far outside."""

LONGEST_PIXEL = 5.0
"""Largest ratio of the sides of a pixel; beyond it the two axes do not describe one image."""

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
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "min": 60.0,
    "h": 3600.0,
}
_ENERGIES = {"ev", "kev"}
_OTHER_QUANTITIES = _ENERGIES | set(_SECONDS) | {"hz"}


@dataclass(frozen=True)
class Axis:
    """One axis as its file describes it: the size of a pixel in some unit, or in none, and its name."""

    scale: float = 1.0
    unit: str | None = None
    name: str = field(default="", compare=False)

    @property
    def is_energy(self) -> bool:
        """Whether the axis is that of a spectrum."""
        return (self.unit or "").strip().lower() in _ENERGIES


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
    if max(y, x) > LONGEST_PIXEL * min(y, x):
        return (
            None,
            f"its pixels of {y:.4g} × {x:.4g} Å are {max(y, x) / min(y, x):.3g} times as long as wide",
        )
    stated = " × ".join(f"{axis.scale:.5g} {axis.unit}/px" for axis in axes)
    return (y, x), stated if axes[0] != axes[1] else stated.split(" × ")[0]


def frame_times(axis: Axis | None, n_frames: int) -> FloatArray | None:
    """Return the times of the frames of a series since the first one [s], or None where none are stated.

    Parameters
    ----------
    axis
        The axis of the frames: one in a unit of time and with a positive scale states an interval.
    n_frames
        Number of frames.
    """
    second = None if axis is None else _SECONDS.get((axis.unit or "").strip().lower())
    if axis is None or second is None or not (math.isfinite(axis.scale) and axis.scale > 0):
        return None
    return np.arange(n_frames, dtype=np.float64) * np.float64(axis.scale * second)
