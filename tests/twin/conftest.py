import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import simulate_image
from amorph2d.twin.config import TwinParameters

RECIPE = {
    "family": "relaxed", "lloyd_iterations": 5, "rows": 208, "columns": 240, "energy": 8e4, "defocus": -75.0,
    "Cs": -1e5, "focal_spread": 30.0, "angular_spread": 0.2, "astigmatism": 8.0, "astigmatism_angle": 20.0,
    "vibration": 0.1, "mtf_floor": 0.0, "mtf_width": 0.5, "dose_per_area": 2e4, "structure_seed": 3,
    "noise_seed": 5,
}  # fmt: skip


@pytest.fixture(scope="session")
def sheet():
    """An image of a disordered sheet, and the same without noise."""
    return simulate_image(plain_recipe(**RECIPE)), simulate_image(
        plain_recipe(**RECIPE | {"dose_per_area": 1e9})
    )


@pytest.fixture(scope="session")
def settings():
    return TwinParameters(
        energy=8e4, max_side=4096, tile_size=1024, fit_side=120, background=10, border=6, min_atoms=50,
        defocus=500, Cs=1.5e5, block=5, doubtful=4,
    )  # fmt: skip


@pytest.fixture(scope="session")
def as_table():
    def make(atoms):
        count = len(atoms)
        table = {"frame": np.zeros(count, np.int32), "site": np.arange(count), "kind": "atom"}
        return pd.DataFrame(table | {"x": np.asarray(atoms)[:, 0], "y": np.asarray(atoms)[:, 1]})

    return make
