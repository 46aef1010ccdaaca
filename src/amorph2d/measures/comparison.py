"""Groups of micrographs held against each other: differences, intervals, tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit
from scipy.stats import false_discovery_control

from amorph2d.arrays import BoolArray, FloatArray
from amorph2d.measures.config import ComparisonParameters, IntervalParameters
from amorph2d.measures.intervals import resample_blocks, unseen_bound
from amorph2d.measures.statistics import Statistic
from amorph2d.measures.summary import ALL_STATISTICS, RARE, SUMS, UNITS, block_labels, value_interval

COMPARISON_COLUMNS = {
    "statistic": "str",
    "group": "str",
    "reference": "str",
    "value_group": "float64",
    "value_reference": "float64",
    "difference": "float64",
    "low": "float64",
    "high": "float64",
    "p_value": "float64",
    "q_value": "float64",
    "n_micrographs_group": "int64",
    "n_micrographs_reference": "int64",
    "test": "str",
    "unit": "str",
    "low_group": "float64",
    "high_group": "float64",
    "low_reference": "float64",
    "high_reference": "float64",
}
BETWEEN, WITHIN = "between micrographs", "within micrographs"
_BINS = 2000
_STEP = 1e-6  # relative, of a sum, for slopes
_WEIGHTS = 5_000_000  # units dealt out at once


@dataclass(frozen=True, eq=False)
class _Sample:
    """What was counted in one group: a row of sums for each unit that is drawn.

    Units of another kind are drawn for themselves: blocks of the whole image, in which areas are counted.
    """

    sums: Mapping[str, FloatArray]
    is_image: BoolArray
    n_micrographs: int

    def __len__(self) -> int:
        return len(next(iter(self.sums.values())))


def compare_groups(
    counts: Mapping[str, pd.DataFrame],
    groups: Mapping[str, str],
    *,
    parameters: ComparisonParameters,
    intervals: IntervalParameters,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare each group of micrographs with the reference, statistic by statistic.

    Where each of two groups has at least `min_micrographs`, micrographs are what is drawn and permuted: what
    differs from one micrograph to the next belongs to the error. Where there are fewer, blocks of the sheet
    are, and the test says only that these very micrographs differ; the column `test` tells which.

    Parameters
    ----------
    counts
        Sums in blocks of each micrograph, as `counting.count_frame` gives them.
    groups
        Group of each micrograph; those without one are left out.
    parameters
        Reference (the first group by name if None), least number of micrographs, permutations.
    intervals
        Level and bootstrap samples.
    rng
        Source of randomness.

    Returns
    -------
    DataFrame
        `COMPARISON_COLUMNS`: of each statistic that either group has, both values with their intervals, the
        difference (group − reference) with its own (Welch's from bootstrap errors; of shares from those of
        Wilson), the p-value of a permutation test of the difference over its standard error, and the q-value
        over all statistics of two groups. A permutation test of few units cannot give a small p-value: of
        three against three the least is 0.1.

    Raises
    ------
    ValueError
        If there are fewer than two groups, a micrograph of a group was not counted, or the reference is none
        of the groups.

    References
    ----------
    Welch, Biometrika 34, 28 (1947), https://doi.org/10.1093/biomet/34.1-2.28: degrees of freedom; Newcombe,
    Stat. Med. 17, 873 (1998): interval of a difference of shares from that of either; Davison and Hinkley,
    Bootstrap Methods and their Application (1997), section 3.8: micrographs are drawn whole, for blocks drawn
    again within them would count their scatter twice; Janssen, Stat. Probab. Lett. 36, 9 (1997): permutations
    of a difference over its standard error hold where the groups do not scatter alike, too; Phipson and
    Smyth, Stat. Appl. Genet. Mol. Biol. 9, 39 (2010), https://doi.org/10.2202/1544-6115.1585: p-values of
    random permutations; Benjamini and Hochberg, J. R. Stat. Soc. B 57, 289 (1995),
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x: q-values.
    """
    names, reference = _check(counts, groups, parameters.reference)
    members = {name: sorted(each for each, group in groups.items() if group == name) for name in names}
    tables = []
    for name in names:
        if name != reference:
            pair = [[counts[each] for each in members[side]] for side in (name, reference)]
            table = _compare(pair, parameters, intervals, rng)
            tables.append(table.assign(group=name, reference=reference))
    return pd.concat(tables, ignore_index=True)[list(COMPARISON_COLUMNS)].astype(COMPARISON_COLUMNS)


