"""Numbers as text: as many digits as their interval allows."""

from __future__ import annotations

import math

MINUS, THIN = "\u2212", "\u202f"


def format_count(value: float) -> str:
    """Write a whole number with thin spaces between thousands; a dash if it is NaN."""
    if not math.isfinite(value):
        return "–"
    return f"{round(value):,}".replace(",", THIN).replace("-", MINUS)


def format_value(value: float, *, decimals: int | None = None, digits: int = 4) -> str:
    """Write a number with a number of decimals or, without it, of significant digits; a dash if it is NaN."""
    if not math.isfinite(value):
        return "–"
    if decimals is None:
        decimals = 0 if value == 0 else min(8, max(0, digits - 1 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace(",", THIN).replace("-", MINUS)


def choose_decimals(value: float, low: float, high: float) -> int | None:
    """Return how many decimals show two digits of the interval's half-width; None without an interval."""
    half = max(high - value, value - low)
    if not math.isfinite(half) or half <= 0:
        return None
    return min(8, max(0, 1 - math.floor(math.log10(half))))


def format_interval(value: float, low: float, high: float) -> tuple[str, str]:
    """Write a value and its interval.

    Parameters
    ----------
    value, low, high
        Estimate and limits; NaN where unknown.

    Returns
    -------
    tuple
        The value and ``low – high``, both with two digits of the half-width; the second may be empty.
    """
    decimals = choose_decimals(value, low, high)
    if decimals is None:
        return format_value(value), ""
    shown = [format_value(number, decimals=decimals) for number in (low, high)]
    return format_value(value, decimals=decimals), " – ".join(shown)
