import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.debris import GROUND, adatoms, amorphous_carbon, hydrocarbon
from amorph2d.structures.outlines import circle, random_patches, rough_band

BOX = np.array([62.0, 47.0])


def rng(seed=0):
    return np.random.default_rng(seed)


def distances(positions, k=2):
    """Distances to the nearest others in the box, which is open along z."""
    lifted = positions - [0, 0, positions[:, 2].min()]
    return cKDTree(lifted, boxsize=[*BOX, 0]).query(lifted, k=k)[0][:, 1:]


def dome_volume(radius, thickness):
    """Volume over a disc whose height rises like a quarter circle from its rim, by quadrature."""
    r = (np.arange(20000) + 0.5) / 20000 * radius
    inward = np.clip((radius - r) / thickness, 0, 1)
    return (2 * np.pi * r * thickness * np.sqrt(1 - (1 - inward) ** 2)).sum() * radius / 20000


@pytest.mark.parametrize("density", [1.5, 2.0, 2.3])
def test_amorphous_carbon_has_its_density(density):
    blob = circle(BOX, centre=[55.0, 5.0], radius=15.0)
    cloud = amorphous_carbon(blob, thickness=9.0, density=density, rng=rng())
    mass = len(cloud.numbers) * 12.011 * 1.66054
    assert mass / dome_volume(15.0, 9.0) == pytest.approx(density, rel=0.05)
    assert set(cloud.numbers) == {6}


def test_amorphous_carbon_has_bonds_and_no_overlap():
    blob = circle(BOX, centre=[10.0, 40.0], radius=16.0)
    cloud = amorphous_carbon(blob, thickness=12.0, density=2.0, rng=rng(1))
    nearest = distances(cloud.positions)[:, 0]
    assert nearest.min() >= 1.38 - 1e-9
    assert np.median(nearest) == pytest.approx(1.45, abs=0.03)
    bonded = (distances(cloud.positions, k=8) < 1.7).sum(axis=1)
    assert bonded.max() <= 4
    assert bonded.mean() > 1.7


def test_hydrocarbon_has_chains_and_hydrogen():
    band = rough_band(BOX, direction="x", share=0.4, roughness=2.0, rng=rng(2))
    cloud = hydrocarbon(band, thickness=10.0, density=0.95, rng=rng(2))
    carbon = cloud.positions[cloud.numbers == 6]
    n_hydrogen = (cloud.numbers == 1).sum()
    assert 1.4 < n_hydrogen / len(carbon) < 2.1
    assert np.abs(cloud.positions[:, 2]).min() >= 2.4
    assert np.median(distances(carbon)[:, 0]) == pytest.approx(1.53, abs=0.03)
    assert distances(carbon)[:, 0].min() > 1.4
    hydrogen = cloud.positions[cloud.numbers == 1]
    lift = [0, 0, cloud.positions[:, 2].min()]
    to_carbon = cKDTree(carbon - lift, boxsize=[*BOX, 0]).query(hydrogen - lift, k=2)[0]
    assert to_carbon[:, 0] == pytest.approx(1.09)
    assert to_carbon[:, 1].min() >= 1.5
    assert distances(hydrogen)[:, 0].min() >= 1.5


@pytest.mark.parametrize("density", [0.9, 1.1])
def test_hydrocarbon_has_its_density(density):
    blob = circle(BOX, centre=[55.0, 5.0], radius=18.0)
    cloud = hydrocarbon(blob, thickness=14.0, density=density, rng=rng())
    masses = {6: 12.011, 1: 1.008}
    mass = sum(masses[number] for number in cloud.numbers) * 1.66054
    assert mass / dome_volume(18.0, 14.0) == pytest.approx(density, rel=0.05)


@pytest.mark.parametrize("fill", [amorphous_carbon, hydrocarbon])
def test_debris_lies_on_one_side_over_its_region(fill):
    outline = random_patches(BOX, share=0.3, wavelength=30.0, rng=rng(4))
    sides = set()
    for seed in range(6):
        cloud = fill(outline, thickness=6.0, density=1.0, rng=rng(seed))
        carbon = cloud.positions[cloud.numbers == 6]
        z = carbon[:, 2]
        assert abs(np.sign(z).sum()) == len(z)
        assert (np.abs(z) >= GROUND).all()
        assert (np.abs(z) <= GROUND + 6.0).all()
        assert outline.depth(carbon[:, :2]).min() > -1.0
        assert ((carbon[:, :2] >= 0) & (carbon[:, :2] < BOX)).all()
        sides.add(np.sign(z[0]))
    assert sides == {-1.0, 1.0}