def distribution_distance(
    values: Mapping[str, FloatArray],
    groups: Mapping[str, str],
    *,
    n_permutations: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Test whether two groups of micrographs have the same distribution of a quantity.

    Values of one micrograph are not independent, so micrographs are permuted, not values.

    Parameters
    ----------
    values
        The quantity in each micrograph, (N,).
    groups
        Group of each micrograph, two in all.
    n_permutations
        Permutations, if there are more than that.
    rng
        Source of randomness.

    Returns
    -------
    distance, p_value
        Largest difference of the cumulative distributions (Kolmogorov and Smirnov) to 1/2000 of the range,
        and how often permuted groups differ as much; NaN where a group has no values.

    Raises
    ------
    ValueError
        If there are not two groups.
    """
    names = sorted(set(groups.values()))
    if len(names) != 2:
        raise ValueError(f"groups must be two, got {len(names)}")
    stems = sorted(groups)
    pooled = np.concatenate([values[stem] for stem in stems])
    is_first = np.array([groups[stem] == names[0] for stem in stems])
    if len(pooled) == 0 or any(not sum(len(values[s]) for s in stems if groups[s] == n) for n in names):
        return float("nan"), float("nan")
    edges = np.linspace(pooled.min(), np.nextafter(pooled.max(), np.inf), _BINS + 1)
    found = np.cumsum([np.histogram(values[stem], edges)[0] for stem in stems], axis=1).astype(np.float64)

    def distance(chosen: BoolArray) -> float:
        first, second = found[chosen].sum(axis=0), found[~chosen].sum(axis=0)
        if first[-1] == 0 or second[-1] == 0:
            return float("nan")
        return float(np.abs(first / first[-1] - second / second[-1]).max())

    seen = distance(is_first)
    dealt = _Permutations(is_first, np.zeros(len(stems), dtype=bool), n_permutations, rng)
    distances = np.array([distance(each) for each in dealt.permuted])
    return seen, _p_value(seen, distances, is_exact=dealt.is_exact)


def _check(
    counts: Mapping[str, pd.DataFrame], groups: Mapping[str, str], reference: str | None
) -> tuple[list[str], str]:
    """Return the names of the groups and the reference."""
    names = sorted(set(groups.values()))
    if len(names) < 2:
        raise ValueError(f"groups must be at least two, got {', '.join(names) or 'none'}")
    unknown = sorted(set(groups) - set(counts))
    if unknown:
        raise ValueError(f"groups must be of analysed micrographs, got {', '.join(unknown[:3])}")
    if reference is None:
        return names, names[0]
    if reference not in names:
        raise ValueError(f"reference must be one of {', '.join(names)}, got {reference}")
    return names, reference


def _compare(
    pair: Sequence[Sequence[pd.DataFrame]],
    parameters: ComparisonParameters,
    intervals: IntervalParameters,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Compare one group with the reference."""
    is_between = min(len(side) for side in pair) >= parameters.min_micrographs
    samples = [_sample(side, is_between=is_between) for side in pair]
    resampled = [_resample(sample, intervals.n_resamples, rng) for sample in samples]
    both = {name: np.concatenate([sample.sums[name] for sample in samples]) for name in SUMS}
    is_image = np.concatenate([sample.is_image for sample in samples])
    is_first = np.arange(len(is_image)) < len(samples[0])
    permuted = _Permutations(is_first, is_image, parameters.n_permutations, rng)
    rows = []
    for name, statistic in ALL_STATISTICS.items():
        values = [float(statistic(_totals(sample))) for sample in samples]
        if not np.isfinite(values).any():
            continue
        low, high = _difference_interval(name, samples, resampled, intervals.level)
        of_group, of_reference = (
            _interval(name, sample, statistic(own), intervals.level)
            for sample, own in zip(samples, resampled, strict=True)
        )
        rows.append(
            {
                "statistic": name,
                "value_group": values[0],
                "value_reference": values[1],
                "difference": values[0] - values[1],
                "low": low,
                "high": high,
                "p_value": permuted.p_value(statistic, both),
                "n_micrographs_group": samples[0].n_micrographs,
                "n_micrographs_reference": samples[1].n_micrographs,
                "test": BETWEEN if is_between else WITHIN,
                "unit": UNITS.get(name, ""),
                "low_group": of_group[0],
                "high_group": of_group[1],
                "low_reference": of_reference[0],
                "high_reference": of_reference[1],
            }
        )
    table = pd.DataFrame(rows)
    is_known = table["p_value"].notna()
    table["q_value"] = np.nan
    if is_known.any():
        table.loc[is_known, "q_value"] = false_discovery_control(table.loc[is_known, "p_value"])
    return table


def _sample(tables: Sequence[pd.DataFrame], *, is_between: bool) -> _Sample:
    """Add up what is drawn together: a micrograph, or a block of the sheet in all frames."""
    filled = [_blocks_of_all_frames(table) for table in tables]
    rows = np.array([each.sum(axis=0) for each in filled]) if is_between else np.concatenate(filled)
    rows = rows[(rows != 0).any(axis=1)]
    sums = dict(zip(SUMS, rows.T, strict=True))
    is_image = np.zeros(len(rows), dtype=bool) if is_between else np.asarray(sums["area_shown"] > 0)
    return _Sample(sums, is_image, len(tables))


def _blocks_of_all_frames(table: pd.DataFrame) -> FloatArray:
    """Add up each block over the frames of a series: they show the same atoms, (blocks, sums)."""
    sums = table.reindex(columns=SUMS, fill_value=0.0)
    return sums.groupby(block_labels(table, "wide")).sum().to_numpy(np.float64)


def _resample(sample: _Sample, n_resamples: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Draw units of a group with replacement, each kind for itself."""
    rows = np.stack([sample.sums[name] for name in SUMS], axis=1)
    drawn = [
        resample_blocks(rows[sample.is_image == kind], n_resamples=n_resamples, rng=rng)
        for kind in (False, True)
    ]
    return dict(zip(SUMS, np.sum(drawn, axis=0).T, strict=True))


def _totals(sample: _Sample) -> dict[str, np.float64]:
    """Add up all units of a group."""
    return {name: each.sum() for name, each in sample.sums.items()}


def _difference_interval(
    name: str, samples: Sequence[_Sample], resampled: Sequence[Mapping[str, FloatArray]], level: float
) -> tuple[float, float]:
    """Bounds of a difference, from the interval of either value; NaN where one has fewer than two units."""
    statistic = ALL_STATISTICS[name]
    n_units = [int((sample.sums[statistic.count] > 0).sum()) for sample in samples]
    if min(n_units) < 2:
        return np.nan, np.nan
    values = [float(statistic(_totals(sample))) for sample in samples]
    drawn = [statistic(each) for each in resampled]
    reach = stdtrit(_freedom(drawn, n_units), (1 + level) / 2)
    bounds = [
        # The level at which Student's interval of this group alone has the reach of Welch's.
        _interval(name, sample, own, float(2 * stdtr(n - 1, reach) - 1), rare_level=level)
        for sample, own, n in zip(samples, drawn, n_units, strict=True)
    ]
    (a, b), ((a_low, a_high), (b_low, b_high)) = values, bounds
    return float(a - b - np.hypot(a - a_low, b_high - b)), float(a - b + np.hypot(a_high - a, b - b_low))


def _interval(
    name: str, sample: _Sample, drawn: FloatArray, level: float, *, rare_level: float | None = None
) -> tuple[float, float]:
    """Bounds of the value of one group; `rare_level` is that of the bound of what was not seen."""
    statistic, total = ALL_STATISTICS[name], _totals(sample)
    value, n = float(statistic(total)), int((sample.sums[statistic.count] > 0).sum())
    if name in RARE and value == 0:
        return 0.0, unseen_bound(float(total[statistic.count]), level=rare_level or level)
    return value_interval(statistic, total, drawn, level=level, n_units=n)


def _freedom(drawn: Sequence[FloatArray], n_units: Sequence[int]) -> float:
    """Welch's degrees of freedom of a difference."""
    variances = [np.nanvar(each) / (n - 1) * n for each, n in zip(drawn, n_units, strict=True)]
    if not sum(variances) > 0:
        return float(sum(n_units) - 2)
    return float(sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, n_units, strict=True)))


