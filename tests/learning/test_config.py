from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from amorph2d.learning.config import EvaluationParameters, NetworkConfig, TrainingParameters

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("changes", "stride"),
    [
        ({"stem": "plain", "widths": (8,)}, 1),
        ({"stem": "unshuffle", "widths": (8,)}, 2),
        ({"stem": "plain", "widths": (8, 8, 8)}, 4),
        ({"stem": "unshuffle", "widths": (8, 8, 8)}, 8),
    ],
)
def test_stride_is_the_total_downsampling(make_config, changes, stride):
    assert make_config(**changes).stride == stride


def test_receptive_field_of_a_single_level_counts_its_convolutions(make_config):
    # The stem and each block reach 1 and 2 pixels; without other levels there is no decoder.
    assert make_config(stem="plain", widths=(8,), blocks=3).receptive_field == 1 + 3 * 2


def test_config_survives_json(make_config):
    config = make_config(widths=(4, 8, 16), skips="concat")
    assert NetworkConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("environment", ["local", "demo", "reference"])
def test_parameters_files_hold_exactly_the_training_parameters(environment, parameters_of):
    parameters = TrainingParameters(**parameters_of(environment)["sites"]["training"])
    assert parameters.network.channels == ("atom", "ring")


def test_unknown_and_missing_fields_are_refused(make_config):
    with pytest.raises(ValidationError, match="depth"):
        make_config(depth=3)
    with pytest.raises(ValidationError, match="label_sigma"):
        NetworkConfig(
            **{key: value for key, value in make_config().model_dump().items() if key != "label_sigma"}
        )


def test_a_crop_that_does_not_fit_the_stride_is_refused(make_parameters):
    with pytest.raises(ValidationError, match="multiple of the network's stride of 4 px, got 50"):
        make_parameters(crop=50)


def test_edges_must_rise(make_parameters):
    for edges in ((3e4, 1e4), ()):
        stored = make_parameters().evaluation.model_dump() | {"edges": {"dose_per_area": edges}}
        with pytest.raises(
            ValidationError, match="edges of dose_per_area must be one or more rising numbers"
        ):
            EvaluationParameters(**stored)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"channels": ("vacuum",)},
            "channels of output 'sites' must be of atom, ring, each once, got vacuum",
        ),
        ({"channels": ("atom", "atom")}, "each once, got atom, atom"),
        ({"label_sigma": None}, "label_sigma must be given for output 'sites'"),
        (
            {"output": "areas", "channels": ("other",)},
            "label_sigma must be given for output 'sites' and for no",
        ),
        (
            {"output": "background", "channels": ("illumination",), "label_sigma": None},
            "normalisation_window must be null for output 'background'",
        ),
    ],
)
def test_an_output_that_does_not_fit_is_refused(make_config, changes, message):
    with pytest.raises(ValidationError, match=message):
        make_config(**changes)


def test_config_does_not_import_torch():
    code = "import sys, amorph2d.learning, amorph2d.learning.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
