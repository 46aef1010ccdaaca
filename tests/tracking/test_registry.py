from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pandas as pd
import pytest

from amorph2d.tracking import registry
from amorph2d.tracking import store as stores
from amorph2d.tracking.registry import (
    champion,
    ensure_reference,
    is_available,
    list_networks,
    promote,
    promote_candidate,
    record_comparison,
    register_network,
    resolve,
)
from amorph2d.tracking.runs import start_training_run
from amorph2d.tracking.store import Store, TrackingError, connect, local_path


def test_the_first_network_is_version_1_and_the_candidate(store, make_folder):
    folder = make_folder()
    made = register_network(folder)
    assert (made.task, made.version, made.folder, made.uri) == ("sites", 1, folder, "models:/sites/1")
    found = resolve("sites", "candidate")
    assert found.sha256 == made.sha256
    assert found.folder.is_relative_to(store.artifact_root)
    for name in ("weights.safetensors", "network.json"):
        assert (found.folder / name).read_bytes() == (folder / name).read_bytes()
    assert "| atom.f1 | 0.99 |" in (found.folder / "MODEL_CARD.md").read_text()
    assert resolve("sites", 1) == resolve("sites", "1") == found


def test_a_version_tells_what_it_is(store, make_folder):
    made = register_network(make_folder(), tags={"data_set": "abc"})
    client = connect(store)
    version = client.get_model_version("sites", "1")
    assert version.description.startswith("# Network `sites`")
    assert version.tags["sha256"] == made.sha256
    assert version.tags["data_set"] == "abc"
    assert version.tags["source"] == "training"
    assert json.loads(version.tags["training_domain"]) == {"sampling": [0.05, 0.4], "energy": [60e3, 80e3]}
    assert json.loads(version.tags["metrics"]) == {"atom.f1": 0.99, "atom.rmse": 0.06, "ring.f1": 0.95}
    run = client.get_run(version.run_id)
    assert run.data.metrics == {"atom.f1": 0.99, "atom.rmse": 0.06, "ring.f1": 0.95}
    assert run.info.status == "FINISHED"
    [model] = client.search_logged_models([run.info.experiment_id])
    assert {metric.key for metric in model.metrics} == {"atom.f1", "atom.rmse", "ring.f1"}
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "sites", "version": 1}]


def test_a_version_can_be_reviewed_from_its_tags(store, make_folder):
    made = {"set_id": "f" * 64, "set_seed": 7, "n_images": 300}
    folder = make_folder(
        set=made,
        fit={"seed": 3, "epochs": 40},
        polarities=["bright atoms", "dark atoms"],
        code_version="0.1.2",
    )
    register_network(folder, task="sites")
    tags = connect(store).get_model_version("sites", "1").tags
    assert (
        tags.items()
        >= {
            "task": "sites",
            "output": "sites",
            "channels": "atom, ring",
            "sampling": "0.2 Å/px",
            "n_weights": "12",
            "headline": "atom.f1 0.9900, ring.f1 0.9500",
            "licence": "BSD-3-Clause",
            "set_id": "f" * 64,
            "set_seed": "7",
            "n_images": "300",
            "fit_seed": "3",
            "epochs": "40",
            "polarity": "bright atoms, dark atoms",
            "domain.energy": "6e+04 – 8e+04 eV",
            "domain.sampling": "0.05 – 0.4 Å/px",
            "trained_with": "0.1.2",
        }.items()
    )


def test_a_version_names_the_commit_of_its_code(store, make_folder, monkeypatch):
    monkeypatch.setattr(
        "amorph2d.tracking.models.code_version", lambda _path: {"mlflow.source.git.commit": "abc"}
    )
    register_network(make_folder())
    assert connect(store).get_model_version("sites", "1").tags["mlflow.source.git.commit"] == "abc"


