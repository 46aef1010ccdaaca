import numpy as np
import pytest

from amorph2d.imaging.adaptation.illumination import flatten, measure_illumination
from amorph2d.imaging.detector import illumination


def test_debris_does_not_tilt_the_illumination(micrograph, debris):
    dark = np.abs(debris((240, 300), 0.2, strength=0.3))
    image = micrograph(light=illumination((240, 300), gradient=0.2, direction=0), add=-dark)
    is_clean = np.broadcast_to(np.arange(300) < 200, image.shape)
    light = measure_illumination(image, 0.2, is_clean)
    assert light.gradient / image[is_clean].mean() == pytest.approx(0.2, abs=0.03)
    everywhere = measure_illumination(image, 0.2, np.ones_like(is_clean))
    assert abs(everywhere.gradient / image.mean() - 0.2) > 0.05
    flat = flatten(image, light)
    assert flat[:, :60].mean() == pytest.approx(flat[:, 130:190].mean(), rel=0.01)


def test_background_below_zero_is_subtracted_not_divided(micrograph):
    image = micrograph(light=illumination((240, 300), gradient=0.3, direction=0)) - 800
    light = measure_illumination(image, 0.2, np.ones(image.shape, bool))
    flat = flatten(image, light)
    assert flat.mean() == pytest.approx(image.mean(), abs=1)
    assert flat[:, :60].mean() == pytest.approx(flat[:, -60:].mean(), abs=2)


def test_small_field_has_no_illumination(micrograph):
    light = measure_illumination(micrograph(shape=(64, 64)), 0.2, np.ones((64, 64), bool))
    assert (light.gradient, light.vignetting, light.unevenness) == (0, 0, 0)
    assert np.isnan(light.error)
