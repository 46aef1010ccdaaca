import numpy as np
import pytest

from amorph2d.imaging.recipes import draw_recipe, plain_recipe
from amorph2d.imaging.simulate import (
    image_sheet,
    image_specimen,
    simulate_image,
    simulate_images,
)
from amorph2d.imaging.simulated import in_units_of_carbon
from amorph2d.imaging.specimens import build_specimen
from amorph2d.structures.lattices import honeycomb_sheet

SMALL = {
    "shape": [80, 96], "sampling": [0.2, 0.2], "zoom": [1.0, 1.0], "dose_per_area": [1e5, 1e5],
    "gradient": [0.0, 0.0], "vignetting": [0.0, 0.0], "unevenness": [0.0, 0.0], "anisotropy": [0.0, 0.0],
    "barrel": [0.0, 0.0], "wobble": [0.0, 0.0], "faulty": 0.0, "bits": {8: 0.0, 16: 0.0, 0: 1.0},
}  # fmt: skip
PLAIN = {
    "astigmatism": [0.0, 0.0], "trefoil": [0.0, 0.0], "coma": [0.0, 0.0],
    "defocus_error": 0.0, "matched": 1.0, "energies": {6e4: 1.0, 8e4: 1.0}, "C5": [0.0, 0.0],
    "Cs": [-1e5, 1e5], "focal_spread": [20.0, 20.0], "vibration": [0.0, 0.0], "drift": [0.0, 0.0],
}  # fmt: skip
CLEAN = {"layer": 0.0, "debris": 0.0, "adatoms": 0.0}
RELAXED = {"families": {"relaxed": 1.0}, "tilted": 0.0}


@pytest.fixture
def recipe(synthesis):
    def draw(index=0, **changes):
        settings = {
            "detector": SMALL, "optics": PLAIN, "overlays": CLEAN, "structures": RELAXED,
            "pores": {"radius": [1.5, 5.0], "open": 0.0}, "images_per_specimen": 1,
        }  # fmt: skip
        return draw_recipe(synthesis(**(settings | changes)), index)

    return draw


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
        image = simulate_image(recipe(index, detector=detector))
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


@pytest.fixture(scope="module")
def graphene():
    return honeycomb_sheet((18.0, 14.0), bond_length=1.42, rotation=7.0)


def test_field_larger_than_the_box_shows_the_sheet_again(graphene):
    image = image_sheet(graphene, plain_recipe(rows=150, columns=170, sampling=0.2, energy=6e4, Cs=1e5))
    density = len(graphene.positions) / graphene.box.prod()
    assert len(image.atoms) == pytest.approx(density * 150 * 170 * 0.04, rel=0.06)
    assert len(image.rings) == pytest.approx(len(image.atoms) / 2, rel=0.1)
    assert (image.mask == 1).all()
    lengths = np.hypot(*(image.atoms[image.bonds[:, 0]] - image.atoms[image.bonds[:, 1]]).T)
    assert lengths == pytest.approx(1.42, abs=0.03)
    assert len(image.bonds) == pytest.approx(1.5 * len(image.atoms), rel=0.1)


def test_images_of_one_specimen_are_the_same_alone(synthesis):
    parameters = synthesis(
        detector=SMALL | {"sampling": [0.15, 0.25], "zoom": [0.8, 1.0]}, pores={"radius": [1.0, 3.0]},
        images_per_specimen=3, images_per_shard=6,
    )  # fmt: skip
    recipes = [draw_recipe(parameters, index) for index in range(6)]
    for together, given in zip(simulate_images(recipes), recipes, strict=True):
        alone = simulate_image(given)
        assert together.index == given["index"]
        assert np.array_equal(together.image, alone.image)
        assert np.array_equal(together.atoms, alone.atoms)
        assert np.array_equal(together.mask, alone.mask)


def test_coarse_and_fine_pixels_show_the_same(graphene):
    given = {"Cs": 1e5, "defocus": 60.0, "focal_spread": 30.0, "dose_per_area": 1e9, "noise_seed": 3}
    fine = image_sheet(graphene, plain_recipe(rows=320, columns=320, sampling=0.1, **given))
    coarse = image_sheet(graphene, plain_recipe(rows=160, columns=160, sampling=0.2, **given))
    fine_values, coarse_values = (values_at(i, i.atoms) / i.image.mean() for i in (fine, coarse))
    assert fine_values.mean() == pytest.approx(coarse_values.mean(), abs=0.01)
    assert fine_values.mean() < 0.97