def test_a_long_card_is_cut_between_lines_and_kept_whole_beside_the_weights(store, make_folder):
    folder = make_folder()
    card = "# Card\n" + "".join(f"| row {k} | Å |\n" for k in range(1000))
    (folder / "MODEL_CARD.md").write_text(card)
    register_network(folder)
    shown = connect(store).get_model_version("sites", "1").description
    assert len(shown) <= 5000
    text, _, rest = shown.rpartition("\n\n")
    assert card.startswith(text + "\n")
    assert rest == "The whole card is `MODEL_CARD.md` among the artifacts.\n"
    assert (resolve("sites", 1).folder / "MODEL_CARD.md").read_text() == card


def comparison(*, f1: float, verdict: str) -> pd.DataFrame:
    rows = {
        "channel": "atom", "condition": ["all", "all", "family"], "low": np.nan, "high": np.nan,
        "value": ["", "", "relaxed"], "n_images": 9, "metric": ["f1", "rmse", "f1"],
        "candidate": [f1, 0.05, f1], "champion": [0.9, 0.06, 0.9],
    }  # fmt: skip
    table = pd.DataFrame(rows)
    table["difference"] = table["candidate"] - table["champion"]
    better = pd.array([f1 > 0.9, True, f1 > 0.9], dtype="boolean")
    return table.assign(difference_low=0.01, difference_high=0.02, better=better, verdict=[verdict, "", ""])


def test_a_comparison_is_kept_with_the_run_and_the_version(store, make_folder):
    register_network(make_folder("a"), alias="champion")
    register_network(make_folder("b", seed=1))
    record_comparison("sites", 2, comparison(f1=0.92, verdict="better"), against=1)
    client = connect(store)
    version = client.get_model_version("sites", "2")
    expected = {
        "compared_with": "sites/1",
        "verdict": "atom: better",
        "better": "atom f1 0.9000 → 0.9200, atom rmse 0.0600 → 0.0500",
        "worse": "none",
    }
    run = client.get_run(version.run_id)
    assert version.tags.items() >= expected.items()
    assert run.data.tags.items() >= expected.items()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["champion.atom.f1"] == 0.9
    assert run.data.metrics["difference.atom.rmse"] == pytest.approx(-0.01)
    root = local_path(run.info.artifact_uri)
    assert (root / "tables/comparison.csv").read_text().startswith("channel,condition")
    assert (
        (root / "comparison.md")
        .read_text()
        .startswith("# sites version 2 and version 1\n\n- atom: **better**")
    )
    record_comparison("sites", 2, comparison(f1=0.88, verdict="worse"), against=1)
    assert client.get_model_version("sites", "2").tags["worse"] == "atom f1 0.9000 → 0.8800"


def test_a_comparison_of_a_version_without_a_run_is_kept_with_the_version(store, make_folder):
    made = register_network(make_folder("a"))
    client = connect(store)
    client.create_model_version("sites", source=str(made.folder))
    record_comparison("sites", 2, comparison(f1=0.92, verdict="better"), against=1)
    assert client.get_model_version("sites", "2").tags["compared_with"] == "sites/1"
    with pytest.raises(TrackingError, match="no version 9"):
        record_comparison("sites", 2, comparison(f1=0.92, verdict="better"), against=9)


def test_a_candidate_is_promoted_unless_it_is_worse(store, make_folder, caplog):
    register_network(make_folder("a"), alias="champion")
    register_network(make_folder("b", seed=1))
    kept = promote_candidate("sites", 2, comparison=comparison(f1=0.88, verdict="worse"))
    assert kept == {
        "task": "sites", "version": 2, "promoted": False, "champion": 1,
        "reason": "worse than the champion for atom",
    }  # fmt: skip
    assert "kedro promote --task sites --version 2" in caplog.text
    assert champion("sites").version == 1
    table = comparison(f1=0.9, verdict="no difference shown")
    done = promote_candidate("sites", 2, comparison=table)
    assert (done["promoted"], done["champion"], done["reason"]) == (True, 2, "atom: no difference shown")
    assert champion("sites").version == 2
    worse = comparison(f1=0.88, verdict="worse")
    assert promote_candidate("sites", 1, comparison=worse, even_if_worse=True)["champion"] == 1


