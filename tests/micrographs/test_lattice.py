import numpy as np
import pytest

from amorph2d.micrographs.lattice import fit_lattice
from drawn_honeycomb import honeycomb


@pytest.mark.parametrize(("sampling", "shape"), [(0.11, (300, 256)), (0.3, (201, 255)), (0.45, (160, 333))])
def test_a_crystal(sampling, shape):
    lattice = fit_lattice(honeycomb(sampling, shape=shape).image, 1.03 * sampling)
    assert lattice.sampling == pytest.approx(sampling, rel=2e-3)
    assert lattice.error < 0.01 * sampling
    assert lattice.n_peaks >= 3
    assert lattice.share > 0.8


def test_all_directions():
    for turn in np.radians([0, 13, 30, 47, 58]):
        image = honeycomb(0.25, shape=(220, 256), turn=turn).image
        assert fit_lattice(image, 0.25).sampling == pytest.approx(0.25, rel=3e-3)


def test_a_sheared_lattice_counts_by_its_area():
    # Stretched by 4 % along one direction and compressed along the other.
    image = honeycomb(0.25, strain=[[1.04, 0.0], [0.0, 1 / 1.04]]).image
    assert fit_lattice(image, 0.25).sampling == pytest.approx(0.25, rel=4e-3)
    wider = honeycomb(0.25, strain=[[1.03, 0.0], [0.0, 1.0]]).image
    assert fit_lattice(wider, 0.25).sampling == pytest.approx(0.25 / np.sqrt(1.03), rel=4e-3)


def test_none_without_peaks(rng):
    assert fit_lattice(rng.normal(size=(128, 150)), 0.25) is None


def test_none_where_all_frequencies_are_beyond_the_pixels():
    assert fit_lattice(honeycomb(0.25).image, 3.0) is None


def test_fringes_of_one_direction_are_no_lattice(rng):
    x = np.indices((128, 192))[1]
    image = np.cos(2 * np.pi * x * 0.25 / 2.13) + 0.1 * rng.normal(size=x.shape)
    assert fit_lattice(image, 0.25) is None


def test_a_second_grain_takes_its_share():
    one, other = (honeycomb(0.25, turn=turn).image for turn in (0.1, 0.6))
    joint = np.concatenate([one[:, :128], other[:, 128:]], axis=1)
    lattice = fit_lattice(joint, 0.25)
    assert lattice.sampling == pytest.approx(0.25, rel=0.01)
    assert 0.3 < lattice.share < 0.7 < fit_lattice(one, 0.25).share
