from dataclasses import replace

import numpy as np
import pytest
from abtem.core.energy import energy2sigma
from abtem.parametrizations import LobatoParametrization

from amorph2d.imaging import bounds
from amorph2d.imaging.bounds import Exposure, image_bound, position_bound
from amorph2d.imaging.detector import blur, drift_blur, modulation_transfer, record
from amorph2d.imaging.optics import Optics, contrast_transfer, contrast_transfer_2d, wavelength
from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import simulate_image
from amorph2d.imaging.simulated import OTHER, in_units_of_carbon
from amorph2d.imaging.waves import exit_wave, form_image
from amorph2d.structures.lattices import honeycomb_sheet

ROUND = Optics(
    energy=8e4, defocus=-72.0, Cs=-1e5, focal_spread=30.0, angular_spread=0.3, semiangle_cutoff=45.0
)
ABERRATED = replace(
    ROUND, astigmatism=20.0, astigmatism_angle=25.0, coma=400.0, coma_angle=-40.0, trefoil=500.0,
    trefoil_angle=70.0,
)  # fmt: skip
PLAIN = Exposure(dose_per_area=1e4, sampling=0.2)
REAL = Exposure(
    dose_per_area=2e4, sampling=0.25, vibration=0.15, drift=0.4, drift_direction=30.0, mtf_floor=0.05,
    mtf_width=0.5, mtf_exponent=2.5, readout_noise=0.3, gain_noise=0.01,
)  # fmt: skip
CLUSTER = np.array([[5.0, 5.5], [6.2, 6.2], [4.9, 4.0], [3.7, 6.1]])
ELEMENTS = [6, 6, 7, 5]
BOX, SHAPE = (10.0, 11.0), (44, 40)
ATOM = [[0.0, 0.0]]
RECIPE = {
    "family": "relaxed", "lloyd_iterations": 10, "structure_seed": 3, "rows": 110, "columns": 130,
    "defocus": -72.0, "Cs": -1e5, "focal_spread": 30.0, "angular_spread": 0.3, "semiangle_cutoff": 54.0,
    "vibration": 0.15, "mtf_floor": 0.05, "mtf_width": 0.5, "mtf_exponent": 2.5, "readout_noise": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def image():
    return simulate_image(plain_recipe(**RECIPE))


def with_recipe(image, **changes):
    return replace(image, recipe=image.recipe | changes)


def turned(points, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ [[cos, sin], [-sin, cos]]


def sheet(width, height, **changes):
    return honeycomb_sheet((width, height), **({"bond_length": 1.42, "rotation": 7.0} | changes))


@pytest.fixture
def gaussian(monkeypatch):
    """Make every atom an ideal Gaussian spot of area 1 and standard deviation 0.4 Å."""

    def potential(k2):
        return np.exp(-2 * (np.pi * 0.4) ** 2 * k2) / energy2sigma(8e4)

    monkeypatch.setattr(bounds, "projected_scattering_factor", lambda _: potential)
    monkeypatch.setattr(bounds, "contrast_transfer_2d", lambda qx, *_: 0.5 + 0 * qx)
    return replace(ROUND, semiangle_cutoff=1e3)


def test_an_isolated_gaussian_spot_has_the_textbook_bound(gaussian):
    found = position_bound(ATOM, optics=gaussian, exposure=PLAIN)
    assert found == pytest.approx([np.sqrt(8 * np.pi * 0.4**4 / 1e4)], rel=1e-6)


@pytest.mark.parametrize("distance", [0.5, 1.42, 3.0])
def test_two_gaussian_spots_have_the_bound_of_their_two_by_two_matrices(gaussian, distance):
    single = 1e4 / (8 * np.pi * 0.4**4)
    overlap = np.exp(-(distance**2) / (4 * 0.4**2))
    correlations = single * overlap * np.array([1 - distance**2 / (2 * 0.4**2), 1])
    variances = single / (single**2 - correlations**2)
    pair = np.array([[0, 0], [distance, 0]])
    for angle in (0.0, 1.1):
        found = position_bound(turned(pair, angle), optics=gaussian, exposure=PLAIN)
        assert found == pytest.approx(np.sqrt(variances.mean()), rel=1e-6)


@pytest.mark.parametrize(("number", "symbol"), [(6, "C"), (14, "Si")])
def test_an_isolated_atom_agrees_with_the_radial_integral(number, symbol):
    factor = LobatoParametrization().projected_scattering_factor(symbol)
    places, weights = np.polynomial.legendre.leggauss(200)
    aperture = 45e-3 / wavelength(8e4)
    k = aperture * (1 + places) / 2
    contrast = 2 * contrast_transfer(k, ROUND) * energy2sigma(8e4) * factor(k**2)
    power = (contrast * np.exp(-2 * (np.pi * 0.15 * k) ** 2)) ** 2
    information = 4 * np.pi**3 * 1e4 * aperture / 2 * np.sum(weights * k**3 * power)
    exposure = replace(PLAIN, vibration=0.15)
    found = position_bound(ATOM, optics=ROUND, exposure=exposure, numbers=number)
    assert found == pytest.approx([information**-0.5], rel=1e-3)


def test_frequencies_beyond_those_of_the_pixels_do_not_count():
    exposure = replace(PLAIN, sampling=1.0, vibration=0.1)
    edge = 0.5 / 1.0
    step = 2 * edge / 200
    factor = LobatoParametrization().projected_scattering_factor("C")
    k = np.linspace(-edge + step / 2, edge - step / 2, 200)
    kx, ky = (grid.ravel() for grid in np.meshgrid(k, k))
    contrast = 2 * contrast_transfer_2d(kx, ky, ABERRATED) * np.exp(-2 * (np.pi * 0.1) ** 2 * (kx**2 + ky**2))
    power = abs(contrast * energy2sigma(8e4) * factor(kx**2 + ky**2)) ** 2 * (2 * np.pi * step) ** 2
    matrix = 1e4 * np.array([[np.sum(a * b * power) for a in (kx, ky)] for b in (kx, ky)])
    expected = np.sqrt(np.trace(np.linalg.inv(matrix)) / 2)
    found = position_bound(ATOM, optics=ABERRATED, exposure=exposure)
    assert found == pytest.approx([expected], rel=2e-3)
    assert found > 1.1 * position_bound(ATOM, optics=ABERRATED, exposure=replace(exposure, sampling=0.4))


def test_the_bound_falls_with_the_root_of_the_dose():
    weak, strong = (
        position_bound(CLUSTER, optics=ABERRATED, exposure=replace(REAL, gain_noise=0.0, dose_per_area=dose))
        for dose in (1e3, 1.6e4)
    )
    assert weak == pytest.approx(4 * strong, rel=1e-9)


def test_uneven_gain_limits_what_dose_can_do():
    found = [
        position_bound(ATOM, optics=ROUND, exposure=replace(REAL, gain_noise=0.02, dose_per_area=dose))[0]
        for dose in (1e3, 1e7, 1e8)
    ]
    assert found[0] > 5 * found[1]
    assert found[2] == pytest.approx(found[1], rel=0.05)


@pytest.mark.parametrize("change", [{"vibration": 0.3}, {"drift": 0.8}, {"readout_noise": 0.6}])
def test_each_disturbance_raises_the_bound(change):
    better, worse = (
        position_bound(CLUSTER, optics=ABERRATED, exposure=e) for e in (REAL, replace(REAL, **change))
    )
    assert (worse > 1.03 * better).all()


def test_the_mtf_alone_takes_nothing_away():
    cameras = [replace(REAL, readout_noise=0, gain_noise=0, mtf_width=width) for width in (0.2, 1.0)]
    found = [position_bound(CLUSTER, optics=ROUND, exposure=camera) for camera in cameras]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
    noisy = position_bound(CLUSTER, optics=ROUND, exposure=replace(cameras[0], readout_noise=0.3))
    assert (noisy > 1.05 * found[0]).all()


@pytest.mark.parametrize("angle", [0.0, 33.0])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_turning_and_mirroring_everything_changes_nothing(angle, is_mirrored):
    sign = -1 if is_mirrored else 1
    angles = {
        name: sign * getattr(ABERRATED, name) + angle
        for name in ("astigmatism_angle", "coma_angle", "trefoil_angle")
    }
    exposure = replace(REAL, sampling=0.2, drift_direction=sign * 30 + angle)
    found = position_bound(
        turned(CLUSTER * [1, sign], np.deg2rad(angle)),
        optics=replace(ABERRATED, **angles),
        exposure=replace(exposure, mtf_width=0.5),
        numbers=ELEMENTS,
    )
    expected = position_bound(
        CLUSTER, optics=ABERRATED, exposure=replace(REAL, sampling=0.2), numbers=ELEMENTS
    )
    assert found == pytest.approx(expected, rel=1e-3)


def test_neither_place_nor_order_nor_pixels_matter():
    expected = position_bound(CLUSTER, optics=ABERRATED, exposure=PLAIN, numbers=ELEMENTS)
    moved = position_bound(
        CLUSTER + np.array([103.17, -59.3]), optics=ABERRATED, exposure=PLAIN, numbers=ELEMENTS
    )
    assert moved == pytest.approx(expected, rel=1e-9)
    order = [2, 0, 3, 1]
    sorted_ = position_bound(
        CLUSTER[order], optics=ABERRATED, exposure=PLAIN, numbers=np.array(ELEMENTS)[order]
    )
    assert sorted_ == pytest.approx(expected[order], rel=1e-9)
    for sampling in (0.13, 0.37):
        found = position_bound(
            CLUSTER, optics=ABERRATED, exposure=replace(PLAIN, sampling=sampling), numbers=ELEMENTS
        )
        assert found == pytest.approx(expected, rel=1e-3)


def test_unknown_neighbours_raise_the_bound_until_they_are_far():
    atoms = sheet(26.0, 24.0).positions
    middle = np.argmin(np.hypot(*(atoms - [13, 12]).T))
    distances = np.hypot(*(atoms - atoms[middle]).T)
    alone = position_bound(ATOM, optics=ROUND, exposure=PLAIN)[0]
    joint = []
    for radius in (0.1, 1.6, 3.0, 4.5, 6.0, 8.0):
        patch = atoms[distances <= radius]
        patch_bound = position_bound(patch, optics=ROUND, exposure=PLAIN, neighbourhood=np.inf)
        joint.append(patch_bound[np.argmin(np.hypot(*(patch - atoms[middle]).T))])
    assert joint[0] == pytest.approx(alone, rel=1e-6)
    assert joint[1] > 1.05 * alone
    assert (np.diff(joint) > -1e-9).all()
    assert joint[-2] == pytest.approx(joint[-1], rel=2e-3)
    tiled = position_bound(atoms, optics=ROUND, exposure=PLAIN)
    assert tiled[middle] == pytest.approx(joint[-1], rel=5e-3)
    assert (tiled > alone).all()


def test_tiles_agree_with_one_matrix_of_all_atoms():
    atoms = sheet(20.0, 12.0).positions
    numbers = np.where(np.arange(len(atoms)) % 7, 6, 14)
    tiled, joint, known = (
        position_bound(atoms, optics=ROUND, exposure=REAL, numbers=numbers, neighbourhood=size)
        for size in (bounds.NEIGHBOURHOOD, np.inf, 0.0)
    )
    assert tiled == pytest.approx(joint, rel=5e-3)
    assert (tiled <= joint * (1 + 1e-3)).all()
    assert (known <= tiled * (1 + 1e-3)).all()
    assert known.mean() < 0.99 * tiled.mean()


def test_unknown_amplitudes_raise_the_bound_of_atoms_that_overlap():
    settings = {"optics": ROUND, "exposure": PLAIN}
    alone = position_bound(ATOM, **settings, are_amplitudes_known=False)
    assert alone == pytest.approx(position_bound(ATOM, **settings), rel=1e-9)
    raised = position_bound(CLUSTER, **settings, are_amplitudes_known=False) / position_bound(
        CLUSTER, **settings
    )
    assert (raised > 1.001).all()


def test_heavier_atoms_are_found_better():
    found = position_bound(CLUSTER, optics=ROUND, exposure=PLAIN, numbers=[6, 6, 14, 6])
    assert np.argmin(found) == 2


def test_an_image_without_information_has_no_finite_bound():
    assert np.isinf(position_bound(CLUSTER, optics=replace(ROUND, defocus=0.0, Cs=0.0), exposure=PLAIN)).all()
    doubled = np.concatenate([CLUSTER[:1], CLUSTER[:1], [[9.0, 5.5]]])
    found = position_bound(doubled, optics=ROUND, exposure=PLAIN)
    assert np.isinf(found[:2]).all()
    assert np.isfinite(found[2])


def test_no_atoms_have_no_bounds():
    assert position_bound([], optics=ROUND, exposure=PLAIN).shape == (0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"atoms": [[0, 0, 0]]}, r"atoms must have the shape \(N, 2\)"),
        ({"numbers": [6, 6]}, r"numbers must be one or have the shape \(1,\), got \(2,\)"),
        ({"numbers": 0}, "numbers must lie in 1 … 96, got 0 … 0"),
        ({"neighbourhood": -1.0}, "neighbourhood must be ≥ 0 Å, got -1.0"),
        ({"neighbourhood": np.nan}, "neighbourhood must be ≥ 0 Å, got nan"),
    ],
)
def test_impossible_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        position_bound(**({"atoms": ATOM, "optics": ROUND, "exposure": PLAIN} | change))


