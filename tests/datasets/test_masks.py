"""Masks on disk."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from kedro.io import DatasetError
from PIL import Image

from amorph2d.datasets.masks import MaskFolder


def masks(n: int, shape: tuple[int, int] = (300, 17)) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 3, shape).astype(np.uint8) for _ in range(n)]


@pytest.mark.parametrize("n_frames", [1, 3])
def test_frames_come_back(tmp_path: Path, n_frames: int) -> None:
    folder, given = MaskFolder(filepath=str(tmp_path / "masks")), masks(n_frames)
    folder.save({"a": given, "b.c": masks(1, (5, 4))})
    found = folder.load()
    assert list(found) == ["a", "b.c"]
    assert all(np.array_equal(found["a"](frame), mask) for frame, mask in enumerate(given))
    assert tifffile.imread(tmp_path / "masks" / "a.tif").dtype == np.uint8
    with pytest.raises(DatasetError, match=f"has {n_frames} frames, no frame 3"):
        found["a"](3)


def test_nothing_saved_is_an_empty_folder(tmp_path: Path) -> None:
    folder = MaskFolder(filepath=str(tmp_path / "masks"))
    assert not folder.exists()
    with pytest.raises(DatasetError, match="run the pipeline that writes it"):
        folder.load()
    folder.save({})
    assert folder.exists()
    assert folder.load() == {}


def test_damaged_masks_are_named(tmp_path: Path) -> None:
    folder = MaskFolder(filepath=str(tmp_path))
    folder.save({"cut": masks(1), "float": masks(1), "gone": masks(1)})
    path = tmp_path / "cut.tif"
    path.write_bytes(path.read_bytes()[:40])
    tifffile.imwrite(tmp_path / "float.tif", np.zeros((4, 4), np.float32))
    loaders = folder.load()
    (tmp_path / "gone.tif").unlink()
    for stem, said in (("cut", "no TIFF, or not a whole one"), ("float", "uint8 masks, got float32"),
                       ("gone", "is missing")):  # fmt: skip
        with pytest.raises(DatasetError, match=said):
            loaders[stem]()


@pytest.mark.parametrize("stem", ["", "../a", ".hidden"])
def test_stems_are_names_of_files(tmp_path: Path, stem: str) -> None:
    with pytest.raises(DatasetError, match="cannot name a file"):
        MaskFolder(filepath=str(tmp_path)).save({stem: masks(1)})


def test_preview_shows_each_area_in_its_colour(tmp_path: Path) -> None:
    folder = MaskFolder(filepath=str(tmp_path / "masks"))
    folder.save({})
    assert folder.preview() == ""
    mask = np.zeros((700, 1500), np.uint8)
    mask[:, 500:1000], mask[:, 1000:] = 1, 2
    folder.save({"a": [mask]})
    shown = np.asarray(Image.open(BytesIO(base64.b64decode(folder.preview()))))
    assert shown.shape == (234, 500, 3)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == 3
    assert MaskFolder.preview.__annotations__["return"] == "ImagePreview"  # by this kedro-viz draws
