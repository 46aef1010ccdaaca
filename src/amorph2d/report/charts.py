"""Small charts as inline SVG: no script, a few kilobytes each, sharp in print.

Every function returns markup; its colours, except those of the ring sizes, come from the classes of
``report.css``. What a bar or a point says in numbers stands in its ``title`` element, which browsers show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from amorph2d.arrays import FloatArray
from amorph2d.plotting.colours import SERIES, ring_colour
from amorph2d.plotting.histograms import Histogram
from amorph2d.report.rounding import format_count, format_interval, format_value

WIDTH, HEIGHT = 460.0, 280.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 10.0, 12.0, 44.0


@dataclass(frozen=True)
class Axes:
    """Linear axes inside a chart.

    Attributes
    ----------
    x, y
        Limits, lower then upper.
    """

    x: tuple[float, float]
    y: tuple[float, float]

    def across(self, values: FloatArray | float) -> FloatArray:
        """Return horizontal places of `values` in the chart's units."""
        low, high = self.x
        return _LEFT + (np.asarray(values, dtype=float) - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def down(self, values: FloatArray | float) -> FloatArray:
        """Return vertical places of `values` in the chart's units."""
        low, high = self.y
        return (
            HEIGHT
            - _BOTTOM
            - (np.asarray(values, dtype=float) - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)
        )


def nice_ticks(low: float, high: float, *, n: int = 5) -> list[float]:
    """Return about `n` round numbers within `low` … `high`."""
    if not high > low:
        return [low]
    raw = (high - low) / max(n, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def histogram_chart(
    bins: Histogram, *, reference: Histogram | None, unit: str, quantity: str, name: str, link: str = ""
) -> Markup:
    """Draw a density histogram, with a second one as an outline.

    Parameters
    ----------
    bins
        What is shown as bars.
    reference
        Outline behind which the bars stand, with the same edges, or None.
    unit
        Unit of the values.
    quantity
        Label of the horizontal axis.
    name
        What a screen reader says of the whole chart.
    link
        What the bars count, ``length`` or ``angle``, if the map is to show it.
    """
    if bins.counts.sum() == 0:
        return _empty(name)
    tops = [bins.density.max()] + ([] if reference is None else [np.nan_to_num(reference.density).max()])
    axes = Axes((float(bins.edges[0]), float(bins.edges[-1])), (0.0, 1.06 * float(max(tops))))
    places, top, base = axes.across(bins.edges), axes.down(bins.density), float(axes.down(0.0))
    width = np.maximum(np.diff(places) - 0.5, 0.5)
    parts = [_frame(axes, x=f"{quantity} [{unit}]", y=f"density [1/{unit}]")]
    for index, count in enumerate(bins.counts.tolist()):
        low, high = (format_value(float(edge), digits=4) for edge in bins.edges[index : index + 2])
        says = f"{low} – {high} {unit}: {format_count(count)}"
        parts.append(_bar("bar", places[index], top[index], width[index], base - top[index], says=says))
    if reference is not None and reference.n_values:
        parts.append(f'<path class="outline" d="{_steps(axes, reference)}"/>')
    edges = " ".join(f"{edge:.10g}" for edge in bins.edges.tolist())
    return _svg(parts, name, data={"link": link, "edges": edges, "unit": unit} if link else {})


def ring_chart(
    fractions: pd.DataFrame,
    *,
    level: str,
    name: str,
    link: str = "",
    literature: pd.DataFrame | None = None,
) -> Markup:
    """Draw the shares of the ring sizes with their intervals.

    Parameters
    ----------
    fractions
        ``size``, ``label``, ``fraction``, ``low``, ``high``, as made by `ring_fractions`.
    level
        What the intervals are called: ``95 %``.
    name
        What a screen reader says of the whole chart.
    link
        ``size`` if the map is to show the rings of a bar.
    literature
        ``size``, ``low``, ``high`` (0 … 1), ``source``: ranges drawn behind the bars.
    """
    known = fractions[np.isfinite(fractions["fraction"].to_numpy(dtype=float))]
    if known.empty:
        return _empty(name)
    share, low, high = (100 * known[column].to_numpy(dtype=float) for column in ("fraction", "low", "high"))
    bands = _bands(known, literature)
    top = max(float(np.nanmax(np.concatenate([share, high]))), 1.0, *(100 * band[2] for band in bands))
    axes = Axes((-0.6, len(known) - 0.4), (0.0, 1.12 * top))
    parts = [_frame(axes, x="atoms in the ring", y="share of complete rings [%]", x_ticks=[])]
    for place, lowest, highest, says in bands:
        middle, over, under = (
            float(axes.across(float(place))),
            *(float(axes.down(100 * end)) for end in (highest, lowest)),
        )
        parts.append(_bar("literature", middle - 27, over, 54, max(under - over, 1.0), says=says))
    base = float(axes.down(0.0))
    for index, (label, size) in enumerate(zip(known["label"], known["size"], strict=True)):
        middle, upper = float(axes.across(float(index))), float(axes.down(share[index]))
        value, interval = format_interval(share[index], low[index], high[index])
        says = f"{label}-membered: {value} %" + (f" ({level}: {interval} %)" if interval else "")
        fill = ring_colour(int(size))
        bar = _bar("ring", middle - 19, upper, 38, base - upper, says=says, fill=fill)
        parts.append(
            bar.replace("<rect ", f'<rect data-size="{int(size)}" data-share="{share[index] / 100:.6g}" ', 1)
        )
        parts.append(_text("tick", middle, base + 15, label))
        summit = upper
        if np.isfinite([low[index], high[index]]).all():
            foot, summit = float(axes.down(low[index])), float(axes.down(high[index]))
            path = f"M{middle:.1f} {foot:.1f}V{summit:.1f}m-4 0h8M{middle - 4:.1f} {foot:.1f}h8"
            parts.append(f'<path class="whisker" d="{path}"/>')
        parts.append(_text("value", middle, summit - 5, format_value(float(share[index]), decimals=1)))
    return _svg(parts, name, data={"link": link} if link else {})


def _bands(known: pd.DataFrame, literature: pd.DataFrame | None) -> list[tuple[int, float, float, str]]:
    """Return the literature ranges of the shown sizes: place, limits, and what they say."""
    bands = []
    places = {int(size): place for place, size in enumerate(known["size"])}
    for row in [] if literature is None else literature.to_dict("records"):
        place = places.get(int(row["size"]))
        if place is not None:
            low, high = float(row["low"]), float(row["high"])
            span = f"{format_value(100 * low, digits=3)} – {format_value(100 * high, digits=3)} %"
            bands.append((place, low, high, f"Literature, {row['size']}-membered: {span} ({row['source']})"))
    return bands


def curve_chart(pdf: pd.DataFrame, *, reference: pd.DataFrame | None, name: str) -> Markup:
    """Draw g(r) with the band of its standard error, and a second curve behind it.

    Parameters
    ----------
    pdf
        ``r`` [Å], ``g``, ``g_error``, ascending in ``r``.
    reference
        The same columns, drawn as a thin line, or None.
    name
        What a screen reader says of the whole chart.
    """
    pdf = pdf[np.isfinite(pdf["g"].to_numpy(dtype=float))]
    if len(pdf) < 2:
        return _empty(name)
    r, g = pdf["r"].to_numpy(dtype=float), pdf["g"].to_numpy(dtype=float)
    error = np.nan_to_num(pdf["g_error"].to_numpy(dtype=float))
    axes = Axes((min(0.0, float(r[0])), float(r[-1])), (0.0, 1.06 * float((g + error).max() or 1.0)))
    one = float(axes.down(1.0))
    parts = [_frame(axes, x="r [Å]", y="g(r)")]
    rim = np.concatenate([g + error, np.maximum(g - error, 0)[::-1]])
    band = _line(axes, np.concatenate([r, r[::-1]]), rim)
    parts.append(f'<path class="band" d="{band}Z"/>')
    parts.append(f'<path class="level" d="M{_LEFT} {one:.1f}H{WIDTH - _RIGHT}"/>')
    if reference is not None:
        behind = reference[np.isfinite(reference["g"].to_numpy(dtype=float))]
        line = _line(axes, behind["r"].to_numpy(dtype=float), behind["g"].to_numpy(dtype=float))
        parts.append(f'<path class="outline" d="{line}"/>')
    parts.append(f'<path class="curve" d="{_line(axes, r, g)}"/>')
    half = float(np.median(np.diff(r))) / 2
    left, right = axes.across(r - half), axes.across(r + half)
    for index in range(len(r)):
        says = f"r = {r[index]:.2f} Å: g = {g[index]:.2f} ± {error[index]:.2f}"
        parts.append(
            _bar("probe", left[index], _TOP, right[index] - left[index], HEIGHT - _TOP - _BOTTOM, says=says)
        )
    return _svg(parts, name)


def interval_chart(
    labels: Sequence[str],
    values: FloatArray,
    low: FloatArray,
    high: FloatArray,
    *,
    pooled: int | None,
    name: str,
    rule: float | None = None,
) -> Markup:
    """Draw one estimate per micrograph with its interval, one line each.

    Parameters
    ----------
    labels
        What each line is, (N,).
    values, low, high
        Estimates and limits, (N,); NaN where unknown.
    pooled
        Which line is the pooled one: it is drawn stronger and as a rule through all lines.
    name
        What a screen reader says of the whole chart.
    rule
        Value of a rule through all lines in the place of the pooled one, such as no difference, or None.
    """
    known = np.concatenate([values, low, high, [] if rule is None else [rule]])
    known = known[np.isfinite(known)] if np.isfinite(values).any() else np.empty(0)
    if not known.size:
        return _empty(name)
    span = float(np.ptp(known)) or abs(float(known[0])) * 0.1 or 1.0
    axes = Axes((float(known.min()) - 0.06 * span, float(known.max()) + 0.06 * span), (0.0, 1.0))
    step, top = min(20.0, max(5.0, 600.0 / len(labels))), 8.0
    base = top + step * len(labels)
    parts = []
    for tick in nice_ticks(*axes.x, n=4):
        x = float(axes.across(tick))
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{base:.1f}"/>')
        parts.append(_text("tick", x, base + 18, format_value(tick, decimals=_decimals(axes.x, n=4))))
    at = rule if pooled is None else float(values[pooled])
    if at is not None and np.isfinite(at):
        x = float(axes.across(at))
        parts.append(f'<path class="rule" d="M{x:.1f} {top}V{base:.1f}"/>')
    for index, label in enumerate(labels):
        y = top + step * (index + 0.5)
        strong = " pooled" if index == pooled else ""
        value, interval = format_interval(float(values[index]), float(low[index]), float(high[index]))
        says = f"{label}: {value}" + (f" ({interval})" if interval else "")
        parts.append(f'<g class="estimate{strong}">')
        parts.append(_bar("probe", _LEFT, y - step / 2, WIDTH - _LEFT, step, says=says))
        if np.isfinite([low[index], high[index]]).all():
            ends = axes.across(np.array([low[index], high[index]]))
            parts.append(f'<path class="whisker" d="M{ends[0]:.1f} {y:.1f}H{ends[1]:.1f}"/>')
        if np.isfinite(values[index]):
            parts.append(f'<circle cx="{float(axes.across(values[index])):.1f}" cy="{y:.1f}" r="3.6"/>')
        number = "all" if index == pooled else str(index + 1)
        if step > 11 or strong:
            parts.append(_text("tick", _LEFT - 8, y + 4, number, anchor="end"))
        parts.append("</g>")
    return _svg(parts, name, height=base + 24)


def time_chart(table: pd.DataFrame, *, quantity: str, name: str, unit: str = "s") -> Markup:
    """Draw a statistic of one or several series against time, with the band of its interval.

    Parameters
    ----------
    table
        ``micrograph``, ``time``, ``value``, ``low``, ``high``; limits may be NaN.
    quantity
        Label of the vertical axis.
    name
        What a screen reader says of the whole chart.
    unit
        Unit of the times.
    """
    table = table[np.isfinite(table["value"].to_numpy(dtype=float))].sort_values("time")
    if table.empty:
        return _empty(name)
    time = table["time"].to_numpy(dtype=float)
    known = table[["value", "low", "high"]].to_numpy(dtype=float).ravel()
    known = known[np.isfinite(known)]
    span = float(np.ptp(known)) or abs(float(known[0])) * 0.1 or 1.0
    reach = float(np.ptp(time)) or 1.0
    axes = Axes(
        (float(time.min()) - 0.02 * reach, float(time.max()) + 0.02 * reach),
        (float(known.min()) - 0.06 * span, float(known.max()) + 0.06 * span),
    )
    parts = [_frame(axes, x=f"time [{unit}]", y=quantity)]
    for number, (label, rows) in enumerate(table.groupby("micrograph", sort=False)):
        parts += _time_line(axes, rows, str(label), SERIES[number % len(SERIES)], unit)
    return _svg(parts, name)


def _time_line(axes: Axes, rows: pd.DataFrame, label: str, colour: str, unit: str) -> list[str]:
    """Draw one series: the band, the line, and its points."""
    time, value, low, high = (rows[key].to_numpy(dtype=float) for key in ("time", "value", "low", "high"))
    parts = []
    is_known = np.isfinite(low) & np.isfinite(high)
    if is_known.any():
        there, back = time[is_known], time[is_known][::-1]
        rim = np.concatenate([high[is_known], low[is_known][::-1]])
        line = _line(axes, np.concatenate([there, back]), rim)
        parts.append(f'<path class="interval" fill="{colour}" d="{line}Z"/>')
    parts.append(f'<path class="line" stroke="{colour}" d="{_line(axes, time, value)}"/>')
    for index in range(len(rows)):
        number, interval = format_interval(value[index], low[index], high[index])
        says = f"{label}, {format_value(time[index])} {unit}: {number}" + (
            f" ({interval})" if interval else ""
        )
        x, y = float(axes.across(time[index])), float(axes.down(value[index]))
        parts.append(f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>')
        parts.append(_bar("probe", x - 5, y - 9, 10, 18, says=says))
    return parts


def _frame(axes: Axes, *, x: str, y: str, x_ticks: list[float] | None = None) -> str:
    """Draw grid, ticks and labels."""
    parts = []
    bottom = HEIGHT - _BOTTOM
    for tick in nice_ticks(*axes.y):
        level = float(axes.down(tick))
        parts.append(f'<path class="grid" d="M{_LEFT} {level:.1f}H{WIDTH - _RIGHT}"/>')
        text = format_value(tick, decimals=_decimals(axes.y))
        parts.append(_text("tick", _LEFT - 6, level + 4, text, anchor="end"))
    for tick in nice_ticks(*axes.x, n=6) if x_ticks is None else x_ticks:
        place = float(axes.across(tick))
        parts.append(f'<path class="mark" d="M{place:.1f} {bottom}v4"/>')
        parts.append(_text("tick", place, bottom + 16, format_value(tick, decimals=_decimals(axes.x))))
    parts.append(f'<path class="axis" d="M{_LEFT} {bottom}H{WIDTH - _RIGHT}"/>')
    parts.append(_text("label", (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 8, x))
    turned = _text("label", 0, 0, y)
    parts.append(f'<g transform="translate(10 {(_TOP + bottom) / 2:.1f}) rotate(-90)">{turned}</g>')
    return "".join(parts)


def _text(style: str, x: float, y: float, text: str, *, anchor: str = "middle") -> str:
    """Return a text element."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _bar(style: str, x: float, y: float, width: float, height: float, *, says: str, fill: str = "") -> str:
    """Return a rectangle that says something."""
    colour = f' fill="{fill}"' if fill else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0.0):.1f}"'
    return f'<rect class="{style}"{colour} {place}><title>{escape(says)}</title></rect>'


def _decimals(limits: tuple[float, float], *, n: int = 5) -> int:
    """Return the decimals that the ticks between two limits need."""
    ticks = nice_ticks(*limits, n=n)
    step = min(np.diff(ticks)) if len(ticks) > 1 else 1.0
    return next((count for count in range(8) if abs(step * 10**count - round(step * 10**count)) < 1e-6), 8)


def _line(axes: Axes, x: FloatArray, y: FloatArray) -> str:
    """Return a path through points."""
    places = zip(axes.across(x).tolist(), axes.down(y).tolist(), strict=True)
    return "M" + "L".join(f"{across:.1f} {down:.1f}" for across, down in places)


def _steps(axes: Axes, bins: Histogram) -> str:
    """Return the outline of a histogram as a path."""
    across, down = axes.across(bins.edges), axes.down(bins.density)
    base = float(axes.down(0.0))
    steps = "".join(f"V{y:.1f}H{x:.1f}" for y, x in zip(down.tolist(), across[1:].tolist(), strict=True))
    return f"M{across[0]:.1f} {base:.1f}{steps}V{base:.1f}"


def _svg(
    parts: Sequence[str], name: str, *, height: float = HEIGHT, data: Mapping[str, str] | None = None
) -> Markup:
    """Wrap parts into an ``svg`` element."""
    box = f"0 0 {WIDTH:.0f} {height:.0f}"
    extra = "".join(f' data-{key}="{escape(value)}"' for key, value in (data or {}).items())
    head = f'<svg class="chart" viewBox="{box}" role="img" aria-label="{escape(name)}"{extra}>'
    return Markup(head + "".join(parts) + "</svg>")


def _empty(name: str) -> Markup:
    """Say that there is nothing to draw."""
    return Markup(f'<p class="nothing">{escape(name)}: nothing to show.</p>')
