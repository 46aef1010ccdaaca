import json
import logging

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from amorph2d.pipelines.finetuning.mixture import Images, MixedSet
from amorph2d.pipelines.finetuning.nodes import mix_sets

SMALL = {
    "adaptation": {"n_images": 12, "search": {"n_candidates": 0}, "comparison": {"n_images": 2}},
    "synthesis": {
        "images_per_specimen": 1,
        "images_per_shard": 4,
        "validation_share": 0.25,
        "test_share": 0.25,
        "pores": {"radius": [1.0, 8.0]},
        "detector": {"shape": [96, 96]},
    },
    "computing": {"scheduler": "none"},
    "sites": {"training": {"fit": {"batch_size": 2, "crop": 64, "accelerator": "cpu"}}},
    "finetuning": {"epochs": 2, "steps_per_epoch": 3},
}
FOLDERS = {"simulated": "data/05_model_input/small", "models": "data/06_models/small"}


class FakeSet:
    """Images are their numbers; the parts are in order."""

    def __init__(self, mark, **counts):
        parts = [part for part, n in counts.items() for _ in range(n)]
        self.recipes = [{"set": mark, "index": k, "split": part} for k, part in enumerate(parts)]
        self.set_id, self.manifest = mark, {"seed": 3}

    def split(self, name):
        part = FakeSet(self.set_id)
        part.recipes = [recipe for recipe in self.recipes if recipe["split"] == name]
        return part

    def __len__(self):
        return len(self.recipes)

    def __getitem__(self, k):
        return self.set_id, self.recipes[k]["index"]


@pytest.fixture
def sets():
    matched = FakeSet("matched", training=6, validation=2, test=3)
    return matched, FakeSet("general", training=40, validation=4, test=10)


def test_what_is_learnt_from_is_mixed_what_is_judged_is_not(sets):
    mixed = MixedSet(*sets, share=0.5, seed=1)
    training, validation, test = (mixed.split(name) for name in ("training", "validation", "test"))
    assert [len(part) for part in (training, validation, test)] == [12, 4, 3]
    assert len(mixed) == 19
    assert mixed.n_rehearsed == 8
    assert [name for name, _ in training].count("general") == 6
    assert {name for name, _ in (test[k] for k in range(3))} == {"matched"}
    for part, name in ((training, "training"), (validation, "validation")):
        assert [(recipe["set"], recipe["index"]) for recipe in part.recipes] == list(part)
        assert {recipe["split"] for recipe in part.recipes} == {name}


def test_the_mixture_is_known_by_what_is_in_it(sets):
    one, same, other = (MixedSet(*sets, share=0.5, seed=seed) for seed in (1, 1, 2))
    assert one.set_id == same.set_id
    assert list(one.split("training")) == list(same.split("training"))
    assert len({one.set_id, other.set_id, MixedSet(*sets, share=0.4, seed=1).set_id, "matched"}) == 4
    assert list(one.split("training")) != list(other.split("training"))


def test_images_can_be_sliced(sets):
    images = Images(sets[0], sets[1], [5, 2])
    assert images[-2:] == [("general", 5), ("general", 2)]
    assert images[0] == ("matched", 0)


def test_without_a_general_set_that_is_said(sets, caplog):
    with caplog.at_level(logging.WARNING, "amorph2d"):
        assert mix_sets(sets[0], None, None) is sets[0]
    assert "There is no general set to rehearse" in caplog.text


