from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation import areas
from amorph2d.learning.evaluation.areas import (
    AreaHistogram,
    calibrate_areas,
    count_regions,
    evaluate_areas,
    inner_pixels,
)
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import TrainedNetwork, build_network
from amorph2d.localisation.config import LocalisationParameters

LOCALISATION = LocalisationParameters(
    tile_size=128, batch_size=1, thresholds={}, min_distance=0.6, border=0.0, precision="float32"
)
EVALUATION = EvaluationParameters(
    edges={"dose_per_area": (1e4,), "bound": (0.05,)},
    border=1.0,
    max_distance=0.5,
    thresholds=(0.2, 0.35, 0.5, 0.65),
    readable=0.95,
    bins=10,
)
SETTINGS = {"localisation": LOCALISATION, "evaluation": EVALUATION}
SHAPE = (40, 30)


@pytest.fixture
def network_of(make_config):
    def make(*channels: str, sampling: float = 0.5, **metadata) -> TrainedNetwork:
        config = make_config(
            output="areas", channels=channels, label_sigma=None, widths=(4,), sampling=sampling,
            normalisation_window=None,
        )  # fmt: skip
        return build_network(config, ResidualUNet(config).state_dict(), metadata)

    return make


@pytest.fixture
def pretend(monkeypatch):
    """Let `area_maps` return what is asked for, image by image."""

    def prepare(*maps) -> None:
        answers = iter(maps)
        monkeypatch.setattr(
            areas, "area_maps", lambda *_, **__: np.atleast_3d(next(answers)).astype(np.float32)
        )

    return prepare


def masked(mask: np.ndarray | None, *, index: int = 0, sampling: float = 0.5, **recipe) -> SimulatedImage:
    """Return an image without atoms; what it shows does not matter where `area_maps` is replaced."""
    known = {"family": "test", "energy": 8e4, "defocus": 0.0, "dose_per_area": 2e4}
    shape = SHAPE if mask is None else mask.shape
    image = np.random.default_rng(index).normal(10, 1, shape).astype(np.float32)
    nothing = np.empty((0, 2))
    return SimulatedImage(index, image, sampling, nothing, nothing, known | recipe, mask=mask)


def left_half(value: int = 0, rest: int = 1) -> np.ndarray:
    mask = np.full(SHAPE, rest, dtype=np.uint8)
    mask[:, :15] = value
    return mask


def test_areas_away_from_the_border_are_compared_in_square_angstrom(network_of, pretend):
    network = network_of("monolayer", thresholds={"monolayer": 0.5})
    probability = np.zeros((1, *SHAPE))
    probability[:, :20, 10:20] = 0.9  # of it 18 rows inside, 5 columns true
    probability[:, 30:, 20:] = 0.5  # not above the threshold
    pretend(probability)
    row = evaluate_areas(network, [masked(left_half(1, 2))], **SETTINGS).totals.iloc[0]
    assert (row["channel"], row["n_images"]) == ("monolayer", 1)
    assert row["area"] == 36 * 26 * 0.25
    assert row["true_area"] == 36 * 13 * 0.25
    assert row["predicted_area"] == 18 * 10 * 0.25
    assert row["common_area"] == 18 * 5 * 0.25
    assert row["precision"] == 0.5
    assert row["recall"] == pytest.approx(90 / 468)
    assert row["dice"] == pytest.approx(2 * 90 / (468 + 180))
    assert row["iou"] == pytest.approx(90 / (468 + 180 - 90))
    assert (row["area_without"], row["false_area"]) == (0, 0)
    assert math.isnan(row["false_share"])
    assert "n_large" not in row


