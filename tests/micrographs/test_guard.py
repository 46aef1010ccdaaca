from __future__ import annotations

import math
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.config import NetworkConfig
from amorph2d.learning.domain import describe_images
from amorph2d.micrographs.guard import check_ranges, guard

RANGES = {"sampling": [0.1, 0.3], "dose_per_area": [1e3, 1e5], "energy": [6e4, 8e4]}
SITES = {"confident_share": [0.2, 1.0], "atom_density": [0.2, 0.4], "ring_density": [0.1, 0.2]}
CONFIG = NetworkConfig(
    sampling=0.2, normalisation_window=6.0, channels=("atom", "ring"), label_sigma=0.4,
    stem="plain", widths=(4,), blocks=1, skips="add", decoder="light",
)  # fmt: skip
SHAPE = (128, 150)


def picture(seed, *, period=2.1, contrast=0.05):
    """Waves in one direction under noise."""
    rng = np.random.default_rng([3, seed])
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * 0.2
    angle = rng.uniform(0, np.pi)
    wave = np.cos(2 * np.pi / period * (x * np.cos(angle) + y * np.sin(angle)))
    return rng.poisson(rng.uniform(200, 400) * (1 + contrast * wave)).astype(np.float32)


@pytest.fixture(scope="module")
def domain():
    nothing = np.empty((0, 2))
    images = [SimulatedImage(k, picture(k), 0.2, nothing, nothing, {}) for k in range(80)]
    return {
        "training_domain": RANGES,
        "training_images": describe_images(images, CONFIG, max_images=80),
        "training_sites": SITES,
    }


def found(n_atoms=300, n_rings=150, confidence=0.95):
    kinds = ["atom"] * n_atoms + ["ring"] * n_rings
    return pd.DataFrame({"kind": kinds, "confidence": np.full(len(kinds), confidence)})


def judge(image, domain, **changes):
    known = {
        "sampling": (0.2, 0.2), "dose": 1e4, "energy": 8e4, "sites": found(), "area": 1000.0,
        "config": CONFIG, "has_counts": True,
    }  # fmt: skip
    return guard(image, domain=domain, **known | changes)


def test_an_image_like_those_of_the_training_has_no_finding(domain):
    assert [judge(picture(k), domain) for k in range(1000, 1005)] == [[]] * 5


def test_everything_outside_is_named_once(domain):
    findings = judge(
        picture(7, period=2.8, contrast=0.4), domain, sampling=(0.35, 0.35), dose=500.0, energy=3e5,
        sites=found(10, 0, 0.3),
    )  # fmt: skip
    assert [each.quantity for each in findings] == [
        "sampling", "dose_per_area", "energy", "contrast", "spectrum", "confident_share",
        "atom_density", "ring_density",
    ]  # fmt: skip
    assert all(each.excess > 1 for each in findings)
    assert all(each.text.startswith(each.quantity) for each in findings)


def test_contrast_of_counts_says_by_how_much(domain):
    (contrast,) = (each for each in judge(picture(7, contrast=0.5), domain) if each.quantity == "contrast")
    low, high = domain["training_images"]["contrast"]
    assert (contrast.low, contrast.high) == (low, high)
    assert contrast.excess == pytest.approx(contrast.value / high)
    assert contrast.text == (
        f"contrast {contrast.value:.4g} lies outside {low:.4g} … {high:.4g} of the training "
        f"({contrast.excess:.2g} times its upper end)"
    )


def test_contrast_of_pictures_for_display_is_not_looked_at(domain):
    image = picture(7)
    stretched = image - image.min()
    assert "contrast" in {each.quantity for each in judge(stretched, domain)}
    assert judge(stretched, domain, has_counts=False) == []


def test_spectrum_says_where_and_how_far(domain):
    image = picture(7, period=1.2)
    (spectrum,) = judge(image, domain)
    assert spectrum.quantity == "spectrum"
    assert spectrum.value == pytest.approx(spectrum.high * spectrum.excess)
    assert "practically all of its 80 images" in spectrum.text
    bands = np.geomspace(0.03, 0.5, 15) / 0.2
    k = np.digitize(1 / 1.2, bands)
    assert f"{bands[k - 1]:.2f} … {bands[k]:.2f} 1/Å" in spectrum.text


