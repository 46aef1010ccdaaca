from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from amorph2d.learning.comparison import (
    HEADLINES,
    HIGHER_IS_BETTER,
    compare,
    comparison_markdown,
    paired_interval,
    summarise_comparison,
    verdicts,
)
from amorph2d.learning.config import CHANNELS
from amorph2d.learning.evaluation.tables import Evaluation, group_images, share, total_images

SETS = ("a" * 64, "a" * 64)


def ratios(counts: pd.DataFrame) -> pd.DataFrame:
    matched, predicted, true = counts["n_matched"], counts["n_predicted"], counts["n_true"]
    return pd.DataFrame(
        {
            "precision": share(matched, predicted),
            "f1": share(2 * matched, predicted + true),
            "rmse": np.sqrt(share(counts["sum_squared_distance"], matched)),
            "within_1_sigma": 0.7,
        },
        index=counts.index,
    )


def evaluation(matched, *, channels=("atom",), distance=0.01, **columns) -> Evaluation:
    rows = [
        {
            "index": 10 + k, "channel": channel, "family": "relaxed" if k % 2 else "graphene", "energy": 8e4,
            "defocus": 50.0, "dose_per_area": 1e3 * (k + 1), "sampling": 0.2, "polarity": "bright atoms",
            "n_true": 100, "n_predicted": 100, "n_matched": n, "sum_squared_distance": distance * n,
        }
        for channel in channels
        for k, n in enumerate(matched)
    ]  # fmt: skip
    images = pd.DataFrame(rows).assign(**columns)
    groups = group_images(images, edges={"dose_per_area": (3e3,)}, ratios=ratios)
    reliability = pd.DataFrame(columns=["channel", "quantity", "predicted", "measured", "n"])
    return Evaluation(images, total_images(images, ratios=ratios), groups, reliability)


def totals(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["condition"] == "all"].set_index("metric")


def test_differences_have_the_direction_of_their_metric(rng):
    better = evaluation([90, 95, 92, 94], distance=0.02)
    table = compare(better, evaluation([80, 85, 82, 84]), set_ids=SETS, rng=rng)
    found = totals(table)
    assert set(found.index) == {"precision", "f1", "rmse"}
    assert found.loc["f1", "candidate"] == pytest.approx(0.9275)
    assert found.loc["f1", "difference"] == pytest.approx(0.1)
    assert bool(found.loc["f1", "better"]) is True
    assert found.loc["rmse", "difference"] == pytest.approx(np.sqrt(0.02) - 0.1)
    assert bool(found.loc["rmse", "better"]) is False
    assert found.loc["f1", "n_images"] == 4
    groups = table[(table["condition"] == "dose_per_area") & (table["metric"] == "f1")]
    assert list(groups["value"]) == ["< 3000", "≥ 3000"]
    assert list(groups["candidate"]) == pytest.approx([0.925, 0.93])
    assert set(table["condition"]) == {"all", "dose_per_area", "energy", "family", "polarity"}


def test_the_same_network_is_no_better_and_no_worse(rng):
    one = evaluation([90, 70, 95])
    table = compare(one, one, set_ids=SETS, rng=rng)
    assert table["better"].isna().all()
    assert (table["difference"] == 0).all()
    assert verdicts(table) == {"atom": "no difference shown"}
    assert summarise_comparison(table) == {
        "verdict": "atom: no difference shown", "better": "none", "worse": "none",
    }  # fmt: skip


def test_pairing_shows_what_the_images_scatter_would_hide(rng):
    n = rng.integers(20, 90, size=30)
    gain = rng.integers(0, 4, size=30)
    table = compare(evaluation(n + gain), evaluation(n), set_ids=SETS, rng=rng)
    row = totals(table).loc["f1"]
    assert row["verdict"] == "better"
    # An interval of unpaired samples would be about as wide as two standard errors of the mean of n / 100.
    assert row["difference_high"] - row["difference_low"] < 0.1 * 4 * n.std() / 100 / np.sqrt(30) * np.sqrt(2)
    assert row["difference_low"] < gain.mean() / 100 < row["difference_high"]
    assert verdicts(compare(evaluation(n), evaluation(n + gain), set_ids=SETS, rng=rng)) == {"atom": "worse"}


def test_the_interval_covers_the_truth_as_often_as_it_says(rng):
    counts = pd.DataFrame({"n_true": 100, "n_predicted": 100}, index=range(25))
    covered = 0
    for _ in range(200):
        pair = [counts.assign(n_matched=rng.binomial(100, share, 25)) for share in (0.8, 0.75)]
        low, high = paired_interval(
            HEADLINES["atom"], pair, specimens=None, level=0.9, n_resamples=200, rng=rng
        )
        covered += low < 0.05 < high
    assert 168 <= covered <= 192