@pytest.mark.parametrize(("name", "value"), [("dose_per_area", 0.0), ("sampling", -0.2), ("drift", -1.0)])
def test_impossible_exposures_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be . 0, got {value}"):
        replace(PLAIN, **{name: value})


def seen_by_the_camera(positions):
    """Noise-free intensity by multislice, before the camera."""
    wave = exit_wave(positions, ELEMENTS, box=BOX, shape=SHAPE, energy=8e4)
    intensity = form_image(wave, ABERRATED)
    intensity = blur(intensity, REAL.vibration / REAL.sampling)
    return drift_blur(intensity, length=REAL.drift / REAL.sampling, direction=REAL.drift_direction)


def mtf():
    qy, qx = np.fft.fftfreq(SHAPE[0]) * 2, np.fft.fftfreq(SHAPE[1]) * 2
    shape = {"floor": REAL.mtf_floor, "width": REAL.mtf_width, "exponent": REAL.mtf_exponent}
    return modulation_transfer(np.hypot(qy[:, None], qx[None]), **shape)


ELECTRONS = REAL.dose_per_area * REAL.sampling**2


@pytest.fixture(scope="module")
def changes():
    """Change of the recorded image with each coordinate, by finite differences, (8, pixels)."""
    step = 0.02
    found = []
    for place in np.ndindex(CLUSTER.shape):
        shift = np.zeros(CLUSTER.shape)
        shift[place] = step
        change = (seen_by_the_camera(CLUSTER + shift) - seen_by_the_camera(CLUSTER - shift)) / (2 * step)
        found.append(np.fft.ifft2(np.fft.fft2(change) * mtf()).real.ravel() * ELECTRONS)
    return np.array(found)


