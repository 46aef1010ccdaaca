import numpy as np
import pytest
from pydantic import ValidationError

from amorph2d.imaging.config import SynthesisParameters, changed
from amorph2d.imaging.optics import wavelength
from amorph2d.imaging.recipes import PLAIN, SPECIMEN_COLUMNS, draw_recipe, draw_recipes, plain_recipe


def test_row_depends_on_seed_and_index_alone(synthesis):
    few, many = draw_recipes(synthesis(n_images=3)), draw_recipes(synthesis(n_images=9))
    assert few.to_dict("records") == many.iloc[:3].to_dict("records")
    assert draw_recipe(synthesis(n_images=1), 7) == many.iloc[7].to_dict()
    assert draw_recipe(synthesis(seed=2), 0) != draw_recipe(synthesis(seed=3), 0)


def test_values_stay_in_their_ranges(synthesis):
    parameters = synthesis(n_images=600)
    table = draw_recipes(parameters)
    carbon = table[table["length_scale"] == 1]
    assert carbon["dose_per_area"].between(*parameters.detector.dose_per_area).all()
    assert carbon["specimen_sampling"].between(*parameters.detector.sampling).all()
    assert (table["sampling"] / table["specimen_sampling"]).between(*parameters.detector.zoom).all()
    assert table["Cs"].between(*parameters.optics.Cs).all()
    assert set(table["energy"]) == set(parameters.optics.energies)
    assert set(table["family"]) == set(parameters.structures.families)
    assert (table["defocus"] > 0).any()
    assert (table["defocus"] < 0).any()
    bright, dark = (table["condition"] == f"{name} atoms" for name in ("bright", "dark"))
    assert bright.mean() == pytest.approx(dark.mean(), abs=0.1)
    assert (2 * table["pore_radius"] < 512 * table["specimen_sampling"]).all()


def test_images_of_a_specimen_share_it_and_their_part_of_the_set(synthesis):
    table = draw_recipes(synthesis(n_images=60, images_per_specimen=4))
    groups = table.groupby("specimen")
    assert (groups.size() == 4).all()
    assert (groups[list(SPECIMEN_COLUMNS)].nunique() == 1).all(axis=None)
    assert (groups["noise_seed"].nunique() == 4).all()
    assert (groups["defocus"].nunique() == 4).all()


def test_families_hold_what_belongs_to_them(synthesis):
    table = draw_recipes(synthesis(n_images=800))
    by_family = table.groupby("family")
    assert (table["defect"] != "none").groupby(table["family"]).any()[["graphene", "boron_nitride"]].all()
    others = table[~table["family"].isin(["graphene", "boron_nitride"])]
    assert (others["defect"] == "none").all()
    assert (by_family["hexagons"].min() == 1).equals(~by_family["hexagons"].min().index.to_series().isin(
        ["switched", "silica", "polymer"]
    ))  # fmt: skip
    large = table[table["length_scale"] > 1]
    assert set(large["family"]) == {"silica", "polymer"}
    assert (large[["layer", "debris"]] == "none").all(axis=None)
    assert (large["adatom"] == 0).all()
    polymer = table[table["family"] == "polymer"]
    assert polymer["defocus"].between(3e4, 6e4).all()
    assert polymer["dose_per_area"].between(1e2, 3e3).all()
    granular = table[(table["family"] == "switched") & (table["grains"] > 0)]
    assert (granular["hexagons"] >= 0.6).all()
    assert len(granular) > 10
    assert (polymer["sampling"] > 1.4).all()


def test_switches_turn_everything_off(synthesis):
    off = synthesis(
        n_images=200,
        defects={"probability": 0.0, "doped": 0.0},
        pores={"probability": 0.0, "open": 0.0},
        overlays={"layer": 0.0, "debris": 0.0, "adatoms": 0.0},
        structures={"tilted": 0.0},
        detector={"faulty": 0.0},
    )
    table = draw_recipes(off)
    for name in ("defect", "dopant", "pores", "open_edge", "layer", "debris", "adatom", "tilt", "spikes"):
        assert (table[name] == PLAIN[name]).all(), name


def test_aperture_is_a_frequency_whatever_the_energy(synthesis):
    table = draw_recipes(synthesis(n_images=100, optics={"aperture": [1.2, 1.2]}))
    frequency = 1e-3 * table["semiangle_cutoff"] / table["energy"].map(wavelength) * table["length_scale"]
    assert frequency.to_numpy() == pytest.approx(1.2)


def test_plain_recipe_changes_what_is_given_alone():
    recipe = plain_recipe(sampling=0.15, defocus=-40.0)
    changed = {name for name in PLAIN if recipe[name] != PLAIN[name]}
    assert changed == {"sampling", "specimen_sampling", "defocus"}
    with pytest.raises(ValueError, match="a recipe has no defokus; it has index"):
        plain_recipe(defokus=1.0)


def test_splits_have_their_shares(synthesis):
    shares = draw_recipes(
        synthesis(n_images=1500, images_per_specimen=1, validation_share=0.2, test_share=0.3)
    )["split"].value_counts(True)
    assert shares["validation"] == pytest.approx(0.2, abs=0.003)
    assert shares["test"] == pytest.approx(0.3, abs=0.003)


