from __future__ import annotations

import pandas as pd
import pytest
from kedro.io import DatasetError

from amorph2d.datasets.evaluations import EvaluationFolder
from amorph2d.learning.evaluation.tables import Evaluation


def evaluation() -> Evaluation:
    tables = {
        name: pd.DataFrame({"channel": ["atom", "ring"], name: [k, float("nan")]})
        for k, name in enumerate(("images", "totals", "groups", "reliability"))
    }
    return Evaluation(**tables)


def test_an_evaluation_comes_back(tmp_path):
    folder = EvaluationFolder(filepath=str(tmp_path / "made" / "here"))
    assert not folder.exists()
    folder.save(evaluation())
    for name in ("images", "totals", "groups", "reliability"):
        pd.testing.assert_frame_equal(getattr(folder.load(), name), getattr(evaluation(), name))


def test_without_its_totals_there_is_no_evaluation(tmp_path):
    folder = EvaluationFolder(filepath=str(tmp_path))
    folder.save(evaluation())
    (tmp_path / "totals.parquet").unlink()
    assert not folder.exists()
    with pytest.raises(DatasetError, match=r"holds no evaluation: totals\.parquet is missing"):
        folder.load()
