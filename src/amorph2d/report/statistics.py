"""The summary as tables: which statistics there are, what they are called, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.measures.defects import DEFECT_KINDS
from amorph2d.measures.dopants import DOPANT_KINDS
from amorph2d.measures.statistics import COORDINATIONS, RING_SIZES, ring_class
from amorph2d.plotting.colours import ring_label
from amorph2d.report.rounding import format_count, format_interval


@dataclass(frozen=True)
class Statistic:
    """One statistic of the summary.

    Attributes
    ----------
    key
        Column; its limits are ``<key>_low`` and ``<key>_high``.
    label, unit
        How it is written; the unit may be empty.
    factor
        What the column is multiplied by to have that unit.
    is_count
        Whether it is a whole number without an interval.
    """

    key: str
    label: str
    unit: str = ""
    factor: float = 1.0
    is_count: bool = False


@dataclass(frozen=True)
class Estimate:
    """One number of a table, ready to be written.

    Attributes
    ----------
    value, interval
        Text; the interval is empty where none is known.
    """

    value: str
    interval: str = ""


@dataclass(frozen=True)
class StatisticRow:
    """One line of the table of statistics: the shown micrograph and all of them."""

    label: str
    unit: str
    shown: Estimate
    pooled: Estimate | None


_DEFECT_NAMES = {
    "dislocation": "Dislocations (5-7)",
    "stone_wales": "Stone–Wales defects (55-77)",
    "divacancy_585": "Divacancies 5-8-5",
    "divacancy_555777": "Divacancies 555-777",
    "divacancy_5555_6_7777": "Divacancies 5555-6-7777",
    "flower": "Flower defects",
    "vacancy": "Vacancies",
    "vacancy_59": "Vacancies, reconstructed (5-9)",
    "divacancy": "Divacancies, not reconstructed",
    "broken_bond": "Broken bonds",
    "fourfold_atom": "Fourfold foreign atoms",
    "hole": "Larger vacancies",
    "grain_boundary": "Chains of grain boundaries",
    "amorphous": "Amorphous regions",
    "other": "Other clusters of rings",
    "dangling": "Dangling atoms",
    "two_coordinated": "Two-coordinated atoms",
    "over_coordinated": "Over-coordinated atoms",
}

GROUPS: Mapping[str, Sequence[Statistic]] = {
    "Counts": (
        Statistic("n_atoms", "Atoms", is_count=True),
        Statistic("n_bonds", "Bonds", is_count=True),
        Statistic("n_angles", "Angles", is_count=True),
        Statistic("n_rings", "Rings", is_count=True),
        Statistic("n_complete_rings", "Complete rings", is_count=True),
    ),
    "Bonds and angles": (
        Statistic("bond_mean", "Bond length, mean", "Å"),
        Statistic("bond_std", "Bond length, standard deviation", "Å"),
        Statistic("angle_mean", "Bond angle, mean", "°"),
        Statistic("angle_std", "Bond angle, standard deviation", "°"),
    ),
    "Rings": (
        Statistic("mean_ring_size", "Ring size, mean"),
        *(
            Statistic(f"ring_fraction_{ring_class(size)}", f"Rings of {ring_label(size)}", "%", 100.0)
            for size in RING_SIZES
        ),
    ),
    "Complete rings, not corrected for those that the edge cuts": tuple(
        Statistic(f"ring_fraction_uncorrected_{ring_class(size)}", f"Rings of {ring_label(size)}", "%", 100.0)
        for size in RING_SIZES
    ),
    "Network": (
        Statistic("density", "Atoms per area", "nm⁻²", 100.0),
        Statistic("coordination_mean", "Coordination, mean"),
        *(
            Statistic(f"coordination_fraction_{n}", f"{n}-coordinated atoms", "%", 100.0)
            for n in COORDINATIONS
        ),
    ),
    "Order": (
        Statistic("psi6_mean", "Hexagonal order |ψ₆|, mean"),
        Statistic("ring_regularity_mean", "Ring regularity, mean"),
        Statistic("crystalline_share", "Crystalline area", "%", 100.0),
        *(Statistic(f"ring_area_{n}_mean", f"Area of rings of {n}, mean", "Å²") for n in (5, 6, 7)),
        Statistic("ring_distance_mean", "Distance of ring centres, mean", "Å"),
        Statistic("ring_distance_std", "Distance of ring centres, standard deviation", "Å"),
        Statistic("hexagon_adjacency", "Hexagons beside a side of a hexagon", "%", 100.0),
        Statistic("ring_size_variance", "Variance of the ring size"),
        Statistic("aboav_weaire_a", "Aboav–Weaire parameter"),
        Statistic("ring_assortativity", "Correlation of adjacent ring sizes"),
    ),
    "Sheet": (
        *(
            Statistic(f"areal_share_{name}", f"Area of {words}", "%", 100.0)
            for name, words in (("monolayer", "monolayer"), ("other", "other"), ("vacuum", "vacuum"))
        ),
        Statistic("pore_density", "Pores per area", "nm⁻²"),
        Statistic("pore_area_mean", "Area of a pore, mean", "nm²"),
    ),
    "Without the errors of position": (
        Statistic("bond_std_deconvolved", "Bond length, standard deviation", "Å"),
        Statistic("bond_std_noise", "Bond length, by errors of position alone", "Å"),
        Statistic("bond_mean_corrected", "Bond length, mean", "Å"),
        Statistic("angle_std_deconvolved", "Bond angle, standard deviation", "°"),
        Statistic("angle_std_noise", "Bond angle, by errors of position alone", "°"),
    ),
    "Strain and grains": (
        Statistic("bond_strain_mean", "Strain of bonds, mean", "%", 100.0),
        Statistic("bond_strain_rms", "Strain of bonds, root of the mean square", "%", 100.0),
        Statistic("bond_strain_noise", "Strain of bonds, by errors of position alone", "%", 100.0),
        Statistic("lattice_dilation_mean", "Dilation of grains, mean", "%", 100.0),
        Statistic("lattice_dilation_std", "Dilation of grains, standard deviation", "%", 100.0),
        Statistic("lattice_dilation_noise", "Dilation of grains, by errors of position alone", "%", 100.0),
        Statistic("grain_share", "Area of grains", "%", 100.0),
        Statistic("grain_boundary_density", "Grain boundaries per area", "nm⁻¹", 10.0),
    ),
    "Defects": (
        *(
            Statistic(f"defect_density_{kind}", f"{_DEFECT_NAMES.get(kind, kind)} per area", "nm⁻²", 100.0)
            for kind in DEFECT_KINDS
        ),
        *(
            Statistic(f"dopant_density_{kind}", f"Candidates of {kind} atoms per area", "nm⁻²", 100.0)
            for kind in DOPANT_KINDS
        ),
    ),
    "Checks": (
        Statistic("angles_per_bond", "Angles per bond (2 in a three-coordinated net)"),
        Statistic("euler_characteristic", "Atoms − bonds + rings (Euler)", is_count=True),
        Statistic("n_ring_count_disagreements", "Rings on which the two criteria disagree", is_count=True),
    ),
}

HEADLINES = (
    Statistic("n_atoms", "Atoms", is_count=True),
    Statistic("bond_mean", "Mean bond length", "Å"),
    Statistic("bond_std", "Bond-length spread", "Å"),
    Statistic("angle_std", "Bond-angle spread", "°"),
    Statistic("ring_fraction_6", "Hexagons", "%", 100.0),
    Statistic("density", "Atoms per area", "nm⁻²", 100.0),
)

COMPARED = (
    Statistic("bond_mean", "Bond length", "Å"),
    Statistic("bond_std", "Bond-length spread", "Å"),
    Statistic("angle_std", "Angle spread", "°"),
    Statistic("ring_fraction_5", "Pentagons", "%", 100.0),
    Statistic("ring_fraction_6", "Hexagons", "%", 100.0),
    Statistic("ring_fraction_7", "Heptagons", "%", 100.0),
    Statistic("coordination_mean", "Coordination"),
    Statistic("density", "Atoms per area", "nm⁻²", 100.0),
)

_IDENTITY = ("micrograph", "stem", "file", "frame")


def find_row(summary: pd.DataFrame, stem: str, frame: int | None = None) -> dict[str, Any] | None:
    """Return the row of a micrograph (and frame) of the summary, or None if there is none."""
    if "micrograph" not in summary:
        return None
    rows = summary[summary["micrograph"] == stem]
    if frame is not None and "frame" in rows:
        rows = rows[rows["frame"] == frame]
    return None if rows.empty else {str(key): value for key, value in rows.iloc[0].items()}


def estimate(row: Mapping[str, Any] | None, statistic: Statistic) -> Estimate | None:
    """Write one statistic of a row, or None if the row does not have it."""
    if row is None or statistic.key not in row:
        return None
    value, low, high = numbers_of(row, statistic)
    if statistic.is_count:
        return Estimate(format_count(value))
    return Estimate(*format_interval(value, low, high))


def numbers_of(row: Mapping[str, Any], statistic: Statistic) -> tuple[float, float, float]:
    """Return value, lower and upper limit of a statistic in its unit; NaN where unknown."""
    found = [_number(row.get(statistic.key + end)) for end in ("", "_low", "_high")]
    value, low, high = (statistic.factor * number for number in found)
    return value, low, high


def statistics_table(
    row: Mapping[str, Any] | None, pooled: Mapping[str, Any] | None
) -> dict[str, list[StatisticRow]]:
    """Collect all statistics of a row beside those of the pooled row, by group.

    Columns that no group knows are added under "Further", so that nothing of the summary is lost.
    """
    source = row or pooled or {}
    groups = {**GROUPS, "Further": _further(source)}
    table: dict[str, list[StatisticRow]] = {}
    for title, statistics in groups.items():
        for statistic in statistics:
            shown = estimate(row, statistic)
            if shown is not None and not (shown.value == "–" and estimate(pooled, statistic) is None):
                line = StatisticRow(statistic.label, statistic.unit, shown, estimate(pooled, statistic))
                table.setdefault(title, []).append(line)
    return table


def find_statistic(key: str) -> Statistic:
    """Return how a statistic is written, from its column; one that no group knows by its own name."""
    known = {item.key: item for group in GROUPS.values() for item in group}
    return known.get(key, Statistic(key, humanise(key), is_count=key.startswith("n_")))


def humanise(key: str) -> str:
    """Turn a column's name into words."""
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _further(row: Mapping[str, Any]) -> list[Statistic]:
    """Return the numeric columns that no group has."""
    known = {statistic.key for group in GROUPS.values() for statistic in group}
    found = []
    for key, value in row.items():
        base = next((key.removesuffix(end) for end in ("_low", "_high") if key.endswith(end)), key)
        limits = base != key and base in row
        if key not in known and key not in _IDENTITY and not limits and np.isfinite(_number(value)):
            found.append(Statistic(key, humanise(key), is_count=key.startswith("n_")))
    return found


def _number(value: Any) -> float:
    """Return a number, or NaN for anything else."""
    if isinstance(value, (bool, np.bool_)):
        return float("nan")
    return float(value) if isinstance(value, (int, float, np.integer, np.floating)) else float("nan")
