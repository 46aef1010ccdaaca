import numpy as np
import pytest

from amorph2d.imaging.optics import Optics
from amorph2d.twin.simulate import gaussian_transfer, sheet_wave

LENS = Optics(
    energy=8e4, defocus=-60.0, Cs=-5e4, focal_spread=30.0, angular_spread=0.2, semiangle_cutoff=60.0
)


def test_the_image_of_the_found_atoms_is_that_of_the_true_specimen(sheet):
    truth = sheet[1]
    recipe = truth.recipe
    lens = Optics(**{name: recipe[name] for name in Optics.__dataclass_fields__})
    wave = sheet_wave(truth.atoms, shape=truth.image.shape, sampling=(0.2, 0.2), energy=8e4)
    twin = wave.window(wave.intensity(lens, blur=0.1))
    inner = (slice(40, -40), slice(40, -40))
    here, there = twin[inner], truth.image[inner] / truth.image.mean()
    assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.99
    wrong = wave.window(wave.intensity(Optics(**{**vars(lens), "defocus": 0.0}), blur=0.1))[inner]
    assert np.corrcoef(wrong.ravel(), there.ravel())[0, 1] < 0.9


def test_pixels_need_not_be_square_and_an_atom_is_where_it_is():
    wave = sheet_wave([[6.0, 9.0]], shape=(61, 80), sampling=(0.3, 0.15), energy=8e4)
    image = wave.window(wave.intensity(LENS, blur=0.2))
    assert image.shape == (61, 80)
    row, column = np.unravel_index(np.argmax(np.abs(image - 1)), image.shape)
    assert (row, column) == (30, 40)
    assert wave.window(wave.phase())[30, 40] == wave.phase().max()


def test_a_window_shows_what_a_larger_one_does(sheet):
    atoms = sheet[0].atoms
    large = sheet_wave(atoms, shape=(208, 240), sampling=(0.2, 0.2), energy=8e4)
    small = sheet_wave(atoms - [16.0, 12.0], shape=(90, 100), sampling=(0.2, 0.2), energy=8e4)
    whole = large.window(large.intensity(LENS, blur=0.1))[60:150, 80:180]
    part = small.window(small.intensity(LENS, blur=0.1))
    core = (slice(30, -30), slice(30, -30))
    assert np.abs(whole - part)[core].max() < 0.02 * np.ptp(whole)


def test_no_atoms_give_vacuum():
    wave = sheet_wave(np.empty((0, 2)), shape=(40, 50), sampling=(0.2, 0.2), energy=6e4)
    assert wave.intensity(Optics(**{**vars(LENS), "energy": 6e4}), blur=0.1) == pytest.approx(1.0, abs=1e-4)


def test_a_gaussian_leaves_what_it_should():
    q = np.array([0.0, 0.5])
    sigma = 0.4
    expected = np.exp(-2 * (np.pi * sigma * 0.5) ** 2)
    assert gaussian_transfer(q[:, None], q[None, :], sigma) == pytest.approx(
        np.array([[1, expected], [expected, expected**2]]), rel=1e-5
    )
