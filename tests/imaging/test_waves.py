import numpy as np
import pytest
import scipy.fft

from amorph2d.imaging import waves
from amorph2d.imaging.optics import Optics
from amorph2d.imaging.waves import exit_wave, form_image, resample_periodic

GOOD = {"energy": 8e4, "Cs": -1e5, "focal_spread": 20.0, "angular_spread": 0.2, "semiangle_cutoff": 55.0}
BOX, SHAPE = (16.0, 12.0), (60, 80)


def image_of(positions, *, numbers=6, box=BOX, shape=SHAPE, slice_thickness=2.0, **optics):
    elements = np.broadcast_to(numbers, len(positions))
    wave = exit_wave(positions, elements, box=box, shape=shape, energy=8e4, slice_thickness=slice_thickness)
    return form_image(wave, Optics(**{**GOOD, "defocus": -60.0, **optics}))


@pytest.fixture
def debris():
    """Atoms of several elements in a slab of 12 Å around the plane z = 0."""
    rng = np.random.default_rng(5)
    return rng.uniform([0, 0, -6], [16, 12, 6], (60, 3)), rng.choice([1, 6, 14], 60)


def contrast(image):
    return np.ptp(image)


def test_atom_appears_at_its_position_on_a_grid_that_is_not_square():
    image = image_of([(12.0, 4.0)], defocus=-60.0)
    assert image.shape == SHAPE
    assert image.dtype == np.float32
    row, column = np.unravel_index(image.argmax(), SHAPE)
    assert (column * 0.2, row * 0.2) == pytest.approx((12.0, 4.0), abs=1e-6)


def test_pixels_need_not_be_square():
    image = image_of([(12.0, 4.0)], shape=(60, 64))
    assert np.unravel_index(image.argmax(), image.shape) == (20, 48)
    widths = [(line > (line.max() + 1) / 2).sum() for line in (image[20], image[:, 48])]
    assert widths[0] * 0.25 == pytest.approx(widths[1] * 0.2, abs=0.3)


@pytest.mark.parametrize(("defocus", "sign"), [(-60.0, 1), (60.0, -1)])
def test_underfocus_makes_atoms_dark(defocus, sign):
    image = image_of([(6.0, 6.0)], defocus=defocus)
    assert np.sign(image[30, 30] - image.mean()) == sign


@pytest.mark.parametrize("step", [(0.6, 0.4), (0.1, 0.0), (0.03, 0.17)])
def test_moving_an_atom_moves_its_image(step):
    """Also by less than a pixel; with atoms shared out linearly among pixels 2 % would be missing."""
    first, second = image_of([(4.0, 5.0)]), image_of([(4.0 + step[0], 5.0 + step[1])])
    qy, qx = np.fft.fftfreq(60, 0.2)[:, None], np.fft.fftfreq(80, 0.2)[None, :]
    ramp = np.exp(-2j * np.pi * (qx * step[0] + qy * step[1]))
    expected = np.fft.ifft2(np.fft.fft2(first) * ramp).real
    assert np.abs(second - expected).max() < 1e-3 * contrast(first)


def test_atoms_beyond_the_box_are_those_inside():
    assert image_of([(18.0, -3.0)]) == pytest.approx(image_of([(2.0, 9.0)]), abs=1e-6)


@pytest.mark.parametrize("z", [50.0, -35.5])
def test_height_is_defocus(z):
    """z > 0, further along the beam, acts like underfocus: f becomes f + z."""
    raised = image_of([(6.0, 5.0, z)], defocus=-60.0, angular_spread=0.0)
    level = image_of([(6.0, 5.0, 0.0)], defocus=-60.0 + z, angular_spread=0.0)
    wrong = image_of([(6.0, 5.0, 0.0)], defocus=-60.0 - z, angular_spread=0.0)
    assert raised == pytest.approx(level, abs=2e-6)
    assert np.abs(raised - wrong).max() > 0.2 * contrast(raised)


def test_other_matter_does_not_move_the_plane_of_reference():
    """Far above and below lies an atom: the image of the sheet is the same elsewhere."""
    sheet = [(6.0, 5.0, 0.0)]
    for z in (20.0, -20.0):
        both = image_of([*sheet, (30.0, 5.0, z)], box=(48.0, 12.0), shape=(60, 240))
        alone = image_of(sheet, box=(48.0, 12.0), shape=(60, 240))
        near = np.s_[15:35, 20:40]
        assert np.abs(both[near] - alone[near]).max() < 0.02 * contrast(alone)


def test_flat_positions_lie_in_the_plane_of_reference():
    assert np.array_equal(image_of([(6.0, 5.0)]), image_of([(6.0, 5.0, 0.0)]))