def test_the_first_network_of_a_task_is_promoted_without_a_comparison(store, make_folder):
    register_network(make_folder(), task="pores")
    done = promote_candidate("pores", 1)
    assert (done["promoted"], done["reason"]) == (True, "not compared with a champion")
    assert json.loads(json.dumps(done)) == done
    register_network(make_folder("b", seed=1), task="other")
    refused = promote_candidate("other", 1, comparison=comparison(f1=0.1, verdict="worse"))
    assert refused["champion"] is None


def test_the_stored_model_has_a_signature_and_requirements_and_no_pickle(store, make_folder):
    folder = resolve("sites", register_network(make_folder()).version).folder.parent
    description = (folder / "MLmodel").read_text()
    assert '"shape": [-1, -1,' in description.replace("\n    ", " ")
    requirements = (folder / "requirements.txt").read_text().splitlines()
    assert {line.partition("==")[0] for line in requirements} == {
        "mlflow",
        "amorph2d",
        "torch",
        "safetensors",
        "numpy",
    }
    assert not any("+" in line for line in requirements)
    files = [path for path in store.artifact_root.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md", ".py", ".yaml", ".txt", ""}
    assert {path.name for path in files if not path.suffix} == {"MLmodel"}
    for path in files:
        assert not path.read_bytes().startswith(b"\x80"), f"{path} may be a pickle"
        assert not zipfile.is_zipfile(path), f"{path} may be a torch checkpoint"


def test_the_same_network_is_registered_once_and_the_candidate_moves(store, make_folder):
    register_network(make_folder("a"))
    register_network(make_folder("b", seed=1))
    assert resolve("sites", "candidate").version == 2
    again = register_network(make_folder("c", trained_at="later"))
    assert again.version == 1
    assert resolve("sites", "candidate").version == 1
    assert len(list_networks("sites")) == 2


def test_the_same_weights_with_other_thresholds_are_another_version(store, make_folder):
    register_network(make_folder("a"))
    assert register_network(make_folder("b", thresholds={"atom": 0.1})).version == 2


def test_without_an_alias_the_candidate_stays(store, make_folder):
    register_network(make_folder("a"))
    register_network(make_folder("b", seed=1), alias=None)
    assert resolve("sites", "candidate").version == 1


def test_a_network_belongs_to_the_run_that_trained_it(store, make_folder):
    from matplotlib.figure import Figure

    with start_training_run("sites", {"seed": 1}) as run:
        pass
    figures = {"curve": Figure(figsize=(1, 1))}
    register_network(make_folder(), run_id=run.run_id, metrics={"f1": 0.5}, figures=figures)
    client = connect(store)
    assert client.get_model_version("sites", "1").run_id == run.run_id
    kept = client.get_run(run.run_id)
    assert kept.data.tags["registered_network"] == "sites/1"
    assert kept.data.metrics == {"f1": 0.5}
    assert kept.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(run.run_id, "figures")] == ["figures/curve.png"]


