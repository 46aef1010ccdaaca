"""Defects recognised in simulated images by the whole analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.analysis.frame import Networks, analyse_frame
from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import image_sheet
from amorph2d.learning.storage import load_network
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.measures.config import StatisticsParameters
from amorph2d.measures.defects import defects_table
from amorph2d.measures.tables import network_tables
from amorph2d.structures.defects import insert_defect
from amorph2d.structures.dopants import rest_lengths
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.relax import relax_network

ROOT = Path(__file__).parents[2]
STEP = 0.2
KINDS = {"stone_wales": "stone_wales", "divacancy_585": "divacancy_585", "vacancy": "vacancy"}


def configured(file, name):
    return yaml.safe_load((ROOT / "conf" / "base" / file).read_text(encoding="utf-8"))[name]


@pytest.mark.parametrize(("Cs", "defocus"), [(-1e5, -65.0)])
def test_defects_are_recognised_in_an_image(Cs, defocus):
    sheet = honeycomb_sheet((66.0, 44.0), bond_length=1.42, rotation=8.0)
    rng = np.random.default_rng(11)
    for k, kind in enumerate(KINDS):
        sheet = insert_defect(sheet, kind, rng=rng, site=[(k + 0.5) * sheet.box[0] / 3, 20.0 + 5 * k])
    lengths = rest_lengths(sheet, bond_length=1.42)
    sheet = relax_network(sheet, tolerance=0.05, bond_lengths=lengths)
    recipe = plain_recipe(
        energy=8e4, Cs=Cs, defocus=defocus, focal_spread=25.0, angular_spread=0.2, sampling=STEP, rows=330,
        columns=460, dose_per_area=1e4, noise_seed=3,
    )  # fmt: skip
    # The image is larger than the box, so that it shows every defect whole at least once.
    image = image_sheet(sheet, recipe)
    sites = analyse_frame(
        image.image,
        sampling=(STEP, STEP),
        networks=Networks(sites=load_network(ROOT / "src" / "amorph2d" / "networks" / "sites")),
        localisation=LocalisationParameters(**configured("parameters_inference.yml", "localisation")),
        parameters=AnalysisParameters(**configured("parameters_inference.yml", "analysis") | {"twin": None}),
    ).sites
    parameters = StatisticsParameters(**configured("parameters_statistics.yml", "statistics"))
    tables = network_tables(sites, parameters)
    found = defects_table(sites, *tables, parameters.defects)
    whole = found[found["complete"] & (found["n_rings"] > 0)]
    assert set(whole["kind"]) == set(KINDS.values())
    assert whole["confidence"].between(0.2, 1).all()
    assert whole.groupby("kind")["n_missing_atoms"].unique().to_dict() == {
        "stone_wales": [0], "divacancy_585": [2], "vacancy": [1],
    }  # fmt: skip