@pytest.mark.parametrize(("heights", "expected"), [
    ([0.0, 0.0, 0.0], 1), ([-0.9, 0.0, 1.0], 1), ([0.0, 0.0, 3.4], 2), ([-1.5, 0.0, 1.5], 2),
    ([-30.0, 0.0, 40.0], 3),
])  # fmt: skip
def test_only_slices_that_hold_atoms_cost(monkeypatch, heights, expected):
    calls = []
    project = waves._Potential.project
    monkeypatch.setattr(
        waves._Potential, "project", lambda *arguments: calls.append(1) or project(*arguments)
    )
    positions = [(4.0, 4.0, heights[0]), (8.0, 4.0, heights[1]), (12.0, 4.0, heights[2])]
    exit_wave(positions, [6, 6, 6], box=BOX, shape=SHAPE, energy=8e4)
    assert len(calls) == expected


def test_order_of_the_atoms_does_not_matter(debris):
    positions, numbers = debris
    order = np.random.default_rng(0).permutation(len(positions))
    first = image_of(positions, numbers=numbers)
    assert image_of(positions[order], numbers=numbers[order]) == pytest.approx(first, abs=1e-5)


def test_slices_of_two_angstrom_are_thin_enough(debris):
    positions, numbers = debris
    fine = image_of(positions, numbers=numbers, slice_thickness=0.25)
    assert np.abs(image_of(positions, numbers=numbers) - fine).max() < 0.02 * contrast(fine)
    coarse = image_of(positions, numbers=numbers, slice_thickness=12.0)
    assert np.abs(coarse - fine).max() > 0.05 * contrast(fine)


def test_elements_differ():
    carbon, silicon = image_of([(6.0, 6.0)]), image_of([(6.0, 6.0)], numbers=14)
    assert contrast(silicon) > 1.5 * contrast(carbon)


def test_images_are_those_of_abtem(debris):
    """Atoms on the grid, where abTEM's are exact; its slices act at their upper faces."""
    import abtem
    from ase import Atoms

    positions, numbers = debris
    positions = np.round(positions / [0.2, 0.2, 3.0]) * [0.2, 0.2, 3.0]
    box, shape, top = (16.0, 12.0), (240, 320), positions[:, 2].min()
    raised = positions - np.array([0, 0, top])
    n_slices = round(raised[:, 2].max() / 3.0) + 1
    atoms = Atoms(numbers=numbers, positions=raised, cell=[*box, 3.0 * n_slices], pbc=True)
    optics = Optics(**GOOD, defocus=-60.0, C5=3e6, coma=300.0, coma_angle=30.0, trefoil=400.0,
                    trefoil_angle=50.0, astigmatism=30.0, astigmatism_angle=70.0)  # fmt: skip
    transfer = abtem.CTF(
        energy=8e4, Cs=-1e5, focal_spread=20.0, angular_spread=0.2, semiangle_cutoff=55.0, C50=3e6,
        defocus=-60.0 + top + 3.0 * n_slices, coma=300.0, coma_angle=np.deg2rad(30.0), trefoil=400.0,
        trefoil_angle=np.deg2rad(50.0), astigmatism=30.0, astigmatism_angle=np.deg2rad(70.0),
    )  # fmt: skip
    with abtem.config.set({"fft": "numpy"}):
        potential = abtem.Potential(
            atoms, gpts=shape[::-1], slice_thickness=3.0, parametrization="lobato", projection="infinite"
        ).build(lazy=False)
        theirs = abtem.PlaneWave(energy=8e4).multislice(potential, lazy=False)
        expected = theirs.apply_ctf(transfer).intensity().array.T
    wave = exit_wave(positions, numbers, box=box, shape=shape, energy=8e4)
    ours = form_image(wave, optics)
    assert np.abs(ours - expected).max() < 1.5e-3 * contrast(expected)
    with abtem.config.set({"fft": "numpy"}):
        lens = wave.apply_ctf(transfer.copy()).intensity().array.T
    shifted = Optics(**{**optics.__dict__, "defocus": -60.0 + top + 3.0 * n_slices})
    assert np.abs(form_image(wave, shifted) - lens).max() < 2e-5 * contrast(lens)


def test_wave_in_real_space_makes_the_same_image():
    wave = exit_wave([(6.0, 5.0)], [6], box=BOX, shape=SHAPE, energy=8e4)
    optics = Optics(**GOOD, defocus=-60.0)
    assert form_image(wave.ensure_real_space(), optics) == pytest.approx(form_image(wave, optics), abs=1e-6)


