"""Nodes of the statistics pipeline: tables per micrograph, then what is pooled over all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.arrays import BoolArray, as_records
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.measures.config import StatisticsParameters
from amorph2d.pipelines.types import Figure, Mask, MicrographLoader, MicrographView, PlotlyFigure

if TYPE_CHECKING:
    from amorph2d.measures.counting import FrameTables
    from amorph2d.measures.window import Window

logger = logging.getLogger(__name__)

Tables = Mapping[str, Callable[[], pd.DataFrame]]
Table = dict[str, pd.DataFrame]
Masks = Mapping[str, Callable[[int], Mask]]
Pictures = Mapping[str, Path]
_FILM_QUALITY = 50


def _analysed(calibration: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of the micrographs that were analysed."""
    yield from as_records(calibration[calibration["status"] == "analysed"])


def _windows(row: Mapping[str, Any], windows: Masks) -> Iterator[tuple[int, Window, Window]]:
    """Yield each frame with the area of the sheet that counts, and with this and the vacuum in it."""
    for frame in range(int(row["n_frames"])):
        yield frame, *_both_windows(row, windows[row["micrograph"]](frame))


def _both_windows(row: Mapping[str, Any], counts: Mask) -> tuple[Window, Window]:
    """Return the area of the sheet that counts, and this with the vacuum in it."""
    from amorph2d.analysis.regions import COUNTED
    from amorph2d.measures.mask_window import observed_window

    sampling = (row["sampling_y"], row["sampling_x"])
    return observed_window(counts == COUNTED, sampling), observed_window(counts > 0, sampling)


def _of_frame(table: pd.DataFrame, frame: int) -> pd.DataFrame:
    """Return the rows of one frame."""
    return table[table["frame"] == frame]


def _scaled(parameters: StatisticsParameters, row: Mapping[str, Any]) -> StatisticsParameters:
    """Return the parameters with the lengths of the material."""
    from amorph2d.measures.config import scaled

    return scaled(parameters, float(row["length_scale"]))


def find_network(
    calibration: pd.DataFrame, sites: Tables, parameters: StatisticsParameters
) -> Iterator[tuple[Table, Table, Table, Table]]:
    """Find the bonds, angles and rings of each micrograph, and the atoms around each ring."""
    from amorph2d.measures.tables import angles_table, network_tables

    yield {}, {}, {}, {}  # Kedro wants at least one piece, also where no micrograph could be analysed
    for row in _analysed(calibration):
        stem = row["micrograph"]
        found = sites[stem]()
        bonds, rings, ring_atoms = network_tables(found, _scaled(parameters, row))
        yield {stem: bonds}, {stem: angles_table(found, bonds)}, {stem: rings}, {stem: ring_atoms}


def compare_criteria(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    rings: Tables,
    ring_atoms: Tables,
    parameters: StatisticsParameters,
) -> Iterator[tuple[Table, Table]]:
    """Hold the rings of each micrograph against other criteria, and its network against Euler's relation."""
    from amorph2d.measures import criteria

    yield {}, {}
    for row in _analysed(calibration):
        stem = row["micrograph"]
        found, checks = criteria.compare_criteria(
            sites[stem](), bonds[stem](), rings[stem](), ring_atoms[stem](), _scaled(parameters, row)
        )
        yield {stem: found}, {stem: checks}


def measure_crystal(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
) -> Iterator[tuple[Table, Table, Table, Table, Table]]:
    """Find grains, their boundaries, and the strain at each atom."""
    from amorph2d.measures.counting import crystal_tables

    yield {}, {}, {}, {}, {}
    for row in _analysed(calibration):
        frames = _frames(row, (sites, bonds, angles, rings, ring_atoms), windows)
        found = [crystal_tables(own, _scaled(parameters, row)) for _, own in frames]
        of_rings, grains, boundaries, points, strain = _joined(found, row)
        yield of_rings, grains, boundaries, points, strain


