"""From an image to sites: drawn at known places, found again, however the image is cut into tiles."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from amorph2d.learning.config import NetworkConfig
from amorph2d.learning.network import ResidualUNet
from amorph2d.localisation import locate, maps, resample
from amorph2d.localisation.locate import locate_candidates, locate_sites
from amorph2d.localisation.matching import match_points
from amorph2d.localisation.scores import score_sites

SQUARE = (0.2, 0.2)


def positions(sites, kind="atom", *, only_analysable=False):
    is_wanted = (sites["kind"] == kind) & (sites["analysable"] | (not only_analysable))
    return sites.loc[is_wanted, ["x", "y"]].to_numpy()


def assert_same_sites(first, second, *, distance=1e-3):
    for kind in ("atom", "ring"):
        a, b = positions(first, kind), positions(second, kind)
        assert len(a) == len(b)
        assert len(match_points(a, b, max_distance=distance).pairs) == len(a)
    assert first["analysable"].sum() == second["analysable"].sum()


@pytest.fixture(scope="module")
def micrograph(spots, graphene):
    """Non-square image of graphene with counting noise, (y, x) = (0.21, 0.17) Å/px, and its atoms."""
    sampling = (0.21, 0.17)
    atoms = graphene(58.0, 44.0)
    clean = 1.0 + 0.25 * spots(atoms, (210, 342), sampling)
    counts = np.random.default_rng(7).poisson(400 * clean).astype(np.uint16)
    return counts, sampling, atoms


def test_atoms_are_found_where_they_are(micrograph, network, parameters_of):
    image, sampling, atoms = micrograph
    sites = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of(), frame=3)
    scores = score_sites(positions(sites), atoms, max_distance=0.5, window=(2.0, 2.0, 56.0, 42.0))
    assert (scores.precision, scores.recall) == (1.0, 1.0)
    assert scores.n_reference > 700
    assert scores.rmse < 0.08
    rings = positions(sites, "ring", only_analysable=True)
    to_atoms = np.sort(np.linalg.norm(rings[:, None] - atoms, axis=2), axis=1)[:, :7]
    assert len(rings) > 300
    np.testing.assert_allclose(to_atoms[:, :6], 1.42, atol=0.5)
    assert to_atoms[:, 6].min() > 2.0
    assert (sites["frame"] == 3).all()


def test_columns_and_types(micrograph, network, parameters_of):
    image, sampling, _ = micrograph
    sites = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    assert {name: str(dtype) for name, dtype in sites.dtypes.items()} == {
        "frame": "int32",
        "site": "int64",
        "kind": "str",
        "x": "float64",
        "y": "float64",
        "sigma": "float32",
        "confidence": "float32",
        "analysable": "bool",
    }
    np.testing.assert_array_equal(sites["site"], np.arange(len(sites)))
    assert sites["kind"].tolist() == sorted(sites["kind"])
    assert sites["confidence"].between(0.3, 1.0).all()


@pytest.mark.parametrize("tile_size", [64, 72, 104, 168, 256])
@pytest.mark.parametrize("largest_held", [0, 2**25])
def test_tiled_equals_untiled(micrograph, network_of, parameters_of, monkeypatch, tile_size, largest_held):
    image, sampling, _ = micrograph
    network = network_of(pooled=0.2)
    whole = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    monkeypatch.setattr(resample, "_LARGEST_HELD", largest_held)
    monkeypatch.setattr(maps, "_STRIPE", 40)
    parameters = parameters_of(tile_size=tile_size, batch_size=3)
    tiled = locate_sites(image, sampling=sampling, network=network, parameters=parameters)
    assert len(whole) > 1000
    assert_same_sites(whole, tiled)


def test_tiles_need_their_context(micrograph, network_of, parameters_of, monkeypatch):
    image, sampling, _ = micrograph
    network = network_of(pooled=0.2)
    whole = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    network.config.receptive_field = 0
    monkeypatch.setattr(locate, "_PEAK_REACH", 0)
    tiled = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of(tile_size=64))
    a, b = positions(whole), positions(tiled)
    assert len(match_points(a, b, max_distance=1e-3).pairs) < len(a) - 20


def test_tiles_must_agree_with_the_pooling(micrograph, network_of, parameters_of):
    image, sampling, _ = micrograph
    network = network_of(pooled=0.5)
    whole = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    shifted = image[3:]
    moved = locate_sites(shifted, sampling=sampling, network=network, parameters=parameters_of())
    a, b = positions(whole), positions(moved) + np.array([0.0, 3 * sampling[0]])
    inner = ((a > 5) & (a < 38)).all(axis=1)
    assert len(match_points(a[inner], b, max_distance=1e-3).pairs) < 0.5 * inner.sum()


def test_tiled_equals_untiled_with_a_residual_unet(micrograph, parameters_of):
    image, sampling, _ = micrograph
    config = NetworkConfig(
        sampling=0.2,
        normalisation_window=4.0,
        channels=("atom", "ring"),
        label_sigma=0.4,
        stem="unshuffle",
        widths=(4, 8, 8),
        blocks=1,
        skips="add",
        decoder="light",
    )
    torch.manual_seed(5)
    module = ResidualUNet(config).eval()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.25)
    network = SimpleNamespace(module=module, config=config, metadata={})
    parameters = {"thresholds": {"atom": 0.55, "ring": 0.55}}
    whole = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of(**parameters))
    assert whole["kind"].nunique() == 2
    assert len(whole) > 300
    for tile_size in (128, 160):
        tiled = locate_sites(
            image,
            sampling=sampling,
            network=network,
            parameters=parameters_of(tile_size=tile_size, **parameters),
        )
        assert_same_sites(whole, tiled)


def test_sites_on_the_borders_of_tiles_are_owned_once(spots, network, parameters_of):
    # Every pixel column and row of the grid's middle carries a site, at each sub-pixel place in turn.
    x = np.arange(6.0, 134.0, 2.05)
    atoms = np.stack(np.meshgrid(x, np.arange(6.0, 30.0, 2.05)), axis=-1).reshape(-1, 2)
    image = spots(atoms, (180, 700), SQUARE)
    for tile_size in (64, 80):
        sites = locate_sites(
            image, sampling=SQUARE, network=network, parameters=parameters_of(tile_size=tile_size)
        )
        scores = score_sites(positions(sites), atoms, max_distance=0.2, window=(3.0, 3.0, 137.0, 33.0))
        assert scores.n_matched == scores.n_predicted == scores.n_reference == len(atoms)


def test_a_tie_on_the_border_of_two_tiles_is_one_site(spots, network, parameters_of):
    from amorph2d.localisation.tiles import cover

    config = network.config
    halo = config.receptive_field + locate._PEAK_REACH
    border = cover((90, 140), tile_size=96, halo=halo, stride=8)[0].own[1].stop
    atom = np.array([[(border - 0.5) * 0.2, 9.1]])
    image = spots(atom, (90, 140), SQUARE)
    for noise in (0.0, 1e-6, -1e-6):
        image[:, border] *= 1 + noise
        sites = locate_sites(image, sampling=SQUARE, network=network, parameters=parameters_of(tile_size=96))
        near = np.linalg.norm(positions(sites) - atom, axis=1) < 1.0
        assert near.sum() == 1


def test_error_falls_with_dose(spots, graphene, network, parameters_of, rng):
    atoms = graphene(36.0, 28.0)
    clean = 1.0 + 0.25 * spots(atoms, (140, 180), SQUARE)
    errors = []
    for counts in (100, 400, 1600, 6400):
        sites = locate_sites(
            rng.poisson(counts * clean), sampling=SQUARE, network=network, parameters=parameters_of()
        )
        scores = score_sites(positions(sites), atoms, max_distance=0.5, window=(2.0, 2.0, 34.0, 26.0))
        errors.append(scores.rmse)
    assert all(lower < 0.75 * higher for higher, lower in pairwise(errors))
    assert (scores.precision, scores.recall) == (1.0, 1.0)


def test_uneven_illumination_does_not_matter(micrograph, network, parameters_of):
    image, sampling, _ = micrograph
    y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
    uneven = image * (0.8 + 0.4 * (0.3 * y / image.shape[0] + 0.7 * x / image.shape[1]))
    even, sloped = (
        locate_sites(each, sampling=sampling, network=network, parameters=parameters_of())
        for each in (image, uneven)
    )
    a, b = positions(even, only_analysable=True), positions(sloped, only_analysable=True)
    assert len(match_points(a, b, max_distance=0.02).pairs) == len(a) == len(b)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_any_real_type(micrograph, network, parameters_of, dtype):
    image, sampling, _ = micrograph
    image = (image // 4).clip(0, 255)
    expected = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    sites = locate_sites(image.astype(dtype), sampling=sampling, network=network, parameters=parameters_of())
    assert_same_sites(expected, sites, distance=1e-5)


def test_brightness_and_contrast_do_not_matter(micrograph, network, parameters_of):
    image, sampling, _ = micrograph
    expected = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    sites = locate_sites(0.01 * image - 3.0, sampling=sampling, network=network, parameters=parameters_of())
    assert_same_sites(expected, sites)


def test_no_sites_in_empty_space(micrograph, network, parameters_of):
    image, sampling, _ = micrograph
    half = np.full((image.shape[0], 2 * image.shape[1]), np.median(image), dtype=float)
    half[:, : image.shape[1]] = image
    sites = locate_sites(half, sampling=sampling, network=network, parameters=parameters_of())
    whole = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    edge = image.shape[1] * sampling[1]
    found, expected = positions(sites), positions(whole)
    assert found[:, 0].max() < edge + 1.0
    inner = expected[expected[:, 0] < edge - 8.0]
    assert len(match_points(found, inner, max_distance=0.05).pairs) == len(inner)


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (1, 40), (70, 45)])
def test_empty_image_gives_an_empty_table(micrograph, network, parameters_of, shape):
    image, sampling, _ = micrograph
    full = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    empty = locate_sites(np.full(shape, 12), sampling=sampling, network=network, parameters=parameters_of())
    assert len(empty) == 0
    pd.testing.assert_series_equal(empty.dtypes, full.dtypes)


def test_single_atom_off_centre(spots, network_of, parameters_of):
    network = network_of(gain=0.4)
    image = spots(np.array([[11.3, 3.2]]), (61, 93), (0.17, 0.2))
    sites = locate_sites(image, sampling=(0.17, 0.2), network=network, parameters=parameters_of())
    np.testing.assert_allclose(positions(sites), [[11.3, 3.2]], atol=0.01)
    assert 0.5 < sites["confidence"].iloc[0] < 1.0


def test_no_site_lies_outside_of_the_image(spots, network, parameters_of):
    for sampling in ((0.11, 0.11), (0.2, 0.2), (0.43, 0.31)):
        shape = (int(14 / sampling[0]), int(20 / sampling[1]))
        low, high = -0.5 * np.array(sampling[::-1]), (np.array(shape[::-1]) - 0.5) * np.array(sampling[::-1])
        ring = np.linspace(0, 1, 9)
        for depth in (-0.9, -0.3, -0.05, 0.05, 0.3):
            xs, ys = low[0] + ring * (high - low)[0], np.full(9, low[1] + depth)
            atoms = np.concatenate([np.stack([xs, ys], 1), np.stack([xs, low[1] + high[1] - ys], 1)])
            image = spots(atoms, shape, sampling)
            sites = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
            found = sites[["x", "y"]].to_numpy()
            assert ((found >= low) & (found < high)).all()
            assert len(sites) > 0


def test_sites_near_the_edge_are_not_analysable(micrograph, network, parameters_of):
    image, sampling, _ = micrograph
    sites = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of(border=5.0))
    x, y = sites["x"] + 0.5 * sampling[1], sites["y"] + 0.5 * sampling[0]
    width, height = image.shape[1] * sampling[1], image.shape[0] * sampling[0]
    is_inner = x.between(5.0, width - 5.0) & y.between(5.0, height - 5.0)
    np.testing.assert_array_equal(sites["analysable"], is_inner)
    assert 0 < is_inner.sum() < len(sites)
    everywhere = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of(border=0.0))
    assert everywhere["analysable"].all()


def test_close_sites_of_one_kind_are_merged(spots, network_of, parameters_of):
    network = network_of(gain=0.4)
    image = spots(np.array([[8.0, 8.0], [9.2, 8.0]]), (80, 90), SQUARE, sigma=0.3)
    near, far = (
        positions(
            locate_sites(
                image, sampling=SQUARE, network=network, parameters=parameters_of(min_distance=distance)
            )
        )
        for distance in (0.6, 1.5)
    )
    assert (len(near), len(far)) == (2, 1)


def test_sigma_comes_from_the_networks_calibration(micrograph, network_of, parameters_of):
    image, sampling, _ = micrograph
    table = {"confidence": [0.3, 0.6, 0.9], "sigma": {"atom": [0.12, 0.06, 0.03]}}
    network = network_of(sigma=table)
    sites = locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())
    atoms = sites[sites["kind"] == "atom"]
    expected = np.interp(atoms["confidence"], table["confidence"], table["sigma"]["atom"])
    np.testing.assert_allclose(atoms["sigma"], expected, rtol=1e-5)
    assert atoms["sigma"].nunique() > 10
    assert sites.loc[sites["kind"] == "ring", "sigma"].isna().all()


def test_confidences_are_the_networks_probabilities_and_thresholds_stay_raw(
    micrograph, network_of, parameters_of
):
    image, sampling, _ = micrograph
    table = {"raw": [0.0, 0.5, 1.0], "atom": [0.0, 0.05, 0.2]}
    sigma = {"confidence": [0.3, 0.9], "sigma": {"atom": [0.12, 0.03]}}
    raw, calibrated = (
        locate_sites(
            image, sampling=sampling, network=network_of(sigma=sigma, **more), parameters=parameters_of()
        )
        for more in ({}, {"confidence": table})
    )
    is_atom = raw["kind"] == "atom"
    expected = np.interp(raw.loc[is_atom, "confidence"], table["raw"], table["atom"])
    np.testing.assert_allclose(calibrated.loc[is_atom, "confidence"], expected, rtol=1e-5)
    assert calibrated.loc[is_atom, "confidence"].max() < 0.3  # the threshold, on the raw scale
    pd.testing.assert_frame_equal(
        calibrated.loc[:, calibrated.columns != "confidence"], raw.loc[:, raw.columns != "confidence"]
    )
    pd.testing.assert_frame_equal(calibrated[~is_atom], raw[~is_atom])


def test_thresholds_of_the_network_and_of_the_parameters(micrograph, network_of, parameters_of):
    image, sampling, _ = micrograph
    network = network_of(thresholds={"atom": 0.97, "ring": 0.3})

    def count(**thresholds):
        sites = locate_sites(
            image, sampling=sampling, network=network, parameters=parameters_of(thresholds=thresholds)
        )
        return int((sites["kind"] == "atom").sum()), int((sites["kind"] == "ring").sum())

    few, many = count(atom="network", ring="network"), count(atom=0.3, ring=None)
    assert few[0] < many[0]
    assert few[1] == many[1] > 0
    assert count() == few


def test_threshold_nobody_knows(network, parameters_of):
    for thresholds, missing in (({"atom": 0.3}, "ring"), ({"atom": "network", "ring": 0.3}, "atom")):
        with pytest.raises(ValueError, match=rf"no threshold of its own for \['{missing}'\]"):
            locate_sites(
                np.ones((9, 9)),
                sampling=SQUARE,
                network=network,
                parameters=parameters_of(thresholds=thresholds),
            )


def test_threshold_of_an_unknown_kind(network, parameters_of):
    parameters = parameters_of(thresholds={"atom": 0.3, "ring": 0.3, "dopant": 0.3})
    with pytest.raises(ValueError, match=r"got also \['dopant'\]"):
        locate_sites(np.ones((9, 9)), sampling=SQUARE, network=network, parameters=parameters)


@pytest.mark.parametrize(
    ("image", "sampling", "message"),
    [
        (np.ones((3, 4, 5)), SQUARE, "two-dimensional"),
        (np.full((9, 9), np.nan), SQUARE, "finite, got 81 pixels"),
        (np.ones((9, 9)), (0.2, -0.2), "sampling must be > 0"),
    ],
)
def test_wrong_input(network, parameters_of, image, sampling, message):
    with pytest.raises(ValueError, match=message):
        locate_sites(image, sampling=sampling, network=network, parameters=parameters_of())


def test_tiles_too_small_for_the_network(network, parameters_of):
    with pytest.raises(ValueError, match="tile_size must be >="):
        locate_sites(
            np.ones((9, 9)), sampling=SQUARE, network=network, parameters=parameters_of(tile_size=16)
        )


def test_memory_does_not_grow_with_the_image(network, parameters_of, monkeypatch, tmp_path):
    monkeypatch.setattr(resample, "_LARGEST_HELD", 0)
    monkeypatch.setattr(maps, "_STRIPE", 64)
    shape = (1500, 2000)
    image = np.memmap(tmp_path / "image.raw", dtype=np.uint8, mode="w+", shape=shape)
    image[::40, ::40] = 200
    parameters = parameters_of(tile_size=256, batch_size=1)
    locate_sites(image[:100, :100], sampling=(0.15, 0.15), network=network, parameters=parameters)
    tracemalloc.start()
    sites = locate_sites(image, sampling=(0.15, 0.15), network=network, parameters=parameters)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (sites["kind"] == "atom").sum() == 38 * 50
    resampled_bytes = 4 * shape[0] * shape[1] * (0.15 / 0.2) ** 2
    assert peak < 0.7 * resampled_bytes


def test_candidates_are_the_sites_and_weaker_peaks(micrograph, network, parameters_of):
    image, sampling, _ = micrograph
    given = {"sampling": sampling, "network": network, "parameters": parameters_of()}
    sites = locate_sites(image, **given)
    located = locate_candidates(image, least=0.02, **given)
    pd.testing.assert_frame_equal(located.sites, sites)
    assert len(located.candidates) > len(sites)
    assert located.candidates["site"].is_unique
    common = located.candidates.merge(sites, on=["kind", "x", "y"])
    assert len(common) == len(sites)
    weaker = located.candidates.merge(sites, on=["kind", "x", "y"], how="left", indicator=True)
    weakest = sites.groupby("kind")["confidence"].min()
    left = weaker[weaker["_merge"] == "left_only"]
    assert (left["confidence_x"] <= left["kind"].map(weakest)).all()
    with pytest.raises(ValueError, match="least must be > 0, got 0"):
        locate_candidates(image, least=0, **given)
