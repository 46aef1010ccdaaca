import numpy as np
import pytest

from amorph2d.measures.deformations import lattice_deformations, star_deformations
from amorph2d.topology.bonds import delaunay_bonds
from strategies import BOND, honeycomb, rotate

STRAINS = {
    "along x": [[1.02, 0], [0, 1]],
    "shear": [[1, 0.01], [0.01, 1]],
    "both": [[0.98, 0.03], [0.03, 1.01]],
}


def sheet(n_x=9, n_y=6, turn=0.0):
    """Atoms of an open honeycomb, its bonds, the orientation of its ring centres [°], and inner atoms."""
    atoms, centres, box = honeycomb(n_x, n_y)
    bonds = delaunay_bonds(atoms, centres, limits=(1.0, 1.9))
    is_inner = (np.abs(atoms - box / 2) < box / 2 - 6).all(axis=1)
    return rotate(atoms, turn), bonds, np.full(len(bonds), turn), is_inner


def fit(atoms, bonds, orientations, reach=2, **others):
    return lattice_deformations(atoms, bonds, orientations, reference_length=BOND, reach=reach, **others)


def check_strain(found, where, strain, **tolerance):
    exx, eyy, exy = strain[0][0] - 1, strain[1][1] - 1, strain[0][1]
    for values, expected in ((found.exx, exx), (found.eyy, eyy), (found.exy, exy)):
        assert values[where] == pytest.approx(expected, **tolerance)


@pytest.mark.parametrize("strain", STRAINS.values(), ids=STRAINS)
@pytest.mark.parametrize("turn", [0.0, 17.0])
def test_homogeneous_strain_is_found_exactly(strain, turn):
    atoms, bonds, orientations, _ = sheet(turn=turn)
    strained = atoms @ np.array(strain)
    for reach in (1, 2, 3):
        found = fit(strained, bonds, orientations, reach)
        is_fitted = np.isfinite(found.exx)
        assert is_fitted.mean() > (0.8 if reach == 1 else 0.99)
        check_strain(found, is_fitted, strain, abs=1e-9)
        assert found.rotation[is_fitted] == pytest.approx(0, abs=1e-6)
        assert found.non_affinity[is_fitted] == pytest.approx(0, abs=1e-9)
    star = star_deformations(strained, bonds, reference_length=BOND)
    has_three = np.bincount(bonds.ravel()) == 3
    np.testing.assert_array_equal(np.isfinite(star.exx), has_three)
    check_strain(star, has_three, strain, abs=1e-9)
    assert np.isnan(star.rotation).all()


@pytest.mark.parametrize("angle", [4.0, -9.0])
def test_a_turn_is_no_strain(angle):
    """Of 9°, cos 9° − 1 = −1.2 % would be the strain if the symmetric part of the gradient were taken."""
    atoms, bonds, orientations, _ = sheet()
    found = fit(rotate(atoms, angle), bonds, orientations)
    assert found.rotation == pytest.approx(angle)
    check_strain(found, slice(None), np.eye(2), abs=1e-9)


def test_strain_after_a_turn_has_the_axes_of_the_image():
    atoms, bonds, orientations, _ = sheet()
    found = fit(rotate(atoms, 6) @ np.array(STRAINS["both"]), bonds, orientations)
    check_strain(found, slice(None), STRAINS["both"], abs=1e-9)
    assert found.rotation == pytest.approx(6)


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
def test_errors_are_those_of_noise(reach):
    atoms, bonds, orientations, is_inner = sheet(30, 18)
    sigma = 0.05
    noisy = atoms + np.random.default_rng(reach).normal(0, sigma, atoms.shape)
    found = fit(noisy, bonds, orientations, reach, sigma=np.full(len(atoms), sigma))
    where = np.flatnonzero(is_inner)
    expected = sigma / BOND * {1: 0.82, 2: 0.31, 3: 0.16, 4: 0.10}[reach]
    assert found.error[where] == pytest.approx(expected, rel=0.05)
    rms = {name: np.sqrt((values[where] ** 2).mean()) for name, values in vars(found).items()}
    error = rms["error"]
    assert [rms["exx"], rms["eyy"]] == pytest.approx([error, error], rel=0.1)
    turned = np.radians(rms["rotation"])
    assert [rms["exy"], turned] == pytest.approx([error / np.sqrt(2)] * 2, rel=0.1)
    assert rms["non_affinity"] == pytest.approx(sigma, rel=0.05)


