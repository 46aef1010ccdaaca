"""One row of statistics per micrograph and frame, each with its interval, and the pooled row of all.

Everything is first added up in blocks of the sheet. The sums over all blocks give the statistics; their
scatter from block to block gives the intervals; the blocks of all frames and micrographs together give the
pooled row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray
from amorph2d.measures.config import IntervalParameters
from amorph2d.measures.defects import DEFECT_STATISTICS
from amorph2d.measures.dopants import DOPANT_STATISTICS
from amorph2d.measures.grain_boundaries import GRAIN_STATISTICS
from amorph2d.measures.intervals import (
    Finer,
    bootstrap_interval,
    resample_blocks,
    share_interval,
    unseen_bound,
)
from amorph2d.measures.noise import NOISE_STATISTIC_UNITS, NOISE_STATISTICS, Deconvolved, widen
from amorph2d.measures.order_sums import (
    ORDER_STATISTIC_UNITS,
    ORDER_STATISTICS,
    SIGNED_ORDER_STATISTICS,
)
from amorph2d.measures.pores import AREA_STATISTICS, PORE_STATISTICS
from amorph2d.measures.statistics import (
    COORDINATIONS,
    RING_SIZES,
    STATISTIC_UNITS,
    STATISTICS,
    Share,
    Statistic,
    Sums,
    ring_class,
)
from amorph2d.measures.strain import SIGNED_STRAIN_STATISTICS, STRAIN_STATISTICS
from amorph2d.measures.tables import (
    bonds_as_indices,
    by_frame,
    differing_ring_sizes,
    find_sites,
    site_positions,
    split_frames,
)
from amorph2d.measures.window import Blocks, Window
from amorph2d.topology.coordination import coordination_numbers
from amorph2d.topology.rings import euler_characteristic

POOLED = "pooled"
_COUNTS = {
    "n_atoms": "atoms",
    "n_bonds": "bonds",
    "n_angles": "angles",
    "n_rings": "all_rings",
    "n_complete_rings": "rings",
    "n_ring_count_disagreements": "differing_rings",
}
ALL_STATISTICS: dict[str, Statistic] = {
    **STATISTICS,
    **ORDER_STATISTICS,
    **GRAIN_STATISTICS,
    **STRAIN_STATISTICS,
    **DEFECT_STATISTICS,
    **DOPANT_STATISTICS,
    **AREA_STATISTICS,
    **PORE_STATISTICS,
    **NOISE_STATISTICS,
}
UNITS = {
    **STATISTIC_UNITS,
    **NOISE_STATISTIC_UNITS,
    **ORDER_STATISTIC_UNITS,
    **dict.fromkeys((*DEFECT_STATISTICS, *DOPANT_STATISTICS), "1/Å²"),
    "grain_boundary_density": "1/Å",
    "pore_density": "1/nm²",
    "pore_area_mean": "Å²",
}
_SIGNED = {*SIGNED_ORDER_STATISTICS, *SIGNED_STRAIN_STATISTICS}
_BLOCK_NAMES = ("block", "wide")
PARTS = 2  # a block is counted in so many parts along either side
RARE = frozenset((*DEFECT_STATISTICS, *DOPANT_STATISTICS, "pore_density"))  # of which often none is seen
_USED = {
    column for use in ALL_STATISTICS.values() for column in vars(use).values() if isinstance(column, str)
}
SUMS = sorted({*_COUNTS.values(), *_USED})


def count_in_blocks(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    angles: pd.DataFrame,
    rings: pd.DataFrame,
    *,
    window: Window,
    block: float,
    weights: ArrayLike | None = None,
) -> pd.DataFrame:
    """Add up all that statistics need, in blocks of the window.

    Counted are analysable atoms, bonds between two of them, angles at them, and complete rings. A bond lies
    where its middle is, an angle where its vertex is, a ring where its centre is.

    Parameters
    ----------
    sites, bonds, angles, rings
        Tables of the same frames.
    window
        The area in which atoms are analysable.
    block
        Edge of a block, > 0 [Å]; counted are its quarters.
    weights
        Of each row of `rings`, as `ring_counts.ring_weights` gives them, so that large rings, which the edge
        of the window cuts more often, are not too few; 1 for all if None.

    Returns
    -------
    DataFrame
        `frame`, `block` (number of the quarter), `wide` (of the block that it belongs to) and one column for
        each sum; one row for each quarter of each frame. Sites without a row give the blocks of an empty
        frame 0.

    Raises
    ------
    ValueError
        If a column is missing, a bond or angle names an atom that does not exist, or `block` is not positive.
    """
    if not block > 0:
        raise ValueError(f"block must be > 0 Å, got {block}")
    grid = window.blocks(block, parts=PARTS)
    rings = rings.assign(weight=1.0 if weights is None else np.asarray(weights, dtype=np.float64))
    counted = [
        {"frame": np.full(len(grid.areas), frame, np.int32), **block_names(grid), "area": grid.areas}
        | _count_frame(grid, *rows)
        for frame, *rows in split_frames(sites, bonds, angles, rings, at_least_one=True)
    ]
    return pd.concat([pd.DataFrame(sums) for sums in counted], ignore_index=True)


def block_names(grid: Blocks, *, of_image: bool = False) -> dict[str, IntArray]:
    """Return `block`, the number of each block of a grid, and `wide`, of the two by two that it is one of.

    Parameters
    ----------
    grid
        The blocks.
    of_image
        Blocks of the whole image, in which areas are counted: numbers from −1 down.
    """
    names = {"block": np.arange(len(grid.areas)), "wide": grid.fourfold}
    return {name: -1 - each if of_image else each for name, each in names.items()}


def block_labels(counts: pd.DataFrame, name: str) -> AnyArray:
    """Return the column `name`, "block" or "wide", of counted blocks; each by itself where there is none."""
    return counts[name].to_numpy() if name in counts else np.arange(len(counts))


def summarise_blocks(
    counts: pd.DataFrame,
    intervals: IntervalParameters,
    rng: np.random.Generator,
    *,
    detection: pd.DataFrame | None = None,
) -> dict[str, float]:
    """Evaluate the statistics of counted blocks, each with the bounds of its interval.

    Parameters
    ----------
    counts
        Blocks of one frame, or of all that are pooled, with `block` and `wide` as `count_in_blocks` gives
        them, and `micrograph` if there are several. Blocks of one number show the same area, in the frames
        of a series, and are drawn together. If there are `min_micrographs`, these are drawn, not blocks.
    intervals
        Level, number of resamples, least number of micrographs.
    rng
        Source of randomness.
    detection
        Of these frames, as `detection.detection_table` gives them: intervals are widened by how far missed
        and false atoms are expected to move a statistic, in quadrature.

    Returns
    -------
    dict
        Counts, expected numbers of false and missed atoms (NaN without `detection`), the Euler characteristic
        (atoms − bonds + rings), and `name`, `name_low`, `name_high` for each statistic; NaN where nothing was
        counted, and bounds NaN where fewer than two blocks were.
    """
    drawn = _draw(counts, intervals, rng)
    added = drawn.sums.to_numpy(np.float64).sum(axis=0)
    total: dict[str, FloatArray | np.float64] = dict(zip(SUMS, added, strict=True))
    found = {name: round(float(total[column])) for name, column in _COUNTS.items()}
    euler = euler_characteristic(found["n_atoms"], found["n_bonds"], found["n_complete_rings"])
    numbers, shifts = _expected_errors(detection)
    row: dict[str, float] = {**found, **numbers, "euler_characteristic": euler}
    for name, statistic in ALL_STATISTICS.items():
        row[name] = float(statistic(total))
        low, high = _interval(statistic, total, drawn, intervals)
        if name in RARE and row[name] == 0:
            high = unseen_bound(float(total[statistic.count]), level=intervals.level)
        if name in shifts:
            low, high = widen(low, high, row[name], shifts[name])
        row[f"{name}_low"] = low if name in _SIGNED else float(np.maximum(low, 0))
        row[f"{name}_high"] = float(np.minimum(high, 1)) if isinstance(statistic, Share) else high
    return row


def _expected_errors(detection: pd.DataFrame | None) -> tuple[dict[str, float], dict[str, float]]:
    """Return expected numbers of false and missed atoms, and how far they move each statistic.

    Shifts of several frames are averaged by their atoms, not in quadrature: they have the same causes.
    """
    if detection is None or len(detection) == 0:
        return dict.fromkeys(("n_false_expected", "n_missed_expected"), np.nan), {}
    shift = np.hypot(detection["shift"], detection["shift_error"]) * detection["n_atoms"]
    weighted = detection.assign(shift=shift).groupby("statistic")[["shift", "n_atoms", "n_false", "n_missed"]]
    total = weighted.sum()
    shifts = (total["shift"] / total["n_atoms"].clip(lower=1)).to_dict()
    numbers = {f"{name}_expected": float(total[name].iloc[0]) for name in ("n_false", "n_missed")}
    return numbers, {str(name): float(value) for name, value in shifts.items()}


def _interval(
    statistic: Statistic, total: Sums, drawn: _Drawn, intervals: IntervalParameters
) -> tuple[float, float]:
    """Return the bounds of a statistic of drawn units."""
    n_units = int((drawn.sums[statistic.count] > 0).sum())
    finer = None
    if drawn.finer is not None and drawn.n_windows:
        n_finer = int((drawn.finer_sums[statistic.count] > 0).sum())
        finer = (drawn.finer, n_finer, n_finer / drawn.n_windows)
    if isinstance(statistic, Deconvolved):
        return statistic.interval(
            total,
            drawn.samples,
            level=intervals.level,
            n_blocks=n_units,
            parameters=intervals.noise,
            finer=finer,
        )
    halved = None if finer is None else Finer(statistic(finer[0]), *finer[1:])
    samples = statistic(drawn.samples)
    return value_interval(statistic, total, samples, level=intervals.level, n_units=n_units, finer=halved)


def value_interval(
    statistic: Statistic,
    total: Sums,
    samples: FloatArray,
    *,
    level: float,
    n_units: int,
    finer: Finer | None = None,
) -> tuple[float, float]:
    """Return the bounds of a statistic: Wilson's of a share, else Student's.

    Parameters
    ----------
    statistic
        What is to be bounded.
    total
        Sums of everything.
    samples
        The statistic of each bootstrap sample.
    level, n_units, finer
        As `level`, `n_blocks` and `finer` of `intervals.bootstrap_interval`.
    """
    value = float(statistic(total))
    if isinstance(statistic, Share):
        n_items = float(total[statistic.items or statistic.count])
        return share_interval(value, samples, n_items=n_items, level=level, n_blocks=n_units, finer=finer)
    return bootstrap_interval(value, samples, level=level, n_blocks=n_units, finer=finer)


def summary_table(
    counts: Mapping[str, pd.DataFrame],
    intervals: IntervalParameters,
    rng: np.random.Generator,
    *,
    detection: Mapping[str, pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """One row for each frame of each micrograph, and last the pooled row.

    Parameters
    ----------
    counts
        Counted blocks of each micrograph, by its name.
    intervals
        Level and number of resamples.
    rng
        Source of randomness; each row takes a child.
    detection
        What missed and false atoms do in each micrograph, by its name, as `detection.detection_table` says.

    Returns
    -------
    DataFrame
        `micrograph`, `frame` and all that `summarise_blocks` gives; "pooled" and −1 in the pooled row. Units
        by column stand in ``attrs["units"]``.
    """
    blocks = {
        (name, frame): rows for name, table in counts.items() for frame, rows in by_frame(table).items()
    }
    errors: dict[tuple[str, int], pd.DataFrame] = {}
    if detection:
        errors = {(name, frame): own for name in counts for frame, own in by_frame(detection[name]).items()}
    *children, last = rng.spawn(len(blocks) + 1)
    summaries = {
        key: summarise_blocks(rows, intervals, child, detection=errors.get(key))
        for (key, rows), child in zip(blocks.items(), children, strict=True)
    }
    if len(summaries) == 1:
        summaries[POOLED, -1] = next(iter(summaries.values()))  # there is nothing to be pooled
    else:
        named = [table.assign(micrograph=name) for name, table in counts.items()]
        nothing = pd.DataFrame(columns=[*_BLOCK_NAMES, *SUMS], dtype=float)
        together = pd.concat(named, ignore_index=True) if named else nothing
        all_errors = pd.concat([detection[name] for name in counts]) if detection else None
        summaries[POOLED, -1] = summarise_blocks(together, intervals, last, detection=all_errors)
    table = pd.DataFrame(
        [{"micrograph": name, "frame": frame} | row for (name, frame), row in summaries.items()]
    ).astype({"frame": "int32"})
    table = table.copy()  # in one piece: it has some hundreds of columns
    table.attrs["units"] = {
        f"{name}{end}": unit for name, unit in UNITS.items() for end in ("", "_low", "_high")
    }
    return table


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Units that are drawn, their sums, and those of bootstrap samples of them and of their quarters."""

    sums: pd.DataFrame
    samples: Mapping[str, FloatArray]
    finer_sums: pd.DataFrame
    finer: Mapping[str, FloatArray] | None
    n_windows: int


