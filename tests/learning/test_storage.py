from __future__ import annotations

import hashlib
import json

import pytest
import torch

from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import TrainedNetwork, build_network, load_network, save_network

METADATA = {"domain": {"dose_per_area": [1000.0, 1e5]}, "note": "Å"}


@pytest.fixture
def network(make_config) -> TrainedNetwork:
    torch.manual_seed(0)
    config = make_config(widths=(4, 6))
    state = {name: torch.randn_like(weight) for name, weight in ResidualUNet(config).state_dict().items()}
    return build_network(config, state, METADATA)


def test_a_network_survives_the_disk(network, tmp_path):
    save_network(tmp_path / "new" / "folder", network)
    loaded = load_network(tmp_path / "new" / "folder")
    image = torch.randn(1, 1, 16, 24)
    assert torch.equal(loaded.module(image), network.module(image))
    assert loaded.config == network.config
    assert loaded.metadata == METADATA
    assert loaded.sha256 == network.sha256
    assert not loaded.module.training
    assert not any(weight.requires_grad for weight in loaded.module.parameters())


def test_the_checksum_is_that_of_the_file(network, tmp_path):
    save_network(tmp_path, network)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.json", "weights.safetensors"]
    content = (tmp_path / "weights.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == network.sha256


def test_metadata_can_be_replaced(network, tmp_path):
    save_network(tmp_path, network, {"f1": 0.9})
    assert load_network(tmp_path).metadata == {"f1": 0.9}


def test_damaged_weights_are_refused(network, tmp_path):
    save_network(tmp_path, network)
    weights = tmp_path / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.safetensors has the SHA-256 .* damaged or was exchanged"):
        load_network(tmp_path)


@pytest.mark.parametrize("name", ["network.json", "weights.safetensors"])
def test_a_missing_file_is_named(network, tmp_path, name):
    save_network(tmp_path, network)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name} is missing"):
        load_network(tmp_path)


def rewrite(folder, change) -> None:
    description = json.loads((folder / "network.json").read_text())
    change(description)
    (folder / "network.json").write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(colour="red"), "must have the keys"),
        (lambda d: d.pop("metadata"), "must have the keys"),
        (lambda d: d["config"].update(depth=3), "depth"),
        (lambda d: d["config"].pop("sampling"), "sampling"),
        (lambda d: d["config"].update(widths=[4, 8]), "do not fit the network's config"),
        (lambda d: d["config"].update(widths=[4, 6, 8]), "do not fit the network's config"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(network, tmp_path, change, message):
    save_network(tmp_path, network)
    rewrite(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        load_network(tmp_path)


def test_files_that_are_no_json_or_no_weights_are_refused(network, tmp_path):
    save_network(tmp_path, network)
    (tmp_path / "weights.safetensors").write_bytes(b"nothing")
    rewrite(tmp_path, lambda d: d.update(sha256=hashlib.sha256(b"nothing").hexdigest()))
    with pytest.raises(ValueError, match="holds no network that can be read"):
        load_network(tmp_path)
    (tmp_path / "network.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"must have the keys .* got list"):
        load_network(tmp_path)
    (tmp_path / "network.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_network(tmp_path)


def test_metadata_that_json_cannot_hold_leave_the_old_network(network, tmp_path):
    save_network(tmp_path, network)
    for metadata in ({"f1": float("nan")}, {"path": tmp_path}):
        with pytest.raises((TypeError, ValueError), match="JSON"):
            save_network(tmp_path, network, metadata)
    assert load_network(tmp_path).metadata == METADATA


def test_saving_again_replaces_the_network(network, make_config, tmp_path):
    save_network(tmp_path, network)
    other = build_network(make_config(widths=(4,)), ResidualUNet(make_config(widths=(4,))).state_dict(), {})
    save_network(tmp_path, other)
    assert load_network(tmp_path).sha256 == other.sha256
    assert other.sha256 != network.sha256