def test_areas_of_images_add_up_before_ratios_are_taken(network_of, pretend):
    # All of the first image is right, all of the second, of four times the area, wrong.
    network = network_of("vacuum", thresholds={"vacuum": 0.5})
    right, wrong = np.zeros((1, *SHAPE)), np.zeros((1, 79, 59))
    right[:, :, :15], wrong[:, :, 30:] = 1, 1
    pretend(right, wrong)
    images = [masked(left_half()), masked(left_half(), index=1, sampling=1.0, dose_per_area=5e3)]
    evaluation = EVALUATION.model_copy(update={"border": 0.0})
    found = evaluate_areas(network, images, localisation=LOCALISATION, evaluation=evaluation)
    assert list(found.images["true_area"]) == [150, 600]
    assert found.totals["dice"].iloc[0] == pytest.approx(2 * 150 / (2 * 750))
    by_dose = found.groups[found.groups["condition"] == "dose_per_area"]
    assert list(by_dose["value"]) == ["< 10000", "≥ 10000"]
    assert list(by_dose["dice"]) == [0, 1]
    assert "bound" not in set(found.groups["condition"])


def test_false_area_is_counted_on_images_that_show_none(network_of, pretend):
    network = network_of("vacuum", "monolayer", thresholds={"vacuum": 0.5, "monolayer": 0.5})
    maps = np.zeros((2, *SHAPE))
    maps[0, 5:9, 5:9] = 1
    pretend(maps, maps, maps)
    images = [masked(left_half(1)), masked(left_half(0), index=1), masked(left_half(2), index=2)]
    totals = evaluate_areas(network, images, **SETTINGS).totals.set_index("channel")
    assert totals.loc["vacuum", "area_without"] == 2 * 36 * 26 * 0.25
    assert totals.loc["vacuum", "false_share"] == pytest.approx(2 * 16 / (2 * 36 * 26))
    assert totals.loc["vacuum", "n_false_regions"] == 2
    assert math.isnan(totals.loc["monolayer", "false_share"])
    assert totals.loc["monolayer", "n_false_regions"] == 0
    assert math.isnan(totals.loc["monolayer", "precision"])
    assert totals.loc["monolayer", "recall"] == 0


def test_other_materials_count_in_units_of_carbon(network_of, pretend):
    network = network_of("vacuum", thresholds={"vacuum": 0.5})
    pretend(np.ones((1, *SHAPE)))
    image = masked(left_half(), sampling=5.0, length_scale=10.0)
    row = evaluate_areas(network, [image], **SETTINGS).images.iloc[0]
    assert (row["sampling"], row["area"]) == (0.5, 36 * 26 * 0.25)


def test_the_map_is_brought_to_the_pixels_of_the_image(network_of, pretend):
    # The grid of the network is twice as coarse; its pixel centres are every second one of the image.
    network = network_of("vacuum", sampling=1.0, thresholds={"vacuum": 0.5})
    probability = np.zeros((1, 20, 15))
    probability[:, :, :8] = 1  # up to column 14 of the image, halfway to 0 at column 15
    pretend(probability)
    row = evaluate_areas(network, [masked(left_half())], **SETTINGS).totals.iloc[0]
    assert (row["dice"], row["true_area"]) == (1, 36 * 13 * 0.25)


def test_a_threshold_of_the_localisation_comes_first(network_of, pretend):
    network = network_of("vacuum", thresholds={"vacuum": 0.9})
    pretend(np.full((1, *SHAPE), 0.5))
    localisation = LOCALISATION.model_copy(update={"thresholds": {"vacuum": 0.4}})
    found = evaluate_areas(network, [masked(left_half())], localisation=localisation, evaluation=EVALUATION)
    assert found.totals["recall"].iloc[0] == 1


def test_an_untrained_network_is_evaluated_with_the_real_maps(network_of):
    network = network_of("vacuum", "other", thresholds={"vacuum": 0.5, "other": 0.5})
    found = evaluate_areas(network, [masked(left_half(2, 0))], **SETTINGS)
    assert list(found.images["channel"]) == ["vacuum", "other"]
    assert (found.totals["true_area"] == [36 * 13 * 0.25] * 2).all()
    assert found.reliability.groupby("channel")["n"].sum().to_dict() == {"vacuum": 936, "other": 936}


