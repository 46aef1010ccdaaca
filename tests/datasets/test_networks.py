from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.io import DatasetError

from amorph2d.datasets.networks import NetworkFolder, RegisteredNetworkDataset

torch = pytest.importorskip("torch")


@pytest.fixture
def network():
    """Return a tiny network."""
    from amorph2d.learning.config import NetworkConfig
    from amorph2d.learning.network import ResidualUNet
    from amorph2d.learning.storage import build_network

    config = NetworkConfig(
        sampling=0.2,
        normalisation_window=2.0,
        channels=("atom", "ring"),
        label_sigma=0.4,
        stem="plain",
        widths=(2,),
        blocks=1,
        skips="add",
        decoder="light",
    )
    return build_network(config, ResidualUNet(config).state_dict(), {"n": 1})


def test_a_folder_gives_back_the_network(network, tmp_path):
    dataset = NetworkFolder(filepath=str(tmp_path / "sites"))
    assert not dataset.exists()
    dataset.save(network)
    assert dataset.exists()
    loaded = dataset.load()
    assert (loaded.config, loaded.metadata, loaded.sha256) == (
        network.config,
        network.metadata,
        network.sha256,
    )
    assert {path.name for path in (tmp_path / "sites").iterdir()} == {"weights.safetensors", "network.json"}


def test_a_training_leaves_its_history_beside_the_network(network, tmp_path):
    history = pd.DataFrame({"epoch": [0, 1], "validation_loss": [2.0, 1.0]})
    NetworkFolder(filepath=tmp_path).save(SimpleNamespace(network=network, history=history))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "history.csv"), history)
    assert NetworkFolder(filepath=tmp_path).load().sha256 == network.sha256


def test_a_damaged_folder_says_so(network, tmp_path):
    dataset = NetworkFolder(filepath=tmp_path)
    dataset.save(network)
    description = json.loads((tmp_path / "network.json").read_text())
    (tmp_path / "network.json").write_text(json.dumps(description | {"sha256": "0" * 64}))
    with pytest.raises(DatasetError, match="damaged or was exchanged"):
        dataset.load()


def test_a_registered_network_cannot_be_saved_to(network):
    with pytest.raises(DatasetError, match="'sites' cannot be saved to"):
        RegisteredNetworkDataset(task="sites").save(network)


@pytest.mark.parametrize(
    ("dataset", "description"),
    [
        (RegisteredNetworkDataset(task="sites"), {"task": "sites", "alias_or_version": "champion"}),
        (NetworkFolder(filepath="a/b", metadata={"x": 1}), {"filepath": str(Path("a/b"))}),
    ],
)
def test_the_datasets_describe_themselves_and_reach_other_processes(dataset, description):
    assert dataset._describe() == description
    copy = pickle.loads(pickle.dumps(dataset))
    assert copy._describe() == description
    assert copy.metadata == dataset.metadata
