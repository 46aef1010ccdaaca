"""Which pixels and sites count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from amorph2d.analysis import regions
from amorph2d.analysis.regions import analysable_region, in_region


def mask_with_other(shape: tuple[int, int] = (40, 60)) -> np.ndarray:
    mask = np.ones(shape, np.uint8)
    mask[10:20, 30:36] = 2
    mask[30, 5] = 0
    return mask


def test_border_margin_and_vacuum_do_not_count() -> None:
    counts = analysable_region(mask_with_other(), (0.5, 0.25), border=1.0, margin=1.0)
    expected = np.ones((40, 60), np.uint8)
    # A strip of 1 Å ends 1.5 pixels below the centre of the first row, 3.5 pixels beside the first column.
    expected[:2] = expected[-2:] = 0
    expected[:, :4] = expected[:, -4:] = 0
    expected[8:22, 26:40] = 0
    expected[30, 5] = 2
    assert np.array_equal(counts, expected)


def test_region_of_interest_limits_what_counts() -> None:
    region = np.zeros((40, 60), bool)
    region[5:9, 7:11] = True
    counts = analysable_region(mask_with_other(), 0.5, border=0.0, margin=0.0, region=region)
    assert np.array_equal(counts, region)


def test_without_border_and_margin_the_monolayer_counts() -> None:
    mask = mask_with_other()
    assert np.array_equal(analysable_region(mask, 0.2, border=0.0, margin=0.0) == 1, mask == 1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"border": -1.0}, "border must be ≥ 0 Å, got -1.0"),
        ({"margin": -0.5}, "margin must be ≥ 0 Å, got -0.5"),
        ({"region": np.ones((3, 4), bool)}, r"region must have the shape of the mask, \(40, 60\), got"),
    ],
)
def test_wrong_values_are_named(given: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        analysable_region(mask_with_other(), 0.2, **{"border": 1.0, "margin": 1.0} | given)


def test_sites_count_on_pixels_that_count() -> None:
    region = np.zeros((10, 20), np.uint8)
    region[4, 6] = 1
    region[0, 0] = 2
    sites = pd.DataFrame({"x": [1.5, 1.62, 1.63, -9.0, 0.0], "y": [2.0, 2.24, 2.0, 2.0, 0.0]})
    assert in_region(sites, region, (0.5, 0.25)).tolist() == [True, True, False, False, False]
    assert in_region(sites.iloc[:0], region, 0.5).tolist() == []


def test_rows_at_once_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    mask = rng.choice(3, (61, 40), p=[0.3, 0.699, 0.001]).astype(np.uint8)
    whole = analysable_region(mask, (0.5, 0.4), border=1.0, margin=2.0)
    assert {*np.unique(whole)} == {0, 1, 2}
    for rows in (1, 3, 7, 60):
        monkeypatch.setattr(regions, "_ROWS_AT_ONCE", rows)
        np.testing.assert_array_equal(analysable_region(mask, (0.5, 0.4), border=1.0, margin=2.0), whole)