def test_the_fit_starts_from_the_champion_and_is_averaged_with_it(monkeypatch, tmp_path, parameters_of):
    import torch

    from amorph2d.learning.config import FinetuningParameters, TrainingParameters
    from amorph2d.learning.fit import FittedNetwork
    from amorph2d.learning.network import ResidualUNet
    from amorph2d.learning.storage import build_network
    from amorph2d.pipelines.finetuning.nodes import choose_parameters, finetune_network
    from amorph2d.pipelines.training import nodes

    given = parameters_of("local")
    small = given["sites"]["training"]["network"] | {"widths": [4, 4]}
    training = TrainingParameters.model_validate(given["sites"]["training"] | {"network": small})
    finetuning = FinetuningParameters.model_validate(given["finetuning"] | {"share": 0.25})
    torch.manual_seed(0)
    first, second = (
        build_network(training.network, ResidualUNet(training.network).state_dict(), {"version": 7})
        for _ in range(2)
    )
    parameters = choose_parameters(first, training, finetuning)
    seen = []

    def fit(simulated, parameters, task, folder, start):
        seen.append((task, folder, start))
        return FittedNetwork(second, pd.DataFrame({"epoch": [0]})), pd.DataFrame(), {"run_id": "x"}

    monkeypatch.setattr(nodes, "fit_network", fit)
    for mark in ("a", "a", "b"):
        found, _, run = finetune_network(FakeSet(mark), first, parameters, finetuning, "sites", tmp_path)
    tasks, folders, starts = zip(*seen, strict=True)
    assert set(tasks) == {"sites"}
    assert set(starts) == {first}
    # The state of other micrographs is not in the way.
    assert folders[0] == folders[1] != folders[2]
    assert folders[0].parent == folders[2].parent == tmp_path
    stem = [network.module.state_dict()["stem.weight"] for network in (first, second, found.network)]
    assert torch.allclose(stem[2], 0.75 * stem[0] + 0.25 * stem[1])
    assert run == {"run_id": "x"}
    origin = found.network.metadata["started_from"]
    assert origin == {"version": 7, "sha256": first.sha256, "share": 0.25, "n_rehearsed": 0}


@pytest.fixture(scope="module")
def tuned(copy, tmp_path_factory):
    """Fine-tuned to the shipped example, with a general set of six images."""
    environment = copy.folder / "conf" / "small"
    environment.mkdir()
    (environment / "parameters.yml").write_text(yaml.safe_dump(SMALL))
    (environment / "globals.yml").write_text(yaml.safe_dump(FOLDERS))
    folder = tmp_path_factory.mktemp("microscope")
    image = tifffile.imread(copy.folder / "data/01_raw/micrographs/example.tif")[:200, :240]
    tifffile.imwrite(folder / "one.tif", image, imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    only = ("--pipelines", "synthesis", "--nodes", "draw_recipes,simulate_set")
    general = copy.kedro("run", "--env", "small", *only, "--params", "synthesis.n_images=12")
    assert general.code == 0, general.text

    def run():
        done = copy.kedro(
            "run",
            "--env",
            "small",
            "--pipelines",
            "adaptation,finetuning",
            "--params",
            f"micrographs={folder}",
        )
        assert done.code == 0, done.text
        return done.text

    return run(), run, copy.folder / "data/06_models/small/finetuned_sites"


@pytest.mark.slow
def test_one_command_makes_a_candidate_of_the_champion(copy, tuned):
    text, _, folder = tuned
    candidate = json.loads((folder / "candidate.json").read_text())
    assert candidate["task"] == "sites"
    described = json.loads((folder / "network" / "network.json").read_text())
    shipped = json.loads((copy.folder / "src/amorph2d/networks/sites/network.json").read_text())
    assert described["config"]["widths"] == shipped["config"]["widths"]
    assert described["sha256"] != shipped["sha256"]
    origin = described["metadata"]["started_from"]
    assert origin["sha256"] == shipped["sha256"]
    assert 4 <= origin["n_rehearsed"] <= 9
    assert f"12 matched images, {origin['n_rehearsed']} of the general set" in " ".join(text.split())
    assert list(pd.read_parquet(folder / "history.parquet")["epoch"]) == [0, 1]
    compared = pd.read_parquet(folder / "comparison.parquet").query("condition == 'all' and metric == 'f1'")
    assert set(compared["channel"]) == {"atom", "ring"}
    assert np.isfinite(compared[["candidate", "champion"]].to_numpy()).all()
    listed = copy.kedro("networks", "--task", "sites").text
    assert "candidate" in listed
    assert "adaptation,finetuning" in (folder / "network" / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_the_same_command_registers_nothing_twice(tuned):
    _, run, folder = tuned
    before = (folder / "candidate.json").read_text()
    run()
    assert (folder / "candidate.json").read_text() == before


@pytest.mark.filterwarnings("ignore:One or more dataset names contain:UserWarning")
def test_its_nodes_are_those_of_training_after_the_fit(project):
    from amorph2d.pipelines import finetuning, training

    own = {node.short_name for node in finetuning.create_pipeline().nodes}
    others = {node.short_name for node in training.create_pipeline().filter(node_namespaces=["sites"]).nodes}
    assert own - others == {"choose_parameters", "mix_sets", "finetune_network"}
    assert others - own == {"fit_network"}
    assert {"matched_simulated_set", "general_set", "champion_sites"} <= finetuning.create_pipeline().inputs()
