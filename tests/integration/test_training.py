import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time

import pandas as pd
import pytest
import yaml

TINY = {
    "synthesis": {
        "n_images": 16,
        "images_per_specimen": 2,
        "images_per_shard": 4,
        "validation_share": 0.25,
        "test_share": 0.25,
        "seed": 6,
        "structures": {
            "families": {
                "relaxed": 1.0,
                "polycrystal": 1.0,
                "voronoi": 0.0,
                "switched": 0.0,
                "graphene": 0.0,
                "boron_nitride": 0.0,
                "silica": 0.0,
                "polymer": 0.0,
            }
        },
        "pores": {"radius": [1.5, 6.0]},
        "overlays": {"layer": 0.0, "debris": 0.0},
        "defects": {"doped": 0.0},
        "optics": {
            "matched": 1.0,
            "energies": {20000: 0.0, 30000: 0.0, 120000: 0.0, 200000: 0.0, 300000: 0.0},
            "Cs": [-1.0e5, 1.0e5],
            "C5": [0.0, 0.0],
            "coma": [0.0, 0.0],
            "trefoil": [0.0, 0.0],
            "focal_spread": [10.0, 30.0],
            "drift": [0.0, 0.0],
        },
        "detector": {
            "shape": [128, 160],
            "sampling": [0.18, 0.22],
            "dose_per_area": [5.0e4, 1.0e5],
            "mtf_width": [0.6, 1.0],
            "faulty": 0.0,
            "bits": {8: 0.0, 16: 0.0},
        },
    },
    "computing": {"scheduler": "none"},
    "wide_field": {
        "n_images": 16,
        "pores": {"probability": 1.0, "radius": [2.0, 8.0]},
        "overlays": {"layer": 0.5, "debris": 0.5},
        "detector": {"shape": [96, 112], "sampling": [0.3, 0.4]},
    },
    "sites": {
        "training": {
            "network": {"widths": [8, 16]},
            "fit": {"epochs": 2, "steps_per_epoch": 60, "batch_size": 4, "crop": 64},
        }
    },
    **{
        task: {
            "training": {
                "network": {"widths": [8, 8]},
                "fit": {"epochs": 2, "steps_per_epoch": 10, "batch_size": 4, "crop": 32},
            }
        }
        for task in ("monolayer", "pores")
    },
    "illumination": {
        "training": {
            "network": {"widths": [8, 8], "sampling": 2.0},
            "fit": {"epochs": 2, "steps_per_epoch": 10, "batch_size": 4, "crop": 16},
        }
    },
}
CHANNELS = {
    "sites": {"atom", "ring"},
    "monolayer": {"monolayer"},
    "pores": {"vacuum"},
    "illumination": {"illumination"},
}
FOLDERS = {
    "simulated": "data/05_model_input/tiny",
    "wide": "data/05_model_input/tiny_wide",
    "models": "data/06_models/tiny",
}


def shard_digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("shard-*"))
    }


def run(copy, pipelines, *arguments):
    return copy.kedro("run", "--pipelines", pipelines, "--env", "tiny", *arguments)


@pytest.fixture(scope="module")
def trained(copy):
    environment = copy.folder / "conf" / "tiny"
    environment.mkdir()
    (environment / "parameters.yml").write_text(yaml.safe_dump(TINY))
    (environment / "globals.yml").write_text(yaml.safe_dump(FOLDERS))
    done = run(copy, "synthesis,training")
    assert done.code == 0, done.text
    return done


@pytest.mark.slow
def test_training_registers_a_candidate_with_all_it_takes_to_review_it(copy, trained):
    for task, channels in CHANNELS.items():
        folder = copy.folder / "data/06_models/tiny" / task
        candidate = json.loads((folder / "candidate.json").read_text())
        assert candidate["task"] == task
        assert f"kedro promote --task {task}" in " ".join(trained.text.split())
        history = pd.read_parquet(folder / "history.parquet")
        assert list(history["epoch"]) == [0, 1]
        totals = pd.read_parquet(folder / "evaluation" / "totals.parquet").set_index("channel")
        assert set(totals.index) == channels
        groups = pd.read_parquet(folder / "evaluation" / "groups.parquet")
        assert {"dose_per_area", "sampling", "polarity"} <= set(groups["condition"])
        described = json.loads((folder / "network" / "network.json").read_text())
        assert described["metadata"]["training_domain"]["dose_per_area"][0] >= 1e3
        assert set(described["metadata"]["metrics"]) == channels
        assert "Training domain" in (folder / "network" / "MODEL_CARD.md").read_text()
        for figure in ("training_curves", "score_curves", "reliability", "example"):
            assert (folder / f"{figure}.png").stat().st_size > 5_000
    history = pd.read_parquet(copy.folder / "data/06_models/tiny/sites/history.parquet")
    assert history["training_loss"].iloc[1] < history["training_loss"].iloc[0]