def test_images_of_one_specimen_are_no_independent_evidence(rng):
    gains = np.repeat(rng.integers(-3, 6, size=5), 8)
    arguments = evaluation(80 + gains), evaluation(np.full(40, 80))
    alone = totals(compare(*arguments, set_ids=SETS, rng=rng)).loc["f1"]
    specimens = {10 + k: k // 8 for k in range(40)}
    together = totals(compare(*arguments, set_ids=SETS, rng=rng, specimens=specimens)).loc["f1"]
    width = [row["difference_high"] - row["difference_low"] for row in (alone, together)]
    assert width[1] > 1.8 * width[0]
    with pytest.raises(ValueError, match="specimen of every image"):
        compare(*arguments, set_ids=SETS, rng=rng, specimens={10: 0})


def test_one_image_proves_nothing(rng):
    table = compare(evaluation([99]), evaluation([1]), set_ids=SETS, rng=rng)
    assert verdicts(table) == {"atom": "no difference shown"}
    assert np.isnan(totals(table).loc["f1", "difference_low"])


def test_the_result_is_that_of_its_seed():
    arguments = evaluation([90, 80, 70]), evaluation([88, 81, 69])
    tables = [compare(*arguments, set_ids=SETS, rng=np.random.default_rng(3)) for _ in range(2)]
    pd.testing.assert_frame_equal(*tables)


def test_only_common_channels_are_compared(rng):
    both, one = evaluation([90, 91], channels=("atom", "ring")), evaluation([90, 92], channels=("ring",))
    table = compare(both, one, set_ids=SETS, rng=rng)
    assert set(table["channel"]) == {"ring"}
    with pytest.raises(ValueError, match="channel in common, got atom and ring"):
        compare(evaluation([90, 91]), one, set_ids=SETS, rng=rng)


@pytest.mark.parametrize(
    ("champion", "set_ids", "reason"),
    [
        (evaluation([90, 91]), ("a" * 64, "b" * 64), "the same set, got aaaa.* and bbbb"),
        (evaluation([90]), SETS, "the same images, got 2 and 1 for atom, 1 of them common"),
        (evaluation([90, 91], n_true=99), SETS, "the same images, but n_true differs"),
        (evaluation([90, 91], family="polymer"), SETS, "the same images, but family differs"),
    ],
)
def test_other_images_are_refused(rng, champion, set_ids, reason):
    with pytest.raises(ValueError, match=reason):
        compare(evaluation([90, 91]), champion, set_ids=set_ids, rng=rng)


def test_undefined_scores_are_neither_better_nor_worse(rng):
    nothing = evaluation([0] * 5, n_predicted=0)
    table = compare(evaluation([50, 60, 55, 57, 52]), nothing, set_ids=SETS, rng=rng)
    assert "rmse" not in set(table["metric"])
    assert verdicts(table) == {"atom": "better"}
    empty = compare(nothing, nothing, set_ids=SETS, rng=rng)
    assert verdicts(empty) == {"atom": "no difference shown"}


def test_the_headline_of_every_channel_is_the_ratio_of_its_table():
    assert set(HEADLINES) == {channel for names in CHANNELS.values() for channel in names}
    counts = pd.DataFrame(
        {"common_area": [30.0, 0.0], "true_area": [40.0, 0.0], "predicted_area": [50.0, 0.0]}
    )
    dice = HEADLINES["vacuum"]
    np.testing.assert_allclose(dice.score(dice.sums(counts)), [2 / 3, np.nan])
    residual = HEADLINES["illumination"]
    sums = residual.sums(pd.DataFrame({"sum_squares": [8.0], "area": [2.0]}))
    np.testing.assert_array_equal(residual.score(sums), [2.0])
    assert residual.metric not in HIGHER_IS_BETTER


def test_a_smaller_residual_is_better(rng):
    rows = {"sum_squares": [1.0, 1.2, 0.9], "area": [100.0, 100.0, 100.0]}
    first = evaluation([1, 1, 1], channels=("illumination",))
    images = first.images.assign(**rows)
    total = pd.DataFrame({"channel": ["illumination"], "n_images": [3], "residual": [0.1016]})
    groups = first.groups.drop(columns=["f1", "precision", "rmse"])
    champion = Evaluation(
        images.assign(sum_squares=images["sum_squares"] * 4), total * [1, 1, 2], groups, first.reliability
    )
    table = compare(Evaluation(images, total, groups, first.reliability), champion, set_ids=SETS, rng=rng)
    assert verdicts(table) == {"illumination": "better"}
    assert totals(table).loc["residual", "difference_high"] < 0


def test_the_markdown_has_verdict_totals_and_headlines(rng):
    table = compare(evaluation([90, 91, 95]), evaluation([80, 82, 85]), set_ids=SETS, rng=rng)
    text = comparison_markdown(table)
    assert "- atom: **better**, atom f1 0.8233 → 0.9200, 95 % interval +0." in text
    assert "| atom | precision | 0.9200 | 0.8233 | +0.0967 better |" in text
    assert "| atom | dose_per_area | < 3000 | f1 |" in text
    assert "dose_per_area | < 3000 | precision" not in text
    many = pd.concat([table[table["condition"] != "all"]] * 10)
    assert "more rows are in the table `comparison`" in comparison_markdown(many)
    assert summarise_comparison(table)["better"].startswith("atom f1 0.8233 → 0.9200")


def test_the_table_survives_parquet(rng, tmp_path):
    table = compare(evaluation([90, 91]), evaluation([80, 99]), set_ids=SETS, rng=rng)
    table.to_parquet(tmp_path / "comparison.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "comparison.parquet"), table)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