def covariance():
    """Covariance of the noise of the pixels: shot noise through the MTF, readout and gain."""
    correlation = np.fft.ifft2(mtf() ** 2).real * ELECTRONS
    correlation[0, 0] += REAL.readout_noise**2 * ELECTRONS + (REAL.gain_noise * ELECTRONS) ** 2
    rows, columns = (index.ravel() for index in np.indices(SHAPE))
    return correlation[rows[:, None] - rows, columns[:, None] - columns]


@pytest.fixture(scope="module")
def weights(changes):
    """Changes over the covariance of the pixels, (8, pixels)."""
    return np.linalg.solve(covariance(), changes.T).T


@pytest.fixture(scope="module")
def predicted():
    return position_bound(CLUSTER, optics=ABERRATED, exposure=REAL, numbers=ELEMENTS)


def test_the_bound_agrees_with_multislice_images_and_the_covariance_of_their_pixels(
    changes, weights, predicted
):
    variances = np.diag(np.linalg.inv(weights @ changes.T)).reshape(-1, 2)
    assert predicted == pytest.approx(np.sqrt(variances.mean(axis=1)), rel=0.02)


def test_a_maximum_likelihood_fit_reaches_the_bound(changes, weights, predicted):
    rng = np.random.default_rng(5)
    camera = {"floor": REAL.mtf_floor, "width": REAL.mtf_width, "exponent": REAL.mtf_exponent}
    noise = {"readout_noise": REAL.readout_noise * np.sqrt(ELECTRONS), "gain_noise": REAL.gain_noise}
    truth, inverse = seen_by_the_camera(CLUSTER), np.linalg.inv(weights @ changes.T)
    errors = []
    for _ in range(80):
        image = record(truth, electrons_per_pixel=ELECTRONS, rng=rng, **camera, **noise)
        fitted = CLUSTER + rng.normal(0, 0.05, CLUSTER.shape)
        for _ in range(2):
            model = np.fft.ifft2(np.fft.fft2(seen_by_the_camera(fitted)) * mtf()).real * ELECTRONS
            fitted = fitted + (inverse @ (weights @ (image - model).ravel())).reshape(-1, 2)
        errors.append(fitted - CLUSTER)
    reached = np.sqrt(np.mean(np.square(errors), axis=(0, 2)))
    assert np.sqrt(np.mean(reached**2)) == pytest.approx(np.sqrt(np.mean(predicted**2)), rel=0.08)
    assert reached == pytest.approx(predicted, rel=0.2)


