from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.config import NetworkConfig
from amorph2d.learning.domain import (
    describe_confidence,
    describe_images,
    describe_sites,
    judge_confidence,
    measure_view,
    spectrum_distance,
)
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import build_network
from amorph2d.localisation.config import LocalisationParameters

SHAPE = (150, 128)
STEP = 0.2
HERE = (STEP, STEP)
CONFIG = NetworkConfig(
    sampling=STEP, normalisation_window=6.0, channels=("atom", "ring"), label_sigma=0.4,
    stem="unshuffle", widths=(4, 4), blocks=1, skips="add", decoder="light",
)  # fmt: skip
NOWHERE = np.empty((0, 2))


def pattern(angle, shifts, *, shape=SHAPE, step=STEP, period=2.13):
    """Three plane waves, as a honeycomb has them."""
    y, x = (np.arange(n) * step for n in shape)
    turns = angle + np.arange(3) * np.pi / 3
    return sum(
        np.cos(2 * np.pi / period * (x[None] * np.cos(t) + y[:, None] * np.sin(t)) + s)
        for t, s in zip(turns, shifts, strict=True)
    )


def sheet(index, *, step=STEP, shape=SHAPE, **recipe):
    rng = np.random.default_rng([5, index])
    mean, contrast = 100 * 10 ** rng.uniform(0, 1), rng.choice([-1, 1]) * rng.uniform(0.02, 0.05)
    signal = pattern(rng.uniform(0, np.pi), rng.uniform(0, 6, 3), shape=shape, step=step)
    image = rng.poisson(mean * (1 + contrast * signal)).astype(np.float32)
    known = {"index": index, "specimen": index // 2, "dose_per_area": mean / step**2}
    return SimulatedImage(index, image, step, NOWHERE, NOWHERE, known | recipe)


def spectrum_of(image, sampling=HERE):
    return measure_view(image, sampling=sampling, config=CONFIG).spectrum


@pytest.fixture(scope="module")
def described():
    return describe_images([sheet(k) for k in range(100)], CONFIG, max_images=100)


# ---------------------------------------------------------------- one image


@pytest.mark.parametrize("shape", [(128, 128), (300, 131), (70, 100)])
def test_contrast_of_a_plane_wave_is_its_amplitude_over_the_root_of_two(shape):
    wave = np.cos(2 * np.pi * np.arange(shape[1]) * STEP / 2.0)
    image = np.broadcast_to(50 * (1 + 0.1 * wave), shape)
    assert measure_view(image, sampling=HERE, config=CONFIG).contrast == pytest.approx(
        0.1 / math.sqrt(2), rel=0.02
    )


@pytest.mark.parametrize("period", [0.5, 12.0])
def test_contrast_does_not_count_noise_and_background(period):
    wave = np.cos(2 * np.pi * np.arange(SHAPE[1]) * STEP / period)
    image = np.broadcast_to(50 * (1 + 0.1 * wave), SHAPE)
    assert measure_view(image, sampling=HERE, config=CONFIG).contrast < 0.003


def test_contrast_does_not_depend_on_the_gain_but_on_the_black_level():
    image = sheet(3).image
    contrast, louder, darker = (
        measure_view(each, sampling=HERE, config=CONFIG).contrast for each in (image, 7 * image, image - 50)
    )
    assert louder == pytest.approx(contrast, rel=1e-4)
    assert darker == pytest.approx(contrast * image.mean() / (image.mean() - 50), rel=1e-2)
    assert math.isnan(measure_view(image - image.max(), sampling=HERE, config=CONFIG).contrast)


def test_spectrum_of_white_noise_is_flat_and_one():
    noise = np.random.default_rng(1).normal(100, 3, (256, 300))
    power, sharpness = np.split(spectrum_of(noise), 2)
    # The local normalisation takes some of the lowest frequencies away, and divides by the spread of all.
    np.testing.assert_allclose(power[3:], 0, atol=0.15)
    assert (sharpness < 1.5).all()


def test_spectrum_has_the_wave_in_its_band_and_sharp():
    image = np.random.default_rng(1).normal(100, 3, SHAPE) + 5 * pattern(0.3, (0, 0, 0))
    power, sharpness = np.split(spectrum_of(image), 2)
    band = np.digitize(STEP / 2.13, np.geomspace(0.03, 0.5, 15)) - 1
    assert power.argmax() == band
    assert sharpness[band] > 1.5


def test_spectrum_does_not_depend_on_polarity_gain_or_axes():
    image = sheet(8).image
    expected = spectrum_of(image)
    for other in (-image, 5 * image + 1000, image[::-1]):
        np.testing.assert_allclose(spectrum_of(other), expected, atol=0.02)
    np.testing.assert_allclose(spectrum_of(image.T), expected, atol=0.1)


def test_an_image_too_small_has_neither():
    view = measure_view(np.ones((63, 200)), sampling=HERE, config=CONFIG)
    assert math.isnan(view.contrast)
    assert view.spectrum is None


def test_a_constant_image_has_a_finite_spectrum():
    view = measure_view(np.ones(SHAPE), sampling=HERE, config=CONFIG)
    assert view.contrast == pytest.approx(0, abs=1e-6)
    assert np.isfinite(view.spectrum).all()


# ---------------------------------------------------------------- a training set


def test_description_is_small_json(described):
    text = json.dumps(described, allow_nan=False)
    assert len(text) < 8000
    assert json.loads(text) == described
    assert described["n_images"] == 100
    low, high = described["contrast"]
    assert 0 < low < high < 0.5
    assert described["spectrum"]["distances"] == sorted(described["spectrum"]["distances"])


def test_images_of_the_set_lie_inside(described):
    others = [spectrum_distance(spectrum_of(sheet(k).image), described["spectrum"]) for k in range(500, 530)]
    assert np.mean([each.value > each.limit for each in others]) <= 0.05
    assert np.median([each.value for each in others]) == pytest.approx(1, abs=0.25)
    assert 0.3 < np.median([each.farther for each in others]) < 0.7


@pytest.mark.parametrize("factor", [1 / 1.5, 1.5])
def test_a_wrong_sampling_is_far(described, factor):
    wrong = spectrum_of(sheet(501).image, (STEP * factor, STEP * factor))
    distance = spectrum_distance(wrong, described["spectrum"])
    assert distance.value > distance.limit
    assert distance.farther < 0.01


def test_the_band_that_differs_most_is_named(described):
    # In the middle of the band from 0.224 to 0.273 1/px.
    waves = pattern(0.2, (1, 2, 3), period=STEP / 0.247)
    image = sheet(502).image
    distance = spectrum_distance(spectrum_of(image * (1 + 0.2 * waves)), described["spectrum"])
    assert distance.farther == 0
    assert distance.band[0] < 0.247 < distance.band[1]
    assert distance.deviation > 5


def test_held_back_images_are_farther_than_those_that_vouch_for_themselves(described):
    # Without holding back, the mean of the squared distances would be exactly 1, less what is shrunk.
    images = [sheet(k) for k in range(60)]
    spectrum = describe_images(images, CONFIG, max_images=60)["spectrum"]
    own = [spectrum_distance(spectrum_of(image.image), spectrum).value for image in images]
    assert spectrum["distances"][0] > np.median(own)


def test_specimens_are_held_back_as_a_whole():
    # One specimen of five is unlike the others: its images must not vouch for each other.
    images = [sheet(k, specimen=k % 5) for k in range(60)]
    images = [replace(each, sampling=0.3) if k % 5 == 0 else each for k, each in enumerate(images)]
    apart = [replace(each, recipe=each.recipe | {"specimen": k // 5}) for k, each in enumerate(images)]
    together, shared = (
        describe_images(each, CONFIG, max_images=60)["spectrum"]["distances"][2] for each in (images, apart)
    )
    assert together > 1.5 * shared


def test_pictures_for_display_have_no_contrast_of_their_own():
    counts, picture = [sheet(k) for k in range(4)], sheet(9, bits=8)
    picture = replace(picture, image=picture.image - picture.image.min())
    both = describe_images([*counts, picture], CONFIG, max_images=5)
    assert both["contrast"] == describe_images(counts, CONFIG, max_images=4)["contrast"]
    assert "contrast" not in describe_images([picture], CONFIG, max_images=5)
    as_counts = replace(picture, recipe=picture.recipe | {"bits": 16})
    assert describe_images([as_counts], CONFIG, max_images=5)["contrast"][0] > both["contrast"][1]


def test_other_materials_are_seen_in_units_of_carbon():
    image = sheet(4)
    polymer = replace(image, sampling=18 * STEP, recipe=image.recipe | {"length_scale": 18.0})
    assert describe_images([polymer], CONFIG, max_images=1) == describe_images([image], CONFIG, max_images=1)


def test_images_are_spread_over_a_sequence_and_counted_from_the_start_of_others():
    images = [sheet(k) for k in range(5)]
    assert describe_images(images, CONFIG, max_images=2) == describe_images(
        [images[0], images[4]], CONFIG, max_images=9
    )
    assert describe_images(iter(images), CONFIG, max_images=2) == describe_images(
        images[:2], CONFIG, max_images=9
    )


def test_too_few_images_tell_no_spectrum():
    assert "spectrum" not in describe_images([sheet(0)], CONFIG, max_images=3)
    small = sheet(0, shape=(40, 40))
    assert describe_images([small], CONFIG, max_images=3) == {"n_images": 1}


def test_no_image_is_an_error(described):
    with pytest.raises(ValueError, match="at least one image"):
        describe_images([], CONFIG, max_images=3)
    with pytest.raises(ValueError, match="max_images must be ≥ 1, got 0"):
        describe_images([sheet(0)], CONFIG, max_images=0)
    with pytest.raises(ValueError, match="28 values of the training"):
        spectrum_distance(np.zeros(20), described["spectrum"])


# ---------------------------------------------------------------- sites


def sites(n_atoms, n_rings, confidence, **columns):
    n = n_atoms + n_rings
    return pd.DataFrame(
        {"kind": ["atom"] * n_atoms + ["ring"] * n_rings, "confidence": np.full(n, confidence), **columns}
    )


def test_confident_share_and_densities():
    table = pd.concat([sites(300, 100, 0.95), sites(80, 20, 0.5)])
    judged = judge_confidence(table, 1000.0)
    assert judged == {
        "confident_share": pytest.approx(0.8),
        "atom_density": pytest.approx(0.38),
        "ring_density": pytest.approx(0.12),
    }


def test_only_analysable_sites_count():
    table = sites(4, 0, [0.9, 0.95, 0.2, 0.3], analysable=[True, False, False, True])
    assert judge_confidence(table, 400.0)["confident_share"] == 0.5
    assert judge_confidence(table, 400.0)["atom_density"] == 2 / 400


def test_nothing_found_is_a_density_of_zero_and_no_share():
    judged = judge_confidence(sites(0, 0, 0.0), 500.0)
    assert math.isnan(judged["confident_share"])
    assert judged["atom_density"] == judged["ring_density"] == 0


@pytest.mark.parametrize("area", [0.0, 199.0, math.nan])
def test_a_small_area_tells_no_density(area):
    judged = judge_confidence(sites(5, 2, 0.95), area)
    assert judged["confident_share"] == 1
    assert math.isnan(judged["atom_density"])


def test_range_of_confidence():
    tables = [(sites(300 + k, 150, 0.95), 1000.0) for k in range(101)] + [(sites(5, 1, 0.1), 10.0)]
    described = describe_confidence(tables)
    assert described["atom_density"] == pytest.approx([0.3005, 0.3995])
    assert described["ring_density"] == [0.15, 0.15]
    assert described["confident_share"][1] == 1
    assert describe_confidence([]) == {}


def test_sites_are_counted_on_the_monolayer_alone():
    # The weights are random: what is found means nothing, but it is found everywhere.
    import torch

    torch.manual_seed(3)
    network = build_network(CONFIG, ResidualUNet(CONFIG).state_dict(), {})
    parameters = LocalisationParameters(
        tile_size=256, batch_size=1, thresholds={"atom": 0.01, "ring": 0.01}, min_distance=0.6, border=1.0,
        precision="float32",
    )  # fmt: skip
    image = sheet(1)
    bare = describe_sites(network, [image], localisation=parameters)
    half = np.ones(SHAPE, dtype=np.uint8)
    half[:, SHAPE[1] // 2 :] = 2
    covered = describe_sites(network, [replace(image, mask=half)], localisation=parameters)
    assert bare["atom_density"][0] > 0.05
    assert covered["atom_density"][0] == pytest.approx(bare["atom_density"][0], rel=0.5)
    none = replace(image, mask=np.full(SHAPE, 2, dtype=np.uint8))
    assert describe_sites(network, [none], localisation=parameters) == {}