@pytest.mark.parametrize("run", [evaluate_areas, calibrate_areas])
def test_images_without_truth_are_passed_over_unless_none_has_any(network_of, pretend, run):
    network = network_of("vacuum", thresholds={"vacuum": 0.5})
    with pytest.raises(ValueError, match="at least one image, got none"):
        run(network, [], **SETTINGS)
    with pytest.raises(ValueError, match="must have masks of what their pixels show, got 2 images"):
        run(network, [masked(None), masked(None)], **SETTINGS)
    pretend(np.ones((1, *SHAPE)))
    assert run(network, [masked(None), masked(left_half())], **SETTINGS)


def test_a_border_wider_than_the_image_leaves_nothing(network_of, pretend):
    network = network_of("vacuum", thresholds={"vacuum": 0.5})
    pretend(np.ones((1, *SHAPE)))
    wide = EVALUATION.model_copy(update={"border": 10.0})
    found = evaluate_areas(network, [masked(left_half())], localisation=LOCALISATION, evaluation=wide)
    assert found.totals["area"].iloc[0] == 0
    assert math.isnan(found.totals["dice"].iloc[0])
    assert len(found.reliability) == 0


def test_the_border_is_measured_from_the_outermost_pixel_centres():
    image = masked(np.zeros((9, 7), dtype=np.uint8))
    assert inner_pixels(image, 0.0) == (slice(0, 9), slice(0, 7))
    assert inner_pixels(image, 1.0) == (slice(2, 7), slice(2, 5))
    assert inner_pixels(image, 1.1) == (slice(3, 6), slice(3, 4))


def test_regions_are_counted_by_size_and_found_by_half_of_their_area():
    is_true, is_predicted = np.zeros((2, 100, 90), dtype=bool)
    whole = slice(0, 100), slice(0, 90)
    is_true[2:5, 2:5] = True  # 9 Å², not found
    is_true[10:13, 2:5] = is_predicted[10:13, 2:4] = True  # two thirds found
    is_true[5:14, 20:30] = is_predicted[5:14, 20:25] = True  # 90 Å², exactly half
    is_true[20:40, 20:40] = is_predicted[20:40, 20:29] = True  # 400 Å², less than half
    is_true[50:100, 40:90] = is_predicted[60:100, 40:90] = True  # 2500 Å²
    is_true[0, 80] = is_predicted[0, 80] = True  # a sliver
    is_predicted[80:90, 2:10] = True  # false
    is_predicted[95, 2] = True  # too small to be one
    assert count_regions(is_true, is_predicted, inner=whole, pixel=1.0) == {
        "n_vacancies": 2, "n_vacancies_found": 1, "n_small": 1, "n_small_found": 1,
        "n_medium": 1, "n_medium_found": 0, "n_large": 1, "n_large_found": 1, "n_false_regions": 1,
    }  # fmt: skip


def test_the_size_of_a_region_is_that_of_all_its_pixels_touching_at_corners():
    is_true = np.eye(20, dtype=bool)
    found = count_regions(is_true, is_true, inner=(slice(0, 20), slice(0, 20)), pixel=1.0)
    assert (found["n_vacancies"], found["n_small"]) == (0, 1)


def test_a_region_mostly_in_the_border_does_not_count_and_is_not_a_false_one():
    is_true = np.zeros((20, 20), dtype=bool)
    is_true[:6, 5:10] = True  # 30 Å²
    for depth, n in ((2, 1), (3, 1), (4, 0)):
        inner = slice(depth, 20 - depth), slice(depth, 20 - depth)
        found = count_regions(is_true, is_true, inner=inner, pixel=1.0)
        assert (found["n_small"], found["n_small_found"], found["n_false_regions"]) == (n, n, 0)