@pytest.mark.parametrize("shape", [(60, 80), (60, 64), (61, 79)])
def test_wave_is_limited_to_two_thirds_of_nyquist(shape):
    wave = exit_wave([(6.0, 5.0, -3.0), (8.0, 5.0, 3.0)], [79, 79], box=BOX, shape=shape, energy=8e4)
    assert wave.array.shape == shape[::-1]
    sampling = max(12 / shape[0], 16 / shape[1])
    qx, qy = np.fft.fftfreq(shape[1], 16 / shape[1])[:, None], np.fft.fftfreq(shape[0], 12 / shape[0])[None]
    q = np.hypot(qx, qy)
    strength = np.abs(wave.array)
    assert (strength[q > 1 / (3 * sampling) * 1.0001] == 0).all()
    assert (strength[q < 0.32 / sampling] > 0).all()


def test_finer_grids_change_little():
    """An atom that matters beyond the band limit only through squares of its potential."""
    coarse, fine = image_of([(6.0, 5.0)]), image_of([(6.0, 5.0)], shape=(240, 320))
    assert np.abs(coarse - fine[::4, ::4]).max() < 0.01 * contrast(fine)


def test_bits_do_not_depend_on_the_number_of_threads(debris):
    positions, numbers = debris
    first = image_of(positions, numbers=numbers)
    with scipy.fft.set_workers(2):
        assert np.array_equal(image_of(positions, numbers=numbers), first)


def test_vacuum_is_one():
    for positions in (np.empty((0, 2)), np.empty((0, 3)), []):
        assert image_of(positions, numbers=[], shape=(48, 40)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": [(1.0, 2.0, 3.0, 4.0)]}, r"positions must be finite, .* got the shape \(1, 4\)"),
        ({"positions": [(1.0, np.nan)]}, "positions must be finite"),
        ({"numbers": [6, 6]}, r"numbers must have the shape \(1,\), got \(2,\)"),
        ({"box": (0.0, 5.0)}, "box must be > 0 Å"),
        ({"shape": (4, 40)}, "shape at least 6 × 6"),
        ({"slice_thickness": 0.0}, r"slice_thickness must be > 0 Å, got 0\.0"),
    ],
)
def test_impossible_specimens_are_refused(change, message):
    arguments = {"positions": [(1.0, 2.0)], "numbers": [6], "box": BOX, "shape": SHAPE, "energy": 8e4}
    arguments |= change
    with pytest.raises(ValueError, match=message):
        exit_wave(arguments.pop("positions"), arguments.pop("numbers"), **arguments)


def test_wave_and_optics_share_their_energy():
    wave = exit_wave([(6.0, 5.0)], [6], box=BOX, shape=SHAPE, energy=6e4)
    with pytest.raises(ValueError, match=r"wave and optics must have one energy, got 60000\.0 and 80000"):
        form_image(wave, Optics(**GOOD, defocus=0.0))


def harmonics(shape, highest):
    """A periodic image with random harmonics up to the `highest` along y and x."""
    rng = np.random.default_rng(1)
    y, x = (2 * np.pi * np.arange(n) / n for n in shape)
    image = np.full(shape, 2.0)
    for k in range(highest[0] + 1):
        for m in range(-highest[1], highest[1] + 1):
            amplitude, phase = rng.normal(), rng.uniform(0, 2 * np.pi)
            image += amplitude * np.cos(k * y[:, None] + m * x[None, :] + phase)
    return image


@pytest.mark.parametrize("shape", [(12, 14), (13, 15), (40, 31), (24, 30), (9, 52)])
@pytest.mark.parametrize("former", [(24, 30), (25, 31)])
def test_resampling_is_exact_below_both_nyquist_frequencies(former, shape):
    resampled = resample_periodic(harmonics(former, (4, 5)), shape)
    assert resampled.shape == shape
    assert resampled.dtype == np.float32
    assert resampled == pytest.approx(harmonics(shape, (4, 5)), abs=2e-5)


def test_nyquist_term_is_parted_and_joined():
    alternating = np.tile([1.0, -1.0], 4)[None, :].repeat(3, axis=0)
    finer = resample_periodic(alternating, (3, 16))
    assert finer == pytest.approx(np.cos(np.pi * np.arange(16) / 2)[None, :].repeat(3, axis=0), abs=1e-6)
    assert resample_periodic(finer, (3, 8)) == pytest.approx(alternating, abs=1e-6)
    shifted = np.sin(np.pi * np.arange(16) / 2 + 0.3)[None, :]
    expected = np.sin(0.3) * np.tile([1.0, -1.0], 4)[None, :]
    assert resample_periodic(shifted, (1, 8)) == pytest.approx(expected, abs=1e-6)


def test_resampling_to_the_same_shape_changes_nothing():
    image = np.random.default_rng(0).normal(size=(7, 10)).astype(np.float32)
    assert np.array_equal(resample_periodic(image, (7, 10)), image)
    assert resample_periodic(image, (1, 1)) == pytest.approx(image.mean(), abs=1e-6)
    with pytest.raises(ValueError, match="shape must be at least 1 × 1, got 0 × 5"):
        resample_periodic(image, (0, 5))