def _draw(counts: pd.DataFrame, intervals: IntervalParameters, rng: np.random.Generator) -> _Drawn:
    """Draw micrographs where there are enough, else blocks and their quarters."""
    sums = counts.reindex(columns=SUMS, fill_value=0.0)  # what was not counted is not known
    names = counts["micrograph"].to_numpy() if "micrograph" in counts else np.zeros(len(counts))
    n_micrographs = len(pd.unique(names))
    if n_micrographs >= intervals.min_micrographs:
        units = _added(sums, [names])
        return _Drawn(units, _resample(units, intervals, rng), units, None, n_micrographs)
    blocks, quarters = (_added(sums, [names, block_labels(counts, name)]) for name in ("wide", "block"))
    drawn = (_resample(units, intervals, rng) for units in (blocks, quarters))
    return _Drawn(blocks, next(drawn), quarters, next(drawn), n_micrographs)


def _added(sums: pd.DataFrame, labels: list[AnyArray]) -> pd.DataFrame:
    """Add up what has the same labels, and leave out what is empty."""
    units = sums.groupby(labels).sum()
    return units[(units != 0).any(axis=1)]


def _resample(
    sums: pd.DataFrame, intervals: IntervalParameters, rng: np.random.Generator
) -> dict[str, FloatArray]:
    """Return the sums of bootstrap samples, by name."""
    # Blocks of the whole image, in which areas are counted, are drawn for themselves.
    is_image = (sums["area_shown"] > 0).to_numpy() & (sums["area"] == 0).to_numpy()
    drawn = (sums[is_image == of_image].to_numpy(np.float64) for of_image in (False, True))
    resampled = np.sum(
        [resample_blocks(each, n_resamples=intervals.n_resamples, rng=rng) for each in drawn], axis=0
    )
    return dict(zip(sums.columns, resampled.T, strict=True))