def test_the_threshold_with_the_best_dice_of_all_images_is_chosen(network_of, pretend):
    network = network_of("vacuum", "other", name="test")
    first, second = np.zeros((2, 2, *SHAPE))
    first[0, :, :15], first[0, :, 15:] = 0.6, 0.3  # vacuum: right between 0.35 and 0.5
    first[1] = 0.1
    second[0, :, :15], second[0, :, 15:] = 0.7, 0.4
    second[1, :, 15:] = 0.6
    pretend(first, second)
    images = [masked(left_half()), masked(left_half(0, 2), index=1)]
    calibrated = calibrate_areas(network, images, **SETTINGS)
    assert calibrated.metadata["thresholds"] == {"vacuum": 0.5, "other": 0.2}
    assert calibrated.metadata["name"] == "test"
    assert "thresholds" not in network.metadata


def test_the_histogram_has_the_dice_of_every_threshold():
    rng = np.random.default_rng(3)
    probability = rng.uniform(size=(60, 50)).astype(np.float32)
    probability[:5] = np.float32(0.35)  # on a threshold, so not above it
    is_true = rng.uniform(size=(60, 50)) < probability
    thresholds = (0.2, 0.35, 0.4321, 0.999)
    histogram = AreaHistogram(thresholds)
    histogram.add(probability[:20], is_true[:20], pixel=0.3)
    histogram.add(probability[20:], is_true[20:], pixel=0.3)
    for threshold in thresholds:
        above = probability > np.float32(threshold)
        exact = 2 * (above & is_true).sum() / (above.sum() + is_true.sum())
        assert histogram.dice(threshold) == pytest.approx(exact)
    assert histogram.n.sum() == 3000
    assert histogram.area.sum() == pytest.approx(900)
    assert histogram.weighted.sum() == pytest.approx(0.3 * probability.sum(dtype=float))
    assert math.isnan(AreaHistogram().dice(0.5))


def test_calibrated_probabilities_are_the_measured_shares(network_of, pretend):
    # The network says p where the share is p².
    rng = np.random.default_rng(5)
    network = network_of("monolayer")
    probability = rng.uniform(size=(8, 1, 200, 170))
    is_true = rng.uniform(size=(8, 200, 170)) < probability[:, 0] ** 2
    images = [masked(mask.astype(np.uint8), index=index) for index, mask in enumerate(is_true)]
    pretend(*probability[:4])
    calibrated = calibrate_areas(network, images[:4], **SETTINGS)
    confidence = calibrated.metadata["confidence"]
    raw, share = np.array(confidence["raw"]), np.array(confidence["monolayer"])
    assert share == pytest.approx(raw**2, abs=0.04)
    assert (np.diff(share) >= 0).all()
    for metadata, is_right in ((calibrated.metadata, True), ({"thresholds": {"monolayer": 0.5}}, False)):
        pretend(*probability[4:])
        judged = dataclasses.replace(calibrated, metadata=metadata)
        found = evaluate_areas(judged, images[4:], **SETTINGS)
        table = found.reliability
        assert len(table) == 10
        assert list(table["quantity"].unique()) == ["probability"]
        assert (table["predicted"].to_numpy() == pytest.approx(table["measured"], abs=0.03)) == is_right
        assert (found.totals["calibration_error"].iloc[0] < 0.02) == is_right


def test_what_cannot_be_calibrated_is_refused(network_of, pretend):
    network = network_of("vacuum")
    pretend(np.ones((1, *SHAPE)))
    with pytest.raises(ValueError, match="no image shows 'vacuum'"):
        calibrate_areas(network, [masked(left_half(1))], **SETTINGS)
    pretend(np.full((1, *SHAPE), 0.1))
    with pytest.raises(ValueError, match="no 'vacuum' was found"):
        calibrate_areas(network, [masked(left_half())], **SETTINGS)
    with pytest.raises(ValueError, match="no threshold of its own for 'vacuum'"):
        evaluate_areas(network, [masked(left_half())], **SETTINGS)