@pytest.mark.parametrize("seed", range(5))
def test_small_sets_have_all_parts(synthesis, seed):
    small = synthesis(seed=seed, n_images=100, images_per_specimen=1, validation_share=0.04, test_share=0.06)
    counts = draw_recipes(small)["split"].value_counts()
    assert counts["validation"] in (3, 4, 5)
    assert counts["test"] in (5, 6, 7)
    none = synthesis(seed=seed, n_images=100, validation_share=0.0, test_share=0.0)
    assert set(draw_recipes(none)["split"]) == {"training"}


def test_dose_is_log_uniform(synthesis):
    table = draw_recipes(synthesis(n_images=1000))
    table = table[table["family"] != "polymer"]
    dose = table["dose_per_area"] * table["length_scale"] ** 2
    assert np.log10(dose).mean() == pytest.approx(4.0, abs=0.06)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seeds": 1}, "Extra inputs are not permitted"),
        ({"n_images": 0}, "greater than or equal to 1"),
        ({"validation_share": 0.5, "test_share": 0.5}, "nothing is left to train on"),
        ({"detector": {"dose_per_area": [-1.0, 10.0]}}, "the range must be > 0"),
        ({"detector": {"dose_per_area": [10.0, 1.0]}}, "low ≤ high"),
        ({"detector": {"shape": [16, 512]}}, "at least 64 × 64 px, got 16 × 512"),
        ({"detector": {"gradient": [0.0, 1.5]}}, "gradient must be < 1, got 1.5"),
        ({"optics": {"energies": {8.0: 1.0}}}, "energies must lie in"),
        ({"overlays": {"gap": [0.0, 3.0]}}, r"range must be > 0, got \[0"),
        ({"overlays": {"gap": [2.0, 9.0]}}, r"gap must lie in 1 … 5 Å, got \[2.0, 9.0\]"),
        ({"overlays": {"coverage": [0.1, 1.0]}}, r"must lie below 1, got \[0.1, 1.0\]"),
        ({"overlays": {"elements": {0: 1.0}}}, r"atomic numbers must lie in 1 … 96, got \[0\]"),
        ({"optics": {"aperture": [1.0, 1.7]}}, "aperture must be at most 1.6 1/Å, what the grid"),
        ({"pores": {"roughness": [0.0, 1.2]}}, r"must lie below 1, got \[0.0, 1.2\]"),
        ({"detector": {"mtf_floor": [0.0, 1.5]}}, r"must lie in 0 … 1, got \[0.0, 1.5\]"),
        ({"detector": {"vignetting": [0.0, 1.0]}}, "vignetting must be < 1, got 1"),
        ({"overlays": {"coverage": [0.1, 1.2]}}, r"must lie in 0 … 1, got \[0.1, 1.2\]"),
        ({"structures": {"tilt": [0.0, 60.0]}}, "tilt must be at most 30°, got 60"),
        ({"structures": {"strain": [0.0, 0.5]}}, "strain must be at most 0.1, got 0.5"),
        ({"images_per_shard": 10}, r"multiple of images_per_specimen \(4\), got 10"),
        ({"detector": {"barrel": [-0.5, 0.0]}}, "barrel must lie in"),
        ({"detector": {"wobble": [0.0, 9.0]}}, "wobble must be < 5, got 9"),
        ({"detector": {"bits": {12: 1.0}}}, "Input should be 0, 8 or 16"),
        ({"optics": {"coma": [-1.0, 2.0]}}, "the range must be ≥ 0"),
        ({"pores": {"radius": [1.0, 500.0]}}, "half the largest field"),
        ({"structures": {"smallest_ring": [2, 5]}}, "must lie in 3 … 5"),
        ({"structures": {"families": {"voronoi": 0.0, "relaxed": 0.0}}}, "positive sum"),
    ],
)
def test_senseless_parameters_are_refused(synthesis, change, message):
    with pytest.raises(ValidationError, match=message):
        synthesis(**change)


def test_index_must_not_be_negative(synthesis):
    with pytest.raises(ValueError, match="index must be ≥ 0, got -1"):
        draw_recipe(synthesis(), -1)


def test_base_and_demo_parameters_are_valid(parameters_of):
    for environment in ("base", "demo", "reference"):
        SynthesisParameters(**parameters_of(environment)["synthesis"])


def test_a_set_can_differ_from_another_in_some_values(synthesis):
    usual = synthesis()
    wide = changed(usual, {"n_images": 7, "detector": {"sampling": [0.4, 0.8]}, "pores": {"count": (1, 2)}})
    assert wide.n_images == 7
    assert wide.detector.sampling == (0.4, 0.8)
    assert wide.detector.shape == usual.detector.shape
    assert wide.pores.count == (1, 2)
    assert wide.optics == usual.optics
    assert changed(usual, {}) == usual
    with pytest.raises(ValidationError, match=r"detector\.sample\n"):
        changed(usual, {"detector": {"sample": 1}})


def test_pixels_may_be_coarser_than_the_aperture_asks_for(synthesis):
    coarse = changed(synthesis(n_images=1), {"detector": {"sampling": (0.7, 0.7), "zoom": (1.0, 1.0)}})
    assert draw_recipes(coarse)["sampling"].item() == pytest.approx(0.7)
