"""The part of a micrograph in which sites count."""

from __future__ import annotations

from amorph2d.measures.window import RectangularWindow
from amorph2d.units import Sampling, as_sampling


def analysable_window(shape: tuple[int, int], sampling: Sampling, *, border: float) -> RectangularWindow:
    """Return the window of an image without its border.

    Parameters
    ----------
    shape
        Rows and columns of the image [px].
    sampling
        One value or (y, x) [Å/px].
    border
        Width of the strip along the outer edges of the image in which sites do not count, ≥ 0 [Å].

    Raises
    ------
    ValueError
        If `border` is negative or leaves nothing.
    """
    if border < 0:
        raise ValueError(f"border must be ≥ 0 Å, got {border}")
    y, x = as_sampling(sampling)
    right, bottom = (shape[1] - 0.5) * x - border, (shape[0] - 0.5) * y - border
    left, top = border - x / 2, border - y / 2
    if right <= left or bottom <= top:
        raise ValueError(
            f"border must leave some of the field of {shape[1] * x:.3g} × {shape[0] * y:.3g} Å, got {border} Å"
        )
    return RectangularWindow(left, top, right, bottom)
