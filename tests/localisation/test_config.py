"""Parameters of localisation are checked when they are read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError


def test_thresholds_may_be_the_networks_own(parameters_of):
    thresholds = parameters_of(thresholds={"atom": "network", "ring": None}).thresholds
    assert thresholds == {"atom": "network", "ring": None}


@pytest.mark.parametrize(
    "change",
    [
        {"tile_size": 0},
        {"batch_size": 0},
        {"min_distance": -0.1},
        {"border": -1.0},
        {"precision": "int8"},
        {"thresholds": {"atom": 1.0}},
        {"thresholds": {"atom": 0.0}},
        {"thresholds": {"atom": "high"}},
        {"colour": "blue"},
    ],
)
def test_wrong_values(parameters_of, change):
    with pytest.raises(ValidationError, match=next(iter(change))):
        parameters_of(**change)