@pytest.mark.slow
def test_the_same_command_registers_nothing_twice(copy, trained):
    folder = copy.folder / "data/06_models/tiny/sites"
    before = json.loads((folder / "candidate.json").read_text())
    again = run(copy, "synthesis,training")
    assert again.code == 0, again.text
    assert "4 of 4 shards are there" in again.text
    assert json.loads((folder / "candidate.json").read_text()) == before


def count_runs(copy, task):
    with sqlite3.connect(copy.folder / "mlflow.db") as store:
        counted = store.execute(
            "select count(*) from runs join experiments using (experiment_id) where experiments.name = ?",
            [task],
        ).fetchone()
    return counted[0]


@pytest.mark.slow
def test_two_devices_make_one_run_and_one_version(copy, trained):
    folder = copy.folder / "data/06_models/tiny/pores"
    before, n_runs = json.loads((folder / "candidate.json").read_text()), count_runs(copy, "pores")
    shutil.rmtree(folder / "checkpoints")
    given = "pores.training.fit.devices=2,pores.training.fit.accelerator=cpu"
    done = run(copy, "training", "--from-nodes", "pores.fit_network", "--params", given)
    assert done.code == 0, done.text
    assert count_runs(copy, "pores") == n_runs + 1
    assert json.loads((folder / "candidate.json").read_text())["version"] == before["version"] + 1
    assert done.text.count("epoch 2 of 2") == 1
    assert list(pd.read_parquet(folder / "history.parquet")["epoch"]) == [0, 1]


@pytest.mark.slow
def test_promotion_is_one_command(copy, trained):
    version = json.loads((copy.folder / "data/06_models/tiny/sites/candidate.json").read_text())["version"]
    done = copy.kedro("promote", "--task", "sites")
    assert done.code == 0, done.text
    listed = [line.split() for line in copy.kedro("networks", "--task", "sites").text.splitlines()]
    assert [line[:2] for line in listed if "champion" in line] == [["sites", str(version)]]
    assert copy.kedro("promote", "--task", "sites", "--version", "1").code == 0


@pytest.mark.slow
def test_a_killed_synthesis_goes_on_and_gives_the_same_shards(copy, trained):
    whole = copy.folder / "data/05_model_input/tiny"
    expected = shard_digests(whole)
    for path in whole.iterdir():
        path.unlink()
    command = copy.command("run", "--pipelines", "synthesis", "--env", "tiny")
    running = subprocess.Popen(
        command, cwd=copy.folder, env=copy.environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    give_up = time.monotonic() + 120
    while len(shard_digests(whole)) < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert 2 <= len(shard_digests(whole)) < 4
    assert not (whole / "manifest.json").exists()
    done = run(copy, "synthesis")
    assert done.code == 0, done.text
    assert "0 of 4" not in done.text
    assert shard_digests(whole) == expected


@pytest.mark.slow
def test_workers_make_the_same_shards(copy, trained):
    whole = copy.folder / "data/05_model_input/tiny"
    expected = shard_digests(whole)
    for path in whole.iterdir():
        path.unlink()
    done = run(copy, "synthesis", "--params", "computing.scheduler=local")
    assert done.code == 0, done.text
    assert shard_digests(whole) == expected


def test_wrong_synthesis_parameters_are_refused(copy):
    done = copy.kedro("run", "--pipelines", "synthesis", "--env", "demo", "--params", "synthesis.n_images=-1")
    assert done.code != 0
    assert "greater than or equal to 1" in done.text


@pytest.mark.parametrize("missing", ["training", "validation", "test"])
def test_set_without_one_of_its_parts_is_named(missing):
    from amorph2d.pipelines.training.nodes import fit_network

    class Parts(list):
        def split(self, name):
            return [] if name == missing else [0]

    with pytest.raises(ValueError, match=f"set of 5 images has none for {missing}; make a larger one"):
        fit_network(Parts(range(5)), None, "sites", None)


@pytest.mark.filterwarnings("ignore:One or more dataset names contain:UserWarning")
@pytest.mark.parametrize("variable", ["RANK", "SLURM_PROCID"])
def test_processes_beside_the_first_only_help_to_fit(monkeypatch, variable):
    from amorph2d.pipelines.training import create_pipeline

    monkeypatch.setenv(variable, "0")
    assert {node.name for node in create_pipeline().nodes} >= {
        "sites.fit_network",
        "pores.register_candidate",
    }
    monkeypatch.setenv(variable, "1")
    helping = create_pipeline()
    assert {node.name for node in helping.nodes} == {f"{task}.help_to_fit" for task in CHANNELS}
    assert not helping.all_outputs()
    assert helping.inputs() >= {"simulated_set", "wide_simulated_set", "params:sites.training"}


def test_a_helper_fits_and_returns_nothing(monkeypatch):
    from amorph2d.learning import fit
    from amorph2d.pipelines.training.nodes import help_to_fit

    class Parts:
        def split(self, name):
            return [name]

    seen = []
    monkeypatch.setattr(fit, "fit_network", lambda *images, **how: seen.append((images, how)))
    assert help_to_fit(Parts(), "parameters", "folder") is None
    assert seen == [((["training"], ["validation"]), {"parameters": "parameters", "folder": "folder"})]
