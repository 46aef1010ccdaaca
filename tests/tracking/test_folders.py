from __future__ import annotations

import json

import pytest

from amorph2d.tracking.folders import model_card, read_folder, shipped_folder
from amorph2d.tracking.store import TrackingError


def test_a_whole_folder_is_read(make_folder):
    folder = make_folder()
    network = read_folder(folder)
    assert network.folder == folder
    assert network.sha256 == json.loads((folder / "network.json").read_text())["sha256"]
    assert network.metadata["metrics"]["atom"]["f1"] == 0.99
    assert network.config["channels"] == ["atom", "ring"]


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json"])
def test_a_missing_file_is_named(make_folder, name):
    folder = make_folder()
    (folder / name).unlink()
    with pytest.raises(TrackingError, match=f"holds no network: {name} is missing"):
        read_folder(folder)


def test_damaged_weights_are_refused(make_folder):
    folder = make_folder()
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(TrackingError, match=r"weights\.safetensors is damaged: its SHA-256 is"):
        read_folder(folder)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"config": {}, "metadata": {}}'])
def test_a_description_without_its_keys_is_refused(make_folder, text):
    folder = make_folder()
    (folder / "network.json").write_text(text)
    with pytest.raises(TrackingError, match=r"network\.json does not describe a network"):
        read_folder(folder)


def test_the_identity_is_that_of_what_changes_results(make_folder):
    first = read_folder(make_folder("first"))
    assert read_folder(make_folder("again", trained_at="2030-01-01")).identity == first.identity
    assert read_folder(make_folder("other weights", seed=1)).identity != first.identity
    for key in ("thresholds", "sigma", "training_domain"):
        assert read_folder(make_folder(f"other {key}", **{key: {"atom": 0.5}})).identity != first.identity


def test_the_card_tells_domain_and_metrics(make_folder):
    card = model_card("sites", read_folder(make_folder()))
    assert card.startswith("# Network `sites`\n")
    assert "| atom.rmse | 0.06 |" in card
    assert "| energy | 60000 – 80000 |" in card
    assert "0.2 Å/px with the channels atom, ring" in card


def test_the_card_has_no_empty_sections(make_folder):
    card = model_card("sites", read_folder(make_folder(metrics={}, training_domain=None)))
    assert "##" not in card


def test_a_card_beside_the_weights_is_the_card(make_folder):
    folder = make_folder()
    (folder / "MODEL_CARD.md").write_text("# Mine, Å")
    assert model_card("sites", read_folder(folder)) == "# Mine, Å"


def test_nothing_ships_for_an_unknown_task():
    assert shipped_folder("no such task") is None


def test_what_ships_for_a_task_is_a_network(make_folder, monkeypatch):
    folder = make_folder("networks/sites")
    monkeypatch.setattr("amorph2d.tracking.folders.files", lambda _package: folder.parent.parent)
    assert shipped_folder("sites") == folder
