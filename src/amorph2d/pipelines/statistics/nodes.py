"""Nodes of the statistics pipeline: tables per micrograph, then what is pooled over all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.arrays import as_records
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.measures.config import StatisticsParameters
from amorph2d.pipelines.scheduling import ComputingParameters, run_tasks
from amorph2d.pipelines.statistics import tasks
from amorph2d.pipelines.types import Figure, Mask, MicrographLoader, MicrographView, PlotlyFigure

logger = logging.getLogger(__name__)

Tables = Mapping[str, Callable[[], pd.DataFrame]]
Table = dict[str, pd.DataFrame]
Masks = Mapping[str, Callable[[int], Mask]]
Micrographs = Mapping[str, MicrographLoader]
Pictures = Mapping[str, Path]
_FILM_QUALITY = 50


def _each(
    function: Callable[..., list[Any]],
    micrographs: Mapping[str, Any],
    computing: ComputingParameters,
    *shared: Any,
) -> Iterator[Any]:
    """Yield {stem: result} of each result of a task; one alone as it is, as Kedro wants it."""
    for stem, results in run_tasks(function, micrographs, computing, *shared):
        pieces = tuple({stem: result} for result in results)
        yield pieces if len(pieces) > 1 else pieces[0]


def find_network(
    calibration: pd.DataFrame, sites: Tables, parameters: StatisticsParameters, computing: ComputingParameters
) -> Iterator[tuple[Table, Table, Table, Table]]:
    """Find the bonds, angles and rings of each micrograph, and the atoms around each ring."""
    yield {}, {}, {}, {}  # Kedro wants at least one piece, also where no micrograph could be analysed
    yield from _each(tasks.find_network, tasks.analysed(calibration, sites=sites), computing, parameters)


def compare_criteria(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    rings: Tables,
    ring_atoms: Tables,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[tuple[Table, Table]]:
    """Hold the rings of each micrograph against other criteria, and its network against Euler's relation."""
    yield {}, {}
    found = tasks.analysed(calibration, sites=sites, bonds=bonds, rings=rings, ring_atoms=ring_atoms)
    yield from _each(tasks.compare_criteria, found, computing, parameters)