def find_defects(
    calibration: pd.DataFrame,
    micrographs: Mapping[str, MicrographLoader],
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
) -> Iterator[tuple[Table, Table, Table, Table]]:
    """Find and name defects, and atoms whose contrast is not that of the others."""
    from amorph2d.measures import counting
    from amorph2d.measures.dopants import dopants_table

    yield {}, {}, {}, {}
    for row in _analysed(calibration):
        used = _scaled(parameters, row)
        micrograph = micrographs[row["micrograph"]]()
        found = []
        for frame, own in _frames(row, (sites, bonds, angles, rings, ring_atoms), windows):
            sampling = (row["sampling_y"], row["sampling_x"])
            foreign = dopants_table(own.sites, own.bonds, micrograph.frame(frame), sampling, used.dopants)
            found.append((*counting.find_defects(own, used), foreign))
        defects, of_rings, of_atoms, dopants = _joined(found, row)
        yield defects, of_rings, of_atoms, dopants


def measure_pores(
    calibration: pd.DataFrame, masks: Masks, parameters: StatisticsParameters
) -> Iterator[Table]:
    """Measure the pores of each frame."""
    from amorph2d.measures.pores import pores_table

    yield {}
    for row in _analysed(calibration):
        sampling, used = (row["sampling_y"], row["sampling_x"]), _scaled(parameters, row).pores
        stem = row["micrograph"]
        frames = range(int(row["n_frames"]))
        found = [pores_table(masks[stem](frame), sampling, used, frame=frame) for frame in frames]
        yield {stem: pd.concat(found, ignore_index=True)}


def _joined(found: Sequence[Sequence[pd.DataFrame]], row: Mapping[str, Any]) -> Iterator[Table]:
    """Put the tables of all frames of a micrograph together, each under its name."""
    for tables in zip(*found, strict=True):
        yield {row["micrograph"]: pd.concat(tables, ignore_index=True)}


def measure_order(
    calibration: pd.DataFrame,
    sites: Tables,
    bonds: Tables,
    angles: Tables,
    rings: Tables,
    ring_atoms: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
) -> Iterator[tuple[Table, Table, Table]]:
    """Measure the order around each ring, its neighbours, and crystallites."""
    from amorph2d.measures.counting import order_tables

    yield {}, {}, {}
    for row in _analysed(calibration):
        frames = _frames(row, (sites, bonds, angles, rings, ring_atoms), windows)
        found = [order_tables(own, _scaled(parameters, row)) for _, own in frames]
        order, crystallites, adjacency = _joined(found, row)
        yield order, crystallites, adjacency


def measure_pairs(
    calibration: pd.DataFrame,
    sites: Tables,
    windows: Masks,
    parameters: StatisticsParameters,
) -> Iterator[tuple[Table, Table, Table]]:
    """Measure pair distribution, structure factor and shells of neighbours of each frame."""
    from amorph2d.measures.counting import pair_tables

    yield {}, {}, {}
    for row in _analysed(calibration):
        atoms = sites[row["micrograph"]]()
        found = [
            pair_tables(_of_frame(atoms, frame), window, _scaled(parameters, row))
            for frame, window, _ in _windows(row, windows)
        ]
        pdf, structure_factors, shells = _joined(found, row)
        yield pdf, structure_factors, shells


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
    parameters: StatisticsParameters,
) -> Iterator[Table]:
    """Add up everything in blocks of each frame of each micrograph."""
    from amorph2d.measures.counting import count_frame, number_frame

    yield {}
    tables = (sites, bonds, angles, rings, ring_atoms)
    for row in _analysed(calibration):
        parts = [
            number_frame(count_frame(found, _scaled(parameters, row)), frame)
            for frame, found in _frames(row, tables, windows, masks, dopants)
        ]
        yield {row["micrograph"]: pd.concat(parts, ignore_index=True)}


