"""One image, from pixels to sites that count."""

from __future__ import annotations

import numpy as np
import pytest

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.analysis.frame import analyse_frame
from amorph2d.localisation.scores import score_sites

STEPS = (0.2, 0.2)


@pytest.fixture(scope="module")
def analysed(simulated, settings):
    return analyse_frame(simulated.image, sampling=STEPS, **settings)


def atoms_of(found, **conditions):
    sites = found.sites
    for name, value in conditions.items():
        sites = sites[sites[name] == value]
    return sites.loc[sites["kind"] == "atom", ["x", "y"]].to_numpy()


def test_parameters_are_complete_and_described(given):
    parameters = AnalysisParameters(**given["analysis"])
    assert parameters.model_dump(mode="json") == given["analysis"]
    for name, field in AnalysisParameters.model_fields.items():
        assert field.is_required(), name


def test_atoms_are_found_and_fitted(analysed, simulated):
    window = (3.0, 3.0, 48.8, 36.8)
    score = score_sites(atoms_of(analysed), simulated.atoms, max_distance=0.5, window=window)
    assert score.f1 > 0.99
    refined = analysed.sites[analysed.sites["origin"] == "refined"]
    assert len(refined) > 0.7 * (analysed.sites["kind"] == "atom").sum()
    assert refined["sigma"].between(0.01, 0.2).all()
    assert analysed.record["n_refined"] == len(refined)
    assert analysed.record["explained"] > 0.5
    assert analysed.record["illumination_variation"] == pytest.approx(simulated.illumination.std(), rel=0.3)


def test_pore_is_vacuum_and_does_not_count(analysed, simulated):
    both = ((analysed.mask == 0) & (simulated.mask == 0)).sum()
    dice = 2 * both / ((analysed.mask == 0).sum() + (simulated.mask == 0).sum())
    assert dice > 0.9
    assert set(np.unique(analysed.counts)) == {0, 1, 2}
    area = (analysed.counts == 1).sum() * 0.04
    assert analysed.record["analysable_area"] == pytest.approx(area)
    assert len(atoms_of(analysed, analysable=True)) / area == pytest.approx(0.38, abs=0.03)


def test_lengths_of_another_material_are_scaled(analysed, simulated, settings):
    wide = analyse_frame(simulated.image, sampling=(0.8, 0.8), length_scale=4.0, **settings)
    assert len(wide.sites) == len(analysed.sites)
    for name in ("x", "y", "sigma"):
        assert wide.sites[name].to_numpy() == pytest.approx(
            4 * analysed.sites[name].to_numpy(), rel=1e-4, abs=1e-3
        )
    assert wide.record["analysable_area"] == pytest.approx(16 * analysed.record["analysable_area"])
    with pytest.raises(ValueError, match="length_scale must be > 0, got 0"):
        analyse_frame(simulated.image, sampling=STEPS, length_scale=0, **settings)


def test_steps_can_be_left_out(simulated, settings):
    bare = settings["parameters"].model_copy(
        update={
            "flatten": False, "consistency": None, "refinement": None,
            "masks": settings["parameters"].masks.model_copy(update={"use": False}),
        }
    )  # fmt: skip
    found = analyse_frame(simulated.image, sampling=STEPS, **settings | {"parameters": bare})
    assert (found.mask == 1).all()
    assert set(found.sites["origin"]) == {"network"}
    assert found.sites["misfit"].isna().all()
    assert "illumination_variation" not in found.record


def test_region_of_interest_limits_what_counts(simulated, settings):
    region = np.zeros(simulated.image.shape, bool)
    region[50:150, 60:200] = True
    found = analyse_frame(simulated.image, sampling=STEPS, region=region, **settings)
    counted = found.sites[found.sites["analysable"]]
    assert counted["x"].between(11.9, 40.0).all()
    assert counted["y"].between(9.9, 30.0).all()
    assert len(counted) > 100


def test_twin_adds_its_judgement(simulated, settings, given):
    parameters = AnalysisParameters(**given["analysis"])
    found = analyse_frame(
        simulated.image, sampling=STEPS, energy=8e4, **settings | {"parameters": parameters}
    )
    assert found.twin is not None
    assert found.record["twin_status"] == "made"
    assert found.record["twin_correlation"] > 0.6
    assert {"twin_misfit", "is_doubtful"} <= set(found.sites)