def test_distorted_truth_stays_on_the_atoms(graphene):
    given = plain_recipe(
        rows=200, columns=240, sampling=0.2, Cs=1e5, defocus=60.0, focal_spread=30.0, dose_per_area=1e8,
        anisotropy=0.02, anisotropy_direction=20.0, barrel=0.02, wobble=1.0,
    )  # fmt: skip
    image = image_sheet(graphene, given)
    straight = image_sheet(graphene, given | {"anisotropy": 0.0, "barrel": 0.0, "wobble": 0.0})
    contrast = values_at(straight, straight.atoms).mean() - values_at(straight, straight.rings).mean()
    assert contrast < 0
    assert values_at(image, image.atoms).mean() - values_at(image, image.rings).mean() == pytest.approx(
        contrast, rel=0.05
    )
    wrong = values_at(image, straight.atoms).mean() - values_at(image, straight.rings).mean()
    assert wrong > 0.8 * contrast


def test_illumination_is_that_of_the_recipe(recipe):
    given = recipe(1, detector=SMALL | {"gradient": [0.6, 0.6], "dose_per_area": [1e6, 1e6]})
    image = simulate_image(given)
    assert np.corrcoef(image.image.ravel(), image.illumination.ravel())[0, 1] > 0.8
    flat = image.image / image.illumination
    assert flat[:, :20].mean() == pytest.approx(flat[:, -20:].mean(), rel=0.03)


def test_mask_tells_vacuum_monolayer_and_other(graphene):
    given = plain_recipe(
        family="graphene", rows=160, columns=200, sampling=0.2, structure_seed=2, pores=1, pore_radius=7.0,
        debris="carbon", debris_coverage=0.2, debris_thickness=8.0, noise_seed=5,
    )  # fmt: skip
    image = simulate_image(given)
    shares = np.bincount(image.mask.ravel(), minlength=3) / image.mask.size
    assert shares[0] == pytest.approx(np.pi * 49 / (40 * 32), abs=0.06)
    assert shares[2] == pytest.approx(0.25, abs=0.13)
    nearest = np.rint(image.atoms / 0.2).astype(int)
    assert (image.mask[nearest[:, 1], nearest[:, 0]] > 0).all()


def test_tilted_field_never_crosses_the_step_in_height(recipe):
    for index in range(4):
        given = recipe(index) | {"tilt": 25.0, "tilt_direction": 30.0, "noise_seed": index}
        image = simulate_image(given)
        assert image.image.shape == (80, 96)
        assert len(image.atoms) > 50


def test_other_materials_are_scaled_to_carbon():
    given = plain_recipe(
        family="silica", length_scale=2.0, rows=100, columns=120, sampling=0.4, hexagons=0.8, Cs=1e5,
        defocus=200.0, focal_spread=30.0, semiangle_cutoff=25.0,
    )  # fmt: skip
    image = simulate_image(given)
    scaled = in_units_of_carbon(image)
    assert scaled.sampling == 0.2
    assert scaled.recipe["dose_per_area"] == 4 * given["dose_per_area"]
    assert scaled.atoms == pytest.approx(image.atoms / 2)
    first, second = scaled.bonds.T
    assert np.hypot(*(scaled.atoms[first] - scaled.atoms[second]).T).mean() == pytest.approx(1.42, abs=0.05)
    assert in_units_of_carbon(scaled) is scaled


def test_files_hold_whole_numbers(recipe):
    for bits, highest in ((8, 255), (16, 65535)):
        image = simulate_image(recipe(2) | {"bits": bits}).image
        assert np.array_equal(image, np.rint(image))
        assert image.min() >= 0
        assert image.max() <= highest


def test_faulty_pixels_stand_out(recipe):
    clean = simulate_image(recipe(1)).image
    faulty = simulate_image(recipe(1) | {"dead_pixels": 1000.0, "spikes": 1000.0}).image
    assert faulty.max() > 4 * clean.max()
    assert (faulty == 0).sum() == pytest.approx(80 * 96 * 1e-3, abs=4)


def test_specimen_with_a_layer_differs_from_one_without(graphene, recipe):
    bare = plain_recipe(family="graphene", rows=100, columns=100, Cs=1e5, defocus=50.0, focal_spread=20.0)
    layered = bare | {"layer": "twisted", "layer_share": 1.0, "layer_rotation": 30.0}
    first, second = (image_specimen(build_specimen(r), r) for r in (bare, layered))
    assert (first.mask == 1).all()
    assert (second.mask == 2).all()
    assert np.array_equal(first.atoms, second.atoms)
    assert second.image.std() > 1.05 * first.image.std()
