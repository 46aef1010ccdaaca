from __future__ import annotations

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning import evaluate
from amorph2d.learning.evaluate import (
    calibrate_network,
    contrast_polarity,
    error_by_confidence,
    evaluate_network,
    group_scores,
)
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import SiteNetwork, build_network
from amorph2d.localisation.config import LocalisationParameters

LOCALISATION = LocalisationParameters(
    tile_size=128,
    batch_size=1,
    thresholds={"atom": 0.3, "ring": 0.3},
    min_distance=0.6,
    border=0.0,
    precision="float32",
)


@pytest.fixture
def network(make_config) -> SiteNetwork:
    config = make_config(widths=(4,))
    return build_network(config, ResidualUNet(config).state_dict(), {"name": "test"})


@pytest.fixture
def settings(make_parameters):
    return {"localisation": LOCALISATION, "evaluation": make_parameters().evaluation}


def grid_image(index: int = 0, *, dose: float = 2e4, contrast: float = 1.0, n: int = 5) -> SimulatedImage:
    """Return atoms on a grid of 3 Å, all more than 2 Å inside, rings halfway between."""
    shape = (120, 100)
    steps = np.arange(n) * 3.0 + 3.0
    atoms = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    y, x = np.mgrid[: shape[0], : shape[1]] * 0.2
    pixels = sum((np.exp(-((x - p) ** 2 + (y - q) ** 2) / 0.5) for p, q in atoms), start=np.zeros(shape))
    recipe = {"family": "grid", "energy": 80e3, "defocus": 0.0, "dose_per_area": dose}
    image = (100 + 10 * contrast * pixels).astype(np.float32)
    return SimulatedImage(index, image, 0.2, atoms, (atoms + 1.5)[:4], recipe)


def table(parts: dict[str, np.ndarray], confidence: dict[str, np.ndarray] | float) -> pd.DataFrame:
    rows = [
        pd.DataFrame(
            {"kind": kind, "x": points[:, 0], "y": points[:, 1],
             "confidence": confidence if isinstance(confidence, float) else confidence[kind]}
        )
        for kind, points in parts.items()
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)


@pytest.fixture
def pretend(monkeypatch):
    """Let `locate_sites` return what is asked for, image by image."""

    def prepare(*tables: pd.DataFrame) -> None:
        answers = iter(tables)
        monkeypatch.setattr(evaluate, "locate_sites", lambda *_, **__: next(answers))

    return prepare


def test_counts_add_up_before_ratios_are_taken(network, settings, pretend):
    few, many = grid_image(0, n=2), grid_image(1, n=5)
    pretend(
        table({"atom": few.atoms[:1], "ring": few.rings}, 0.9),
        table(
            {
                "atom": np.concatenate([many.atoms + np.array([0.1, 0.0]), [[4.5, 6.0]]]),
                "ring": many.rings[:0],
            },
            0.9,
        ),
    )
    tables = evaluate_network(network, [few, many], **settings)
    atom, ring = tables.totals.set_index("kind").loc[["atom", "ring"]].to_dict("records")
    assert (atom["n_images"], atom["n_true"], atom["n_predicted"], atom["n_matched"]) == (2, 29, 27, 26)
    assert atom["precision"] == pytest.approx(26 / 27)
    assert atom["recall"] == pytest.approx(26 / 29)
    assert atom["f1"] == pytest.approx(2 * 26 / (27 + 29))
    assert atom["rmse"] == pytest.approx(math.sqrt(25 * 0.01 / 26))
    assert (ring["precision"], ring["recall"]) == (1.0, 0.5)
    assert list(tables.images["n_true"]) == [4, 4, 25, 4]


def test_groups_are_kind_dose_and_polarity(network, settings, pretend):
    images = [grid_image(0, dose=5e3), grid_image(1, dose=1e4), grid_image(2, dose=3e4, contrast=-1)]
    pretend(*[table({"atom": image.atoms, "ring": image.rings}, 0.9) for image in images])
    groups = evaluate_network(network, images, **settings).groups
    atoms = groups[groups["kind"] == "atom"]
    found = list(zip(atoms["dose_low"], atoms["dose_high"], atoms["polarity"], strict=True))
    assert found == [(0, 1e4, "bright atoms"), (1e4, np.inf, "bright atoms"), (1e4, np.inf, "dark atoms")]
    assert (atoms["f1"] == 1).all()


def test_sites_near_the_border_do_not_count(network, settings, pretend):
    image = grid_image()
    edge = dataclasses.replace(image, atoms=np.concatenate([image.atoms, [[0.5, 5.0], [19.0, 5.0]]]))
    pretend(
        table({"atom": np.concatenate([image.atoms, [[10.0, 1.0], [0.5, 9.0]]]), "ring": image.rings}, 0.9)
    )
    row = evaluate_network(network, [edge], **settings).totals.set_index("kind").loc["atom"]
    assert (row["n_true"], row["n_predicted"], row["n_matched"]) == (25, 25, 25)


