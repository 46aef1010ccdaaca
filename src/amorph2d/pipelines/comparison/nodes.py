"""Nodes of the comparison pipeline: groups of micrographs in folders of results of their own."""

from __future__ import annotations

from typing import Any

import pandas as pd

from amorph2d.measures.config import StatisticsParameters
from amorph2d.pipelines.comparison.results import FolderParameters
from amorph2d.pipelines.types import Figure, PlotlyFigure


def compare_folders(
    folders: FolderParameters, parameters: StatisticsParameters
) -> tuple[
    pd.DataFrame,
    pd.DataFrame,
    dict[str, Any],
    PlotlyFigure,
    PlotlyFigure,
    PlotlyFigure,
    PlotlyFigure,
    Figure,
    Figure,
]:
    """Hold the micrographs of several folders of results against each other."""
    from amorph2d.measures.grouped import compare_all, comparison_record
    from amorph2d.measures.pair_distribution import pool_pair_distributions
    from amorph2d.pipelines.comparison.results import open_results
    from amorph2d.plotting.comparison import comparison_figure, group_rings_plot, overlaid_plot
    from amorph2d.plotting.group_pairs import overlaid_pairs_plot

    opened = open_results(folders.groups)
    tables, groups = opened.tables, opened.groups
    network = (tables["sites"], tables["bonds"], tables["angles"])
    found = compare_all(tables["counts"], network, groups, parameters)
    members = {name: [key for key, group in groups.items() if group == name] for name in folders.groups}
    pairs = {
        name: pool_pair_distributions([tables["pdf"][key]() for key in own]) for name, own in members.items()
    }
    printed = comparison_figure(found.lengths, found.angles, found.comparison, parameters.literature)
    return (
        found.comparison,
        found.distances,
        comparison_record(found, groups, parameters),
        overlaid_plot(found.lengths, quantity="Bond length", unit="Å"),
        overlaid_plot(found.angles, quantity="Bond angle", unit="°"),
        group_rings_plot(found.comparison, parameters.literature),
        overlaid_pairs_plot(pairs),
        printed,
        printed,
    )
