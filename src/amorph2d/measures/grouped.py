"""Groups of micrographs: their statistics, bond lengths and angles compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray, FloatArray, as_records
from amorph2d.measures.comparison import COMPARISON_COLUMNS, compare_groups, distribution_distance
from amorph2d.measures.config import StatisticsParameters

DISTRIBUTION_COLUMNS = {
    "quantity": "str",
    "group": "str",
    "reference": "str",
    "distance": "float64",
    "p_value": "float64",
}
LENGTH, ANGLE = "bond length", "bond angle"
Tables = Mapping[str, Callable[[], pd.DataFrame]]
Values = Mapping[str, FloatArray]


class GroupComparison(NamedTuple):
    """Differences of statistics and distances of distributions, and the values of each group."""

    comparison: pd.DataFrame
    distances: pd.DataFrame
    lengths: dict[str, FloatArray]
    angles: dict[str, FloatArray]


def compare_all(
    counts: Tables,
    network: tuple[Tables, Tables, Tables],
    groups: Mapping[str, str],
    parameters: StatisticsParameters,
) -> GroupComparison:
    """Compare the groups of micrographs in all that is compared; empty tables without groups.

    Parameters
    ----------
    counts
        Readers of the sums in blocks of each micrograph.
    network
        Readers of the sites, bonds and angles of each micrograph.
    groups
        Group of each micrograph that has one.
    parameters
        `comparison` and `intervals` are used.

    Raises
    ------
    ValueError
        As `comparison.compare_groups`.
    """
    comparison = pd.DataFrame(columns=list(COMPARISON_COLUMNS)).astype(COMPARISON_COLUMNS)
    first, second = np.random.default_rng(parameters.intervals.seed).spawn(2)
    if groups:
        counted = {stem: counts[stem]() for stem in groups}
        comparison = compare_groups(
            counted, groups, parameters=parameters.comparison, intervals=parameters.intervals, rng=first
        )
    values = {stem: counted_values(*(table[stem]() for table in network)) for stem in groups}
    lengths, angles = ({stem: each[name] for stem, each in values.items()} for name in (LENGTH, ANGLE))
    rows = []
    for group, reference in comparison[["group", "reference"]].drop_duplicates().itertuples(index=False):
        pair = {stem: name for stem, name in groups.items() if name in (group, reference)}
        for quantity, own in ((LENGTH, lengths), (ANGLE, angles)):
            found = distribution_distance(
                own, pair, n_permutations=parameters.comparison.n_permutations, rng=second
            )
            rows.append((quantity, group, reference, *found))
    distances = pd.DataFrame(rows, columns=list(DISTRIBUTION_COLUMNS)).astype(DISTRIBUTION_COLUMNS)
    return GroupComparison(comparison, distances, _join(lengths, groups), _join(angles, groups))


def comparison_record(
    found: GroupComparison, groups: Mapping[str, str], parameters: StatisticsParameters
) -> dict[str, Any]:
    """Return what was compared for JSON: the micrographs of each group, all rows, and the literature.

    Parameters
    ----------
    found
        As `compare_all` gives it.
    groups
        Group of each micrograph that has one.
    parameters
        `literature` is used.
    """
    names = dict.fromkeys(groups.values())
    return {
        "groups": {name: [stem for stem, group in groups.items() if group == name] for name in names},
        "comparison": as_records(found.comparison),
        "distribution_distances": as_records(found.distances),
        "literature": [value.model_dump() for value in parameters.literature],
    }


def counted_values(sites: pd.DataFrame, bonds: pd.DataFrame, angles: pd.DataFrame) -> dict[str, FloatArray]:
    """Return the lengths of bonds between analysable atoms [Å] and the angles at them [°], by quantity.

    Parameters
    ----------
    sites, bonds, angles
        Tables of one micrograph, of one or more frames.
    """
    counted = sites.loc[sites["analysable"].to_numpy(bool), ["frame", "site"]]
    known = pd.MultiIndex.from_frame(counted)

    def counts(table: pd.DataFrame, name: str) -> BoolArray:
        return np.asarray(pd.MultiIndex.from_frame(table[["frame", name]]).isin(known))

    is_bond = counts(bonds, "atom_i") & counts(bonds, "atom_j")
    return {
        LENGTH: bonds["length"].to_numpy(np.float64)[is_bond],
        ANGLE: angles["angle"].to_numpy(np.float64)[counts(angles, "vertex")],
    }


def _join(values: Values, groups: Mapping[str, str]) -> dict[str, FloatArray]:
    """Return the values of all micrographs of each group, groups by name."""
    return {
        name: np.concatenate([values[stem] for stem in sorted(groups) if groups[stem] == name])
        for name in sorted(set(groups.values()))
    }
