"""The report: one HTML page that needs nothing else, no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from typing import Any

import pandas as pd
from markupsafe import Markup

import amorph2d
from amorph2d.measures.summary import POOLED
from amorph2d.plotting.colours import ATOM, CENTRE, RING_COLOURS, ring_label
from amorph2d.report.encode import script_json
from amorph2d.report.files import file_entries, network_names
from amorph2d.report.groups import group_panel, series_panel
from amorph2d.report.methods import PIPELINE_REFERENCE, bibtex, flatten, interval_level, methods_text
from amorph2d.report.panels import compare, micrograph_panels, pooled_panel
from amorph2d.report.payload import DETAIL, add_image, overlay_payload
from amorph2d.report.pyramid import affordable_shapes
from amorph2d.report.statistics import HEADLINES, estimate, find_row
from amorph2d.report.tiles import SIGMA_STEP
from amorph2d.report.values import SCALES
from amorph2d.report.view import MicrographView

PAGE_BYTES = 60_000_000
"""Characters that the pictures and overlays of a page may take; beyond, all pictures are coarser."""
LEAST_FOR_IMAGES = 10_000_000
"""Characters left to the pictures where the overlays take all."""

_SCRIPTS = ("page.js", "data.js", "draw.js", "viewer.js", "linked.js")


def build_report(
    micrographs: Sequence[MicrographView],
    summary: pd.DataFrame,
    calibration: pd.DataFrame,
    *,
    parameters: Mapping[str, Any],
    title: str = "Structure of two-dimensional materials",
    date: datetime | None = None,
    page_bytes: int = PAGE_BYTES,
    series: pd.DataFrame | None = None,
    groups: pd.DataFrame | None = None,
    literature: pd.DataFrame | None = None,
) -> str:
    """Build the report of an analysis as one HTML page.

    Parameters
    ----------
    micrographs
        What was analysed, in the order in which it is shown; may be empty.
    summary
        Statistics of the results contract, one row per ``micrograph`` and ``frame`` and one ``pooled``; each
        with ``<name>_low`` and ``<name>_high`` where an interval is known.
    calibration
        Columns of the results contract, one row per file; those "not analysed" give their ``reason``.
    parameters
        Nested parameters of the run, for the methods.
    title
        Heading of the page.
    date
        When the analysis was made; now if None.
    page_bytes
        Characters that pictures and overlays together may take, > 0.
    series
        Statistics over time: ``micrograph``, ``time`` [s], ``statistic``, ``value``, ``low``, ``high``.
    groups
        Differences between groups of micrographs: ``group``, ``reference``, ``statistic``, ``difference``,
        ``low``, ``high``, ``p_value``, ``q_value``.
    literature
        Ranges of the shares of ring sizes: ``size``, ``low``, ``high`` (0 … 1), ``source``.

    Returns
    -------
    str
        The page. It loads nothing, and every name and reason in it is escaped.

    Raises
    ------
    ValueError
        If two micrographs have the same name and frame, a table of a micrograph contradicts another, or a
        column of another table is missing.
    """
    labels = _labels(micrographs)
    if page_bytes <= 0:
        raise ValueError(f"page_bytes must be > 0, got {page_bytes}")
    payloads = [overlay_payload(view, label=label) for view, label in zip(micrographs, labels, strict=True)]
    left = max(page_bytes - sum(payload.n_bytes for payload in payloads), LEAST_FOR_IMAGES)
    shapes = affordable_shapes(
        [view.image for view in micrographs],
        [view.sampling for view in micrographs],
        n_bytes=min(left, page_bytes),
    )
    payloads = [add_image(*parts) for parts in zip(payloads, micrographs, shapes, strict=True)]
    level = interval_level(parameters)
    entries = file_entries(calibration)
    by_stem = {entry.stem: entry for entry in entries}
    panels = micrograph_panels(
        micrographs, labels, summary, by_stem, shapes=shapes, level=level, literature=literature
    )
    pooled_row = find_row(summary, POOLED) or (
        find_row(summary, micrographs[0].stem, micrographs[0].frame) if len(micrographs) == 1 else None
    )
    version = amorph2d.__version__
    made = date or datetime.now().astimezone()
    return _template().render(
        title=title,
        version=version,
        level=level,
        date=made,
        labels=labels,
        panels=panels,
        pooled=pooled_panel(micrographs, pooled_row, level=level, literature=literature),
        series=series_panel(series),
        groups=group_panel(groups),
        headlines=[(item, estimate(pooled_row, item)) for item in HEADLINES if estimate(pooled_row, item)],
        comparison=compare(micrographs, labels, summary),
        entries=entries,
        failed=[entry for entry in entries if entry.error],
        warned=[entry for entry in entries if entry.warnings and not entry.error],
        heads=[script_json(payload.head) for payload in payloads],
        chunks=[payload.chunks for payload in payloads],
        settings=script_json(_viewer_settings()),
        methods=methods_text(parameters, version=version, networks=network_names(calibration)),
        reference=PIPELINE_REFERENCE,
        bibtex=bibtex(version, made.year),
        parameters=[(name, _write_parameter(value)) for name, value in flatten(parameters).items()],
        style=Markup(_read("report.css")),
        script=Markup("\n".join(map(_read, _SCRIPTS))),
    )


def _labels(micrographs: Sequence[MicrographView]) -> list[str]:
    """Name each view: its stem, with the frame where a stem occurs more than once."""
    keys = [(view.stem, view.frame) for view in micrographs]
    if len(set(keys)) != len(keys):
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"micrographs must differ in stem or frame, got more than one of {twice}")
    stems = [view.stem for view in micrographs]
    return [
        view.stem if stems.count(view.stem) == 1 and view.frame == 0 else f"{view.stem}, frame {view.frame}"
        for view in micrographs
    ]


def _viewer_settings() -> dict[str, Any]:
    """Return colours and labels that the viewer shares with the figures."""
    classes = [
        {"size": size, "label": ring_label(size), "colour": colour} for size, colour in RING_COLOURS.items()
    ]
    return {
        "classes": classes,
        "atom": ATOM,
        "centre": CENTRE,
        "scales": {name: list(colours) for name, colours in SCALES.items()},
        "detail": DETAIL,
        "sigma": SIGMA_STEP,
    }


def _write_parameter(value: Any) -> str:
    """Write the value of a parameter."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_write_parameter(item) for item in value)
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _template() -> Any:
    """Return the compiled page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_read("report.html"))


def _read(name: str) -> str:
    """Return the text of a template file."""
    return resources.files("amorph2d.report").joinpath("templates", name).read_text(encoding="utf-8")
