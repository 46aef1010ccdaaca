import numpy as np
import pandas as pd
import pytest

from amorph2d.arrays import as_records
from amorph2d.imaging.adaptation.compare import appearance
from amorph2d.imaging.adaptation.config import ComparisonParameters, SearchParameters
from amorph2d.imaging.adaptation.search import (
    SEARCHED,
    _accepted,
    _narrowed,
    candidate_parameters,
    search_conditions,
)

HOW = ComparisonParameters(window=6.0, band=(0.1, 2.0), n_images=4)


def search(n, accepted=0.3):
    return SearchParameters(n_candidates=n, accepted=accepted, significance=0.01, field=32.0)


@pytest.fixture(scope="module")
def drawn(synthesis):
    """Ranges of one microscope; the focal spread is left wide."""
    base = synthesis()
    optics = base.optics.model_copy(
        update={
            "matched": 0.0, "defocus": (-35.0, -30.0), "Cs": (-1e3, 1e3), "C5": (0.0, 0.0),
            "coma": (0.0, 0.0), "trefoil": (0.0, 0.0), "astigmatism": (0.0, 1.0), "vibration": (0.0, 0.01),
            "drift": (0.0, 0.01),            "focal_spread": (5.0, 55.0), "energies": {8e4: 1.0},
        }
    )  # fmt: skip
    detector = base.detector.model_copy(
        update={
            "sampling": (0.25, 0.25), "zoom": (1.0, 1.0), "dose_per_area": (9e5, 1e6),
            "mtf_width": (1.0, 1.0), "mtf_floor": (0.1, 0.1), "mtf_exponent": (2.0, 2.0),
            "readout_noise": (0.0, 0.0),
        }
    )  # fmt: skip
    structures = base.structures.model_copy(
        update={"displacement": (0.0, 0.0), "ripple": (0.0, 0.0), "strain": (0.0, 0.0)}
    )
    return base.model_copy(update={"optics": optics, "detector": detector, "structures": structures})


def test_candidates_share_one_clean_specimen(synthesis):
    from amorph2d.imaging.recipes import SPECIMEN_COLUMNS, draw_recipes

    table = draw_recipes(candidate_parameters(synthesis(), search(9), family="graphene"))
    assert len(table) == 9
    assert len(table[list(SPECIMEN_COLUMNS)].drop_duplicates()) == 1
    first = table.iloc[0]
    assert (first["family"], first["debris"], first["layer"], first["defect"]) == (
        "graphene",
        "none",
        "none",
        "none",
    )
    assert first["pores"] == 0
    assert first["energy"] == 8e4
    assert first["rows"] * table["sampling"].min() >= 32
    assert table["focal_spread"].nunique() == 9


def test_the_focal_spread_of_a_micrograph_is_found(drawn):
    from amorph2d.imaging.recipes import draw_recipes
    from amorph2d.imaging.simulate import simulate_images

    sharp = drawn.model_copy(
        update={"optics": drawn.optics.model_copy(update={"focal_spread": (10.0, 12.0)}), "seed": 99}
    )
    recipe = draw_recipes(candidate_parameters(sharp, search(1), family="graphene"))
    image = next(simulate_images(as_records(recipe)))
    measured = [appearance(image.image, image.sampling, comparison=HOW)]
    found = search_conditions(measured, drawn, search=search(16), comparison=HOW, is_crystal=True)
    assert len(found.candidates) == 16
    assert found.candidates["is_accepted"].sum() == 5
    best = found.candidates.sort_values("distance")["focal_spread"].iloc[:3]
    assert best.max() < 30
    low, high = found.ranges["optics.focal_spread"]
    assert 5 <= low < 15 < high < 40
    assert 0.01 < found.contrast < 0.15


def test_no_candidates_no_search(drawn):
    found = search_conditions([], drawn, search=search(0), comparison=HOW, is_crystal=False)
    assert found.ranges == {}
    assert np.isnan(found.contrast)
    assert found.candidates.empty
    assert set(SEARCHED) < set(found.candidates.columns)


def test_the_closest_to_any_micrograph_are_accepted():
    distances = np.array(
        [[0.0, 9.0], [1.0, 8.0], [2.0, 7.0], [3.0, 6.0], [4.0, 0.0], [5.0, 1.0], [6.0, 2.0], [7.0, 5.0]]
    )
    np.testing.assert_array_equal(np.flatnonzero(_accepted(distances[:, :1], 0.4)), [0, 1, 2])
    np.testing.assert_array_equal(np.flatnonzero(_accepted(distances, 0.4)), [0, 1, 2, 4, 5, 6])


def test_only_what_the_distance_depends_on_is_narrowed():
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 10, 200)
    distance = np.abs(values - 7) + 0.1 * rng.random(200)
    candidates = pd.DataFrame({"distance": distance, "is_accepted": distance < np.quantile(distance, 0.1)})
    low, high = _narrowed(values, candidates, 0.01)
    assert 6 < low < 7 < high < 8
    chances = [_narrowed(rng.uniform(0, 10, 200), candidates, 0.01) for _ in range(100)]
    assert sum(found is not None for found in chances) <= 5
    assert _narrowed(np.ones(200), candidates, 0.01) is None
    assert _narrowed(values, candidates.assign(is_accepted=True), 0.01) is None
