from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.recipes import PLAIN
from amorph2d.learning.comparison import compare
from amorph2d.learning.describe import polarities, predict_example, training_domain, write_model_card
from amorph2d.learning.evaluation.tables import Evaluation
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import TrainedNetwork, build_network

AREAS = {"output": "areas", "channels": ("vacuum", "monolayer"), "label_sigma": None, "sampling": 0.4}
BACKGROUND = {
    "output": "background", "channels": ("illumination",), "label_sigma": None, "sampling": 0.8,
    "normalisation_window": None,
}  # fmt: skip
HISTORY = pd.DataFrame(
    {
        "epoch": range(20),
        "training_loss": np.linspace(1.0, 0.05, 20),
        "validation_loss": np.abs(np.arange(20) - 13.0) / 100 + 0.125,
        "seconds": 30.0,
    }
)


@pytest.fixture
def make_network(make_parameters):
    def make(network=None, **metadata) -> TrainedNetwork:
        parameters = make_parameters(network)
        known = {
            "thresholds": {"atom": 0.4, "ring": 0.3},
            "training_domain": {"sampling": [0.1, 0.3], "energy": [6e4, 8e4]},
            "polarities": ["bright atoms", "dark atoms"],
            "metrics": {},
            "set": {"set_id": "a" * 64, "set_seed": 7, "n_images": 12},
            "fit": parameters.fit.model_dump(mode="json"),
            "code_version": "1.2.3",
            "command": "kedro run --pipelines synthesis,training",
        }
        state = ResidualUNet(parameters.network).state_dict()
        return build_network(parameters.network, state, known | metadata)

    return make


@pytest.fixture
def evaluation() -> Evaluation:
    images = pd.DataFrame(
        {
            "index": [3, 4],
            "channel": "atom",
            "family": "relaxed",
            "n_true": 10,
            "n_predicted": 10,
            "n_matched": 9,
        }
    )
    totals = pd.DataFrame(
        {
            "channel": ["atom", "ring"], "n_images": 2, "n_matched": [18, 0], "precision": [0.91234, np.nan],
            "f1": [0.9, np.nan], "rmse_over_bound": np.nan,
        }
    )  # fmt: skip
    groups = totals.assign(condition="dose_per_area", low=-np.inf, high=3e3, value="< 3000")
    reliability = pd.DataFrame(
        {
            "channel": "atom",
            "quantity": "confidence",
            "predicted": np.linspace(0, 1, 21),
            "measured": np.linspace(0, 1, 21) ** 2,
            "n": 50,
        }
    )
    return Evaluation(images, totals, groups, reliability)


def test_domain_is_the_range_of_each_condition():
    names = ("sampling", "dose_per_area", "energy", "defocus", "Cs", "focal_spread", "angular_spread")
    recipes = [dict.fromkeys(names, value) | {"family": "relaxed"} for value in (3.0, 1.0, 2.0)]
    assert training_domain(recipes) == {name: [1.0, 3.0] for name in names}
    with pytest.raises(ValueError, match="at least one, got none"):
        training_domain([])


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (["dark atoms", "any", "dark atoms"], ["dark atoms"]),
        (["dark atoms", "bright atoms"], ["bright atoms", "dark atoms"]),
        (["any"], ["bright atoms", "dark atoms"]),
    ],
)
def test_polarities_are_those_drawn_for(drawn, expected):
    assert polarities([{"condition": name} for name in drawn]) == expected


@pytest.mark.parametrize("window", [5.0, None])
def test_example_shows_the_sites_of_what_it_shows(make_network, make_image, window):
    image, network = make_image(), make_network({"normalisation_window": window})
    example = predict_example(network, image)
    rows, columns = example["image"].shape
    np.testing.assert_array_equal(example["image"], image.image[:rows, :columns])
    assert example["heatmaps"].shape == (2, rows, columns)
    assert rows % network.config.stride == columns % network.config.stride == 0
    last = (np.array([columns, rows]) - 1) * network.config.sampling
    inside = (image.atoms < min(last)).all(axis=1)
    assert len(example["true"]["atom"]) == inside.sum() > 0
    assert set(example["found"]) == {"atom", "ring"}


@pytest.mark.parametrize("is_known", [True, False])
def test_example_of_areas_has_the_truth_beside_the_probabilities(make_network, make_image, is_known):
    mask = np.ones((96, 80), np.uint8)
    mask[20:40, :30] = 0
    example = predict_example(make_network(AREAS), replace(make_image(), mask=mask if is_known else None))
    assert example["channels"] == ("vacuum", "monolayer")
    assert example["maps"].shape == example["truth"].shape == (2, 96, 80)
    assert ((example["maps"] >= 0) & (example["maps"] <= 1)).all()
    if is_known:
        np.testing.assert_array_equal(example["truth"], [mask == 0, mask == 1])
    else:
        assert np.isnan(example["truth"]).all()