def test_errors_of_three_bonds_are_those_of_noise():
    atoms, bonds, orientations, is_inner = sheet(30, 18)
    noise = np.random.default_rng(0).normal(0, 1, atoms.shape)
    sigma = np.where(np.arange(len(atoms)) % 4 < 2, 0.03, 0.06)
    found = star_deformations(atoms + sigma[:, None] * noise, bonds, reference_length=BOND, sigma=sigma)
    for values, factor in ((found.exx, 1), (found.eyy, 1), (found.exy, np.sqrt(0.5))):
        pull = values[is_inner] / (factor * found.error[is_inner])
        assert np.sqrt((pull**2).mean()) == pytest.approx(1, rel=0.07)
    near = fit(atoms + sigma[:, None] * noise, bonds, orientations, 1, sigma=sigma)
    for name in ("exx", "eyy", "exy", "error", "non_affinity"):
        assert vars(near)[name][is_inner] == pytest.approx(vars(found)[name][is_inner])


def test_a_gaussian_strain_field_is_found_within_its_error():
    """A displacement along x that grows by up to 4 % within a disc of 24 Å, and noise."""
    atoms, bonds, orientations, is_inner = sheet(40, 25)
    centre, width, sigma = np.add(atoms.mean(axis=0), [4, -3]), 24.0, 0.03
    apart = (atoms - centre) / width
    bump = np.exp(-(apart**2).sum(axis=1) / 2)
    size = 0.04 * width
    shift = np.stack([size * apart[:, 0] * bump, np.zeros(len(atoms))], axis=1)
    gradient = 0.04 * (1 - apart[:, 0] ** 2) * bump, -0.04 * apart.prod(axis=1) * bump
    noise = np.random.default_rng(3).normal(0, sigma, atoms.shape)
    found = fit(atoms + shift + noise, bonds, orientations, 2, sigma=np.full(len(atoms), sigma))
    assert gradient[0].max() > 8 * found.error[is_inner].max() / 2
    pull = (found.exx - gradient[0])[is_inner] / found.error[is_inner]
    assert pull.mean() == pytest.approx(0, abs=0.1)
    assert np.sqrt((pull**2).mean()) == pytest.approx(1, abs=0.08)
    pull = (found.exy - gradient[1] / 2)[is_inner] / found.error[is_inner] * np.sqrt(2)
    assert np.sqrt((pull**2).mean()) == pytest.approx(1, abs=0.08)
    turned = np.degrees(-gradient[1] / 2)
    assert np.abs(found.rotation[is_inner] - turned[is_inner]).max() < 5 * np.degrees(
        found.error[is_inner].max()
    )


def test_chains_do_not_cross_missing_bonds():
    """Two halves of a crystal, one displaced: not a strain where no bond is followed."""
    atoms, bonds, orientations, _ = sheet()
    is_right = atoms[:, 0] > 12
    moved = atoms + np.where(is_right[:, None], [0.4, 0.1], 0)
    inside = is_right[bonds[:, 0]] == is_right[bonds[:, 1]]
    found = fit(moved, bonds[inside], orientations[inside])
    is_fitted = np.isfinite(found.exx)
    assert is_fitted.mean() > 0.95
    check_strain(found, is_fitted, np.eye(2), abs=1e-9)
    across = fit(moved, bonds, orientations)
    assert np.nanmax(np.abs(across.exx)) > 0.05


def test_too_few_neighbours_have_no_strain():
    atoms = np.array([[0, 0], [BOND, 0], [10, 0], [10 + BOND, 0], [30, 0]])
    found = fit(atoms, [[0, 1], [2, 3]], [30.0, 30.0])
    assert np.isnan(found.exx).all()
    line = fit(
        np.arange(6)[:, None] * [BOND, 0], np.stack([np.arange(5), np.arange(1, 6)], axis=1), np.full(5, 30.0)
    )
    assert np.isnan(line.exx).all()
    empty = fit(np.empty((0, 2)), np.empty((0, 2)), [])
    assert len(empty.exx) == 0
    assert len(star_deformations([], [], reference_length=BOND).exx) == 0


def test_errors_are_unknown_without_those_of_positions():
    atoms, bonds, orientations, _ = sheet(3, 3)
    assert np.isnan(fit(atoms, bonds, orientations).error).all()
    with pytest.raises(ValueError, match=r"sigma must have the shape \(36,\), got \(35,\)"):
        fit(atoms, bonds, orientations, sigma=np.ones(35))
    with pytest.raises(ValueError, match="orientations must have the shape"):
        fit(atoms, bonds, orientations[1:])