def measure_detection(
    calibration: pd.DataFrame, sites: Tables, windows: Masks, parameters: StatisticsParameters
) -> Iterator[Table]:
    """Find what missed and false atoms do to the statistics of each frame."""
    from amorph2d.measures.detection import detection_table

    yield {}
    rng = np.random.default_rng(parameters.intervals.seed)
    for row in _analysed(calibration):
        found, used = sites[row["micrograph"]](), _scaled(parameters, row)
        tables = [
            detection_table(
                _of_frame(found, frame), window.area, statistics=used, rng=rng.spawn(1)[0], frame=frame
            )
            for frame, window, _ in _windows(row, windows)
        ]
        yield {row["micrograph"]: pd.concat(tables, ignore_index=True)}


def summarise(
    calibration: pd.DataFrame, counts: Tables, detection: Tables, parameters: StatisticsParameters
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Summarise each frame of each micrograph and all together, with intervals."""
    from amorph2d.measures.summary import summary_table

    stems = [row["micrograph"] for row in _analysed(calibration)]
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
    micrographs: Mapping[str, MicrographLoader],
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

    files = {row["micrograph"]: micrographs[row["micrograph"]].path for row in _analysed(calibration)}
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


def _frames(
    row: Mapping[str, Any],
    tables: Sequence[Tables],
    windows: Masks,
    masks: Masks | None = None,
    dopants: Tables | None = None,
) -> Iterator[tuple[int, FrameTables]]:
    """Yield what was found in each frame of a micrograph."""
    from amorph2d.measures.counting import frame_tables

    stem = row["micrograph"]
    found = [each[stem]() for each in tables]
    foreign = None if dopants is None else dopants[stem]()
    for frame, window, seen in _windows(row, windows):
        own = frame_tables(frame, *found, window=window, seen=seen)
        if masks is not None:
            own = replace(own, mask=masks[stem](frame), sampling=(row["sampling_y"], row["sampling_x"]))
        yield frame, own if foreign is None else replace(own, dopants=_of_frame(foreign, frame))


def summarise_regions(
    calibration: pd.DataFrame,
    micrographs: Mapping[str, MicrographLoader],
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
) -> pd.DataFrame:
    """Summarise each named region of each frame, with intervals."""
    from amorph2d.measures.counting import number_frame
    from amorph2d.micrographs.regions import regions_of

    counts: dict[tuple[str, str], pd.DataFrame] = {}
    tables = (sites, bonds, angles, rings, ring_atoms)
    for row in _analysed(calibration):
        stem = row["micrograph"]
        areas = regions_of(
            micrographs[stem].path,
            region,
            shape=(int(row["rows"]), int(row["columns"])),
            sampling=(row["sampling_y"], row["sampling_x"]),
        )
        for name, area in areas.items():
            parts = [
                number_frame(_count_region(row, found, area, windows[stem](frame), parameters), frame)
                for frame, found in _frames(row, tables, windows, masks, dopants)
            ]
            counts[stem, name] = pd.concat(parts, ignore_index=True)
    return _region_table(counts, detection, parameters)


def _count_region(
    row: Mapping[str, Any],
    found: FrameTables,
    area: BoolArray,
    counted: Mask,
    parameters: StatisticsParameters,
) -> pd.DataFrame:
    """Add up what one frame has in one of its regions."""
    from amorph2d.measures.counting import count_frame
    from amorph2d.micrographs.regions import in_region

    sampling = (row["sampling_y"], row["sampling_x"])
    is_inside = in_region(found.sites[["x", "y"]].to_numpy(), area, sampling=sampling)
    window, seen = _both_windows(row, counted * area)
    here = found.restricted(is_inside, area, window=window, seen=seen)
    return count_frame(here, _scaled(parameters, row))


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
    for row in _series(calibration):
        stem = row["micrograph"]
        tables = (each[stem]() for each in (sites, bonds, rings, ring_atoms, drift))
        counted = [window.area for _, window, _ in _windows(row, windows)]
        events[stem], rates[stem] = find_changes(
            *tables,
            shape=(int(row["rows"]), int(row["columns"])),
            sampling=(row["sampling_y"], row["sampling_x"]),
            area=min(counted),
            parameters=_scaled(parameters, row),
        )
    return events, join_rates(rates)


def measure_evolution(
    summary: pd.DataFrame, calibration: pd.DataFrame, drift: Tables, parameters: StatisticsParameters
) -> tuple[pd.DataFrame, pd.DataFrame, PlotlyFigure]:
    """Follow each statistic of each series over time."""
    from amorph2d.measures.summary import UNITS
    from amorph2d.plotting.series import evolution_plot
    from amorph2d.series.evolution import evolution_table, trend_table

    stems = [row["micrograph"] for row in _series(calibration)]
    parts = [drift[stem]()[["frame", "time"]].assign(micrograph=stem) for stem in stems]
    times = pd.concat([summary.iloc[:0][["micrograph", "frame"]].assign(time=0.0), *parts])
    evolution = evolution_table(summary[summary["micrograph"].isin(stems)], times)
    trends = trend_table(evolution, level=parameters.intervals.level)
    return evolution, trends, evolution_plot(evolution, units=UNITS)


def make_films(
    calibration: pd.DataFrame,
    micrographs: Mapping[str, MicrographLoader],
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
    for row in _series(calibration):
        stem, sampling = row["micrograph"], (row["sampling_y"], row["sampling_x"])
        micrograph = micrographs[stem]()
        frames = film_frames(
            sites[stem](),
            rings[stem](),
            ring_atoms[stem](),
            field=shown_field(drift[stem](), (int(row["rows"]), int(row["columns"])), sampling),
            max_side=parameters.film.max_side,
            events=events[stem](),
            images=(micrograph.frame(frame) for frame in range(int(row["n_frames"]))),
            sampling=sampling,
        )
        film = encode_film(frames, fps=parameters.film.frames_per_second, quality=_FILM_QUALITY)
        yield {f"{stem}.webp": film}


def _series(calibration: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of the series that were analysed."""
    yield from (row for row in _analysed(calibration) if int(row["n_frames"]) > 1)


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
        image=loader().frame(0),
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
) -> list[MicrographView]:
    """Put into the views what else is known of each micrograph."""
    from amorph2d.report import details

    rows = {row["micrograph"]: row for row in _analysed(calibration)}
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
            structure_factor=structure_factors[view.stem](),
            ring_adjacency=ring_adjacency[view.stem](),
        )
        for view in views
    ]


