"""Do many independent tasks in this process, in local processes or on a dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Task = TypeVar("Task")
Result = TypeVar("Result")
CONNECTION_TIMEOUT = 10  # [s]
LEAST_FOR_PROCESSES = 4
"""Tasks for which it pays to start processes, which takes some seconds."""

logger = logging.getLogger(__name__)
_local: list[tuple[LocalCluster, Client]] = []  # the local processes, once they have been started


class ComputingParameters(BaseModel):
    """Where images are simulated, and micrographs analysed and measured; the results do not depend on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scheduler: str = Field(
        description="none: this process; local: processes on this machine; auto: such processes where there "
        "are processors and enough to do; or the address of a dask scheduler"
    )
    n_workers: int = Field(
        ge=1, description="Processes that 'local' starts, and 'auto' where there are as many cores"
    )


def run_tasks(
    function: Callable[..., Result],
    tasks: Mapping[str, Task],
    computing: ComputingParameters,
    *shared: Any,
) -> Iterator[tuple[str, Result]]:
    """Yield (name, ``function(task, *shared)``) of each task as it is finished.

    Only the order depends on where the tasks are done. What is `shared` goes to every process once. Local
    processes are kept for the tasks to come; `stop_processes` ends them.

    Raises
    ------
    ConnectionError
        If no dask scheduler answers at the address that `computing` names.
    """
    if not tasks:
        return
    if _is_done_here(computing, len(tasks)):
        for name, task in tasks.items():
            yield name, function(task, *shared)
        return
    with _client(computing, len(tasks)) as client:
        yield from _from_cluster(client, function, tasks, shared)


def stop_processes() -> None:
    """End the local processes, if there are any."""
    while _local:
        cluster, client = _local.pop()
        client.close()
        cluster.close()


def _is_done_here(computing: ComputingParameters, n_tasks: int) -> bool:
    """Say whether tasks are done in this process; 'auto' starts the others if it can."""
    if computing.scheduler != "auto":
        return computing.scheduler == "none"
    n_processes = min(_n_processes(computing), n_tasks)
    if n_tasks < LEAST_FOR_PROCESSES or n_processes == 1:
        return True
    try:
        _processes(n_processes)
    except (OSError, RuntimeError) as error:
        logger.warning("processes cannot be started (%s): one does everything", error)
        return True
    return False


def _n_processes(computing: ComputingParameters) -> int:
    """Return how many processes are started where it is left to us: two on one core are hardly faster."""
    import psutil
    from dask.system import CPU_COUNT  # what the container allows

    return min(computing.n_workers, CPU_COUNT, psutil.cpu_count(logical=False) or CPU_COUNT)


@contextmanager
def _client(computing: ComputingParameters, n_tasks: int) -> Iterator[Client]:
    """Give the local processes, started if need be, or connect to the cluster whose address is given."""
    from distributed import Client

    if computing.scheduler in ("auto", "local"):
        is_auto = computing.scheduler == "auto"
        yield _processes(min(_n_processes(computing) if is_auto else computing.n_workers, n_tasks))
        return
    try:
        client = Client(computing.scheduler, timeout=CONNECTION_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no dask scheduler answers at computing.scheduler={computing.scheduler!r} ({error}); start one "
            "with 'dask scheduler' and give its address, or use 'auto', 'local' or 'none'"
        ) from error
    with client:
        yield client


def _processes(n_workers: int) -> Client:
    """Return a client of at least so many local processes; those that run already are used again."""
    from distributed import Client, LocalCluster

    if not _local:
        cluster = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
        _local.append((cluster, Client(cluster)))
    cluster, client = _local[0]
    if len(client.nthreads()) < n_workers:
        cluster.scale(n_workers)
        client.wait_for_workers(n_workers)
    return client


def _from_cluster(
    client: Client,
    function: Callable[..., Result],
    tasks: Mapping[str, Task],
    shared: tuple[Any, ...],
) -> Iterator[tuple[str, Result]]:
    """Keep the workers busy with a few tasks each: memory stays bounded however many there are.

    Dask gives the tasks of a worker that died to another; a worker that comes back takes part again.
    """
    from distributed import as_completed

    waiting = iter(tasks.items())
    window = 2 * max(1, sum(client.nthreads().values()))
    names: dict[str, str] = {}
    everywhere = client.scatter(list(shared), broadcast=True, hash=False) if shared else []

    def submit_next() -> Any:
        name, task = next(waiting)
        future = client.submit(function, task, *everywhere, pure=False)
        names[str(future.key)] = name
        return future

    running = as_completed([submit_next() for _ in range(min(window, len(tasks)))])
    for future in running:
        result = future.result()
        if len(names) < len(tasks):
            running.add(submit_next())
        yield names[str(future.key)], result
