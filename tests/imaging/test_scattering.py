"""Scattering factors against abTEM's own."""

import numpy as np
import pytest
from abtem.parametrizations import LobatoParametrization

from amorph2d.imaging.scattering import projected_scattering_factor


@pytest.mark.parametrize(("number", "symbol"), [(6, "C"), (14, "Si"), (79, "Au")])
@pytest.mark.parametrize("shape", [(), (7,), (150, 300)])
def test_factors_are_those_of_abtem(number, symbol, shape):
    k2 = np.random.default_rng(1).uniform(0, 4, shape)
    expected = LobatoParametrization().projected_scattering_factor(symbol)(np.atleast_1d(k2))
    found = projected_scattering_factor(number)(k2)
    assert found.shape == shape
    np.testing.assert_allclose(found, expected.reshape(shape), rtol=1e-12)


def test_single_precision_stays():
    k2 = np.linspace(0, 4, 50, dtype=np.float32)
    assert projected_scattering_factor(6)(k2).dtype == np.float32
