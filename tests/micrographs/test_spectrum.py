import math

import numpy as np
import pytest

from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.spectrum import (
    PLANES,
    Profile,
    first_order_share,
    middle,
    power_of,
    radial_profile,
    rank_candidates,
    scaled_limits,
    spectrum_candidates,
)
from drawn_honeycomb import honeycomb


def test_the_true_sampling_comes_first():
    for sampling in (0.08, 0.2, 0.37, 0.6):
        image = honeycomb(sampling, shape=(200, 256)).image
        assert spectrum_candidates(image)[0].sampling == pytest.approx(sampling, rel=0.03)


def test_neither_polarity_nor_brightness_nor_background_matters():
    image = honeycomb(0.25).image
    y, x = np.indices(image.shape)
    ramp = 3 * np.exp(-(((y - 60) / 80.0) ** 2) - ((x - 10) / 90.0) ** 2)
    first = spectrum_candidates(image)[0].sampling
    assert spectrum_candidates(500 - 7 * image)[0].sampling == pytest.approx(first, rel=1e-6)
    assert spectrum_candidates(image + ramp)[0].sampling == pytest.approx(first, rel=0.01)


def test_other_materials_are_scaled():
    image = honeycomb(0.25).image
    carbon, other = spectrum_candidates(image), spectrum_candidates(image, spacing=14.2)
    assert [each.sampling for each in other] == pytest.approx([10 * each.sampling for each in carbon])
    assert [each.score for each in other] == pytest.approx([each.score for each in carbon])


def test_small_bumps_are_no_candidates():
    """One peak may be either reflection; the first is likelier."""
    frequency = np.linspace(-5, 0, 251)
    excess = 2 * np.exp(-(((frequency + 3) / 0.1) ** 2)) + 0.05 * np.sin(40 * frequency) ** 2
    profile = Profile(frequency, excess, 0 * frequency)
    found = rank_candidates(profile, 1.42, (0.03, 0.75))
    assert [each.sampling for each in found] == pytest.approx(
        [s * 1.42 * np.exp(-3) for s in PLANES], rel=0.03
    )


def test_limits_are_kept():
    image = honeycomb(0.25).image
    found = spectrum_candidates(image, limits=(0.3, 0.75))
    assert found
    assert all(0.3 <= each.sampling <= 0.751 for each in found)


def test_a_ring_of_an_amorphous_network(rng):
    # Random phases in a ring of frequencies, 8 % wide, around the first reflections.
    sampling, shape = 0.22, (256, 300)
    distance = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    at = sampling / (PLANES[0] * 1.42)
    ring = np.exp(-0.5 * ((distance / at - 1) / 0.08) ** 2)
    wave = np.fft.irfft2(ring * np.fft.rfft2(rng.normal(size=shape)), s=shape)
    image = 20 * wave + rng.normal(size=shape)
    assert spectrum_candidates(image)[0].sampling == pytest.approx(sampling, rel=0.08)


def test_nothing_in_white_noise(rng):
    assert spectrum_candidates(rng.normal(size=(256, 256))) == []


@pytest.mark.parametrize(
    ("image", "match"),
    [(np.ones((63, 100)), "at least 64 px a side.*got 63 × 100 px"), (np.ones((64, 64)), "has no contrast")],
)
def test_images_that_cannot_be_used(image, match):
    with pytest.raises(MicrographError, match=match):
        spectrum_candidates(image)


@pytest.mark.parametrize(
    ("bond_length", "limits", "match"),
    [
        (0.0, (0.03, 0.75), "bond_length must be > 0 Å, got 0.0"),
        (math.nan, (0.03, 0.75), "bond_length must be > 0 Å, got nan"),
        (1.42, (0.0, 0.75), "limits must be 0 < lowest < highest in Å/px"),
        (1.42, (0.5, 0.3), "limits must be 0 < lowest < highest in Å/px"),
    ],
)
def test_invalid_limits(bond_length, limits, match):
    with pytest.raises(ValueError, match=match):
        scaled_limits(bond_length, limits)


def test_second_reflections_are_told_from_first_ones():
    profile = radial_profile(power_of(middle(honeycomb(0.25).image)))
    assert first_order_share(profile, 0.25, 1.42) > 0.8
    assert first_order_share(profile, 0.25 * math.sqrt(3), 1.42) < 0.5
    # Nothing stands out where the reflections would be.
    assert first_order_share(profile, 25.0, 1.42) == pytest.approx(math.exp(-1.5))


def test_the_middle_has_even_sides_and_is_not_too_large():
    image = np.arange(1201.0 * 95).reshape(1201, 95)
    part = middle(image)
    assert part.shape == (1024, 94)
    assert part[0, 0] == image[(1201 - 1024) // 2, 0]
