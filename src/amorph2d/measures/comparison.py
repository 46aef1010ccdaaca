"""Groups of micrographs held against each other: differences, intervals, tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import false_discovery_control

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.measures.config import ComparisonParameters, IntervalParameters
from amorph2d.measures.intervals import resample_blocks
from amorph2d.measures.statistics import Statistic
from amorph2d.measures.summary import ALL_STATISTICS, SUMS

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
}
BETWEEN, WITHIN = "between micrographs", "within micrographs"
_BINS = 2000


@dataclass(frozen=True, eq=False)
class _Sample:
    """What was counted in one group: a row of sums for each unit that is drawn, and the statistic of all."""

    sums: Mapping[str, FloatArray]
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
        `COMPARISON_COLUMNS`: of each statistic that either group has, both values, the difference (group −
        reference) with Welch's interval from bootstrap errors, the p-value of a permutation test of the
        difference, and the q-value over all statistics of two groups. A permutation test of few units cannot
        give a small p-value: of three against three the least is 0.1.

    Raises
    ------
    ValueError
        If there are fewer than two groups, a micrograph of a group was not counted, or the reference is none
        of the groups.

    References
    ----------
    Welch, Biometrika 34, 28 (1947), https://doi.org/10.1093/biomet/34.1-2.28: degrees of freedom; Phipson and
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
    permuted, is_exact = _permutations(is_first, n_permutations, rng)
    return seen, _p_value(seen, np.array([distance(each) for each in permuted]), is_exact=is_exact)


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
    both = np.concatenate([_rows(sample) for sample in samples])
    is_first = np.arange(len(samples[0]) + len(samples[1])) < len(samples[0])
    permuted, is_exact = _permutations(is_first, parameters.n_permutations, rng)
    parts = np.array_split(permuted, len(permuted) // 256 + 1)
    of_group = np.concatenate([part.astype(np.float64) @ both for part in parts])
    drawn = [dict(zip(SUMS, each.T, strict=True)) for each in (of_group, both.sum(axis=0) - of_group)]
    rows = []
    for name, statistic in ALL_STATISTICS.items():
        values = [float(statistic({key: each.sum() for key, each in own.sums.items()})) for own in samples]
        if not np.isfinite(values).any():
            continue
        difference = values[0] - values[1]
        half = _half_width(statistic, samples, resampled, intervals.level)
        shuffled = np.abs(statistic(drawn[0]) - statistic(drawn[1]))
        rows.append(
            {
                "statistic": name,
                "value_group": values[0],
                "value_reference": values[1],
                "difference": difference,
                "low": difference - half,
                "high": difference + half,
                "p_value": _p_value(abs(difference), shuffled, is_exact=is_exact),
                "n_micrographs_group": samples[0].n_micrographs,
                "n_micrographs_reference": samples[1].n_micrographs,
                "test": BETWEEN if is_between else WITHIN,
            }
        )
    table = pd.DataFrame(rows)
    is_known = table["p_value"].notna()
    table["q_value"] = np.nan
    if is_known.any():
        table.loc[is_known, "q_value"] = false_discovery_control(table.loc[is_known, "p_value"])
    return table


def _sample(tables: Sequence[pd.DataFrame], *, is_between: bool) -> _Sample:
    """Add up what is drawn together: a micrograph, or a block."""
    filled = [table.reindex(columns=SUMS, fill_value=0.0).to_numpy(np.float64) for table in tables]
    rows = np.array([each.sum(axis=0) for each in filled]) if is_between else np.concatenate(filled)
    rows = rows[(rows != 0).any(axis=1)]
    return _Sample(dict(zip(SUMS, rows.T, strict=True)), len(tables))


def _resample(sample: _Sample, n_resamples: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Draw units of a group with replacement."""
    return dict(zip(SUMS, resample_blocks(_rows(sample), n_resamples=n_resamples, rng=rng).T, strict=True))


def _rows(sample: _Sample) -> FloatArray:
    """Return the sums of a group as an array, (units, sums)."""
    return np.stack([sample.sums[name] for name in SUMS], axis=1)


def _half_width(
    statistic: Statistic,
    samples: Sequence[_Sample],
    resampled: Sequence[Mapping[str, FloatArray]],
    level: float,
) -> float:
    """Half-width of Welch's interval of a difference; NaN where a group has fewer than two units."""
    variances, freedoms = [], []
    for sample, drawn in zip(samples, resampled, strict=True):
        n = int((sample.sums[statistic.count] > 0).sum())
        values = statistic(drawn)
        values = values[np.isfinite(values)]
        if n < 2 or len(values) < 2:
            return float("nan")
        variances.append(float(values.var()) * n / (n - 1))
        freedoms.append(n - 1)
    total = sum(variances)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(each**2 / n for each, n in zip(variances, freedoms, strict=True))
    return float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(total))


def _permutations(
    is_first: BoolArray, n_permutations: int, rng: np.random.Generator
) -> tuple[BoolArray, bool]:
    """Return all ways to draw as many units as the first group has, or some at random; and whether all."""
    n, k = len(is_first), int(is_first.sum())
    if comb(n, k) <= n_permutations:
        chosen = np.zeros((comb(n, k), n), dtype=bool)
        for row, members in zip(chosen, _choices(n, k), strict=True):
            row[members] = True
        return chosen, True
    return np.array([rng.permutation(is_first) for _ in range(n_permutations)]), False


def _choices(n: int, k: int) -> Iterator[IntArray]:
    """Yield all choices of k among n."""
    for members in combinations(range(n), k):
        yield np.array(members, dtype=np.int64)


def _p_value(seen: float, permuted: FloatArray, *, is_exact: bool) -> float:
    """Share of permutations that differ at least as much; the seen one is one of them."""
    known = permuted[np.isfinite(permuted)]
    if not np.isfinite(seen) or len(known) == 0:
        return float("nan")
    n_as_large = int((known >= seen * (1 - 1e-9)).sum())
    return n_as_large / len(known) if is_exact else (n_as_large + 1) / (len(known) + 1)
