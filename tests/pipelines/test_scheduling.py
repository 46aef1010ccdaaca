"""Tasks done here, in processes, or on a cluster that is not there."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from amorph2d.pipelines import scheduling
from amorph2d.pipelines.scheduling import ComputingParameters, run_tasks, stop_processes

TASKS = {name: number for number, name in enumerate("abcdefg")}


def weighted(task: int, factor: int, offset: int) -> int:
    return factor * task + offset


def process(task: int) -> int:
    return os.getpid()


def trim_threshold(task: int) -> str | None:
    return os.environ.get("MALLOC_TRIM_THRESHOLD_")


@pytest.fixture(autouse=True)
def no_processes_left() -> Iterator[None]:
    yield
    stop_processes()


@pytest.mark.parametrize("scheduler", ["none", "local", "auto"])
def test_every_task_is_done_once_wherever_that_is(scheduler: str) -> None:
    computing = ComputingParameters(scheduler=scheduler, n_workers=2)
    results = list(run_tasks(weighted, TASKS, computing, 10, 3))
    assert sorted(results) == [(name, 10 * number + 3) for name, number in TASKS.items()]


def test_processes_may_keep_what_they_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    for n_workers in (2, 3):
        computing = ComputingParameters(scheduler="local", n_workers=n_workers)
        assert {value for _, value in run_tasks(trim_threshold, TASKS, computing)} == {None}


def test_nothing_to_do_needs_no_workers() -> None:
    computing = ComputingParameters(scheduler="tcp://127.0.0.1:1", n_workers=2)
    assert list(run_tasks(weighted, {}, computing)) == []


def test_a_silent_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amorph2d.pipelines.scheduling.CONNECTION_TIMEOUT", 1)
    computing = ComputingParameters(scheduler="tcp://127.0.0.1:1", n_workers=2)
    with pytest.raises(ConnectionError, match=r"no dask scheduler answers at .*tcp://127\.0\.0\.1:1"):
        list(run_tasks(weighted, TASKS, computing))


def test_processes_are_used_again_and_more_are_added() -> None:
    two, three = (ComputingParameters(scheduler="local", n_workers=n) for n in (2, 3))
    first = {number for _, number in run_tasks(process, TASKS, two)}
    again = {number for _, number in run_tasks(process, TASKS, two)}
    assert first | again == first
    assert os.getpid() not in first
    assert len(first) == 2
    list(run_tasks(process, TASKS, three))
    assert len(scheduling._local[0][1].nthreads()) == 3
    stop_processes()
    assert not scheduling._local
    stop_processes()  # there is nothing to end


@pytest.mark.parametrize(("n_tasks", "n_cores", "is_here"), [(3, 8, True), (4, 1, True), (4, 2, False)])
def test_processes_are_started_where_that_pays(
    monkeypatch: pytest.MonkeyPatch, n_tasks: int, n_cores: int, is_here: bool
) -> None:
    monkeypatch.setattr("dask.system.CPU_COUNT", 8)
    monkeypatch.setattr("psutil.cpu_count", lambda logical=True: 2 * n_cores if logical else n_cores)
    computing = ComputingParameters(scheduler="auto", n_workers=4)
    chosen = dict(list(TASKS.items())[:n_tasks])
    assert ({number for _, number in run_tasks(process, chosen, computing)} == {os.getpid()}) == is_here


def test_one_process_does_everything_where_others_cannot_be_started(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(n_workers: int) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr("psutil.cpu_count", lambda **_: 2)
    monkeypatch.setattr("dask.system.CPU_COUNT", 2)
    monkeypatch.setattr(scheduling, "_processes", refuse)
    computing = ComputingParameters(scheduler="auto", n_workers=2)
    assert {number for _, number in run_tasks(process, TASKS, computing)} == {os.getpid()}
    assert "processes cannot be started (no room)" in caplog.text
