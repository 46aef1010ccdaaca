from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from amorph2d import cli
from amorph2d.tracking import registry
from amorph2d.tracking.champions import Reign
from amorph2d.tracking.registry import NetworkRow, RegisteredNetwork
from amorph2d.tracking.store import TrackingError

ROWS = [
    NetworkRow(
        "sites", 12, ("candidate",), "training", datetime(2030, 1, 2, 3, 4), {"atom.f1": 0.9876}, "ab" * 32
    ),
    NetworkRow("sites", 1, (), "reference", datetime(2029, 1, 1), {"f1": 0.5, "atom.rmse": 0.06}, "cd" * 32),
]


@pytest.fixture(autouse=True)
def configured(monkeypatch):
    """Return the environments that the commands chose the store for."""
    chosen: list[str | None] = []
    monkeypatch.setattr(cli, "_configure", lambda _project, env: chosen.append(env))
    return chosen


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, arguments, obj=SimpleNamespace(project_path=Path()))


def test_networks_are_listed_in_columns(monkeypatch):
    monkeypatch.setattr(registry, "list_networks", lambda _task: ROWS)
    done = invoke("networks")
    assert done.exit_code == 0
    head, first, second = done.output.splitlines()
    assert head.split() == ["task", "version", "aliases", "source", "registered", "scores", "sha256"]
    assert first.split()[:4] == ["sites", "12", "candidate", "training"]
    assert "atom f1 0.988 " in first
    assert first.endswith("abababababab")
    assert "f1 0.500 " in second
    assert "0.06" not in second
    column = head.index("source")
    assert first[column:].startswith("training")
    assert second[column:].startswith("reference")


def test_only_the_networks_of_a_task_are_asked_for(monkeypatch, configured):
    asked = []
    monkeypatch.setattr(registry, "list_networks", lambda task: asked.append(task) or [])
    done = invoke("networks", "--task", "pores", "--env", "demo")
    assert asked == ["pores"]
    assert configured == ["demo"]
    assert "No network is registered" in done.output


@pytest.mark.parametrize(("arguments", "version"), [((), None), (("--version", "3"), 3)])
def test_a_network_is_promoted(monkeypatch, arguments, version):
    asked = []

    def promote(task: str, number: int | None) -> RegisteredNetwork:
        asked.append((task, number))
        return RegisteredNetwork(task=task, version=3, folder=Path(), sha256="", uri="")

    monkeypatch.setattr(registry, "promote", promote)
    done = invoke("promote", "--task", "sites", *arguments)
    assert (done.exit_code, done.output) == (0, "sites version 3 is the champion now.\n")
    assert asked == [("sites", version)]


def test_scores_of_every_output_are_listed(monkeypatch):
    scores = {
        "vacuum.dice": 0.91,
        "vacuum.iou": 0.8,
        "illumination.residual": 0.004,
        "other.residual_peak": 1.0,
    }
    row = NetworkRow("pores", 1, (), "training", datetime(2030, 1, 1), scores, "ab" * 32)
    monkeypatch.setattr(registry, "list_networks", lambda _task: [row])
    assert "  vacuum dice 0.910, illumination residual 0.004  " in invoke("networks").output


def test_a_promotion_is_rolled_back(monkeypatch, configured):
    def roll_back(task: str) -> RegisteredNetwork:
        return RegisteredNetwork(task=task, version=2, folder=Path(), sha256="", uri="")

    monkeypatch.setattr(registry, "roll_back", roll_back)
    done = invoke("rollback", "--task", "pores", "--env", "demo")
    assert (done.exit_code, done.output) == (0, "pores version 2 is the champion again.\n")
    assert configured == ["demo"]


def test_champions_are_listed_with_their_time(monkeypatch):
    reigns = [Reign(1, datetime(2030, 1, 2, 3, 4), "reference"), Reign(4, datetime(2031, 1, 1), "promoted")]
    monkeypatch.setattr(registry, "list_champions", lambda _task: reigns)
    assert invoke("champions", "--task", "sites").output.splitlines() == [
        "2030-01-02 03:04  version 1, reference",
        "2031-01-01 00:00  version 4, promoted",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ("networks",),
        ("promote", "--task", "sites"),
        ("rollback", "--task", "sites"),
        ("champions", "--task", "sites"),
    ],
)
def test_problems_are_one_line(monkeypatch, command):
    def fail(*_: object) -> None:
        raise TrackingError("no candidate")

    monkeypatch.setattr(registry, "promote", fail)
    monkeypatch.setattr(registry, "list_networks", fail)
    monkeypatch.setattr(registry, "roll_back", fail)
    monkeypatch.setattr(registry, "list_champions", fail)
    done = invoke(*command)
    assert (done.exit_code, done.output) == (1, "Error: no candidate\n")


def test_versions_count_from_1():
    assert invoke("promote", "--task", "sites", "--version", "0").exit_code == 2
    assert invoke("promote").exit_code == 2