class _Permutations:
    """Units dealt out anew to two groups of the same sizes, each kind of unit for itself."""

    def __init__(
        self, is_first: BoolArray, kinds: BoolArray, n_permutations: int, rng: np.random.Generator
    ) -> None:
        self.is_first = is_first
        n, k = len(is_first), int(is_first.sum())
        self.is_exact = len(np.unique(kinds)) == 1 and comb(n, k) <= n_permutations
        if self.is_exact:
            self.permuted = _all_choices(n, k)
            return
        self.permuted = np.empty((n_permutations, n), dtype=bool)
        for kind in np.unique(kinds):
            own = np.flatnonzero(kinds == kind)
            self.permuted[:, own] = rng.permuted(np.tile(is_first[own], (n_permutations, 1)), axis=1)

    def p_value(self, statistic: Statistic, sums: Mapping[str, FloatArray]) -> float:
        """Share of permutations whose groups differ at least as much, in standard errors."""
        units = {name: sums[name] for name in _columns(statistic)}
        is_used = np.any([each != 0 for each in units.values()], axis=0)
        units = {name: each[is_used] for name, each in units.items()}
        seen = _studentised(statistic, units, self.is_first[None, is_used])[0]
        size = max(1, _WEIGHTS // max(1, int(is_used.sum())))
        parts = [
            _studentised(statistic, units, self.permuted[start : start + size][:, is_used])
            for start in range(0, len(self.permuted), size)
        ]
        return _p_value(abs(seen), np.abs(np.concatenate(parts)), is_exact=self.is_exact)


def _studentised(statistic: Statistic, units: Mapping[str, FloatArray], chosen: BoolArray) -> FloatArray:
    """Difference between the chosen units and the others over its standard error, one for each choice."""
    rows = np.stack(list(units.values()), axis=1)
    first, second = np.triu_indices(rows.shape[1])
    added = np.column_stack([rows, units[statistic.count] > 0, rows[:, first] * rows[:, second]])
    sums = chosen.astype(np.float64) @ added
    (one, one_variance), (other, other_variance) = (
        _value_and_variance(statistic, list(units), each) for each in (sums, added.sum(axis=0) - sums)
    )
    difference = one - other
    # Equal to rounding is equal: without any error that would be an infinite difference.
    difference[np.abs(difference) <= 1e-12 * np.abs(one)] = 0
    error = np.sqrt(one_variance + other_variance)
    infinite = np.where(difference == 0, 0.0, np.copysign(np.inf, difference))
    result = np.divide(difference, error, out=infinite, where=error > 0)
    return np.where(np.isfinite(difference + error), result, np.nan)


def _value_and_variance(
    statistic: Statistic, names: Sequence[str], sums: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return a statistic and its variance, linearised in the sums: these, the units, and their products."""
    k = len(names)
    totals = dict(zip(names, sums[:, :k].T, strict=True))
    slopes = _slopes(statistic, totals)
    first, second = np.triu_indices(k)
    twice = np.where(first == second, 1.0, 2.0)
    squares = (slopes[:, first] * slopes[:, second] * twice * sums[:, k + 1 :]).sum(axis=1)
    n = sums[:, k]
    factor = np.divide(n, n - 1, out=np.full(len(n), np.nan), where=n > 1)
    return statistic(totals), np.maximum(squares, 0) * factor


def _slopes(statistic: Statistic, totals: Mapping[str, FloatArray]) -> FloatArray:
    """How much a statistic changes with each of its sums, (choices, sums)."""
    largest = np.max([np.abs(each) for each in totals.values()], axis=0)
    slopes = []
    for name, total in totals.items():
        step = _STEP * np.where(total != 0, np.abs(total), largest)
        ahead, behind = (statistic({**totals, name: total + sign * step}) for sign in (1, -1))
        slopes.append(np.divide(ahead - behind, 2 * step, out=np.zeros(len(step)), where=step > 0))
    return np.stack(slopes, axis=1)


def _columns(statistic: Statistic) -> list[str]:
    """Names of the sums that a statistic depends on."""
    return sorted({value for value in vars(statistic).values() if value in SUMS})


def _all_choices(n: int, k: int) -> BoolArray:
    """All choices of k among n, (choices, n)."""
    chosen = np.zeros((comb(n, k), n), dtype=bool)
    for row, members in zip(chosen, combinations(range(n), k), strict=True):
        row[list(members)] = True
    return chosen


def _p_value(seen: float, permuted: FloatArray, *, is_exact: bool) -> float:
    """Share of permutations that differ at least as much; the seen one is one of them."""
    known = permuted[~np.isnan(permuted)]
    if np.isnan(seen) or len(known) == 0:
        return float("nan")
    n_as_large = int((known >= seen * (1 - 1e-9)).sum())
    return n_as_large / len(known) if is_exact else (n_as_large + 1) / (len(known) + 1)
