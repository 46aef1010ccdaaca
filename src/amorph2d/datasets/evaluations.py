"""The tables of an evaluation on disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from amorph2d.datasets.tables import TABLE_SUFFIX, write_table

if TYPE_CHECKING:
    from amorph2d.learning.evaluation.tables import Evaluation


class EvaluationFolder(AbstractDataset["Evaluation", "Evaluation"]):
    """An evaluation as one parquet file for each table; the totals, written last, say that all are there.

    Parameters
    ----------
    filepath
        The folder.
    metadata
        For Kedro's plug-ins.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def save(self, data: Evaluation) -> None:
        """Write the tables."""
        self._file("totals").unlink(missing_ok=True)
        for name in ("images", "groups", "reliability", "totals"):
            write_table(self._file(name), getattr(data, name))

    def load(self) -> Evaluation:
        """Read the tables."""
        from amorph2d.learning.evaluation.tables import Evaluation

        if not self._exists():
            raise DatasetError(f"{self._folder} holds no evaluation: {self._file('totals').name} is missing")
        return Evaluation(
            **{part.name: pd.read_parquet(self._file(part.name)) for part in fields(Evaluation)}
        )

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}{TABLE_SUFFIX}"

    def _exists(self) -> bool:
        return self._file("totals").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
