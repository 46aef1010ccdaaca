"""Masks on disk: one TIFF a micrograph, with a page for each frame."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview
from numpy.typing import NDArray

from amorph2d.datasets.tables import stem_file, stems_in, write_whole

MASK_SUFFIX = ".tif"
_ROWS_A_STRIP = 256
_PREVIEW_SIDE = 512  # [px]
_COLOURS = np.array([[30, 30, 40], [225, 228, 232], [230, 159, 0]], dtype=np.uint8)


@dataclass(frozen=True)
class MaskLoader:
    """Reads the masks of one micrograph when called."""

    path: Path

    def __call__(self, frame: int = 0) -> NDArray[np.uint8]:
        """Read the mask of a frame, (rows, columns).

        Raises
        ------
        DatasetError
            If the file is missing, not whole, no mask, or has no such frame.
        """
        import tifffile

        try:
            with tifffile.TiffFile(self.path) as file:
                n_frames = len(file.pages)
                mask = file.pages[frame].asarray() if frame < n_frames else None
        except FileNotFoundError:
            raise DatasetError(f"{self.path} is missing; run the pipeline that writes it") from None
        except Exception as error:
            raise DatasetError(
                f"{self.path} is no TIFF, or not a whole one ({error}); remove it and run again"
            ) from error
        if mask is None:
            raise DatasetError(f"{self.path} has {n_frames} frames, no frame {frame}")
        if mask.dtype != np.uint8 or mask.ndim != 2:
            raise DatasetError(f"{self.path} must hold uint8 masks, got {mask.dtype} {mask.shape}")
        return mask


def write_masks(path: Path, masks: list[NDArray[np.uint8]]) -> None:
    """Write the masks of all frames, (rows, columns) each, as one file that appears whole or not at all."""
    import tifffile

    def write(partial: Path) -> None:
        with tifffile.TiffWriter(partial, bigtiff=sum(mask.nbytes for mask in masks) > 2**31) as file:
            for mask in masks:
                file.write(
                    mask,
                    photometric="minisblack",
                    compression="zlib",
                    rowsperstrip=_ROWS_A_STRIP,
                    contiguous=False,
                    metadata=None,
                )

    write_whole(path, write)


class MaskFolder(AbstractDataset[dict[str, list[NDArray[np.uint8]]], dict[str, MaskLoader]]):
    """A folder with one TIFF a stem: uint8, 0 vacuum, 1 monolayer, 2 other; a page for each frame.

    `save` adds files and replaces those of the same stem; an empty mapping makes the folder. `load` returns
    loaders.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def save(self, data: dict[str, list[NDArray[np.uint8]]]) -> None:
        """Write the masks of some stems."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for stem, masks in data.items():
            write_masks(stem_file(self._folder, stem, MASK_SUFFIX), masks)

    def load(self) -> dict[str, MaskLoader]:
        """List the masks by stem, sorted."""
        return {stem: MaskLoader(path) for stem, path in stems_in(self._folder, MASK_SUFFIX).items()}

    def preview(self) -> ImagePreview:
        """Show the first frame of the first mask: vacuum dark, one layer light, anything else orange."""
        from io import BytesIO

        from PIL import Image

        files = stems_in(self._folder, MASK_SUFFIX)
        if not files:
            return ImagePreview("")
        mask = MaskLoader(next(iter(files.values())))(0)
        step = -(-max(mask.shape) // _PREVIEW_SIDE)
        buffer = BytesIO()
        Image.fromarray(_COLOURS[np.minimum(mask[::step, ::step], len(_COLOURS) - 1)]).save(buffer, "PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode())

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
