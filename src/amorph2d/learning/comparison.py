"""Two networks on the same images: which one does better, where, and whether chance could have done it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import FloatArray
from amorph2d.learning.evaluation.tables import Evaluation
from amorph2d.measures.intervals import bootstrap_interval, resample_blocks

HIGHER_IS_BETTER = ("f1", "precision", "recall", "dice", "iou")
LOWER_IS_BETTER = (
    "rmse", "rmse_over_bound", "ring_fraction_error", "residual", "residual_peak", "residual_spread",
    "false_share", "calibration_error",
)  # fmt: skip
BETTER, WORSE, UNDECIDED = "better", "worse", "no difference shown"
ALL = "all"  # condition of the totals
_KEYS = ["channel", "condition", "low", "high", "value"]
_COLUMNS = [
    *_KEYS, "n_images", "metric", "candidate", "champion", "difference", "difference_low",
    "difference_high", "better", "verdict",
]  # fmt: skip
# What the images are, whoever looks at them.
_GIVEN = ("family", "energy", "defocus", "dose_per_area", "sampling", "n_true", "true_area", "area")
_LONGEST_LIST = 40  # rows by condition in the Markdown


@dataclass(frozen=True)
class Headline:
    """The score that says most: a ratio of sums over images, whose root is taken if it is one of squares.

    Attributes
    ----------
    metric
        Its column in the tables.
    above, below
        Factors of the columns of counts whose sums are divided.
    is_root
        Whether the root is taken.
    """

    metric: str
    above: Mapping[str, float]
    below: Mapping[str, float]
    is_root: bool = False

    def sums(self, images: pd.DataFrame) -> FloatArray:
        """Return what each image adds to both sums, (N, 2)."""
        parts = [
            sum((factor * images[name] for name, factor in side.items()), start=np.zeros(len(images)))
            for side in (self.above, self.below)
        ]
        return np.column_stack(parts).astype(np.float64)

    def score(self, sums: FloatArray) -> FloatArray:
        """Return the score of sums (..., 2); NaN where nothing is there to be divided by."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = sums[..., 0] / np.where(sums[..., 1] == 0, np.nan, sums[..., 1])
        return np.sqrt(ratio) if self.is_root else np.asarray(ratio)


_F1 = Headline("f1", {"n_matched": 2}, {"n_true": 1, "n_predicted": 1})
_DICE = Headline("dice", {"common_area": 2}, {"true_area": 1, "predicted_area": 1})
_RESIDUAL = Headline("residual", {"sum_squares": 1}, {"area": 1}, is_root=True)
HEADLINES = {
    **dict.fromkeys(("atom", "ring"), _F1),
    **dict.fromkeys(("vacuum", "monolayer", "other"), _DICE),
    "illumination": _RESIDUAL,
}


def compare(
    candidate: Evaluation,
    champion: Evaluation,
    *,
    set_ids: tuple[str, str],
    rng: np.random.Generator,
    specimens: Mapping[int, int] | None = None,
    level: float = 0.95,
    n_resamples: int = 2000,
) -> pd.DataFrame:
    """Compare two networks that were evaluated on the same images.

    Parameters
    ----------
    candidate, champion
        Their evaluations; channels that only one of them has are left out.
    set_ids
        Identities of the sets whose images the candidate and the champion were evaluated on.
    rng
        Source of randomness of the bootstrap.
    specimens
        Specimen of each image by its index: images of one specimen are no independent evidence. None: each
        image has its own.
    level
        Share of intervals that cover the truth.
    n_resamples
        Bootstrap samples.

    Returns
    -------
    DataFrame
        One row per channel, condition (``all``: the totals) and metric: low, high, value, n_images,
        candidate, champion, difference (candidate less champion) and better, missing where the two are equal
        or undefined. Rows of the totals with the headline of their channel also have the interval of the
        difference, difference_low to difference_high, and the verdict: ``better``, ``worse`` or ``no
        difference shown``, as the interval lies beside 0 or about it.

    Raises
    ------
    ValueError
        If the sets, the images, or what is known of them differ, or no channel is common to both.

    References
    ----------
    Lahiri, Resampling Methods for Dependent Data (2003), https://doi.org/10.1007/978-1-4757-3803-2: whole
    blocks, here the images of a specimen, are drawn. Both networks get the same, so that what is hard for
    both does not count.
    """
    channels = _check_alike(candidate, champion, set_ids)
    tables = [_long(evaluation, channels) for evaluation in (candidate, champion)]
    merged = tables[0].merge(
        tables[1].drop(columns="n_images"), on=[*_KEYS, "metric"], suffixes=("_candidate", "_champion")
    )
    merged = merged.rename(columns={"score_candidate": "candidate", "score_champion": "champion"})
    merged["difference"] = merged["candidate"] - merged["champion"]
    merged["better"] = _is_better(merged["metric"], merged["difference"])
    merged[["difference_low", "difference_high", "verdict"]] = np.nan, np.nan, ""
    for channel in channels:
        headline = HEADLINES[channel]
        sums = [_channel(part.images, channel) for part in (candidate, champion)]
        low, high = paired_interval(
            headline, sums, specimens=specimens, level=level, n_resamples=n_resamples, rng=rng
        )
        is_headline = (
            (merged["channel"] == channel)
            & (merged["condition"] == ALL)
            & (merged["metric"] == headline.metric)
        )
        merged.loc[is_headline, ["difference_low", "difference_high"]] = low, high
        merged.loc[is_headline, "verdict"] = _verdict(headline, low, high)
    return merged[_COLUMNS]


