"""Tasks done here, in processes, or on a cluster that is not there."""

from __future__ import annotations

import pytest

from amorph2d.imaging.config import ComputingParameters
from amorph2d.pipelines.scheduling import run_tasks

TASKS = {name: number for number, name in enumerate("abcdefg")}


def weighted(task: int, factor: int, offset: int) -> int:
    return factor * task + offset


@pytest.mark.parametrize("scheduler", ["none", "local"])
def test_every_task_is_done_once_wherever_that_is(scheduler: str) -> None:
    computing = ComputingParameters(scheduler=scheduler, n_workers=2)
    results = list(run_tasks(weighted, TASKS, computing, 10, 3))
    assert sorted(results) == [(name, 10 * number + 3) for name, number in TASKS.items()]


def test_nothing_to_do_needs_no_workers() -> None:
    computing = ComputingParameters(scheduler="tcp://127.0.0.1:1", n_workers=2)
    assert list(run_tasks(weighted, {}, computing)) == []


def test_a_silent_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amorph2d.pipelines.scheduling.CONNECTION_TIMEOUT", 1)
    computing = ComputingParameters(scheduler="tcp://127.0.0.1:1", n_workers=2)
    with pytest.raises(ConnectionError, match=r"no dask scheduler answers at .*tcp://127\.0\.0\.1:1"):
        list(run_tasks(weighted, TASKS, computing))
