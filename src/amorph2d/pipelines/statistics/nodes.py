"""Nodes of the statistics pipeline: tables per micrograph, then what is pooled over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import as_records
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.measures.config import StatisticsParameters
from amorph2d.pipelines.types import Figure, MicrographLoader, MicrographView, PlotlyFigure

if TYPE_CHECKING:
    from amorph2d.measures.window import RectangularWindow

Tables = Mapping[str, Callable[[], pd.DataFrame]]
Table = dict[str, pd.DataFrame]


def _analysed(calibration: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of the micrographs that were analysed."""
    yield from as_records(calibration[calibration["status"] == "analysed"])


def _window(row: Mapping[str, Any], localisation: LocalisationParameters) -> RectangularWindow:
    """Return the area of a micrograph in which sites are analysable."""
    from amorph2d.measures.window import analysable_window

    return analysable_window(
        (int(row["rows"]), int(row["columns"])),
        (row["sampling_y"], row["sampling_x"]),
        border=localisation.border,
    )


def find_bonds(
    calibration: pd.DataFrame, sites: Tables, parameters: StatisticsParameters
) -> Iterator[tuple[Table, Table]]:
    """Bond the atoms of each micrograph and measure its angles."""
    from amorph2d.measures.tables import angles_table, bonds_table

    yield {}, {}  # Kedro wants at least one piece, also where no micrograph could be analysed
    for row in _analysed(calibration):
        found = sites[row["micrograph"]]()
        bonds = bonds_table(found, parameters)
        yield {row["micrograph"]: bonds}, {row["micrograph"]: angles_table(found, bonds)}


def find_rings(
    calibration: pd.DataFrame, sites: Tables, bonds: Tables, parameters: StatisticsParameters
) -> Iterator[tuple[Table, Table]]:
    """Find the rings of each micrograph, and the atoms around each."""
    from amorph2d.measures.tables import ring_atoms_table, rings_table

    yield {}, {}
    for row in _analysed(calibration):
        stem = row["micrograph"]
        found, bonded = sites[stem](), bonds[stem]()
        yield (
            {stem: rings_table(found, bonded, parameters)},
            {stem: ring_atoms_table(found, bonded, parameters)},
        )


def measure_pairs(
    calibration: pd.DataFrame,
    sites: Tables,
    localisation: LocalisationParameters,
    parameters: StatisticsParameters,
) -> Iterator[Table]:
    """Measure the pair distribution of each micrograph."""
    from amorph2d.measures.tables import pdf_table

    yield {}
    for row in _analysed(calibration):
        stem = row["micrograph"]
        yield {stem: pdf_table(sites[stem](), _window(row, localisation), parameters)}


def summarise(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    localisation: LocalisationParameters,
    parameters: StatisticsParameters,
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Summarise each micrograph and all together, with intervals."""
    from amorph2d.measures.summary import count_in_blocks, summary_table

    counts = {
        row["micrograph"]: count_in_blocks(
            *(tables[row["micrograph"]]() for tables in (sites, bonds, angles, rings)),
            window=_window(row, localisation),
            block=parameters.intervals.block,
        )
        for row in _analysed(calibration)
    }
    rng = np.random.default_rng(parameters.intervals.seed)
    summary = summary_table(counts, parameters.intervals, rng)
    return summary, as_records(summary)


def collect_views(
    calibration: pd.DataFrame,
    micrographs: Mapping[str, MicrographLoader],
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    pdf: Tables,
) -> list[MicrographView]:
    """Put together what the figures and the report show of each micrograph."""
    return [
        _view(row, micrographs[row["micrograph"]], *(table[row["micrograph"]]() for table in (
            sites, bonds, angles, rings, pdf, ring_atoms
        )))
        for row in _analysed(calibration)
    ]  # fmt: skip


def _view(row: Mapping[str, Any], loader: MicrographLoader, *tables: pd.DataFrame) -> MicrographView:
    """One micrograph with its tables."""
    from amorph2d.report.view import MicrographView

    sites, bonds, angles, rings, pdf, ring_atoms = tables
    offsets = np.concatenate([[0], np.cumsum(rings["size"].to_numpy())])
    scores = {
        name: float(row[name])
        for kind in ("atom", "ring")
        for name in (f"{kind}_precision", f"{kind}_recall", f"{kind}_f1", f"{kind}_rmse")
        if pd.notna(row.get(name))
    }
    return MicrographView(
        stem=row["micrograph"],
        image=loader().image,
        sampling=(row["sampling_y"], row["sampling_x"]),
        sites=sites,
        bonds=bonds,
        angles=angles,
        rings=rings,
        pdf=pdf,
        ring_members=ring_atoms["atom"].to_numpy(np.int64),
        ring_offsets=offsets.astype(np.int64),
        scores=scores or None,
    )


def plot_distributions(
    views: list[MicrographView], summary: pd.DataFrame
) -> tuple[PlotlyFigure, PlotlyFigure, PlotlyFigure, PlotlyFigure]:
    """Draw bond lengths, angles, ring fractions and g(r) of all micrographs together."""
    from amorph2d.measures.pair_distribution import pool_pair_distributions
    from amorph2d.plotting.distributions import (
        angle_histogram,
        bond_length_histogram,
        pair_distribution_plot,
        ring_fractions,
        ring_size_bars,
    )
    from amorph2d.report.view import counted_angles, counted_lengths

    lengths = np.concatenate([np.empty(0), *(counted_lengths(view) for view in views)])
    angles = np.concatenate([np.empty(0), *(counted_angles(view) for view in views)])
    pooled = as_records(summary)[-1]
    return (
        bond_length_histogram(lengths),
        angle_histogram(angles),
        ring_size_bars(ring_fractions(pooled)),
        pair_distribution_plot(pool_pair_distributions([view.pdf for view in views])),
    )


def plot_maps(views: list[MicrographView]) -> Iterator[dict[str, Figure]]:
    """Draw the ring map of each micrograph."""
    from amorph2d.report.maps import draw_ring_map

    yield {}
    for view in views:
        yield {f"{view.stem}.png": draw_ring_map(view)}


def write_report(
    views: list[MicrographView],
    summary: pd.DataFrame,
    calibration: pd.DataFrame,
    localisation: LocalisationParameters,
    parameters: StatisticsParameters,
) -> str:
    """Write the self-contained report."""
    from amorph2d.report.build import build_report

    used = {"localisation": localisation.model_dump(), "statistics": parameters.model_dump()}
    return build_report(views, summary, calibration, parameters=used)
