import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from amorph2d.measures.grains import GrainParameters, ring_grains_table
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.measures.strain import (
    SIGNED_STRAIN_STATISTICS,
    STRAIN_COLUMNS,
    STRAIN_STATISTICS,
    STRAIN_UNITS,
    StrainParameters,
    bond_strains,
    mean_bond_strains,
    strain_sums,
    strain_table,
)
from amorph2d.measures.tables import network_tables
from amorph2d.measures.window import RectangularWindow
from amorph2d.topology.bonds import unique_pairs
from ring_sheets import two_grains, voronoi_tables
from strategies import BOND, honeycomb, make_sites, statistics_parameters

STAR = BOND * np.array([[0, 0], [1, 0], [-0.5, np.sqrt(0.75)], [-0.5, -np.sqrt(0.75)], [7, 7]])
STAR_BONDS = [[0, 1], [2, 0], [0, 3]]
GRAINS = GrainParameters(max_misorientation=5, min_rings=10, boundary_reach=2)


def parameters(length=BOND, reach=2):
    return StrainParameters(reference_length=length, reach=reach)


def graphene(transform=((1, 0), (0, 1)), n_x=9, n_y=6, sigma=0.0, analysable=True):
    """Sites, bonds and ring atoms of deformed graphene, and the grains of its rings."""
    atoms, centres, _ = honeycomb(n_x, n_y)
    atoms = atoms + np.random.default_rng(5).normal(0, sigma, atoms.shape)
    sites = make_sites(atoms @ np.array(transform), centres @ np.array(transform), analysable=analysable)
    sites["sigma"] = np.float32(sigma)
    return network(sites)


def network(sites):
    found = network_tables(sites, statistics_parameters())
    pairs = ring_pairs_table(found.rings, found.ring_atoms)
    grains = ring_grains_table(sites, found.rings, found.ring_atoms, ring_pairs=pairs, parameters=GRAINS)
    return sites, found.bonds, found.ring_atoms, grains


def measure(tables, wanted=None):
    return strain_table(*tables[:3], ring_grains=tables[3], parameters=wanted or parameters())


def test_bond_strain_is_relative_to_the_reference():
    strains, length = bond_strains(1.1 * STAR, STAR_BONDS, reference_length=BOND)
    assert strains == pytest.approx(0.1)
    assert length == BOND
    stretched = STAR.copy()
    stretched[1] *= 1.3
    strains, length = bond_strains(stretched, STAR_BONDS, reference_length=None)
    assert length == pytest.approx(1.1 * BOND)
    assert strains == pytest.approx([2 / 11, -1 / 11, -1 / 11])
    strains, length = bond_strains(
        stretched, STAR_BONDS, reference_length=None, is_counted=[False, True, True]
    )
    assert length == pytest.approx(BOND)
    assert strains == pytest.approx([0.3, 0, 0])
    assert np.isnan(bond_strains(STAR, [], reference_length=None)[1])
    with pytest.raises(ValueError, match=r"reference_length must be > 0 Å, got -1.0"):
        bond_strains(STAR, STAR_BONDS, reference_length=-1.0)


def test_noise_lengthens_bonds_unless_it_is_taken_off():
    rng, n, sigma = np.random.default_rng(2), 200_000, 0.1
    atoms = np.zeros((2 * n, 2))
    atoms[n:, 0] = BOND
    noisy = atoms + rng.normal(0, sigma, atoms.shape)
    bonds = np.stack([np.arange(n), np.arange(n) + n], axis=1)
    raw, _ = bond_strains(noisy, bonds, reference_length=BOND)
    corrected, _ = bond_strains(noisy, bonds, reference_length=BOND, sigma=np.full(2 * n, sigma))
    error = raw.std() / np.sqrt(n)
    assert raw.mean() > 10 * error
    assert abs(corrected.mean()) < 3 * error
    unknown, _ = bond_strains(noisy, bonds, reference_length=BOND, sigma=np.full(2 * n, np.nan))
    np.testing.assert_array_equal(unknown, raw)


def test_mean_of_the_bonds_of_an_atom_and_its_error():
    sigma = np.array([0.5, 0.04, 0.03, 0.05, 0.1])
    mean, error = mean_bond_strains(STAR, STAR_BONDS, [0.1, 0.2, 0.6], reference_length=BOND, sigma=sigma)
    assert mean == pytest.approx([0.3, 0.1, 0.2, 0.6, np.nan], nan_ok=True)
    own = np.sqrt(0.04**2 + 0.03**2 + 0.05**2) / 3  # the error of the atom in the middle cancels
    ends = [np.hypot(0.5, other) for other in (0.04, 0.03, 0.05)]
    assert error == pytest.approx(np.array([own, *ends, np.nan]) / BOND, nan_ok=True)
    assert np.isnan(mean_bond_strains(STAR, STAR_BONDS, [0, 0, 0], reference_length=BOND)[1]).all()


