from pathlib import Path

import pytest
import yaml

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.analysis.frame import Networks
from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import simulate_image
from amorph2d.learning.storage import load_network
from amorph2d.localisation.config import LocalisationParameters

ROOT = Path(__file__).parents[2]
TASKS = ("sites", "monolayer", "pores", "illumination")


@pytest.fixture(scope="session")
def given():
    """The parameters as they are shipped."""
    return yaml.safe_load((ROOT / "conf" / "base" / "parameters_inference.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def settings(given):
    """Shipped networks and parameters; without the twin, which takes seconds."""
    folder = ROOT / "src" / "amorph2d" / "networks"
    return {
        "networks": Networks(**{task: load_network(folder / task) for task in TASKS}),
        "localisation": LocalisationParameters(**given["localisation"]),
        "parameters": AnalysisParameters(**given["analysis"]).model_copy(update={"twin": None}),
    }


@pytest.fixture(scope="session")
def simulated():
    """A sheet with a pore under a gradient, not square."""
    recipe = plain_recipe(
        family="switched", hexagons=0.7, rows=200, columns=260, sampling=0.2, structure_seed=4, noise_seed=4,
        defocus=-60.0, Cs=-1e5, focal_spread=25.0, dose_per_area=2e4, gradient=0.3, pores=1, pore_radius=7.0,
    )  # fmt: skip
    return simulate_image(recipe)