def paired_interval(
    headline: Headline,
    images: Sequence[pd.DataFrame],
    *,
    rng: np.random.Generator,
    specimens: Mapping[int, int] | None,
    level: float,
    n_resamples: int,
) -> tuple[float, float]:
    """Return the interval of the difference of two scores; the same specimens are drawn for both.

    Parameters
    ----------
    headline
        The score.
    images
        Counts of the images with both networks, two tables with the same index.
    rng
        Source of randomness.
    specimens, level, n_resamples
        As for `compare`.

    Returns
    -------
    low, high
        Bounds of first less second; NaN where there are fewer than two specimens.

    Raises
    ------
    ValueError
        If `specimens` lacks an image.
    """
    index = images[0].index
    blocks = index if specimens is None else index.map(dict(specimens))
    if blocks.hasnans:
        raise ValueError("specimens must name the specimen of every image, but some are missing")
    both = np.hstack([headline.sums(table) for table in images])
    sums = pd.DataFrame(both).groupby(np.asarray(blocks)).sum().to_numpy()
    drawn = resample_blocks(sums, n_resamples=n_resamples, rng=rng)
    total = sums.sum(axis=0)
    estimate = headline.score(total[:2]) - headline.score(total[2:])
    samples = headline.score(drawn[:, :2]) - headline.score(drawn[:, 2:])
    return bootstrap_interval(float(estimate), samples, level=level, n_blocks=len(sums))


def verdicts(table: pd.DataFrame) -> dict[str, str]:
    """Return the verdict on each channel of a comparison."""
    judged = table[table["verdict"] != ""]
    return dict(zip(judged["channel"], judged["verdict"], strict=True))


def summarise_comparison(table: pd.DataFrame) -> dict[str, str]:
    """Return a comparison in a few words: ``verdict``, and the totals that are ``better`` and ``worse``."""
    totals = table[table["condition"] == ALL]
    return {
        "verdict": ", ".join(f"{channel}: {verdict}" for channel, verdict in verdicts(table).items()),
        **{
            name: ", ".join(
                _change(row) for row in totals[totals["better"].eq(wanted).fillna(False)].itertuples()
            )
            or "none"
            for name, wanted in ((BETTER, True), (WORSE, False))
        },
    }


def comparison_markdown(table: pd.DataFrame) -> str:
    """Return a comparison as Markdown: the verdicts, the totals, and the headlines by condition."""
    lines = []
    for row in table[table["verdict"] != ""].itertuples():
        interval = f"{row.difference_low:+.4f} … {row.difference_high:+.4f}"
        lines.append(f"- {row.channel}: **{row.verdict}**, {_change(row)}, 95 % interval {interval}")
    totals = table[table["condition"] == ALL]
    wanted = table["channel"].map({channel: headline.metric for channel, headline in HEADLINES.items()})
    parts = table[(table["condition"] != ALL) & (table["metric"] == wanted)]
    lines += ["", *_table_lines(totals, ["channel", "metric"])]
    if len(parts):
        lines += ["", *_table_lines(parts.head(_LONGEST_LIST), ["channel", "condition", "value", "metric"])]
    if len(parts) > _LONGEST_LIST:
        lines += ["", f"{len(parts) - _LONGEST_LIST} more rows are in the table `comparison`."]
    return "\n".join(lines) + "\n"