def _count_frame(
    grid: Blocks, sites: pd.DataFrame, bonds: pd.DataFrame, angles: pd.DataFrame, rings: pd.DataFrame
) -> dict[str, FloatArray]:
    """Add up all but the area in the blocks of one frame."""
    atoms = sites[sites["kind"] == "atom"]
    names, positions, is_counted = (
        atoms["site"].to_numpy(),
        site_positions(atoms),
        _flags(atoms, "analysable"),
    )
    pairs = bonds_as_indices(bonds, names)
    ends = coordination_numbers(pairs, len(atoms))[is_counted]
    of_kind = {f"atoms_{n}": ends == n for n in COORDINATIONS}
    sums = _sum(grid, "atoms", positions[is_counted], bond_ends=ends, half_bonds=ends / 2, **of_kind)
    is_bond = is_counted[pairs].all(axis=1)
    length = bonds["length"].to_numpy()[is_bond]
    middles = positions[pairs[is_bond]].mean(axis=1)
    sums |= _sum(grid, "bonds", middles, length=length, length_squared=length**2)
    vertex = find_sites(angles["vertex"].to_numpy(), names, "angles", "atoms")
    angle = angles["angle"].to_numpy()[is_counted[vertex]]
    sums |= _sum(grid, "angles", positions[vertex[is_counted[vertex]]], angle=angle, angle_squared=angle**2)
    return sums | _count_rings(grid, rings)