def _read(pictures: Pictures, name: str) -> bytes | None:
    """Return the content of a picture, if it is there."""
    return pictures[name].read_bytes() if name in pictures else None


def draw_fields(
    views: list[MicrographView],
    ring_order: Tables,
    strain: Tables,
    ring_grains: Tables,
    boundary_points: Tables,
) -> Iterator[dict[str, Figure]]:
    """Draw maps of order, strain and orientation of each micrograph."""
    from amorph2d.report import details

    yield {}
    for view in views:
        stem = view.stem
        yield {f"{stem}_order.png": details.draw_order_map(view, ring_order[stem]())}
        yield {f"{stem}_strain.png": details.draw_strain_map(view, strain[stem]())}
        grains, points = ring_grains[stem](), boundary_points[stem]()
        yield {f"{stem}_orientation.png": details.draw_orientation_map(view, grains, points)}


def export_structures(
    calibration: pd.DataFrame, sites: Tables, rings: Tables, ring_atoms: Tables
) -> Iterator[tuple[dict[str, list[Any]], dict[str, dict[str, Any]]]]:
    """Write atoms and rings in the formats of other programs."""
    from amorph2d.measures.exports import rings_to_geojson, sites_to_atoms

    yield {}, {}
    for row in _analysed(calibration):
        stem, found = row["micrograph"], sites[row["micrograph"]]()
        extent = (row["columns"] * row["sampling_x"], row["rows"] * row["sampling_y"])
        frames = [sites_to_atoms(found, extent=extent, frame=frame) for frame in range(int(row["n_frames"]))]
        yield {stem: frames}, {stem: rings_to_geojson(rings[stem](), ring_atoms[stem](), found)}


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
