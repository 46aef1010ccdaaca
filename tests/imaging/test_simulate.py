import numpy as np
import pytest

from amorph2d.imaging.recipes import draw_recipe
from amorph2d.imaging.simulate import build_sheet, displace, image_sheet, simulate_image, sites_in_field
from amorph2d.structures.sheet import Sheet

SMALL = {"shape": [80, 96], "sampling": [0.2, 0.2], "dose_per_area": [1e5, 1e5], "gradient": [0.0, 0.0]}
PLAIN = {
    "astigmatism": [0.0, 0.0], "trefoil": [0.0, 0.0], "coma": [0.0, 0.0],
    "defocus_error": 0.0, "matched": 1.0,
    "Cs": [-1e5, 1e5], "focal_spread": [20.0, 20.0], "vibration": [0.0, 0.0],
}  # fmt: skip


@pytest.fixture
def recipe(synthesis):
    def draw(index=0, **changes):
        settings = {"detector": SMALL, "optics": PLAIN, "pores": {"radius": [1.5, 5.0]}} | changes
        return draw_recipe(synthesis(**settings), index)

    return draw


@pytest.mark.parametrize("family", ["voronoi", "relaxed"])
@pytest.mark.parametrize("seeds", ["poisson", "polycrystal"])
def test_each_family_makes_a_sheet_that_covers_the_field(recipe, family, seeds):
    drawn = recipe(structures={"families": {family: 1.0}, "seeds": {seeds: 1.0}})
    sheet = build_sheet(drawn)
    assert (sheet.box > np.array([96, 80]) * 0.2).all()
    assert drawn["family"] == family
    assert len(sheet.positions) > 100


def test_only_the_recipe_decides_an_image(recipe):
    first, second = simulate_image(recipe(3)), simulate_image(recipe(3))
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.atoms, second.atoms)
    assert not np.array_equal(first.image, simulate_image(recipe(4)).image)


def values_at(image, positions):
    from scipy.ndimage import map_coordinates

    return map_coordinates(image.image, (positions / image.sampling)[:, ::-1].T, order=1)


@pytest.mark.parametrize("sampling", [0.2, 0.26])
def test_atoms_are_where_the_image_shows_them(recipe, sampling):
    detector = SMALL | {"sampling": [sampling, sampling]}
    for index in range(4):
        image = simulate_image(recipe(index, detector=detector, structures={"families": {"relaxed": 1.0}}))
        assert image.image.shape == (80, 96)
        sign = 1 if image.recipe["condition"] == "bright atoms" else -1
        contrast = values_at(image, image.atoms).mean() - values_at(image, image.rings).mean()
        moved = image.atoms + np.array([0.35, -0.35])
        inside = ((moved >= 0) & (moved <= np.array([95, 79]) * sampling)).all(axis=1)
        assert contrast * sign > 0
        assert (values_at(image, image.atoms).mean() - values_at(image, moved[inside]).mean()) * sign > 0


def test_dose_sets_the_mean(recipe):
    image = simulate_image(recipe(1))
    assert image.image.mean() == pytest.approx(1e5 * 0.04, rel=0.02)


def test_pores_take_atoms_and_rings_away(recipe):
    pores = {"probability": 1.0, "count": [2, 2], "radius": [4.0, 4.0]}
    porous, whole = recipe(2, pores=pores), recipe(2, pores=pores) | {"pores": 0}
    assert len(build_sheet(porous).positions) < len(build_sheet(whole).positions) - 20
    assert len(build_sheet(porous).ring_centres) < len(build_sheet(whole).ring_centres) - 10


def test_sites_repeat_with_the_box():
    found = sites_in_field([[1.0, 2.0]], [10.0, 8.0], origin=(0.0, 0.0), extent=(25.0, 9.0))
    assert sorted(map(tuple, found)) == [(1.0, 2.0), (11.0, 2.0), (21.0, 2.0)]
    shifted = sites_in_field([[1.0, 2.0]], [10.0, 8.0], origin=(4.0, 4.0), extent=(8.0, 7.0))
    assert shifted == pytest.approx(np.array([[7.0, 6.0]]))
    assert sites_in_field(np.empty((0, 2)), [10.0, 8.0], origin=(0, 0), extent=(5, 5)).shape == (0, 2)


def test_field_larger_than_the_box_shows_the_sheet_again(recipe):
    sheet = Sheet(
        np.array([[3.0, 3.0]]), np.array([6]), np.empty((0, 2), int), np.empty((0, 2)), np.empty(0, int),
        np.array([8.0, 8.0]),
    )  # fmt: skip
    image = image_sheet(sheet, recipe())
    assert len(image.atoms) in range(4, 10)
    assert len(image.rings) == 0


def test_displacement_has_its_size(recipe):
    sheet = build_sheet(recipe(structures={"families": {"relaxed": 1.0}}))
    moved = displace(sheet, 0.05, np.random.default_rng(0)).positions - sheet.positions
    moved -= np.round(moved / sheet.box) * sheet.box
    assert moved.std() == pytest.approx(0.05, rel=0.1)
    assert np.array_equal(displace(sheet, 0.0, np.random.default_rng(0)).positions, sheet.positions)
    with pytest.raises(ValueError, match="sigma must be ≥ 0 Å, got -1"):
        displace(sheet, -1, np.random.default_rng(0))
