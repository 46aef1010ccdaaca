from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from amorph2d.learning.describe import predict_example, training_domain, write_model_card
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import build_network


@pytest.fixture
def network(make_parameters):
    parameters = make_parameters()
    metadata = {
        "thresholds": {"atom": 0.4, "ring": 0.3},
        "training_domain": {"sampling": [0.1, 0.3], "energy": [6e4, 8e4]},
        "metrics": {},
        "set": {"set_id": "a" * 64, "set_seed": 7, "n_images": 12},
        "fit": parameters.fit.model_dump(mode="json"),
        "code_version": "1.2.3",
    }
    return build_network(parameters.network, ResidualUNet(parameters.network).state_dict(), metadata)


def test_domain_is_the_range_of_each_condition():
    names = ("sampling", "dose_per_area", "energy", "defocus", "Cs", "focal_spread", "angular_spread")
    recipes = [dict.fromkeys(names, value) | {"family": "relaxed"} for value in (3.0, 1.0, 2.0)]
    assert training_domain(recipes) == {name: [1.0, 3.0] for name in names}
    with pytest.raises(ValueError, match="at least one, got none"):
        training_domain([])


def test_example_shows_the_sites_of_what_it_shows(network, make_image):
    image = make_image()
    example = predict_example(network, image)
    rows, columns = example["image"].shape
    assert example["heatmaps"].shape == (2, rows, columns)
    assert rows % network.config.stride == columns % network.config.stride == 0
    last = (np.array([columns, rows]) - 1) * network.config.sampling
    inside = (image.atoms < min(last)).all(axis=1)
    assert len(example["true"]["atom"]) == inside.sum() > 0
    assert set(example["found"]) == {"atom", "ring"}


def test_card_says_what_the_network_is_and_where_it_holds(network, tmp_path):
    scores = pd.DataFrame(
        {
            "kind": ["atom"], "dose_low": [0.0], "dose_high": [np.inf], "polarity": ["dark atoms"],
            "n_images": [3], "precision": [0.91234], "recall": [0.8], "f1": [0.85], "rmse": [0.1],
        }
    )  # fmt: skip
    text = write_model_card(tmp_path / "new", task="sites", network=network, scores=scores)
    assert (tmp_path / "new" / "MODEL_CARD.md").read_text(encoding="utf-8") == text
    for part in (
        network.sha256,
        "seed 7",
        "1.2.3",
        "| energy | 6e+04 | 8e+04 | eV |",
        "0.9123",
        "BSD-3-Clause",
    ):
        assert part in text
    other = replace(network, metadata=network.metadata | {"code_version": "9.9"})
    assert "9.9" in write_model_card(tmp_path, task="sites", network=other, scores=scores)
