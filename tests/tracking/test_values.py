from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from amorph2d.tracking.values import as_text, flatten, flatten_metrics


class Fit(BaseModel):
    epochs: int
    widths: tuple[int, ...]


def test_nested_values_are_named_by_their_path():
    values = {"fit": Fit(epochs=3, widths=(32, 64)), "seed": 1, "name": "Å", "empty": {}, "none": None}
    assert flatten({"training": values}) == {
        "training.fit.epochs": "3",
        "training.fit.widths": "[32, 64]",
        "training.seed": "1",
        "training.name": "Å",
        "training.empty": "{}",
        "training.none": "null",
    }


def test_names_keep_only_what_mlflow_takes():
    assert flatten({"a:b/c-d.e f": 1, "dose [e-/Å]": 2}) == {"a:b/c-d.e f": "1", "dose _e-/Å_": "2"}


def test_only_finite_numbers_are_metrics():
    values = {
        "atom": {"f1": np.float32(0.5), "n": np.int64(3)},
        "nan": math.nan,
        "infinite": -math.inf,
        "is_true": True,
        "name": "x",
        "digits": "3",
        "none": None,
        "list": [1.0],
    }
    assert flatten_metrics(values) == {"atom.f1": 0.5, "atom.n": 3.0}


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (1.5, "1.5"), ({"a": [1]}, '{"a": [1]}'), (Path("a"), '"a"')]
)
def test_everything_but_text_becomes_json(value, text):
    assert as_text(value) == text


def test_long_values_are_cut_to_what_mlflow_keeps():
    assert as_text("x" * 6000) == "x" * 6000
    assert as_text("x" * 6001) == "x" * 5999 + "…"
    assert len(as_text(list(range(5000)))) == 6000
    assert json.loads(as_text(list(range(100)))) == list(range(100))
