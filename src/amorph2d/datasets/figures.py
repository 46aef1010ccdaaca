"""Folders of figures, one or more for each micrograph."""

from __future__ import annotations

import base64
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview

from amorph2d.datasets.tables import write_whole


class FigureFolder(AbstractDataset[dict[str, bytes], dict[str, Path]]):
    """A folder of pictures by file name, whose suffix says what they are.

    `save` adds files and replaces those of the same name; an empty mapping makes the folder. `load` returns
    the paths, sorted. kedro-viz shows the first picture that it can.
    """

    _SHOWN = (".png", ".gif", ".webp", ".jpg")

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def save(self, data: dict[str, bytes]) -> None:
        """Write some pictures."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, picture in data.items():
            if Path(name).name != name or not Path(name).suffix:
                raise DatasetError(f"a picture's name must be a file name with a suffix, got {name!r}")
            write_whole(self._folder / name, partial(_write, picture))

    def load(self) -> dict[str, Path]:
        """List the pictures by file name, sorted."""
        return {path.name: path for path in self._files()}

    def preview(self) -> ImagePreview:
        """Show the first picture."""
        shown = next((path for path in self._files() if path.suffix in self._SHOWN), None)
        return ImagePreview("" if shown is None else base64.b64encode(shown.read_bytes()).decode())

    def _files(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        found = (path for path in self._folder.iterdir() if path.is_file() and path.suffix)
        return sorted(path for path in found if not path.name.startswith("."))

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


def _write(content: bytes, path: Path) -> None:
    """Write bytes into a file."""
    path.write_bytes(content)
