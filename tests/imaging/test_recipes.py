import numpy as np
import pytest
from pydantic import ValidationError

from amorph2d.imaging.config import SynthesisParameters
from amorph2d.imaging.recipes import draw_recipe, draw_recipes


def test_row_depends_on_seed_and_index_alone(synthesis):
    few, many = draw_recipes(synthesis(n_images=3)), draw_recipes(synthesis(n_images=9))
    assert few.to_dict("records") == many.iloc[:3].to_dict("records")
    assert draw_recipe(synthesis(n_images=1), 7) == many.iloc[7].to_dict()
    assert draw_recipe(synthesis(seed=2), 0) != draw_recipe(synthesis(seed=3), 0)


def test_values_stay_in_their_ranges(synthesis):
    parameters = synthesis(n_images=400)
    table = draw_recipes(parameters)
    assert table["dose_per_area"].between(*parameters.detector.dose_per_area).all()
    assert table["sampling"].between(*parameters.detector.sampling).all()
    assert table["Cs"].between(*parameters.optics.Cs).all()
    assert set(table["energy"]) == {6e4, 8e4}
    assert set(table["family"]) == {"voronoi", "relaxed"}
    assert (table.loc[table["family"] == "voronoi", "seeds"] == "poisson").all()
    assert (table["defocus"] > 0).any()
    assert (table["defocus"] < 0).any()
    bright, dark = (table["condition"] == f"{name} atoms" for name in ("bright", "dark"))
    assert bright.mean() == pytest.approx(dark.mean(), abs=0.1)


def test_splits_have_their_shares(synthesis):
    shares = draw_recipes(synthesis(n_images=1500, validation_share=0.2, test_share=0.3))[
        "split"
    ].value_counts(True)
    assert shares["validation"] == pytest.approx(0.2, abs=0.04)
    assert shares["test"] == pytest.approx(0.3, abs=0.04)


def test_dose_is_log_uniform(synthesis):
    dose = draw_recipes(synthesis(n_images=1500))["dose_per_area"]
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
        ({"optics": {"energies": [8.0]}}, "energies must lie in"),
        ({"optics": {"coma": [-1.0, 2.0]}}, "the range must be ≥ 0"),
        ({"pores": {"radius": [1.0, 500.0]}}, "half the smallest field"),
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
