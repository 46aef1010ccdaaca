"""The model that MLflow stores, loaded by MLflow alone, and the catalog entries that read it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from amorph2d.datasets.networks import RegisteredNetworkDataset
from amorph2d.tracking.registry import champion, promote, register_network
from amorph2d.tracking.store import quiet_mlflow

pytest.importorskip("torch")

CONFIG = {
    "sampling": 0.2,
    "normalisation_window": 2.0,
    "channels": ("atom", "ring"),
    "label_sigma": 0.4,
    "stem": "plain",
    "widths": (4, 8),
    "blocks": 1,
    "skips": "add",
    "decoder": "light",
}
LOCALISATION = {
    "tile_size": 256, "batch_size": 1, "thresholds": {}, "min_distance": 0.6, "border": 2.0,
    "precision": "auto",
}  # fmt: skip


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders with tiny networks that have not been trained at all."""
    import torch

    from amorph2d.learning.config import NetworkConfig
    from amorph2d.learning.network import ResidualUNet
    from amorph2d.learning.storage import build_network, save_network

    def make(**changes: object) -> Path:
        config = NetworkConfig(**CONFIG | changes)
        torch.manual_seed(0)
        network = build_network(config, ResidualUNet(config).state_dict(), {"thresholds": {"atom": 0.4}})
        save_network(tmp_path / "trained", network)
        return tmp_path / "trained"

    return make


@pytest.fixture
def trained(train) -> Path:
    """Return a folder with a network of sites."""
    return train()


@pytest.fixture
def load_served(store) -> Callable[[Path], object]:
    """Return MLflow's own loader of a stored model's folder."""

    def load(folder: Path) -> object:
        with quiet_mlflow():
            import mlflow.pyfunc

            return mlflow.pyfunc.load_model(str(folder))

    return load


def test_mlflow_alone_serves_the_network(store, trained, load_served, monkeypatch, tmp_path):
    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.heatmaps import run_network
    from amorph2d.localisation.normalise import normalise

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    register_network(trained, alias="champion")
    # A copy shows that nothing but the stored folder is read.
    folder = shutil.copytree(champion("sites").folder.parent, tmp_path / "copy")
    shutil.rmtree(trained)
    images = np.random.default_rng(1).normal(100, 5, size=(2, 40, 56)).astype(np.float32)
    heatmaps = load_served(folder).predict(images)
    assert heatmaps.shape == (2, 2, 40, 56)
    assert heatmaps.dtype == np.float32
    expected = run_network(load_network(folder / "artifacts"), normalise(images[1], 2.0 / 0.2))
    np.testing.assert_array_equal(heatmaps[1], expected)
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_any_number_of_images_is_served(trained):
    with quiet_mlflow():
        from amorph2d.tracking.served import ServedNetwork

        served = ServedNetwork()
    served.load_context(SimpleNamespace(artifacts={"weights": str(trained / "weights.safetensors")}))
    assert served.predict(None, np.zeros((0, 8, 16), np.float32)).shape == (0, 2, 8, 16)
    images = np.random.default_rng(0).normal(size=(3, 9, 17))
    heatmaps = served.predict(None, images)
    assert heatmaps.shape == (3, 2, 9, 17)
    np.testing.assert_array_equal(served.predict(None, images[1:2])[0], heatmaps[1])


def serve(folder: Path) -> object:
    """Return what MLflow would serve of a folder."""
    with quiet_mlflow():
        from amorph2d.tracking.served import ServedNetwork

        served = ServedNetwork()
    served.load_context(SimpleNamespace(artifacts={"weights": str(folder / "weights.safetensors")}))
    return served


@pytest.mark.parametrize("window", [2.0, None])
def test_areas_are_served_as_probabilities(train, window):
    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.areas import area_maps
    from amorph2d.localisation.config import LocalisationParameters

    folder = train(
        output="areas",
        channels=("vacuum", "monolayer", "other"),
        label_sigma=None,
        normalisation_window=window,
    )
    images = np.random.default_rng(0).normal(50, 3, size=(2, 33, 50)).astype(np.float32)
    maps = serve(folder).predict(None, images)
    assert maps.shape == (2, 3, 33, 50)
    expected = area_maps(
        images[1],
        sampling=(0.2, 0.2),
        network=load_network(folder),
        parameters=LocalisationParameters(**LOCALISATION),
    )
    np.testing.assert_allclose(maps[1], expected, atol=1e-6)
    assert ((maps >= 0) & (maps <= 1)).all()


def test_the_background_is_served_in_grey_values(train):
    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.areas import estimate_background
    from amorph2d.localisation.config import LocalisationParameters

    folder = train(
        output="background",
        channels=("illumination",),
        label_sigma=None,
        normalisation_window=None,
        sampling=3.0,
    )
    images = np.random.default_rng(0).normal(1000, 3, size=(2, 33, 50)).astype(np.float32)
    maps = serve(folder).predict(None, images)
    assert maps.shape == (2, 1, 33, 50)
    expected = estimate_background(
        images[1],
        sampling=(3.0, 3.0),
        network=load_network(folder),
        parameters=LocalisationParameters(**LOCALISATION),
    )
    np.testing.assert_allclose(maps[1, 0], expected, rtol=1e-6)
    assert abs(maps.mean() - 1000) < 50
    assert serve(folder).predict(None, images[:0]).shape == (0, 1, 33, 50)


def test_images_of_the_wrong_kind_are_refused(store, trained, load_served):
    from mlflow.exceptions import MlflowException

    register_network(trained, alias="champion")
    served = load_served(champion("sites").folder.parent)
    with pytest.raises(MlflowException, match="Shape of input"):
        served.predict(np.zeros((8, 16), np.float32))


def test_the_catalog_entry_names_the_version_that_it_loads(store, trained, ship):
    ship(trained)
    dataset = RegisteredNetworkDataset(task="sites")
    assert dataset.exists()
    network = dataset.load()
    assert network.metadata == {"thresholds": {"atom": 0.4}, "registered_name": "sites", "version": 1}
    assert not network.module.training
    with pytest.raises(Exception, match="no candidate"):
        promote("sites")
    register_network(trained)
    assert (
        RegisteredNetworkDataset(task="sites", alias_or_version="candidate").load().metadata["version"] == 1
    )
    assert not RegisteredNetworkDataset(task="sites", alias_or_version=2).exists()