@pytest.mark.parametrize("transform", [[[1.02, 0], [0, 1]], [[1, 0.01], [0.01, 1]]], ids=["along x", "shear"])
def test_the_strain_of_a_crystal_is_found(transform):
    found = measure(graphene(transform))
    assert dict(found.dtypes.astype(str)) == STRAIN_COLUMNS
    assert set(STRAIN_UNITS) < set(STRAIN_COLUMNS)
    inside = found[found["grain"] == 0]
    assert len(inside) > 0.9 * len(found)
    assert inside["exx"].to_numpy() == pytest.approx(transform[0][0] - 1, abs=1e-6)
    assert inside["eyy"].to_numpy() == pytest.approx(transform[1][1] - 1, abs=1e-6)
    assert inside["exy"].to_numpy() == pytest.approx(transform[0][1], abs=1e-6)
    assert inside["non_affinity"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert inside["rotation"].to_numpy() == pytest.approx(inside["rotation"].iloc[0], abs=1e-6)
    expected = (transform[0][0] + transform[1][1]) / 2 - 1
    assert inside["bond_strain"].median() == pytest.approx(expected, abs=1e-4)


def test_the_rotation_is_that_against_the_grain():
    """The upper part of a crystal is bent: it turns by 0.02° for each Å of x."""
    atoms, centres, box = honeycomb(24, 8)
    bend = np.radians(0.02)

    def bent(points):
        x, y = (points - box / 2).T
        return np.stack(
            [(1 / bend - y) * np.sin(bend * x), 1 / bend - (1 / bend - y) * np.cos(bend * x)], axis=1
        )

    sites, *others = network(make_sites(bent(atoms), bent(centres)))
    found = measure((sites, *others))
    is_inner = (np.abs(atoms - box / 2) < box / 2 - 5).all(axis=1)
    x, y = (atoms - box / 2)[is_inner].T
    assert found["rotation"].to_numpy()[is_inner] == pytest.approx(0.02 * x, abs=0.02)
    assert found["exx"].to_numpy()[is_inner] == pytest.approx(-bend * y, abs=1e-4)


def test_noise_gives_the_error_stated():
    atoms, *others = graphene(n_x=24, n_y=15, sigma=0.05)
    found = measure((atoms, *others))
    inner = found[(found["grain"] == 0) & (found["error"] < 1.02 * found["error"].min())]
    assert len(inner) > 1000
    for name, factor in (("exx", 1), ("eyy", 1), ("exy", np.sqrt(0.5))):
        assert inner[name].std() == pytest.approx(factor * inner["error"].mean(), rel=0.1)
    assert inner["bond_strain"].std() == pytest.approx(inner["bond_strain_error"].mean(), rel=0.1)
    assert inner["error"].mean() == pytest.approx(0.31 * 0.05 / BOND, rel=0.03)


def test_atoms_of_each_grain_belong_to_it_and_others_have_three_bonds():
    """Two crystals with a disordered strip between them."""
    centres = two_grains(80, 40, (0, 25))
    noise = np.random.default_rng(0).normal(0, 0.4, centres.shape)
    sites, rings, ring_atoms = voronoi_tables(centres + noise * (np.abs(centres[:, :1]) < 12))
    pairs = ring_pairs_table(rings, ring_atoms)
    grains = ring_grains_table(sites, rings, ring_atoms, ring_pairs=pairs, parameters=GRAINS)
    following = ring_atoms.groupby("row")["atom"].transform(lambda atom: np.roll(atom, -1))
    pairs = unique_pairs(np.stack([ring_atoms["atom"], following], axis=1))
    bonds = pd.DataFrame({"frame": 0, "atom_i": pairs[:, 0], "atom_j": pairs[:, 1]})
    found = measure((sites, bonds, ring_atoms, grains))
    for side in (-1, 1):
        here = (side * sites["x"]).between(18, 36) & (sites["y"].abs() < 16)
        assert here.sum() > 200
        assert (found.loc[here, "grain"] >= 0).all()
        assert found.loc[here, "grain"].nunique() == 1
        assert found.loc[here, "exx"].to_numpy() == pytest.approx(0, abs=0.02)
    outside = found[(sites["x"].abs() < 8) & (sites["y"].abs() < 16) & (found["grain"] < 0)]
    assert len(outside) > 40
    assert outside["rotation"].isna().all()
    has_three = np.bincount(pairs.ravel())[outside["site"]] == 3
    assert has_three.mean() > 0.9
    np.testing.assert_array_equal(outside["exx"].notna(), has_three)


def test_a_reference_that_is_not_given_is_the_mean_of_what_is_counted():
    atoms, _, box = honeycomb(9, 6)
    stretched = graphene(
        [[1.01, 0], [0, 1.01]], analysable=np.append(atoms[:, 0] < box[0] / 2, np.ones(108, bool))
    )
    for reference, strain in ((None, 0), (BOND, 0.01)):
        found = measure(stretched, parameters(reference))["exx"].dropna()
        assert len(found) > 150
        assert found.to_numpy() == pytest.approx(strain, abs=1e-9)


def test_sums_give_the_statistics_of_what_is_analysable():
    atoms, centres, box = honeycomb(16, 10)
    is_left = np.concatenate([atoms, centres])[:, 0] < box[0] / 2
    tables = graphene([[1.02, 0], [0, 0.99]], 16, 10, analysable=is_left)
    sites, bonds, *_ = tables
    strain = measure(tables)
    grid = RectangularWindow(0, 0, *box).blocks(10)
    sums = strain_sums(grid, sites, bonds, strain=strain, parameters=parameters())
    total = {name: values.sum() for name, values in sums.items()}
    assert {len(values) for values in sums.values()} == {len(grid.areas)}
    both = bonds[is_left[bonds["atom_i"]] & is_left[bonds["atom_j"]]]
    own = both["length"] / BOND - 1
    found = {name: float(statistic(total)) for name, statistic in STRAIN_STATISTICS.items()}
    assert total["strained_bonds"] == len(both)
    assert found["bond_strain_mean"] == pytest.approx(own.mean())
    assert found["bond_strain_rms"] == pytest.approx(np.sqrt((own**2).mean()))
    assert found["bond_strain_noise"] == 0
    assert found["lattice_dilation_mean"] == pytest.approx(0.01)
    assert found["lattice_dilation_std"] == pytest.approx(0, abs=1e-7)
    assert total["lattice_atoms"] == ((strain["grain"] >= 0) & is_left[: len(atoms)]).sum() > 100
    assert set(SIGNED_STRAIN_STATISTICS) < set(STRAIN_STATISTICS)


def test_the_noise_floor_is_what_noise_alone_gives():
    tables = graphene(n_x=24, n_y=15, sigma=0.05)
    grid = RectangularWindow(0, 0, 60, 64).blocks(200)
    sums = strain_sums(grid, *tables[:2], strain=measure(tables), parameters=parameters())
    found = {name: statistic(sums).item() for name, statistic in STRAIN_STATISTICS.items()}
    assert found["bond_strain_rms"] == pytest.approx(found["bond_strain_noise"], rel=0.05)
    assert found["bond_strain_noise"] == pytest.approx(0.05 * np.sqrt(2) / BOND)
    assert found["lattice_dilation_std"] == pytest.approx(found["lattice_dilation_noise"], rel=0.1)
    assert abs(found["bond_strain_mean"]) < 0.001


def test_frames_and_sites_without_errors():
    first, second = graphene(n_x=4, n_y=3), graphene([[1.03, 0], [0, 1.03]], 4, 3)
    both = [pd.concat([a, b.assign(frame=7)], ignore_index=True) for a, b in zip(first, second, strict=True)]
    found = measure((both[0].drop(columns="sigma"), *both[1:]))
    assert found.groupby("frame")["exx"].median().to_dict() == pytest.approx({0: 0, 7: 0.03})
    assert found["error"].isna().all()


def test_nothing():
    sites, bonds, ring_atoms, grains = graphene(n_x=3, n_y=3)
    found = measure((sites.iloc[:0], bonds.iloc[:0], ring_atoms.iloc[:0], grains.iloc[:0]))
    assert dict(found.dtypes.astype(str)) == STRAIN_COLUMNS
    alone = measure((sites, bonds.iloc[:0], ring_atoms.iloc[:0], grains.iloc[:0]))
    assert alone[["bond_strain", "exx"]].isna().all(axis=None)
    assert (alone["grain"] == -1).all()
    grid = RectangularWindow(0, 0, 9, 9).blocks(4)
    sums = strain_sums(grid, sites, bonds.iloc[:0], strain=alone, parameters=parameters(None))
    assert sums["strained_bonds"].sum() == sums["lattice_atoms"].sum() == 0


def test_refuses_what_does_not_belong_together():
    sites, bonds, ring_atoms, grains = graphene(n_x=3, n_y=3)
    with pytest.raises(ValueError, match="ring_grains must have a row for each ring"):
        measure((sites, bonds, ring_atoms, grains.iloc[:2]))
    grid = RectangularWindow(0, 0, 9, 9).blocks(4)
    with pytest.raises(ValueError, match="a row for each of 36 atoms, got 0"):
        strain_sums(
            grid,
            sites,
            bonds,
            strain=measure((sites, bonds, ring_atoms, grains)).iloc[:0],
            parameters=parameters(),
        )


@pytest.mark.parametrize("wrong", [{"length": 0}, {"reach": 0}, {"reach": 9}])
def test_refuses_impossible_parameters(wrong):
    with pytest.raises(ValidationError):
        parameters(**wrong)
