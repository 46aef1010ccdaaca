from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amorph2d.localisation import mapped
from amorph2d.localisation.mapped import MappedImage, PackedPixels, without_residue


@pytest.fixture
def stored(tmp_path, rng) -> Path:
    path = tmp_path / "image.npy"
    np.save(path, rng.normal(size=(64, 48)).astype(np.float32))
    return path


def test_windows_are_those_of_the_file(stored, monkeypatch):
    monkeypatch.setattr(mapped, "_LEAST_SIZE", 1)
    pixels = np.load(stored)
    image = without_residue(np.load(stored, mmap_mode="r"))
    assert isinstance(image, MappedImage)
    assert (image.shape, image.size, image.ndim, image.dtype) == (
        pixels.shape,
        pixels.size,
        2,
        pixels.dtype,
    )
    assert len(image) == 64
    for window in (slice(3, 9), (slice(60, 99), slice(0, 5)), (slice(7, 7), slice(None))):
        part = image[window]
        assert type(part) is np.ndarray
        np.testing.assert_array_equal(part, pixels[window])
    np.testing.assert_array_equal(np.asarray(image), pixels)
    np.testing.assert_array_equal(np.asarray(image, dtype=np.float64), pixels)
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(image, copy=False)


def test_windows_may_be_written_to(stored, monkeypatch):
    monkeypatch.setattr(mapped, "_LEAST_SIZE", 1)
    image = without_residue(np.load(stored, mmap_mode="r"))
    before = image[:4]
    before[:] = 7
    np.testing.assert_array_equal(image[:4], np.load(stored)[:4])


def test_what_is_no_large_file_stays_what_it_is(stored):
    in_memory, small = np.load(stored), np.load(stored, mmap_mode="r")
    assert without_residue(in_memory) is in_memory
    assert without_residue(small) is small


def test_a_map_that_can_be_written_to_is_left_alone(stored, monkeypatch):
    # Letting go of a private map would undo what was written to it.
    monkeypatch.setattr(mapped, "_LEAST_SIZE", 1)
    image = np.load(stored, mmap_mode="c")
    image[0, 0] = 5
    assert without_residue(image) is image


def test_the_file_does_not_stay_in_memory(tmp_path):
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")

    def in_files() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "RssFile" in line)

    path = tmp_path / "large.npy"
    np.save(path, np.zeros((4096, 4200), np.float32))  # 67 200 KiB
    image = np.load(path, mmap_mode="r")
    before = in_files()
    kept = sum(float(image[row : row + 64].sum()) for row in range(0, 4096, 64))
    after_map = in_files()
    let_go = without_residue(image)
    total = sum(float(let_go[row : row + 64].sum()) for row in range(0, 4096, 64))
    assert total == kept == 0
    assert after_map - before > 60_000
    assert in_files() - before < 10_000


def test_free_memory_is_given_back_for_large_images(monkeypatch):
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")

    def in_memory() -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if "RssAnon" in line)

    image = np.zeros((8, 8), np.float32)
    # Small enough for the heap, with something small behind each that keeps its end from moving.
    blocks = [(bytearray(b"x") * 60_000, bytearray(1000)) for _ in range(2000)]
    kept = [small for _, small in blocks]
    del blocks
    before = in_memory()
    mapped.tidy_up(image)
    assert abs(in_memory() - before) < 20_000
    monkeypatch.setattr(mapped, "_LARGE", 64)
    mapped.tidy_up(image)
    assert before - in_memory() > 60_000
    assert len(kept) == 2000


def test_packed_pixels_are_those_set(rng):
    pixels = (rng.random((9, 13)) < 0.4).astype(np.uint8)
    packed = PackedPixels(pixels.shape)
    assert not np.asarray(packed).any()
    packed[slice(0, 5)] = pixels[:5]
    packed[slice(5, 9)] = pixels[5:]
    np.testing.assert_array_equal(np.asarray(packed), pixels)
    np.testing.assert_array_equal(packed[slice(2, 20)], pixels[2:])
    assert np.asarray(packed, dtype=bool).dtype == bool
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(packed, copy=False)
