from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation import background
from amorph2d.learning.evaluation.background import calibrate_background, evaluate_background
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import TrainedNetwork, build_network
from amorph2d.learning.targets import true_background
from amorph2d.localisation.config import LocalisationParameters

LOCALISATION = LocalisationParameters(
    tile_size=128, batch_size=1, thresholds={}, min_distance=0.6, border=0.0, precision="float32"
)
EVALUATION = EvaluationParameters(
    edges={"sampling": (1.0,)}, border=0.0, max_distance=0.5, thresholds=(0.5,), readable=0.95, bins=10
)
SETTINGS = {"localisation": LOCALISATION, "evaluation": EVALUATION}
SHAPE = (30, 41)


@pytest.fixture
def network(make_config) -> TrainedNetwork:
    config = make_config(
        output="background", channels=("illumination",), label_sigma=None, widths=(4,), sampling=2.0,
        normalisation_window=None,
    )  # fmt: skip
    return build_network(config, ResidualUNet(config).state_dict(), {"name": "test"})


@pytest.fixture
def pretend(monkeypatch):
    """Let `estimate_background` return what is asked for, image by image."""

    def prepare(*estimates) -> None:
        answers = iter(estimates)
        monkeypatch.setattr(background, "estimate_background", lambda *_, **__: next(answers))

    return prepare


def sloping(*, gradient: float = 0.3, sampling: float = 0.5, noise: float = 0.0, **recipe) -> SimulatedImage:
    """Return an image of nothing but its illumination, which rises along x, in grey values of about 100."""
    known = plain_recipe(gradient=gradient, sampling=sampling, dose_per_area=2e4, **recipe)
    nothing = np.empty((0, 2))
    image = SimulatedImage(0, np.zeros(SHAPE, np.float32), sampling, nothing, nothing, known)
    grey = 100 * image.illumination + np.random.default_rng(0).normal(0, 1, SHAPE) * noise
    return dataclasses.replace(image, image=grey.astype(np.float32))


def rms_of_slope(gradient: float) -> float:
    """Root mean square of a line from - gradient / 2 to + gradient / 2 at SHAPE[1] points."""
    n = SHAPE[1]
    return gradient * math.sqrt((n + 1) / (12 * (n - 1)))


def test_a_perfect_estimate_leaves_nothing_and_none_leaves_all(network, pretend):
    image = sloping(gradient=0.3)
    pretend(true_background(image), np.full(SHAPE, 100.0, np.float32))
    found = evaluate_background(network, [image], **SETTINGS)
    row = found.totals.iloc[0]
    assert (row["channel"], row["n_images"], row["n_peak"]) == ("illumination", 1, 1)
    assert row["area"] == 30 * 41 * 0.25
    assert row["residual"] == pytest.approx(0, abs=1e-6)
    assert row["uncorrected"] == pytest.approx(rms_of_slope(0.3), rel=1e-4)
    none = evaluate_background(network, [image], **SETTINGS).totals.iloc[0]
    # 1 / (1 + s) - 1 is - s + s² - …: nearly the slope itself.
    assert none["residual"] == pytest.approx(rms_of_slope(0.3), rel=0.05)
    assert len(found.reliability) == 0


def test_only_the_variation_of_the_residual_counts(network, pretend):
    image = sloping()
    truth = true_background(image)
    error = np.where(np.arange(41) < 20, 0.02, -0.02)
    pretend(truth * 1.5, truth * (1.1 + error))
    assert evaluate_background(network, [image], **SETTINGS).totals["residual"].iloc[0] == pytest.approx(
        0, abs=1e-6
    )
    row = evaluate_background(network, [image], **SETTINGS).totals.iloc[0]
    mean = (20 - 21) / 41 * 0.02
    assert row["residual"] == pytest.approx(math.sqrt(0.02**2 - mean**2), rel=1e-4)
    assert row["residual_peak"] == pytest.approx(0.02 - mean, rel=1e-4)


def test_the_peak_is_the_last_hundredth_and_a_mean_over_images(network, pretend):
    image = sloping(gradient=0.0)
    ramp = np.linspace(-0.1, 0.1, SHAPE[1])[None] * np.ones((SHAPE[0], 1))
    pretend(100 * (1 + ramp), 100 * (1 + 0.0 * ramp))
    row = evaluate_background(network, [image, image], **SETTINGS).totals.iloc[0]
    assert row["n_peak"] == 2
    assert row["residual_peak"] == pytest.approx(0.1 / 2, rel=1e-4)
    assert row["residual"] == pytest.approx(rms_of_slope(0.2) / math.sqrt(2), rel=1e-4)


def test_what_is_close_to_the_edge_does_not_count(network, pretend):
    image = sloping()
    estimate = true_background(image).copy()
    estimate[:4], estimate[:, -4:] = 1e3, -1e3
    wide = EVALUATION.model_copy(update={"border": 2.0})
    pretend(estimate, estimate)
    row = evaluate_background(network, [image], localisation=LOCALISATION, evaluation=wide).totals.iloc[0]
    assert row["area"] == 22 * 33 * 0.25
    assert row["residual"] == pytest.approx(0, abs=1e-6)
    assert evaluate_background(network, [image], **SETTINGS).totals["residual"].iloc[0] > 1


