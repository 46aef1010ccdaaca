from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import find_objects, label

from amorph2d.localisation import spots
from amorph2d.localisation.spots import without_spots

VALUES = {"spot": 2, "sure": 3, "instead": 1}


@pytest.fixture(autouse=True)
def all_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spots, "_ALONE", 1.0)


def replaced(mask: np.ndarray, smallest: float, sampling: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    result = mask.copy()
    without_spots(result, sampling, smallest=smallest, **VALUES)
    return result


def test_spots_below_the_area_are_replaced():
    mask = np.ones((20, 20), np.uint8)
    mask[2:4, 2:5] = 2  # 6 pixels
    mask[10:13, 10:13] = 2  # 9
    mask[6, 6], mask[7, 7] = 0, 2
    expected = mask.copy()
    expected[2:4, 2:5] = expected[7, 7] = 1
    np.testing.assert_array_equal(replaced(mask, 9.0), expected)
    np.testing.assert_array_equal(replaced(mask, 8.9 * 0.06, (0.2, 0.3)), expected)
    np.testing.assert_array_equal(replaced(mask, 0.0), mask)


def test_spots_hang_together_at_corners():
    mask = np.ones((9, 9), np.uint8)
    mask[np.arange(4), np.arange(4)] = 2
    np.testing.assert_array_equal(replaced(mask, 4.0), mask)
    assert (replaced(mask, 4.1) == 1).all()


def test_a_sure_pixel_keeps_its_spot():
    mask = np.ones((9, 12), np.uint8)
    mask[2, 2:5] = mask[6, 2:5] = 2
    mask[6, 4] = 3
    expected = np.ones_like(mask)
    expected[6, 2:5] = 2
    np.testing.assert_array_equal(replaced(mask, 5.0), expected)
    np.testing.assert_array_equal(replaced(mask, 0.0)[2], [1, 1, 2, 2, 2] + 7 * [1])


def test_long_spots_along_y_are_kept():
    mask = np.ones((30, 5), np.uint8)
    mask[3:20, 2] = 2  # 17 pixels, the limit is four times the root of 18: 16.97
    assert np.array_equal(replaced(mask, 18.0), mask)
    mask[3, 2] = 1
    assert (replaced(mask, 18.0) == 1).all()


@pytest.mark.parametrize("rows", [1, 3, 17, 64])
def test_rows_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    rng = np.random.default_rng(7)
    mask = rng.choice(np.array([0, 1, 2, 3], np.uint8), (200, 60), p=[0.35, 0.35, 0.28, 0.02])
    whole = replaced(mask, 12.0)
    numbers, _ = label(mask >= 2, np.ones((3, 3)))
    for number, (down, across) in enumerate(find_objects(numbers), start=1):
        part = numbers[down, across] == number
        is_small = (
            part.sum() < 12 and down.stop - down.start <= 13 and not (mask[down, across][part] == 3).any()
        )
        assert set(whole[down, across][part]) == {1 if is_small else 2}
    assert np.array_equal(whole == 0, mask == 0)
    monkeypatch.setattr(spots, "_PIXELS_AT_ONCE", rows * 60)
    np.testing.assert_array_equal(replaced(mask, 12.0), whole)


def test_spots_among_others_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spots, "_ALONE", 0.03)
    mask = np.ones((400, 400), np.uint8)
    mask[20:23, 20:23] = 2  # alone: 9 of 81 × 81 pixels
    mask[300:303, 300:303] = 2
    mask[310:330, 300:330] = 2  # large, 600 pixels
    mask[200:203, 60:63] = 2
    mask[270:300, 60:90] = 2  # large, but farther than 40 Å away
    expected = mask.copy()
    expected[20:23, 20:23] = expected[200:203, 60:63] = 1
    whole = replaced(mask, 12.0)
    np.testing.assert_array_equal(whole, expected)
    for rows in (7, 50):
        monkeypatch.setattr(spots, "_PIXELS_AT_ONCE", rows * 400)
        np.testing.assert_array_equal(replaced(mask, 12.0), whole)


def test_an_area_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"smallest must be ≥ 0 Å², got -1"):
        replaced(np.ones((2, 2), np.uint8), -1.0)
