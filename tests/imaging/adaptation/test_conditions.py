import dataclasses

import numpy as np
import pytest

from amorph2d.imaging.adaptation.conditions import (
    conditions_table,
    lattice_skewness,
    measure_conditions,
    outlier_share,
    pool_conditions,
    shared_polarity,
    stored_depth,
)
from amorph2d.imaging.detector import illumination


@pytest.mark.parametrize(("dose", "sampling"), [(2e3, 0.2), (2e4, 0.12), (8e4, 0.3)])
def test_dose_and_contrast(micrograph, dose, sampling):
    found = measure_conditions(
        micrograph(dose=dose, sampling=sampling, mtf=(0.05, 0.8, 2.5)), sampling=sampling
    )
    assert found.dose_per_area == pytest.approx(dose, rel=0.15)
    assert found.contrast == pytest.approx(0.04, rel=0.15)
    assert found.noise_density == pytest.approx(1 / (dose * found.contrast**2), rel=0.2)
    assert found.is_camera
    assert found.is_proportional
    assert found.sampling == sampling


def test_dose_of_pixels_that_are_not_square(micrograph):
    image = micrograph(shape=(480, 300), sampling=0.15)
    found = measure_conditions(image.reshape(240, 2, 300).sum(axis=1), sampling=(0.3, 0.15))
    assert found.dose_per_area == pytest.approx(2e4, rel=0.25)
    assert found.sampling == pytest.approx(np.sqrt(0.3 * 0.15))


@pytest.mark.parametrize("bright_atoms", [True, False])
@pytest.mark.parametrize("dose", [2e3, 5e4])
def test_polarity(micrograph, bright_atoms, dose):
    found = measure_conditions(micrograph(bright_atoms=bright_atoms, dose=dose), sampling=0.2)
    assert found.polarity == ("bright atoms" if bright_atoms else "dark atoms")
    assert found.polarity_confidence > 0.99
    inverted = measure_conditions(-micrograph(bright_atoms=bright_atoms, dose=dose), sampling=0.2)
    assert inverted.polarity == ("dark atoms" if bright_atoms else "bright atoms")


def test_polarity_of_noise_is_unknown(micrograph):
    found = measure_conditions(micrograph(contrast=0.0), sampling=0.2)
    assert found.polarity == "unknown"
    assert found.ring_strength < 1.25
    assert np.isnan(found.information_limit)
    assert np.isnan(found.gradient)


def test_skewness_needs_blocks():
    assert np.isnan(lattice_skewness(np.eye(32), 0.2)).all()
    assert lattice_skewness(np.ones((300, 300)), 0.2) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("gradient", "direction", "vignetting"), [(0.3, 30, 0.0), (0.0, 0, 0.2), (0.2, 250, 0.15), (0.0, 0, 0.0)]
)
def test_illumination(micrograph, gradient, direction, vignetting):
    light = illumination((240, 300), gradient=gradient, direction=direction, vignetting=vignetting)
    found = measure_conditions(micrograph(light=light), sampling=0.2)
    assert found.gradient == pytest.approx(gradient, abs=0.012)
    assert found.vignetting == pytest.approx(vignetting, abs=0.015)
    assert found.unevenness < 0.006
    assert found.illumination_error * found.contrast < 0.01


def test_uneven_light_is_told_from_a_gradient(micrograph):
    y, x = np.mgrid[0:1:240j, 0:1:300j]
    light = 1 + 0.05 * np.sqrt(2) * np.cos(2 * np.pi * x) * np.cos(np.pi * y)
    found = measure_conditions(micrograph(light=light), sampling=0.2)
    assert found.unevenness == pytest.approx(0.035, rel=0.3)
    assert found.gradient < 0.06


