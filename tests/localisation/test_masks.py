from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from amorph2d.localisation import masks, spots
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.masks import area_threshold, covered_pixels, segment

PARAMETERS = LocalisationParameters(
    tile_size=32, batch_size=3, thresholds={}, min_distance=0.6, border=0.0, precision="float32"
)
STEPS = (0.5, 0.5)


class Brightness(nn.Module):
    """Surer the brighter a pixel of the normalised image is; channels ask for different levels."""

    def __init__(self, *levels: float) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor(levels).view(1, -1, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 20 * (image - self.levels)


def network_of(
    channels: tuple[str, ...], *levels: float, sampling: float = 0.5, threshold: float | None = 0.5
) -> Any:
    config = SimpleNamespace(
        output="areas", sampling=sampling, stride=4, receptive_field=0, normalisation_window=None,
        channels=channels,
    )  # fmt: skip
    metadata = {} if threshold is None else {"thresholds": dict.fromkeys(channels, threshold)}
    return SimpleNamespace(module=Brightness(*levels), config=config, metadata=metadata, sha256="0" * 64)


@pytest.fixture
def networks() -> dict[str, Any]:
    # In spreads of the image: what is dark is other, the brightest is vacuum.
    return {
        "pores": network_of(("vacuum",), 1.0),
        "monolayer": network_of(("monolayer",), -0.5),
    }


@pytest.fixture
def truth() -> np.ndarray:
    mask = np.ones((50, 70), dtype=np.uint8)
    mask[30:45, 3:60] = 2
    mask[5:20, 8:26] = 0
    return mask


def picture(mask: np.ndarray) -> np.ndarray:
    return np.array([300, 200, 100])[mask]


def test_vacuum_comes_first_then_monolayer_and_the_rest_is_other(networks, truth):
    mask = segment(picture(truth), sampling=STEPS, networks=networks, parameters=PARAMETERS)
    assert mask.dtype == np.uint8
    assert (mask == truth).all()


def test_what_looks_like_both_is_vacuum(truth):
    sure = {"pores": network_of(("vacuum",), -9.0), "monolayer": network_of(("monolayer",), -9.0)}
    mask = segment(picture(truth), sampling=STEPS, networks=sure, parameters=PARAMETERS)
    assert (mask == 0).all()


def test_networks_work_on_their_own_grids(networks):
    # The borders lie halfway between two pixels of either grid, of which one is finer, one coarser.
    truth = np.ones((60, 80), dtype=np.uint8)
    truth[:, 40:], truth[:20] = 2, 0
    grids = {
        "pores": network_of(("vacuum",), 1.0, sampling=0.25),
        "monolayer": network_of(("monolayer",), -0.5, sampling=1.0),
    }
    mask = segment(picture(truth), sampling=(0.25, 0.5), networks=grids, parameters=PARAMETERS)
    is_wrong = mask != truth
    assert mask.shape == truth.shape
    assert is_wrong[np.r_[:17, 24:60]][:, np.r_[:37, 43:80]].sum() == 0
    assert is_wrong.mean() < 0.03


def test_the_channel_that_is_asked_for_is_used_whatever_its_place(networks, truth):
    shared = network_of(("other", "monolayer", "vacuum"), 9.0, -0.5, 1.0)
    mask = segment(
        picture(truth), sampling=STEPS, networks={"pores": shared, "monolayer": shared}, parameters=PARAMETERS
    )
    assert (mask == truth).all()


def test_without_one_network_there_is_one_kind_less(networks, truth):
    only = {name: {name: network} for name, network in networks.items()}
    mask = segment(picture(truth), sampling=STEPS, networks=only["pores"], parameters=PARAMETERS)
    assert (mask == np.where(truth == 0, 0, 1)).all()
    mask = segment(picture(truth), sampling=STEPS, networks=only["monolayer"], parameters=PARAMETERS)
    assert (mask == np.where(truth == 2, 2, 1)).all()


def test_a_single_pixel_is_segmented(networks):
    mask = segment(np.array([[5.0]]), sampling=STEPS, networks=networks, parameters=PARAMETERS)
    assert mask.tolist() == [[1]]  # normalised to 0


def test_the_mask_does_not_depend_on_the_tiles(networks, rng):
    image = rng.normal(size=(70, 90))
    small, large = (
        segment(
            image, sampling=(0.6, 0.4), networks=networks,
            parameters=PARAMETERS.model_copy(update={"tile_size": size}),
        )
        for size in (8, 512)
    )  # fmt: skip
    assert (small == large).all()
    assert set(np.unique(small)) == {0, 1, 2}


def test_a_threshold_of_the_parameters_replaces_that_of_the_network(networks, truth):
    never = PARAMETERS.model_copy(update={"thresholds": {"vacuum": 1.0 - 1e-9, "atom": None}})
    networks["pores"] = network_of(("vacuum",), 1.4)
    mask = segment(picture(truth), sampling=STEPS, networks=networks, parameters=never)
    assert (mask == np.where(truth == 2, 2, 1)).all()
    for given in ("network", None):
        own = PARAMETERS.model_copy(update={"thresholds": {"vacuum": given}})
        assert area_threshold(networks["pores"], "vacuum", own) == 0.5


def test_what_is_missing_is_named(networks, truth):
    image = picture(truth)
    for wrong, message in (
        ({}, "networks must be of pores, monolayer, got none"),
        ({"sites": networks["pores"]}, "networks must be of pores, monolayer, got sites"),
        ({"pores": networks["monolayer"]}, "must have the channel 'vacuum', got monolayer"),
        ({"pores": network_of(("vacuum",), 1.0, threshold=None)}, "no threshold of its own for 'vacuum'"),
    ):
        with pytest.raises(ValueError, match=message):
            segment(image, sampling=STEPS, networks=wrong, parameters=PARAMETERS)
    networks["pores"].config.output = "sites"
    with pytest.raises(ValueError, match="output must be 'areas', got 'sites'"):
        segment(image, sampling=STEPS, networks=networks, parameters=PARAMETERS)
    with pytest.raises(ValueError, match="two-dimensional"):
        segment(
            image[None], sampling=STEPS, networks={"monolayer": networks["monolayer"]}, parameters=PARAMETERS
        )


def hexagon(bond: float = 1.42) -> pd.DataFrame:
    angles = np.arange(6) * np.pi / 3
    x, y = 6 + bond * np.cos(angles), 4 + bond * np.sin(angles)
    kinds = ["atom"] * 6 + ["ring"]
    return pd.DataFrame({"kind": kinds, "x": np.append(x, 6.0), "y": np.append(y, 4.0)})


@pytest.mark.parametrize("sampling", [(0.1, 0.1), (0.1, 0.09)])
def test_rings_and_bonds_cover_the_sheet(sampling: tuple[float, float]) -> None:
    shape = (round(8 / sampling[0]), round(12 / sampling[1]))
    whole = {"shape": shape, "sampling": sampling, "bond_limits": (0.5, 1.9)}
    with_ring = np.asarray(covered_pixels(hexagon(), largest_ring=6, **whole))
    without = np.asarray(covered_pixels(hexagon(), largest_ring=5, **whole))
    middle = round(4 / sampling[0]), round(6 / sampling[1])
    assert (with_ring[middle], without[middle]) == (1, 0)
    # The hexagon, a strip of 0.71 Å along its edges and the sixths of a disc at its corners.
    area = 1.5 * 3**0.5 * 1.42**2 + 6 * 1.42 * 0.71 + np.pi * 0.71**2
    assert with_ring.sum() * sampling[0] * sampling[1] == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize(
    ("probability", "when_covered", "when_not"), [(0.05, 1, 1), (0.5, 1, 0), (0.95, 0, 0)]
)
def test_the_located_network_shifts_what_is_vacuum(networks, truth, probability, when_covered, when_not):
    image = picture(truth)
    bright = (300 - image.mean()) / image.std()
    networks["pores"] = network_of(("vacuum",), bright - np.log(probability / (1 - probability)) / 20)
    cover = np.zeros(truth.shape, np.uint8)
    cover[:, :20] = 1
    mask = segment(image, sampling=STEPS, networks=networks, parameters=PARAMETERS, cover=cover)
    is_bright = truth == 0
    assert set(mask[is_bright & (cover == 1)]) == {when_covered}
    assert set(mask[is_bright & (cover == 0)]) == {when_not}
    assert np.array_equal(mask[~is_bright], truth[~is_bright])


def test_rows_at_once_do_not_change_what_is_covered(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    row, column, second = np.mgrid[:140, :24, :2].reshape(3, -1)  # graphene, a little disordered
    atoms = np.stack([1.23 * (2 * column + row % 2), 2.13 * row + 1.42 * second], axis=1)
    points = [atoms + rng.normal(0, 0.12, atoms.shape), atoms[second == 1] + (0, 1.42)]
    holes = rng.uniform((0, 0), (60, 300), (12, 2))
    radius = rng.uniform(3, 14, len(holes))
    kept = [each[(np.linalg.norm(each[:, None] - holes, axis=2) > radius).all(axis=1)] for each in points]
    places = {"shape": (1200, 240), "sampling": (0.25, 0.25), "bond_limits": (0.5, 1.9), "largest_ring": 12}
    sites = pd.DataFrame(np.concatenate(kept), columns=["x", "y"])
    sites["kind"] = np.repeat(["atom", "ring"], [len(each) for each in kept])
    whole = np.asarray(covered_pixels(sites, **places))
    assert 0.5 < whole.mean() < 0.95
    for rows in (100, 333):
        monkeypatch.setattr(masks, "_PIXELS_AT_ONCE", rows * 240)
        np.testing.assert_array_equal(covered_pixels(sites, **places), whole)


def test_small_spots_need_a_sure_pixel_that_is_not_covered(networks, truth, monkeypatch):
    monkeypatch.setattr(spots, "_ALONE", 1.0)
    truth[:] = 1
    truth[5:10, 5:10] = 2  # 6.25 Å²
    truth[25:30, 5:10] = 2
    truth[30:44, 30:44] = 2  # 49 Å²
    image = picture(truth)
    dark = (100 - image.mean()) / image.std()
    networks["monolayer"] = network_of(("monolayer",), dark - np.log(0.05 / 0.95) / 20)
    cover = np.zeros(truth.shape, np.uint8)
    cover[:15, :25] = 1
    found = {
        smallest: segment(
            image,
            sampling=STEPS,
            networks=networks,
            parameters=PARAMETERS,
            cover=cover,
            smallest_spot=smallest,
        )
        for smallest in (0.0, 6.0, 6.5, 100.0)
    }
    for smallest in (0.0, 6.0):
        np.testing.assert_array_equal(found[smallest], truth)
    truth[5:10, 5:10] = 1
    for smallest in (6.5, 100.0):
        np.testing.assert_array_equal(found[smallest], truth)
