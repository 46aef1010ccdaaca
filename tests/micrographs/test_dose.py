import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from amorph2d.imaging.detector import record
from amorph2d.micrographs.dose import estimate_dose
from amorph2d.micrographs.read import read_micrograph

SHAPE = (512, 400)
SAMPLING = 0.2


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def lattice(contrast, sampling=(SAMPLING, SAMPLING)):
    """Graphene's three strongest waves, mean 1."""
    y, x = np.arange(SHAPE[0])[:, None] * sampling[0], np.arange(SHAPE[1])[None, :] * sampling[1]
    waves = [np.cos(2 * np.pi * (np.cos(a) * x + np.sin(a) * y) / 2.13) for a in np.deg2rad([10, 70, 130])]
    return 1 + contrast * sum(waves) / 3


@pytest.mark.parametrize("dose", [1e2, 1e3, 1e4, 1e5])
@pytest.mark.parametrize("gain", [1.0, 37.5])
def test_dose_of_shot_noise(rng, dose, gain):
    image = gain * rng.poisson(dose * SAMPLING**2 * lattice(0.2))
    assert estimate_dose(image, SAMPLING) == pytest.approx(dose, rel=0.1)


def test_pixels_that_are_not_square(rng):
    image = rng.poisson(1e4 * 0.2 * 0.14 * lattice(0.2, (0.2, 0.14)))
    assert estimate_dose(image, (0.2, 0.14)) == pytest.approx(1e4, rel=0.1)


@pytest.mark.parametrize(("floor", "width", "exponent"), [(0.1, 1.0, 1.8), (0.05, 0.6, 2.5), (0.0, 0.5, 3.0)])
def test_cameras_transfer_is_undone(rng, floor, width, exponent):
    """Taken for white, the noise beyond the specimen would give doses several times too high."""
    doses = []
    for _ in range(5):
        image = record(
            lattice(0.2), electrons_per_pixel=400, floor=floor, width=width, exponent=exponent, rng=rng
        )
        doses.append(estimate_dose(image, SAMPLING) / 1e4)
    assert np.median(doses) == pytest.approx(1, rel=0.35)


def test_small_image(rng):
    assert estimate_dose(rng.poisson(400, (64, 100)), SAMPLING) == pytest.approx(1e4, rel=0.5)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image: gaussian_filter(image, 1.5),
        lambda image: zoom(image, 2, order=3),
        lambda image: image - image.mean(),
        lambda image: -image,
        lambda image: image - 0.97 * image.mean(),
    ],
    ids=["filtered", "enlarged", "zero mean", "negative", "black level"],
)
def test_images_that_cannot_tell(rng, spoil):
    image = rng.poisson(400 * lattice(0.2)).astype(np.float64)
    assert np.isnan(estimate_dose(spoil(image), SAMPLING))


def test_pixels_too_coarse_to_see_beyond_the_specimen(rng):
    assert np.isnan(estimate_dose(rng.poisson(400, SHAPE), 0.55))


def test_image_without_noise():
    assert np.isnan(estimate_dose(np.ones(SHAPE), SAMPLING))


def test_real_images_that_were_processed(realdata):
    for name in ("graphene_defect_raw", "graphene_filtered"):
        assert np.isnan(estimate_dose(read_micrograph(realdata / "ulm" / f"{name}.dm3").image, 0.12))