def _count_rings(grid: Blocks, rings: pd.DataFrame) -> dict[str, FloatArray]:
    """Add up the rings of one frame, and the complete ones of each size."""
    complete = rings[_flags(rings, "complete")]
    size = complete["size"].to_numpy()
    of_class = {f"rings_{ring_class(n)}": size == n for n in RING_SIZES[:-1]}
    of_class[f"rings_{ring_class(RING_SIZES[-1])}"] = size >= RING_SIZES[-1]
    sums = _sum(grid, "rings", site_positions(complete), ring_size=size, **of_class)
    weight = complete["weight"].to_numpy()
    weighted = {f"weight_{name.removeprefix('rings_')}": weight * value for name, value in of_class.items()}
    weighted |= {"ring_weight": weight, "weighted_ring_size": weight * size}
    sums |= _sum(grid, "weighted_rings", site_positions(complete), **weighted)
    sums |= _sum(grid, "all_rings", site_positions(rings))
    return sums | _sum(grid, "differing_rings", site_positions(differing_ring_sizes(rings)))


def _sum(grid: Blocks, count: str, places: FloatArray, **weights: AnyArray) -> dict[str, FloatArray]:
    """Count items in each block, and add up their weights."""
    block, n = grid.number(places), len(grid.areas)
    weights = {count: np.ones(len(places))} | weights
    return {
        name: np.bincount(block, value, minlength=n).astype(np.float64) for name, value in weights.items()
    }


def _flags(table: pd.DataFrame, column: str) -> BoolArray:
    """Return a column of truth values."""
    return table[column].to_numpy(bool)