def _check_alike(candidate: Evaluation, champion: Evaluation, set_ids: tuple[str, str]) -> list[str]:
    """Return the common channels of two evaluations of the same images."""
    if set_ids[0] != set_ids[1]:
        raise ValueError(
            "candidate and champion must be evaluated on the same set, "
            f"got {set_ids[0][:16]} and {set_ids[1][:16]}"
        )
    known = set(champion.images["channel"])
    channels = [name for name in dict.fromkeys(candidate.images["channel"]) if name in known]
    if not channels:
        raise ValueError(
            "candidate and champion must have a channel in common, got "
            f"{', '.join(dict.fromkeys(candidate.images['channel']))} and {', '.join(sorted(known))}"
        )
    for channel in channels:
        first, second = (_channel(part.images, channel) for part in (candidate, champion))
        if list(first.index) != list(second.index):
            raise ValueError(
                f"candidate and champion must be evaluated on the same images, got {len(first)} and "
                f"{len(second)} for {channel}, {len(set(first.index) & set(second.index))} of them common"
            )
        for name in _GIVEN:
            if name in first and name in second and not _agree(first[name], second[name]):
                raise ValueError(f"candidate and champion must see the same images, but {name} differs")
    return channels


def _channel(images: pd.DataFrame, channel: str) -> pd.DataFrame:
    """Return the rows of a channel by the index of the image."""
    return images[images["channel"] == channel].set_index("index").sort_index()


def _agree(first: pd.Series, second: pd.Series) -> bool:
    """Whether two columns hold the same, up to rounding."""
    if pd.api.types.is_numeric_dtype(first):
        return bool(np.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True))
    return list(first) == list(second)


def _long(evaluation: Evaluation, channels: Sequence[str]) -> pd.DataFrame:
    """Return totals and groups with one row per metric."""
    totals = evaluation.totals.assign(condition=ALL, low=np.nan, high=np.nan, value="")
    metrics = [name for name in (*HIGHER_IS_BETTER, *LOWER_IS_BETTER) if name in totals]
    parts = []
    for table in (totals, evaluation.groups):
        kept = table[table["channel"].isin(channels)]
        present = [name for name in metrics if name in kept]
        parts.append(
            kept.melt([*_KEYS, "n_images"], present, var_name="metric", value_name="score").astype(
                {"low": float, "high": float, "value": str, "score": float}
            )
        )
    long = pd.concat([part for part in parts if len(part)], ignore_index=True)
    # A metric that a channel does not have at all says nothing.
    has_score = long.groupby(["channel", "metric"])["score"].transform("count") > 0
    return long[has_score].reset_index(drop=True)


def _is_better(metric: pd.Series, difference: pd.Series) -> pd.Series:
    """Whether a difference is a gain; missing where there is none."""
    gain = difference.where(metric.isin(HIGHER_IS_BETTER), -difference)
    return (gain > 0).astype("boolean").mask(gain.isna() | (gain == 0))


def _verdict(headline: Headline, low: float, high: float) -> str:
    """Return what an interval of the difference says."""
    if not (low > 0 or high < 0):
        return UNDECIDED
    return BETTER if (low > 0) == (headline.metric in HIGHER_IS_BETTER) else WORSE


def _change(row: Any) -> str:
    """Return a row's metric with both values."""
    return f"{row.channel} {row.metric} {row.champion:.4f} → {row.candidate:.4f}"


def _table_lines(table: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Return a Markdown table with both scores and their difference."""
    columns = [*names, "candidate", "champion", "difference"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in table.to_dict("records"):
        scores = [f"{row['candidate']:.4f}", f"{row['champion']:.4f}", f"{row['difference']:+.4f}"]
        mark = {True: " better", False: " worse"}.get(row["better"], "") if row["better"] is not pd.NA else ""
        lines.append(f"| {' | '.join([*(str(row[name]) for name in names), *scores])}{mark} |")
    return lines