def measure_crystal(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[tuple[Table, Table, Table, Table, Table]]:
    """Find grains, their boundaries, and the strain at each atom."""
    yield {}, {}, {}, {}, {}
    found = tasks.analysed(
        calibration,
        sites=sites,
        bonds=bonds,
        angles=angles,
        rings=rings,
        ring_atoms=ring_atoms,
        windows=windows,
    )
    yield from _each(tasks.measure_crystal, found, computing, parameters)


def find_defects(
    calibration: pd.DataFrame,
    micrographs: Micrographs,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[tuple[Table, Table, Table, Table]]:
    """Find and name defects, and atoms whose contrast is not that of the others."""
    yield {}, {}, {}, {}
    found = tasks.analysed(
        calibration, micrographs=micrographs,
        sites=sites, bonds=bonds, angles=angles, rings=rings, ring_atoms=ring_atoms, windows=windows,
    )  # fmt: skip
    yield from _each(tasks.find_defects, found, computing, parameters)


def measure_pores(
    calibration: pd.DataFrame, masks: Masks, parameters: StatisticsParameters, computing: ComputingParameters
) -> Iterator[Table]:
    """Measure the pores of each frame."""
    yield {}
    yield from _each(tasks.measure_pores, tasks.analysed(calibration, masks=masks), computing, parameters)


def measure_order(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[tuple[Table, Table, Table]]:
    """Measure the order around each ring, its neighbours, and crystallites."""
    yield {}, {}, {}
    found = tasks.analysed(
        calibration,
        sites=sites,
        bonds=bonds,
        angles=angles,
        rings=rings,
        ring_atoms=ring_atoms,
        windows=windows,
    )
    yield from _each(tasks.measure_order, found, computing, parameters)


def measure_pairs(
    calibration: pd.DataFrame,
    sites: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[tuple[Table, Table, Table]]:
    """Measure pair distribution, structure factor and shells of neighbours of each frame."""
    yield {}, {}, {}
    found = tasks.analysed(calibration, sites=sites, windows=windows)
    yield from _each(tasks.measure_pairs, found, computing, parameters)


def count_blocks(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    masks: Masks,
    dopants: Tables,
    ring_order: Tables,
    ring_grains: Tables,
    boundary_points: Tables,
    strain: Tables,
    defects: Tables,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[Table]:
    """Add up everything in blocks of each frame of each micrograph."""
    yield {}
    found = tasks.analysed(
        calibration, sites=sites, bonds=bonds, angles=angles, rings=rings, ring_atoms=ring_atoms,
        windows=windows, masks=masks, dopants=dopants, ring_order=ring_order, ring_grains=ring_grains,
        boundary_points=boundary_points, strain=strain, defects=defects,
    )  # fmt: skip
    yield from _each(tasks.count_blocks, found, computing, parameters)


def measure_detection(
    calibration: pd.DataFrame,
    sites: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> Iterator[Table]:
    """Find what missed and false atoms do to the statistics of each frame."""
    yield {}
    found = tasks.analysed(calibration, sites=sites, windows=windows)
    children = np.random.default_rng(parameters.intervals.seed).spawn(len(found))
    each = {stem: (micrograph, rng) for (stem, micrograph), rng in zip(found.items(), children, strict=True)}
    yield from _each(tasks.measure_detection, each, computing, parameters)


def summarise(
    calibration: pd.DataFrame, counts: Tables, detection: Tables, parameters: StatisticsParameters
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Summarise each frame of each micrograph and all together, with intervals."""
    from amorph2d.measures.summary import summary_table

    stems = list(tasks.analysed(calibration))
    rng = np.random.default_rng(parameters.intervals.seed)
    summary = summary_table(
        {stem: counts[stem]() for stem in stems},
        parameters.intervals,
        rng,
        detection={stem: detection[stem]() for stem in stems},
    )
    return summary, as_records(summary)


def compare_groups(
    calibration: pd.DataFrame,
    micrographs: Micrographs,
    counts: Tables,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    parameters: StatisticsParameters,
) -> tuple[
    pd.DataFrame, pd.DataFrame, dict[str, Any], PlotlyFigure, PlotlyFigure, PlotlyFigure, Figure, Figure
]:
    """Hold groups of micrographs against each other, where there are any."""
    from amorph2d.measures.grouped import compare_all, comparison_record
    from amorph2d.micrographs.groups import assign_groups
    from amorph2d.plotting.comparison import comparison_figure, group_rings_plot, overlaid_plot

    files = {stem: micrographs[stem].path for stem in tasks.analysed(calibration)}
    try:
        groups, unknown = assign_groups(files, parameters.comparison.groups)
        if unknown:
            logger.warning("groups name micrographs that were not analysed: %s", ", ".join(unknown))
        found = compare_all(counts, (sites, bonds, angles), groups, parameters)
    except ValueError as error:  # the statistics of the micrographs are none the worse for it
        logger.warning("groups are not compared: %s", error)
        groups = {}
        found = compare_all(counts, (sites, bonds, angles), groups, parameters)
    printed = comparison_figure(found.lengths, found.angles, found.comparison, parameters.literature)
    return (
        found.comparison,
        found.distances,
        comparison_record(found, groups, parameters),
        overlaid_plot(found.lengths, quantity="Bond length", unit="Å"),
        overlaid_plot(found.angles, quantity="Bond angle", unit="°"),
        group_rings_plot(found.comparison, parameters.literature),
        printed,
        printed,
    )


def summarise_regions(
    calibration: pd.DataFrame,
    micrographs: Micrographs,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    masks: Masks,
    dopants: Tables,
    detection: Tables,
    region: object,
    parameters: StatisticsParameters,
    computing: ComputingParameters,
) -> pd.DataFrame:
    """Summarise each named region of each frame, with intervals."""
    found = tasks.analysed(
        calibration, micrographs=micrographs, sites=sites, bonds=bonds, angles=angles, rings=rings,
        ring_atoms=ring_atoms, windows=windows, masks=masks, dopants=dopants,
    )  # fmt: skip
    of_each = dict(run_tasks(tasks.count_regions, found, computing, region, parameters))
    counts = {(stem, name): blocks for stem in found for name, blocks in of_each[stem].items()}
    return _region_table(counts, detection, parameters)


def _region_table(
    counts: Mapping[tuple[str, str], pd.DataFrame], detection: Tables, parameters: StatisticsParameters
) -> pd.DataFrame:
    """Summarise counted regions: one row for each frame of each."""
    from amorph2d.measures.summary import summary_table

    rng = np.random.default_rng(parameters.intervals.seed)
    tables = [
        summary_table({stem: blocks}, parameters.intervals, child, detection={stem: detection[stem]()})
        .iloc[:-1]
        .assign(region=name)
        for ((stem, name), blocks), child in zip(counts.items(), rng.spawn(len(counts)), strict=True)
    ]
    if not tables:
        return summary_table({}, parameters.intervals, rng).iloc[:0].assign(region="")
    return pd.concat(tables, ignore_index=True)


def follow_series(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    rings: Tables,
    ring_atoms: Tables,
    drift: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
) -> tuple[Table, pd.DataFrame]:
    """Find what changes in each series, and how often."""
    from amorph2d.series.changes import find_changes, join_rates

    events, rates = {}, {}
    found = tasks.series(
        calibration,
        sites=sites,
        bonds=bonds,
        rings=rings,
        ring_atoms=ring_atoms,
        drift=drift,
        windows=windows,
    )
    for stem, each in found.items():
        events[stem], rates[stem] = find_changes(
            *(each[name] for name in ("sites", "bonds", "rings", "ring_atoms", "drift")),
            shape=each.shape,
            sampling=each.sampling,
            area=min(window.area for _, window, _ in each.windows()),
            parameters=each.scaled(parameters),
        )
    return events, join_rates(rates)


def measure_evolution(
    summary: pd.DataFrame, calibration: pd.DataFrame, drift: Tables, parameters: StatisticsParameters
) -> tuple[pd.DataFrame, pd.DataFrame, PlotlyFigure]:
    """Follow each statistic of each series over time."""
    from amorph2d.measures.summary import UNITS
    from amorph2d.plotting.series import evolution_plot
    from amorph2d.series.evolution import evolution_table, trend_table

    stems = list(tasks.series(calibration))
    parts = [drift[stem]()[["frame", "time"]].assign(micrograph=stem) for stem in stems]
    times = pd.concat([summary.iloc[:0][["micrograph", "frame"]].assign(time=0.0), *parts])
    evolution = evolution_table(summary[summary["micrograph"].isin(stems)], times)
    trends = trend_table(evolution, level=parameters.intervals.level)
    return evolution, trends, evolution_plot(evolution, units=UNITS)


def make_films(
    calibration: pd.DataFrame,
    micrographs: Micrographs,
    sites: Tables,
    rings: Tables,
    ring_atoms: Tables,
    drift: Tables,
    events: Tables,
    parameters: StatisticsParameters,
) -> Iterator[dict[str, bytes]]:
    """Draw the ring map of each series as a film, beside the micrograph."""
    from amorph2d.plotting.film import encode_film, film_frames
    from amorph2d.series.changes import shown_field

    yield {}
    found = tasks.series(
        calibration, micrographs=micrographs, sites=sites, rings=rings, ring_atoms=ring_atoms, drift=drift,
        events=events,
    )  # fmt: skip
    for stem, each in found.items():
        micrograph = each["micrographs"]
        frames = film_frames(
            *(each[name] for name in ("sites", "rings", "ring_atoms")),
            field=shown_field(each["drift"], each.shape, each.sampling),
            max_side=parameters.film.max_side,
            events=each["events"],
            images=(micrograph.frame(frame) for frame in range(each.n_frames)),
            sampling=each.sampling,
        )
        film = encode_film(frames, fps=parameters.film.frames_per_second, quality=_FILM_QUALITY)
        yield {f"{stem}.webp": film}


def collect_views(
    calibration: pd.DataFrame,
    micrographs: Micrographs,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    pdf: Tables,
) -> list[MicrographView]:
    """Put together what the figures and the report show of each micrograph."""
    found = tasks.analysed(
        calibration, micrographs=micrographs,
        sites=sites, bonds=bonds, angles=angles, rings=rings, ring_atoms=ring_atoms, pdf=pdf,
    )  # fmt: skip
    return [tasks.collect_view(each) for each in found.values()]


def add_details(
    views: list[MicrographView],
    calibration: pd.DataFrame,
    masks: Masks,
    twins: Pictures,
    films: Pictures,
    defects: Tables,
    ring_order: Tables,
    strain: Tables,
    structure_factors: Tables,
    ring_adjacency: Tables,
    computing: ComputingParameters,
) -> list[MicrographView]:
    """Put into the views what else is known of each micrograph."""
    from amorph2d.report import details

    found = tasks.analysed(calibration, structure_factors=structure_factors, ring_adjacency=ring_adjacency)
    rows = {stem: each.row for stem, each in found.items()}
    shown = {view.stem: (found[view.stem], view.frame) for view in views}
    scattering = dict(run_tasks(tasks.draw_scattering, shown, computing))
    return [
        details.add_details(
            view,
            mask=masks[view.stem](view.frame),
            twin=_read(twins, f"{view.stem}.png"),
            film=_read(films, f"{view.stem}.webp"),
            warnings=[
                str(rows[view.stem][name])
                for name in ("warnings", "domain_reason")
                if rows[view.stem].get(name)
            ],
            defects=defects[view.stem](),
            ring_order=ring_order[view.stem](),
            strain=strain[view.stem](),
            scattering=scattering[view.stem],
        )
        for view in views
    ]


def _read(pictures: Pictures, name: str) -> bytes | None:
    """Return the content of a picture, if it is there."""
    return pictures[name].read_bytes() if name in pictures else None


def draw_fields(
    views: list[MicrographView],
    calibration: pd.DataFrame,
    ring_order: Tables,
    strain: Tables,
    ring_grains: Tables,
    boundary_points: Tables,
    computing: ComputingParameters,
) -> Iterator[dict[str, bytes]]:
    """Draw maps of order, strain and orientation of each micrograph."""
    yield {}
    found = tasks.analysed(
        calibration,
        ring_order=ring_order,
        strain=strain,
        ring_grains=ring_grains,
        boundary_points=boundary_points,
    )
    each = {view.stem: (view, found[view.stem]) for view in views}
    for _, pictures in run_tasks(tasks.draw_fields, each, computing):
        yield pictures


def export_structures(
    calibration: pd.DataFrame,
    sites: Tables,
    rings: Tables,
    ring_atoms: Tables,
    computing: ComputingParameters,
) -> Iterator[tuple[dict[str, list[Any]], dict[str, dict[str, Any]]]]:
    """Write atoms and rings in the formats of other programs."""
    yield {}, {}
    found = tasks.analysed(calibration, sites=sites, rings=rings, ring_atoms=ring_atoms)
    yield from _each(tasks.export_structures, found, computing)


def plot_distributions(
    views: list[MicrographView], summary: pd.DataFrame
) -> tuple[PlotlyFigure, PlotlyFigure, PlotlyFigure, PlotlyFigure, Figure, Figure]:
    """Draw bond lengths, angles, ring fractions and g(r) of all micrographs together; twice for print."""
    from amorph2d.measures.pair_distribution import pool_pair_distributions
    from amorph2d.plotting.distributions import (
        angle_histogram,
        bond_length_histogram,
        pair_distribution_plot,
        ring_fractions,
        ring_size_bars,
    )
    from amorph2d.plotting.publication import distributions_figure
    from amorph2d.report.view import counted_angles, counted_lengths

    lengths = np.concatenate([np.empty(0), *(counted_lengths(view) for view in views)])
    angles = np.concatenate([np.empty(0), *(counted_angles(view) for view in views)])
    pooled = as_records(summary)[-1]
    pairs = pool_pair_distributions([view.pdf for view in views])
    printed = distributions_figure(lengths, angles, ring_fractions(pooled), pairs)
    return (
        bond_length_histogram(lengths),
        angle_histogram(angles),
        ring_size_bars(ring_fractions(pooled)),
        pair_distribution_plot(pairs),
        printed,
        printed,
    )


def plot_maps(views: list[MicrographView], computing: ComputingParameters) -> Iterator[dict[str, bytes]]:
    """Draw the ring map of each micrograph."""
    yield {}
    for _, pictures in run_tasks(tasks.draw_ring_map, {view.stem: view for view in views}, computing):
        yield pictures


def write_report(
    views: list[MicrographView],
    summary: pd.DataFrame,
    calibration: pd.DataFrame,
    evolution: pd.DataFrame,
    group_comparison: pd.DataFrame,
    localisation: LocalisationParameters,
    analysis: AnalysisParameters,
    parameters: StatisticsParameters,
) -> str:
    """Write the self-contained report."""
    from amorph2d.plotting.comparison import ring_ranges
    from amorph2d.report.build import build_report

    used = {
        "localisation": localisation.model_dump(),
        "analysis": analysis.model_dump(),
        "statistics": parameters.model_dump(),
    }
    return build_report(
        views,
        summary,
        calibration,
        parameters=used,
        series=evolution if len(evolution) else None,
        groups=group_comparison if len(group_comparison) else None,
        literature=ring_ranges(parameters.literature),
    )