def test_debris_is_thickest_inside():
    blob = circle(BOX, centre=[30.0, 22.0], radius=18.0)
    cloud = amorphous_carbon(blob, thickness=10.0, density=2.0, rng=rng())
    depth, height = blob.depth(cloud.positions[:, :2]), np.abs(cloud.positions[:, 2]) - GROUND
    assert height[depth < 1.0].max() < 6.5
    assert height[depth > 10.0].max() > 9.0


def test_seed_alone_decides():
    blob = circle(BOX, centre=[30.0, 22.0], radius=10.0)
    clouds = [hydrocarbon(blob, thickness=8.0, density=1.0, rng=rng(seed)).positions for seed in (5, 5, 6)]
    assert np.array_equal(clouds[0], clouds[1])
    assert clouds[0].shape != clouds[2].shape or not np.array_equal(clouds[0], clouds[2])


@pytest.mark.parametrize("fill", [amorphous_carbon, hydrocarbon])
def test_region_without_room_stays_empty(fill):
    cloud = fill(circle(BOX, centre=[30.0, 22.0], radius=0.3), thickness=0.5, density=1.0, rng=rng())
    assert cloud.positions.shape == (0, 3)
    assert len(cloud.numbers) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thickness": 0.0}, r"thickness must be > 0 Å, got 0\.0"),
        ({"density": 0.0}, r"density must be > 0 and ≤ 2\.5 g/cm³, got 0\.0"),
        ({"density": 3.5}, r"density must be > 0 and ≤ 2\.5 g/cm³, got 3\.5"),
    ],
)
def test_senseless_debris_is_refused(change, message):
    blob = circle(BOX, centre=[30.0, 22.0], radius=10.0)
    with pytest.raises(ValueError, match=message):
        amorphous_carbon(blob, rng=rng(), **({"thickness": 5.0, "density": 2.0} | change))


def test_adatoms_are_single_and_at_the_height_of_a_bond():
    cloud = adatoms(BOX, number=79, n=40, cluster_size=1, rng=rng())
    assert cloud.kind == "adatoms"
    assert set(cloud.numbers) == {79}
    assert len(cloud.numbers) == 40
    assert np.abs(cloud.positions[:, 2]) == pytest.approx(1.36 + 0.76)
    assert 5 < (cloud.positions[:, 2] > 0).sum() < 35


def test_clusters_touch_and_do_not_overlap():
    cloud = adatoms(BOX, number=29, n=1, cluster_size=6, rng=rng(3))
    nearest = distances(cloud.positions)[:, 0]
    assert nearest == pytest.approx(2 * 1.32)
    assert (np.abs(cloud.positions[:, 2]) >= 1.32 + 0.76 - 1e-9).all()
    assert adatoms(BOX, number=29, n=0, cluster_size=6, rng=rng()).positions.shape == (0, 3)


@pytest.mark.parametrize(("n", "size"), [(60, 1), (25, 5)])
def test_clusters_do_not_overlap_one_another(n, size):
    cloud = adatoms(BOX, number=79, n=n, cluster_size=size, rng=rng())
    assert len(cloud.numbers) == n * size
    assert distances(cloud.positions).min() >= 2 * 1.36 - 1e-9


def test_clusters_without_room_are_left_out():
    cloud = adatoms([12.0, 9.0], number=79, n=200, cluster_size=1, rng=rng())
    assert 10 < len(cloud.positions) < 50
    assert len(cloud.numbers) == len(cloud.positions)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": -1}, "n must be ≥ 0 and cluster_size ≥ 1, got -1 and 1"),
        ({"cluster_size": 0}, "n must be ≥ 0 and cluster_size ≥ 1, got 3 and 0"),
        ({"number": 0}, "number must be an atomic number up to"),
    ],
)
def test_senseless_adatoms_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        adatoms(BOX, rng=rng(), **({"number": 6, "n": 3, "cluster_size": 1} | change))