def test_stretched_files_count_only_in_units_of_their_spread(network, pretend):
    # The zero of the second file is lost: divided, a perfect estimate of its shape would look wrong.
    count, stretched = sloping(bits=16), sloping(bits=8)
    stretched = dataclasses.replace(stretched, image=5 * (stretched.image - 80))
    estimates = [1.1 * true_background(count), true_background(stretched) + 7]
    pretend(*estimates)
    row = evaluate_background(network, [count, stretched], **SETTINGS).totals.iloc[0]
    assert (row["n_images"], row["n_peak"], row["area"]) == (2, 1, 30 * 41 * 0.25)
    assert row["residual"] == pytest.approx(0, abs=1e-6)
    assert row["area_spread"] == 2 * 30 * 41 * 0.25
    # Both images are nothing but slope, so uncorrected it is all of the spread; the first is 10 % too steep.
    assert row["uncorrected_spread"] == pytest.approx(1, rel=1e-4)
    assert row["residual_spread"] == pytest.approx(0.1 / math.sqrt(2), rel=1e-3)
    pretend(estimates[1])
    alone = evaluate_background(network, [stretched], **SETTINGS).totals.iloc[0]
    assert [math.isnan(alone[name]) for name in ("residual", "uncorrected", "residual_peak")] == [True] * 3
    assert alone["residual_spread"] == pytest.approx(0, abs=1e-5)


def test_a_flat_image_has_no_spread_to_be_measured_in(network, pretend):
    image = sloping(gradient=0.0)
    pretend(np.full(SHAPE, 100.0))
    row = evaluate_background(network, [image], **SETTINGS).totals.iloc[0]
    assert (row["residual"], row["uncorrected"], row["area_spread"]) == (0, 0, 0)
    assert math.isnan(row["residual_spread"])


def test_a_border_wider_than_the_image_leaves_nothing(network, pretend):
    pretend(np.full(SHAPE, 100.0))
    wide = EVALUATION.model_copy(update={"border": 9.0})
    row = evaluate_background(network, [sloping()], localisation=LOCALISATION, evaluation=wide).totals.iloc[0]
    assert (row["area"], row["n_peak"], row["area_spread"]) == (0, 0, 0)


def test_images_are_grouped_in_units_of_carbon(network, pretend):
    images = [sloping(sampling=0.5), sloping(sampling=20.0, length_scale=10.0)]
    pretend(*[true_background(image) for image in images])
    groups = evaluate_background(network, images, **SETTINGS).groups
    by_sampling = groups[groups["condition"] == "sampling"]
    assert list(zip(by_sampling["value"], by_sampling["n_images"], strict=True)) == [("< 1", 1), ("≥ 1", 1)]
    assert (groups["residual"] < 1e-6).all()


def test_calibration_keeps_the_residual_as_sigma(network, pretend):
    image = sloping()
    truth = true_background(image)
    checks = np.indices(SHAPE).sum(axis=0) % 2 * 0.06 - 0.03
    pretend(truth * (1 + checks), truth)
    calibrated = calibrate_background(network, [image, sloping(bits=8)], **SETTINGS)
    assert calibrated.metadata["name"] == "test"
    assert calibrated.metadata["thresholds"] == {}
    assert calibrated.metadata["sigma"] == {"illumination": pytest.approx(0.03, rel=1e-4)}
    assert "sigma" not in network.metadata
    pretend(truth * (1 + 2 * checks))
    reliability = evaluate_background(calibrated, [image], **SETTINGS).reliability
    assert reliability.to_dict("records") == [
        {
            "channel": "illumination", "quantity": "sigma", "n": 1,
            "predicted": pytest.approx(0.03, rel=1e-4), "measured": pytest.approx(0.06, rel=1e-4),
        }
    ]  # fmt: skip
    pretend(truth, truth)
    stretched = [sloping(bits=8)]
    assert calibrate_background(network, stretched, **SETTINGS).metadata["sigma"] == {}
    assert len(evaluate_background(calibrated, stretched, **SETTINGS).reliability) == 0


def test_an_untrained_network_is_evaluated_with_the_real_maps(network):
    image = sloping(noise=3.0)
    found = evaluate_background(network, [image], **SETTINGS)
    assert list(found.images["channel"]) == ["illumination"]
    assert found.totals["residual"].iloc[0] > 0
    assert found.totals["uncorrected"].iloc[0] == pytest.approx(rms_of_slope(0.3), rel=0.02)


@pytest.mark.parametrize("run", [evaluate_background, calibrate_background])
def test_no_images_are_refused(network, run):
    with pytest.raises(ValueError, match="at least one image, got none"):
        run(network, [], **SETTINGS)