def test_the_bound_of_an_image_is_that_of_atoms_in_its_middle(image):
    recipe = image.recipe
    optics = Optics(**{name: recipe[name] for name in Optics.__dataclass_fields__})
    exposure = Exposure(**{name: recipe[name] for name in Exposure.__dataclass_fields__})
    all_bounds = position_bound(image.atoms, optics=optics, exposure=exposure)
    middle = [129 / 2 * 0.2, 109 / 2 * 0.2]
    inner = all_bounds[np.hypot(*(image.atoms - middle).T) < 5]
    assert image_bound(image) == pytest.approx(np.sqrt(np.mean(inner**2)), rel=0.03)


@pytest.mark.parametrize(("dose", "low", "high"), [(3e3, 0.1, 0.16), (1e4, 0.06, 0.09), (4e4, 0.033, 0.042)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_good_conditions_have_the_bounds_that_are_known_for_them(image, dose, low, high, sign):
    seen = with_recipe(image, dose_per_area=dose, Cs=sign * 1e5, defocus=sign * 72.0)
    assert low < image_bound(seen) < high


def test_light_at_the_patch_counts(image):
    bright = with_recipe(image, gradient=1.0, gradient_direction=0.0)
    right = image.atoms[:, 0] > 20
    shown = replace(bright, atoms=image.atoms[right])
    plain = replace(image, atoms=image.atoms[right])
    assert image_bound(shown) == pytest.approx(
        image_bound(plain) / np.sqrt(1 + (20.5 - 12.9) / 25.8), rel=0.02
    )


def test_atoms_under_other_matter_do_not_count(image):
    assert np.isnan(image_bound(replace(image, mask=np.full(image.image.shape, OTHER, np.uint8))))
    mask = image.mask.copy()
    mask[:, :75] = OTHER
    columns, rows = np.rint(image.atoms.T / 0.2).astype(int)
    doubled = np.concatenate([image.atoms, image.atoms[mask[rows, columns] == OTHER] + 1e-9])
    beside = image_bound(replace(image, mask=mask))
    assert beside != image_bound(image)
    assert np.isinf(image_bound(replace(image, atoms=doubled)))
    assert image_bound(replace(image, mask=mask, atoms=doubled)) == pytest.approx(beside, rel=0.2)


def test_images_without_single_atoms_have_no_bound(image):
    assert np.isnan(image_bound(replace(image, atoms=np.empty((0, 2)))))
    silica = with_recipe(image, family="silica", length_scale=2.2)
    assert np.isnan(image_bound(silica))
    assert np.isnan(image_bound(in_units_of_carbon(silica)))
    assert np.isfinite(image_bound(with_recipe(image, family="given")))
    assert image_bound(replace(image, mask=None)) == image_bound(image)


def test_carbon_stands_for_boron_and_nitrogen():
    nitride = sheet(18.0, 16.0, numbers=(5, 7))
    plain, own = (
        position_bound(nitride.positions, optics=ROUND, exposure=PLAIN, numbers=numbers)
        for numbers in (6, nitride.numbers)
    )
    assert np.sqrt(np.mean(own**2) / np.mean(plain**2)) == pytest.approx(1.03, abs=0.015)
