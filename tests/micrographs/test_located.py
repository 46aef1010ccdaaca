import numpy as np
import pandas as pd
import pytest

from amorph2d.micrographs.located import check_network
from drawn_honeycomb import honeycomb


def sites(atoms, rings):
    points = np.concatenate([atoms, rings]).reshape(-1, 2)
    kind = ["atom"] * len(atoms) + ["ring"] * len(rings)
    return pd.DataFrame({"kind": kind, "x": points[:, 0], "y": points[:, 1]})


@pytest.fixture
def sheet():
    """A perfect sheet: atoms, ring centres [Å], height and width."""
    drawn = honeycomb(0.3, shape=(100, 140))
    return 0.3 * drawn.atoms, 0.3 * drawn.rings, (30.0, 42.0)


def test_a_perfect_sheet(sheet):
    atoms, rings, extent = sheet
    check = check_network(sites(atoms, rings), extent, bond_length=1.42)
    assert check.score == pytest.approx(1, abs=0.03)
    assert check.bond_length == pytest.approx(1.42)
    assert check.error == pytest.approx(0, abs=1e-9)


def test_lengths_follow_the_sheet_and_the_score_does_not(sheet):
    atoms, rings, _ = sheet
    check = check_network(sites(1.2 * atoms, 1.2 * rings), (36.0, 50.4), bond_length=1.42)
    assert check.bond_length == pytest.approx(1.2 * 1.42)
    assert check.score == pytest.approx(1, abs=0.05)


def test_the_error_is_that_of_the_median(sheet, rng):
    atoms, rings, extent = sheet
    checks = [
        check_network(sites(atoms + rng.normal(0, 0.05, atoms.shape), rings), extent, bond_length=1.42)
        for _ in range(30)
    ]
    spread = np.std([check.bond_length for check in checks])
    assert 0.4 * spread < np.mean([check.error for check in checks]) < 2.5 * spread


def test_half_a_sheet_covers_half(sheet):
    atoms, rings, extent = sheet
    left = check_network(sites(atoms[atoms[:, 0] < 21], rings[rings[:, 0] < 21]), extent, bond_length=1.42)
    assert left.score**2 == pytest.approx(0.46, abs=0.06)
    assert left.bond_length == pytest.approx(1.42)


def test_without_rings_there_is_no_network(sheet):
    atoms, rings, extent = sheet
    assert check_network(sites(atoms, rings[:0]), extent, bond_length=1.42).score == 0
    far = check_network(sites(atoms, rings[rings[:, 0] < 10]), extent, bond_length=1.42)
    assert 0 < far.score < 0.35


def test_random_sites_score_low(rng):
    atoms, rings = rng.uniform(0, 50, (950, 2)), rng.uniform(0, 50, (475, 2))
    assert check_network(sites(atoms, rings), (50.0, 50.0), bond_length=1.42).score < 0.2


@pytest.mark.parametrize("n", [0, 1, 5])
def test_too_few(n):
    points = np.arange(2.0 * n).reshape(n, 2)
    check = check_network(sites(points, points), (30.0, 30.0), bond_length=1.42)
    assert check.score == 0
    assert np.isnan(check.bond_length)


def test_an_image_without_an_inside(sheet):
    atoms, rings, _ = sheet
    assert check_network(sites(atoms, rings), (4.0, 42.0), bond_length=1.42).score == 0