def test_what_an_8_bit_picture_does_not_tell(micrograph):
    image = micrograph(light=illumination((240, 300), gradient=0.2, direction=0))
    picture = np.round((image - image.min()) / np.ptp(image) * 255)
    found, counts = (
        measure_conditions(item, sampling=0.2, depth=depth) for item, depth in ((picture, 8), (image, 0))
    )
    assert np.isnan([found.dose_per_area, found.contrast, found.gradient, found.vignetting]).all()
    assert not found.is_proportional
    # The scale of the grey values falls out of everything else.
    for name in ("noise_density", "information_limit", "signal_share", "mtf_width", "skewness"):
        assert getattr(found, name) == pytest.approx(getattr(counts, name), rel=0.1)
    assert found.gradient_per_signal == pytest.approx(counts.gradient_per_signal, rel=0.05)
    assert found.polarity == counts.polarity


def test_filtered_and_subtracted_images_have_no_dose(micrograph):
    from scipy.ndimage import gaussian_filter

    image = micrograph(sampling=0.12)
    assert np.isnan(measure_conditions(gaussian_filter(image, 2), sampling=0.12).dose_per_area)
    assert np.isnan(measure_conditions(image - image.mean(), sampling=0.12).dose_per_area)
    assert np.isnan(measure_conditions(image - image.mean(), sampling=0.12).contrast)


@pytest.mark.parametrize(
    ("values", "dtype", "depth"),
    [
        ((0, 255), "uint8", 8),
        ((3, 90), "uint8", 8),
        ((0, 65535), "uint16", 16),
        ((0, 4000), "uint16", 0),
        ((500, 65535), "uint16", 0),
        ((0, 65535), "float32", 0),
    ],
)
def test_stored_depth(values, dtype, depth):
    assert stored_depth(np.linspace(*values, 100).reshape(10, 10), dtype) == depth


def test_outliers_are_counted_and_structure_is_not_one(micrograph):
    image = micrograph(contrast=0.05, dose=1e6)
    assert outlier_share(image) == 0
    image[50, 60] = image[200, 10] = 8 * image.mean()
    image[100, 100] = 0
    assert outlier_share(image) == pytest.approx(3 / image.size)
    assert measure_conditions(image, sampling=0.2).outliers == pytest.approx(3e6 / image.size)
    assert outlier_share(np.ones((40, 40))) == 0


def test_images_that_cannot_be_measured_are_refused():
    with pytest.raises(ValueError, match="contrast"):
        measure_conditions(np.ones((64, 64)), sampling=0.2)
    with pytest.raises(ValueError, match="at least 32 px"):
        measure_conditions(np.eye(20), sampling=0.2)
    with pytest.raises(ValueError, match="sampling"):
        measure_conditions(np.eye(64), sampling=0)


def test_table_and_pool(micrograph):
    items = [
        measure_conditions(micrograph(dose=dose, bright_atoms=bright, seed=seed), sampling=0.2, energy=energy)
        for seed, (dose, bright, energy) in enumerate(
            [(1e4, True, 8e4), (4e4, True, None), (1e4, False, None)]
        )
    ]
    table = conditions_table(items)
    assert len(table) == 3
    assert table["gradient"].notna().all()
    pooled = pool_conditions(items)
    assert pooled.keys() == set(table.columns)
    assert pooled["dose_per_area"] == pytest.approx((1e4 * 4e4 * 1e4) ** (1 / 3), rel=0.15)
    assert pooled["polarity"] == "mixed"
    assert pooled["energy"] == 8e4
    assert pooled["is_camera"] is True
    assert shared_polarity(items[:2]) == "bright atoms"
    unknown = dataclasses.replace(items[0], polarity="unknown", dose_per_area=np.nan)
    assert shared_polarity([unknown]) == "unknown"
    assert shared_polarity([unknown, items[2]]) == "dark atoms"
    assert np.isnan(pool_conditions([unknown])["dose_per_area"])
    with pytest.raises(ValueError, match="at least one"):
        pool_conditions([])


def test_real_micrographs(realdata):
    from amorph2d.micrographs.read import read_micrograph

    image = read_micrograph(realdata / "ulm" / "graphene_defect_raw.dm3").image
    found = measure_conditions(image, sampling=0.109)
    assert found.polarity == "dark atoms"
    assert np.isnan(found.dose_per_area)
    assert not found.is_camera
    assert found.ring_strength > 10
    assert 0.8 < found.clean_share < 0.97
    assert found.gradient < 0.005
