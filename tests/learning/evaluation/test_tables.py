from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.evaluation.tables import (
    conditions_of,
    contrast_polarity,
    group_images,
    share,
    total_images,
)

EDGES = {"dose_per_area": (1e3, 1e4), "defocus": (0.0,)}


def grid_image(*, contrast: float = 1.0, **recipe) -> SimulatedImage:
    """Return atoms on a grid of 3 Å and rings halfway between, as wide as 100 and as high as 120 pixels."""
    shape = (120, 100)
    steps = np.arange(5) * 3.0 + 3.0
    atoms = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    y, x = np.mgrid[: shape[0], : shape[1]] * 0.2
    pixels = sum((np.exp(-((x - p) ** 2 + (y - q) ** 2) / 0.5) for p, q in atoms), start=np.zeros(shape))
    known = {"family": "grid", "energy": 80e3, "defocus": -40.0, "dose_per_area": 2e4}
    image = (100 + 10 * contrast * pixels).astype(np.float32)
    return SimulatedImage(4, image, 0.2, atoms, atoms + 1.5, known | recipe)


def without(image: SimulatedImage, *names: str) -> SimulatedImage:
    return SimulatedImage(**{**vars(image), **{name: np.empty((0, 2)) for name in names}})


def table() -> pd.DataFrame:
    """Return four images with two channels; what is found of ring is half of what is found of atom."""
    rows = [
        {
            "index": index,
            "channel": channel,
            "family": family,
            "energy": energy,
            "defocus": defocus,
            "dose_per_area": dose,
            "sampling": 0.2,
            "polarity": "dark atoms",
            "n_true": 10,
            "n_found": n_found // part,
        }
        for index, (family, energy, defocus, dose, n_found) in enumerate(
            [
                ("silica", 8e4, -10.0, 500.0, 2),
                ("graphene", 6e4, 0.0, 1e3, 4),
                ("silica", 8e4, 5.0, 2e3, 6),
                ("silica", 8e4, 6.0, 9e4, 8),
            ]
        )
        for channel, part in (("ring", 2), ("atom", 1))
    ]
    return pd.DataFrame(rows)


def ratios(counts: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"recall": share(counts["n_found"], counts["n_true"])}, index=counts.index)


def group(images: pd.DataFrame, condition: str, **settings) -> pd.DataFrame:
    groups = group_images(images, **({"edges": EDGES, "ratios": ratios} | settings))
    return groups[(groups["condition"] == condition) & (groups["channel"] == "atom")]


def test_counts_are_added_up_before_the_ratio():
    totals = total_images(table(), ratios=ratios)
    assert list(totals["channel"]) == ["ring", "atom"]
    assert totals.columns.tolist() == ["channel", "n_images", "n_true", "n_found", "recall"]
    assert totals.set_index("channel").loc["atom"].tolist() == [4, 40, 20, 0.5]
    assert totals.set_index("channel").loc["ring"].tolist() == [4, 40, 10, 0.25]


def test_a_value_on_an_edge_lies_in_the_upper_bin():
    rows = group(table(), "dose_per_area")
    assert list(zip(rows["low"], rows["high"], strict=True)) == [(-np.inf, 1e3), (1e3, 1e4), (1e4, np.inf)]
    assert rows["value"].tolist() == ["< 1000", "1000 to 10000", "≥ 10000"]
    assert rows["n_images"].tolist() == [1, 2, 1]
    assert rows["recall"].tolist() == [0.2, 0.5, 0.8]


def test_order_of_the_images_changes_nothing_but_the_order_of_the_channels():
    groups = group_images(table(), edges=EDGES, ratios=ratios)
    assert groups["channel"].iloc[0] == "ring"
    mixed = group_images(table().sample(frac=1, random_state=3), edges=EDGES, ratios=ratios)
    by = ["channel", "condition", "value"]
    pd.testing.assert_frame_equal(
        mixed.sort_values(by, ignore_index=True), groups.sort_values(by, ignore_index=True)
    )


def test_bins_without_images_are_left_out():
    few = table().query("dose_per_area != 1000 and dose_per_area != 2000")
    assert group(few, "dose_per_area")["value"].tolist() == ["< 1000", "≥ 10000"]


def test_names_have_no_limits_and_energies_are_names_in_their_order():
    rows = group(table(), "energy")
    assert rows["value"].tolist() == ["60 keV", "80 keV"]
    assert rows["recall"].tolist() == [0.4, pytest.approx(16 / 30)]
    assert rows[["low", "high"]].isna().all(axis=None)
    assert group(table(), "family")["value"].tolist() == ["graphene", "silica"]


def test_conditions_without_edges_or_column_are_left_out():
    groups = group_images(table(), edges=EDGES | {"bound": (0.05,)}, ratios=ratios)
    assert list(dict.fromkeys(groups["condition"])) == [
        "dose_per_area",
        "defocus",
        "energy",
        "family",
        "polarity",
    ]


@pytest.mark.parametrize("n_known", [0, 1, 4])
def test_images_with_an_unknown_condition_are_in_no_bin_of_it(n_known):
    images = table()
    images["bound"] = np.where(images["index"] < n_known, 0.03, np.nan)
    rows = group(images, "bound", edges={"bound": (0.05,)})
    assert rows["n_images"].sum() == n_known
    assert group(images, "family", edges={"bound": (0.05,)})["n_images"].sum() == 4
    assert "bound" not in total_images(images, ratios=ratios)


def test_wrong_input():
    with pytest.raises(ValueError, match="got also family"):
        group_images(table(), edges={"family": (1.0,)}, ratios=ratios)
    with pytest.raises(ValueError, match="at least one row, got none"):
        group_images(table().iloc[:0], edges=EDGES, ratios=ratios)


def test_share_of_nothing_is_undefined():
    assert share(pd.Series([1, 0, 0]), pd.Series([2, 5, 0])).tolist()[:2] == [0.5, 0.0]
    assert math.isnan(share(pd.Series([0]), pd.Series([0]))[0])


@pytest.mark.parametrize("window", [5.0, None])
@pytest.mark.parametrize("contrast", [1.0, -1.0])
def test_polarity_is_that_of_the_atoms(contrast, window):
    image = grid_image(contrast=contrast)
    expected = "bright atoms" if contrast > 0 else "dark atoms"
    assert contrast_polarity(image, window=window) == expected
    assert contrast_polarity(without(image, "rings"), window=window) == expected
    assert contrast_polarity(without(image, "atoms"), window=window) == "no atoms"


def test_conditions_are_in_units_of_carbon():
    image = grid_image(length_scale=2.0, energy=6e4)
    assert conditions_of(image, window=5.0) == {
        "index": 4,
        "family": "grid",
        "energy": 6e4,
        "defocus": -40.0,
        "dose_per_area": 8e4,
        "sampling": 0.1,
        "polarity": "bright atoms",
    }
