"""The parts of the page that belong to one micrograph, to all of them pooled, or set them side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from amorph2d.arrays import FloatArray
from amorph2d.measures.pair_distribution import pool_pair_distributions
from amorph2d.measures.summary import POOLED
from amorph2d.plotting.colours import RING_COLOURS, ring_classes, ring_label
from amorph2d.plotting.distributions import ring_fractions
from amorph2d.plotting.histograms import Histogram, bin_values, choose_edges
from amorph2d.report.charts import curve_chart, histogram_chart, interval_chart, ring_chart
from amorph2d.report.encode import data_uri
from amorph2d.report.files import FileEntry, score_label
from amorph2d.report.payload import defect_counts
from amorph2d.report.rounding import format_count, format_value
from amorph2d.report.statistics import (
    COMPARED,
    Estimate,
    Statistic,
    StatisticRow,
    estimate,
    find_row,
    numbers_of,
    statistics_table,
)
from amorph2d.report.view import (
    MicrographView,
    counted_angles,
    counted_lengths,
    counted_sizes,
    of_frame,
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """One figure of the page: what it shows, the drawing and the line below it."""

    title: str
    drawing: Markup
    caption: str = ""


@dataclass(frozen=True)
class Panel:
    """Everything the page says of one micrograph, or the charts of all of them pooled."""

    key: str
    label: str
    charts: Sequence[Chart]
    statistics: Mapping[str, Sequence[StatisticRow]]
    entry: FileEntry | None = None
    scores: Sequence[tuple[str, str]] = ()
    note: str = ""
    warnings: Sequence[str] = ()
    defects: Sequence[tuple[str, int, int]] = ()
    twin: str = ""
    twin_caption: str = ""
    film: str = ""
    figures: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Comparison:
    """The table and the charts that set the micrographs side by side."""

    statistics: Sequence[Statistic]
    lines: Sequence[tuple[str, str, Sequence[Estimate | None]]]
    charts: Sequence[Chart]


@dataclass(frozen=True, eq=False)
class Distributions:
    """Binned lengths and angles, and g(r)."""

    lengths: Histogram
    angles: Histogram
    pdf: pd.DataFrame


def micrograph_panels(
    micrographs: Sequence[MicrographView],
    labels: Sequence[str],
    summary: pd.DataFrame,
    entries: Mapping[str, FileEntry],
    *,
    shapes: Sequence[tuple[int, int]],
    level: str,
    literature: pd.DataFrame | None = None,
) -> list[Panel]:
    """Collect the panels of the micrographs, the distributions of all of them as outlines behind each.

    Parameters
    ----------
    micrographs, labels
        The micrographs and how they are named.
    summary
        Statistics of the results contract.
    entries
        What is known of the files, by stem.
    shapes
        Rows and columns with which each image is shown.
    level
        What the intervals are called: ``95 %``.
    literature
        Ranges of the ring fractions, or None.
    """
    lengths = [counted_lengths(view) for view in micrographs]
    angles = [counted_angles(view) for view in micrographs]
    edges = choose_edges(join(lengths)), choose_edges(join(angles))
    several = len(micrographs) > 1
    pooled_row = find_row(summary, POOLED) if several else None
    behind = None
    if several:
        both = bin_values(join(lengths), edges[0]), bin_values(join(angles), edges[1])
        behind = Distributions(*both, _pool_pdf(micrographs))
    panels = []
    for index, (view, label) in enumerate(zip(micrographs, labels, strict=True)):
        row = find_row(summary, view.stem, view.frame)
        bins = bin_values(lengths[index], edges[0]), bin_values(angles[index], edges[1])
        shown = Distributions(*bins, of_frame(view.pdf, view.frame))
        panels.append(
            Panel(
                key=str(index),
                label=label,
                charts=_charts(
                    label, shown, behind, _fractions(row, view), level, literature, is_linked=True
                ),
                statistics=statistics_table(row, pooled_row),
                entry=entries.get(view.stem),
                scores=[
                    (score_label(name), format_value(float(value)))
                    for name, value in (view.scores or {}).items()
                ],
                note=_field_note(view, shapes[index]),
                warnings=list(view.warnings),
                defects=defect_counts(view),
                twin=data_uri(view.twin, "image/png") if view.twin else "",
                twin_caption=view.twin_caption,
                film=data_uri(view.film, view.film_type) if view.film else "",
                figures=[(title, _picture(drawing)) for title, drawing in view.figures],
            )
        )
    return panels


def pooled_panel(
    micrographs: Sequence[MicrographView],
    row: Row | None,
    *,
    level: str,
    literature: pd.DataFrame | None = None,
) -> Panel | None:
    """Collect the charts over all micrographs; None for fewer than two, whose charts they would repeat."""
    if len(micrographs) < 2:
        return None
    lengths = join([counted_lengths(view) for view in micrographs])
    angles = join([counted_angles(view) for view in micrographs])
    bins = bin_values(lengths, choose_edges(lengths)), bin_values(angles, choose_edges(angles))
    label = f"all {len(micrographs)} micrographs"
    shown = Distributions(*bins, _pool_pdf(micrographs))
    charts = _charts(label, shown, None, ring_fractions(row or {}), level, literature)
    return Panel(key=POOLED, label=label, charts=charts, statistics={})


def compare(
    micrographs: Sequence[MicrographView], labels: Sequence[str], summary: pd.DataFrame
) -> Comparison | None:
    """Set the estimates of the micrographs side by side; None for fewer than two."""
    if len(micrographs) < 2:
        return None
    rows: list[Row] = [find_row(summary, view.stem, view.frame) or {} for view in micrographs]
    names, numbers, pooled = list(labels), [str(index + 1) for index in range(len(rows))], None
    pooled_row = find_row(summary, POOLED)
    if pooled_row is not None:
        pooled = len(rows)
        rows, names, numbers = [*rows, pooled_row], [*names, "All, pooled"], [*numbers, "all"]
    statistics = [item for item in COMPARED if any(item.key in row for row in rows)]
    lines = [
        (number, name, [estimate(row, item) for item in statistics])
        for number, name, row in zip(numbers, names, rows, strict=True)
    ]
    charts = []
    for item in statistics[:6]:
        values = np.array([numbers_of(row, item) for row in rows])
        drawing = interval_chart(names, *values.T, pooled=pooled, name=f"{item.label} by micrograph")
        charts.append(Chart(f"{item.label} [{item.unit}]" if item.unit else item.label, drawing))
    return Comparison(statistics, lines, charts)


def join(arrays: Sequence[FloatArray]) -> FloatArray:
    """Return all values of several arrays as one."""
    return np.concatenate([np.empty(0), *arrays])


def _charts(
    label: str,
    shown: Distributions,
    behind: Distributions | None,
    fractions: pd.DataFrame,
    level: str,
    literature: pd.DataFrame | None,
    *,
    is_linked: bool = False,
) -> list[Chart]:
    """Draw the four charts of a panel."""
    links = ("length", "angle", "size") if is_linked else ("", "", "")
    lengths = histogram_chart(
        shown.lengths,
        reference=behind.lengths if behind else None,
        unit="Å",
        quantity="bond length",
        name=f"Bond lengths, {label}",
        link=links[0],
    )
    angles = histogram_chart(
        shown.angles,
        reference=behind.angles if behind else None,
        unit="°",
        quantity="bond angle",
        name=f"Bond angles, {label}",
        link=links[1],
    )
    pdf = curve_chart(shown.pdf, reference=behind.pdf if behind else None, name=f"Pair distribution, {label}")
    line = " Thin line: all micrographs." if behind else ""
    rings = ring_chart(
        fractions, level=level, name=f"Ring sizes, {label}", link=links[2], literature=literature
    )
    return [
        Chart("Ring sizes", rings, f"Complete rings. Whiskers: {level} intervals." + _sources(literature)),
        Chart("Bond lengths", lengths, _caption(shown.lengths) + line),
        Chart("Bond angles", angles, _caption(shown.angles) + line),
        Chart("Pair distribution", pdf, "Band: ± one standard error. Dotted: g = 1, no order." + line),
    ]


def _pool_pdf(micrographs: Sequence[MicrographView]) -> pd.DataFrame:
    """Pool g(r) of the shown frames."""
    return pool_pair_distributions([of_frame(view.pdf, view.frame) for view in micrographs])


def _fractions(row: Row | None, view: MicrographView) -> pd.DataFrame:
    """Return ring fractions of the summary or, where it has none, those counted in the view."""
    fractions = ring_fractions(row or {})
    if len(fractions):
        return fractions
    classes = ring_classes(counted_sizes(view))
    total = len(classes) or math.nan
    shares = [
        (size, ring_label(size), (classes == size).sum() / total, math.nan, math.nan) for size in RING_COLOURS
    ]
    return pd.DataFrame(shares, columns=["size", "label", "fraction", "low", "high"])


def _caption(bins: Histogram) -> str:
    """Say how many values a histogram has."""
    outside = f", {format_count(bins.n_outside)} of them outside the axis" if bins.n_outside else ""
    return f"n = {format_count(bins.n_values)}{outside}."


def _sources(literature: pd.DataFrame | None) -> str:
    """Say where the ranges behind the ring chart come from."""
    if literature is None or literature.empty:
        return ""
    return f" Grey boxes: {'; '.join(dict.fromkeys(map(str, literature['source'])))}."


def _picture(drawing: str) -> str:
    """Return SVG text as a data URI: as a picture it can neither run a script nor meet another's names."""
    start = drawing.find("<svg")
    return data_uri(drawing[max(start, 0) :].encode("utf-8"), "image/svg+xml")


def _field_note(view: MicrographView, shown: tuple[int, int]) -> str:
    """Say how large the field is, and with which pixels the page shows it where they are coarser."""
    rows, columns = view.image.shape
    width, height = columns * view.sampling[1] / 10, rows * view.sampling[0] / 10
    field = f"{columns} × {rows} px, {format_value(width, digits=3)} × {format_value(height, digits=3)} nm²"
    if tuple(shown) == (rows, columns):
        return field
    step = max(view.sampling[0] * rows / shown[0], view.sampling[1] * columns / shown[1])
    return f"{field}, shown with {shown[1]} × {shown[0]} px of {format_value(step, digits=3)} Å"