def test_example_of_the_background_is_in_grey_values(make_network, make_image):
    image = make_image()
    even = replace(image, recipe=PLAIN | image.recipe)
    example = predict_example(make_network(BACKGROUND), even)
    assert example["maps"].shape == example["truth"].shape == (1, 96, 80)
    np.testing.assert_allclose(example["truth"], image.image.mean(), rtol=1e-3)


def test_card_says_what_the_network_is_and_where_it_holds(make_network, evaluation, tmp_path):
    network = make_network()
    text = write_model_card(
        tmp_path / "new", task="sites", network=network, evaluation=evaluation, history=HISTORY
    )
    assert (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8") == text
    for part in (
        network.sha256,
        "with seed 7: 12 images",
        "`kedro run --pipelines synthesis,training` with amorph2d 1.2.3",
        "fit with seed 3: 2 epochs of 3 steps\n",
        "| energy | 6e+04 | 8e+04 | eV |",
        "Contrast: bright atoms, dark atoms.",
        "| channel | n_images | precision | f1 |\n|---|---|---|---|\n| atom | 2 | 0.9123 | 0.9 |",
        "| ring | 2 |  |  |",
        "| atom | dose_per_area | < 3000 | 2 | 0.9123 | 0.9 |",
        "BSD-3-Clause",
    ):
        assert part in text
    assert "rmse_over_bound" not in text
    assert "Comparison" not in text
    command = "kedro run --env reference --pipelines synthesis,training"
    other = make_network(command=command, code_version="9.9")
    again = write_model_card(tmp_path, task="sites", network=other, evaluation=evaluation, history=HISTORY)
    assert f"`{command}` with amorph2d 9.9" in again


def test_card_shows_some_losses_and_bins(make_network, evaluation, tmp_path):
    text = write_model_card(
        tmp_path, task="sites", network=make_network(), evaluation=evaluation, history=HISTORY
    )
    losses = text.partition("## Losses")[2].partition("##")[0]
    assert "those of epoch 13, the lowest validation loss. 20 epochs took 10.0 min." in losses
    epochs = [line.split("|")[1].strip() for line in losses.splitlines() if line.startswith("|")][2:]
    assert len(epochs) in (8, 9)
    assert {"0", "13", "19"} <= set(epochs)
    bins = text.partition("## Reliability")[2].partition("##")[0]
    assert bins.count("| atom | confidence |") == 6
    assert "| atom | confidence | 1 | 1 | 50 |" in bins


def test_card_without_history_and_reliability_has_no_empty_sections(make_network, evaluation, tmp_path):
    bare = replace(evaluation, reliability=evaluation.reliability.iloc[:0])
    network = make_network(thresholds={}, polarities=[])
    text = write_model_card(
        tmp_path, task="sites", network=network, evaluation=bare, history=HISTORY.iloc[:0]
    )
    assert "## Losses" not in text
    assert "## Reliability" not in text
    assert "Contrast" not in text
    assert "thresholds" not in text


def test_card_has_the_comparison(make_network, evaluation, tmp_path):
    table = compare(evaluation, evaluation, set_ids=("a", "a"), rng=np.random.default_rng(0))
    text = write_model_card(
        tmp_path,
        task="sites",
        network=make_network(),
        evaluation=evaluation,
        history=HISTORY,
        comparison=table,
    )
    assert "## Comparison with the champion\n- atom: **no difference shown**" in text


@pytest.mark.parametrize(
    ("task", "network", "parts"),
    [
        ("monolayer", AREAS, ["single layer, so that statistics", "that a pixel shows each of vacuum"]),
        ("pores", AREAS, ["Finding vacuum", "limit of its sampling"]),
        ("illumination", BACKGROUND, ["can be divided out", "slow variation of the ill", "whole image"]),
        ("mine", {}, ["A task of your own"]),
    ],
)  # fmt: skip
def test_card_tells_what_each_task_is_for(make_network, evaluation, tmp_path, task, network, parts):
    text = write_model_card(
        tmp_path, task=task, network=make_network(network), evaluation=evaluation, history=HISTORY
    )
    assert text.startswith(f"# Network `{task}`")
    for part in parts:
        assert part in text