def test_a_damaged_folder_leaves_no_version(store, make_folder):
    folder = make_folder()
    (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(TrackingError, match="damaged"):
        register_network(folder)
    assert list_networks() == []


def test_a_registration_that_fails_leaves_a_failed_run_and_no_version(store, make_folder, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("amorph2d.tracking.models._create_registered_model", fail)
    with pytest.raises(OSError, match="disk full"):
        register_network(make_folder())
    client = connect(store)
    experiment = client.get_experiment_by_name("sites").experiment_id
    assert [run.info.status for run in client.search_runs([experiment])] == ["FAILED"]
    assert list_networks() == []


def test_promotion_takes_the_candidate_or_the_version_that_is_named(store, make_folder):
    register_network(make_folder("a"))
    register_network(make_folder("b", seed=1))
    assert promote("sites").version == 2
    assert champion("sites").version == 2
    assert promote("sites", 1).version == 1
    assert champion("sites").version == 1
    assert resolve("sites", "candidate").version == 2


def test_what_cannot_be_promoted_leaves_the_champion(store, make_folder):
    register_network(make_folder("a"), alias="champion")
    with pytest.raises(
        TrackingError, match=r"no candidate; versions: 1\. Training registers one, .*--version N"
    ):
        promote("sites")
    with pytest.raises(TrackingError, match="has no version 7; versions: 1"):
        promote("sites", 7)
    assert champion("sites").version == 1


def test_a_missing_champion_names_the_command_that_sets_it(store, make_folder):
    register_network(make_folder("a"))
    register_network(make_folder("b", seed=1))
    with pytest.raises(
        TrackingError, match=r"versions: 1, 2\. Set it: kedro promote --task sites --version 2"
    ):
        champion("sites")
    with pytest.raises(TrackingError, match=r"no version with the alias 'mine'; versions: 1, 2\.$"):
        resolve("sites", "mine")


def test_an_unknown_task_names_the_training(store):
    with pytest.raises(
        TrackingError, match=r"no network is registered for the task 'pores'\. Train one: kedro run"
    ):
        resolve("pores")


def test_a_registry_that_fails_is_not_taken_for_empty(store, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fail(*_: object) -> None:
        raise MlflowException("no route")

    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", fail)
    with pytest.raises(TrackingError, match="'sites' cannot be looked up: no route"):
        resolve("sites")


def test_a_list_that_fails_is_not_taken_for_empty(store, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fail(*_: object) -> None:
        raise MlflowException("no route")

    monkeypatch.setattr(MlflowClient, "search_model_versions", fail)
    with pytest.raises(TrackingError, match="networks of 'sites' cannot be looked up: no route"):
        ensure_reference("sites")


def test_an_empty_registry_receives_the_network_that_ships(store, make_folder, ship):
    ship(make_folder("shipped"))
    assert is_available("sites")
    ensure_reference("sites")
    ensure_reference("sites")
    [row] = list_networks()
    assert (row.task, row.version, row.aliases, row.source) == ("sites", 1, ("champion",), "reference")
    assert row.metrics["ring.f1"] == 0.95
    client = connect(store)
    run = client.get_run(client.get_model_version("sites", "1").run_id)
    assert run.info.run_name == "reference"
    assert run.data.metrics["atom.f1"] == 0.99
    assert client.get_experiment(run.info.experiment_id).name == "sites"


def test_a_registry_with_networks_is_left_alone(store, make_folder, ship):
    ship(make_folder("shipped"))
    register_network(make_folder("own", seed=1))
    ensure_reference("sites")
    assert [row.source for row in list_networks()] == ["training"]


def test_where_nothing_ships_the_registry_stays_empty(store, ship):
    ship(None)
    assert not is_available("sites")
    ensure_reference("sites")
    assert list_networks() == []


def test_two_that_start_at_once_register_one_reference(store, make_folder, ship):
    ship(make_folder("shipped"))
    connect(store)
    start = Barrier(2)

    def begin(_: int) -> None:
        start.wait()
        ensure_reference("sites")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(begin, range(2)))
    assert [(row.version, row.aliases) for row in list_networks()] == [(1, ("champion",))]


@pytest.mark.slow
def test_two_processes_that_start_in_an_empty_project_share_one_reference(make_folder, tmp_path):
    code = f"""
from pathlib import Path
from amorph2d.tracking import registry, store
registry.shipped_folder = lambda task: Path({str(make_folder("shipped"))!r})
store.configure(Path({str(tmp_path)!r}))
registry.ensure_reference("sites")
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    stores.configure(tmp_path)
    assert [(row.version, row.aliases) for row in list_networks()] == [(1, ("champion",))]


def test_of_two_machines_that_register_the_reference_at_once_the_first_counts(
    store, make_folder, ship, monkeypatch
):
    ship(make_folder("shipped"))
    register_network(make_folder("by the other machine"), alias=None)
    # This machine looked before the other one had finished.
    looks = iter([[], []])
    listed = registry.list_versions
    monkeypatch.setattr(registry, "list_versions", lambda client, task: next(looks, listed(client, task)))
    ensure_reference("sites")
    assert [(row.version, row.aliases) for row in list_networks()] == [(1, ("champion",))]


def moved(store: Store, tmp_path: Path) -> Store:
    """Move the project and look at it from its new place."""
    target = tmp_path / "elsewhere"
    store.project_path.rename(target)
    return stores.configure(target)


def test_a_moved_project_still_has_its_networks(store, make_folder, tmp_path):
    before = register_network(make_folder(), alias="champion")
    after = moved(store, tmp_path)
    found = champion("sites")
    assert found.sha256 == before.sha256
    assert found.folder.is_relative_to(after.artifact_root)
    assert register_network(make_folder("new", seed=1)).version == 2
    assert resolve("sites", 2).folder.is_relative_to(after.artifact_root)
    assert not store.project_path.exists()


def test_a_moved_project_does_not_take_other_weights_for_its_own(store, make_folder, tmp_path, ship):
    ship(None)
    register_network(make_folder(), alias="champion")
    after = moved(store, tmp_path)
    folder = next(after.artifact_root.rglob("weights.safetensors")).parent
    other = make_folder("other", seed=1)
    for name in ("weights.safetensors", "network.json"):
        shutil.copy(other / name, folder / name)
    with pytest.raises(TrackingError, match="missing or damaged"):
        champion("sites")


def test_weights_that_are_not_those_registered_are_refused(store, make_folder, ship):
    ship(None)
    found = resolve("sites", register_network(make_folder(), alias="champion").version)
    content = bytearray((found.folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (found.folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(TrackingError, match="version 1 are missing or damaged"):
        champion("sites")


def test_a_lost_reference_is_read_from_the_package(store, make_folder, ship, caplog):
    shipped = make_folder("shipped")
    ship(shipped)
    ensure_reference("sites")
    shutil.rmtree(store.artifact_root)
    assert champion("sites").folder == shipped
    assert "the same network ships with amorph2d" in caplog.text


def test_a_lost_network_names_the_ways_out(store, make_folder, ship):
    ship(make_folder("shipped", seed=1))
    register_network(make_folder(), alias="champion")
    shutil.rmtree(store.artifact_root)
    with pytest.raises(
        TrackingError,
        match=r"'sites' version 1 are missing or damaged: .*Put it back.*kedro networks; kedro promote",
    ):
        champion("sites")
    with pytest.raises(TrackingError, match="missing"):
        promote("sites", 1)


def test_artifacts_outside_of_the_project_do_not_move_with_it(store, make_folder, ship, tmp_path):
    ship(None)
    settings = {
        "tracking_uri": store.uri,
        "artifact_location": str(tmp_path / "files"),
        "log_analyses": False,
    }
    stores.configure(store.project_path, settings)
    register_network(make_folder(), alias="champion")
    stores.configure(store.project_path, settings | {"artifact_location": str(tmp_path / "others")})
    assert champion("sites").folder.is_relative_to(tmp_path / "files")
    (tmp_path / "files").rename(tmp_path / "lost")
    with pytest.raises(TrackingError, match="missing"):
        champion("sites")


def test_networks_are_listed_newest_first_by_task(store, make_folder):
    register_network(make_folder("a"), task="sites", alias="champion")
    register_network(make_folder("b", seed=1), task="sites")
    register_network(make_folder("c"), task="pores")
    assert [(row.task, row.version, row.aliases) for row in list_networks()] == [
        ("pores", 1, ("candidate",)),
        ("sites", 2, ("candidate",)),
        ("sites", 1, ("champion",)),
    ]
    assert [row.version for row in list_networks("sites")] == [2, 1]
    assert list_networks("none") == []


def test_only_what_is_registered_is_available(store, make_folder, ship):
    ship(None)
    register_network(make_folder(), alias="champion")
    assert is_available("sites")
    assert is_available("sites", 1)
    assert not is_available("sites", 2)
    assert not is_available("sites", "candidate")


def test_a_version_of_another_tool_is_read_if_it_is_a_network(store, make_folder):
    client = connect(store)
    made = register_network(make_folder(), alias="champion")
    client.delete_model_version_tag("sites", str(made.version), "identity")
    assert local_path(client.get_model_version("sites", "1").source) is not None
    assert champion("sites").version == 1
