"""A folder in which a node works."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class WorkingFolder(AbstractDataset[None, Path]):
    """The absolute path of a folder, which `load` makes if it is not there."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder.resolve()

    def save(self, data: None) -> NoReturn:  # noqa: ARG002
        """Refuse: nodes write into the folder themselves."""
        raise DatasetError(f"{self._folder} is a folder to work in and cannot be saved to")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