@pytest.mark.parametrize(
    ("deviation", "band", "what"),
    [
        (30.0, 4, "too much power at 0.34 … 0.41 1/Å"),
        (-30.0, 13, "too little power at 2.04 … 2.50 1/Å"),
        (30.0, 14, "peaks too sharp at 0.15 … 0.18 1/Å"),
        (-30.0, 27, "peaks not sharp enough at 2.04 … 2.50 1/Å"),
    ],
)
def test_spectrum_says_what_is_wrong(domain, deviation, band, what):
    image = picture(7)
    described = deepcopy(domain["training_images"]["spectrum"])
    described["mean"][band] -= deviation
    (spectrum,) = judge(image, {"training_images": {"n_images": 80, "spectrum": described}})
    assert f"above all {what}, by " in spectrum.text


def test_a_spectrum_beyond_the_limit_but_not_beyond_all_has_a_share(domain):
    wider = deepcopy(domain)
    wider["training_images"]["spectrum"]["distances"][-1] = 1e6
    (spectrum,) = judge(picture(7, period=1.2), wider)
    assert "farther from the training than 99." in spectrum.text


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_unknown_is_not_outside(domain, unknown):
    assert judge(picture(7), domain, dose=unknown, energy=unknown, area=unknown, sites=None) == []
    assert judge(picture(7), domain, area=unknown, sites=found(3, 3)) == []


def test_a_network_is_judged_on_what_it_has(domain):
    strange, few = picture(7, period=1.2, contrast=0.5), found(1, 1, 0.0)
    assert judge(strange, {}, sites=few) == []
    only = {"training_domain": RANGES}
    assert [each.quantity for each in judge(strange, only, sites=few, dose=1.0)] == ["dose_per_area"]
    assert judge(strange, {"training_images": {"n_images": 1}}, sites=few) == []
    contrast = {"training_images": {"n_images": 1, "contrast": [0.01, 0.1]}}
    assert [each.quantity for each in judge(strange, contrast)] == ["contrast"]


def test_an_image_too_small_is_judged_on_the_rest(domain):
    findings = judge(picture(7)[:50, :50], domain, dose=1.0)
    assert [each.quantity for each in findings] == ["dose_per_area"]


# ---------------------------------------------------------------- ranges


def test_inside_every_range():
    record = {"sampling": 0.2, "dose_per_area": 1e4, "energy": 8e4, "file": "a.tif"}
    assert check_ranges(record, RANGES) == []


def test_each_quantity_outside_is_named_with_its_excess():
    found = check_ranges({"sampling": 0.6, "dose_per_area": 200.0, "energy": 3e5}, RANGES)
    assert [each.excess for each in found] == pytest.approx([2.0, 5.0, 3.75])
    assert found[0].text == (
        "sampling 0.6 Å/px lies outside 0.1 … 0.3 Å/px of the training (2 times its upper end)"
    )
    assert found[1].text.endswith(
        "200 e⁻/Å² lies outside 1000 … 1e+05 e⁻/Å² of the training (0.2 of its lower end)"
    )
    assert "3e+05 eV" in found[2].text


def test_a_range_that_is_not_all_positive_is_left_by_its_widths():
    (below,) = check_ranges({"defocus": -500.0}, {"defocus": [-200.0, 200.0]})
    assert below.excess == pytest.approx(1.75)
    assert below.text.endswith("(300 Å below its lower end)")
    (above,) = check_ranges({"defocus": 240.0}, {"defocus": [-200.0, 200.0]})
    assert above.excess == pytest.approx(1.1)
    assert above.text.endswith("(40 Å above its upper end)")
    assert check_ranges({"Cs": 1.0}, {"Cs": [0.0, 0.0]})[0].excess == math.inf


def test_zero_is_infinitely_far_below():
    (nothing,) = check_ranges({"atom_density": 0.0}, {"atom_density": [0.2, 0.4]})
    assert nothing.excess == math.inf
    assert nothing.text.endswith("(0 of its lower end)")


def test_both_axes_are_checked_and_named_once_if_equal():
    assert len(check_ranges({"sampling": (0.2, 0.5)}, RANGES)) == 1
    assert len(check_ranges({"sampling": (0.5, 0.5)}, RANGES)) == 1
    assert [each.value for each in check_ranges({"sampling": (0.5, 0.05)}, RANGES)] == [0.05, 0.5]


def test_edges_are_inside_and_what_is_unknown_too():
    assert check_ranges({"sampling": np.float32(0.1)}, RANGES) == []
    assert check_ranges({"dose_per_area": float("nan"), "energy": None}, RANGES) == []


@pytest.mark.parametrize("limits", [[0.3, 0.1], [0.1], [0.1, float("nan")]])
def test_malformed_range(limits):
    with pytest.raises(ValueError, match="domain of sampling must be"):
        check_ranges({"sampling": 0.2}, {"sampling": limits})