def test_ratios_are_nan_where_nothing_was_found(network, settings, pretend):
    image = grid_image()
    pretend(table({"atom": image.atoms[:0], "ring": image.rings[:0]}, 0.9))
    row = evaluate_network(network, [image], **settings).totals.iloc[0]
    assert (row["recall"], row["f1"]) == (0, 0)
    assert math.isnan(row["precision"])
    assert math.isnan(row["rmse"])


def test_an_untrained_network_is_evaluated_with_the_real_search(network, settings, make_image):
    tables = evaluate_network(network, [make_image(shape=(64, 80))], **settings)
    assert list(tables.images["kind"]) == ["atom", "ring"]
    assert (tables.images["family"] == "honeycomb").all()
    assert (tables.images["n_true"] >= 20).all()


def test_scores_can_be_grouped_by_anything(network, settings, pretend):
    images = [grid_image(index, dose=dose) for index, dose in enumerate((2e3, 2e3, 9e4))]
    pretend(*[table({"atom": image.atoms, "ring": image.rings}, 0.9) for image in images])
    grouped = group_scores(evaluate_network(network, images, **settings).images, by=["kind", "dose_per_area"])
    assert list(grouped["n_images"]) == [2, 1, 2, 1]


def test_the_threshold_with_the_best_f1_is_chosen(network, settings, pretend):
    # False atoms have confidences of 0.3, true ones of 0.4; true rings start at 0.25.
    image = grid_image()
    false = image.atoms[:9] + np.array([1.5, 0.7])
    parts = {"atom": np.concatenate([image.atoms, false]), "ring": image.rings}
    pretend(table(parts, {"atom": np.repeat([0.4, 0.3], [25, 9]), "ring": np.array([0.25, 0.6, 0.6, 0.6])}))
    calibrated = calibrate_network(network, [image], **settings)
    assert calibrated.metadata["thresholds"] == {"atom": 0.35, "ring": 0.2}
    assert calibrated.metadata["name"] == "test"
    assert "thresholds" not in network.metadata


def test_the_position_error_follows_the_confidence(network, settings, pretend):
    rng = np.random.default_rng(0)
    images = [grid_image(index) for index in range(60)]
    tables = []
    for image in images:
        confidence = rng.uniform(0.5, 0.95, 25)
        shift = rng.normal(size=(25, 2)) * true_error(confidence)[:, None]
        parts = {"atom": image.atoms + shift, "ring": image.rings}
        tables.append(table(parts, {"atom": confidence, "ring": np.full(4, 0.8)}))
    pretend(*tables)
    sigma = calibrate_network(network, images, **settings).metadata["sigma"]
    confidence, found = np.array(sigma["confidence"]), np.array(sigma["sigma"]["atom"])
    inner = (confidence > 0.53) & (confidence < 0.92)
    assert found[inner] == pytest.approx(true_error(confidence[inner]), rel=0.12)
    assert (np.diff(found) <= 0).all()
    assert sigma["sigma"]["ring"] == [0.0] * 21


def true_error(confidence: np.ndarray) -> np.ndarray:
    return 0.1 * (1.2 - confidence)


def test_the_error_never_rises_with_confidence_even_if_the_sample_does():
    errors = error_by_confidence(np.array([0.2, 0.4, 0.6, 0.8]), np.array([2.0, 2.0, 8.0, 0.5]), n_bins=4)
    assert (np.diff(errors) <= 0).all()
    assert errors[0] == pytest.approx(math.sqrt((2 + 2 + 8) / 3 / 2))
    assert errors[-1] == pytest.approx(0.5)


def test_one_matched_site_is_enough_for_an_error():
    assert error_by_confidence(np.array([0.5]), np.array([0.02]), n_bins=10) == pytest.approx(0.1)


def test_a_network_that_finds_nothing_cannot_be_calibrated(network, settings, pretend):
    image = grid_image()
    pretend(table({"atom": image.atoms, "ring": image.rings[:0]}, 0.9))
    with pytest.raises(ValueError, match="no site of the kind 'ring' was found"):
        calibrate_network(network, [image], **settings)


def test_no_images_are_refused(network, settings):
    for run in (evaluate_network, calibrate_network):
        with pytest.raises(ValueError, match="at least one image, got none"):
            run(network, [], **settings)


@pytest.mark.parametrize("contrast", [1.0, -1.0])
def test_polarity_is_that_of_the_atoms(contrast):
    image = grid_image(contrast=contrast)
    expected = "bright atoms" if contrast > 0 else "dark atoms"
    assert contrast_polarity(image, window=5.0) == expected
    assert contrast_polarity(dataclasses.replace(image, rings=image.rings[:0]), window=5.0) == expected
    assert contrast_polarity(dataclasses.replace(image, atoms=image.atoms[:0]), window=5.0) == "no atoms"
