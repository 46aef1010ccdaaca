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
# Dask would have processes give back what they free at once, and fetching it again took a fifth of the time.
# It would also watch a hundred times per second what they are doing.
_SETTINGS = {
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
    "distributed.worker.profile.enabled": False,
}

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
    with _client(computing, len(tasks)) as client:
        if client is not None:
            yield from _from_cluster(client, function, tasks, shared)
            return
        for name, task in tasks.items():
            yield name, function(task, *shared)


def stop_processes() -> None:
    """End the local processes, if there are any."""
    while _local:
        cluster, client = _local.pop()
        client.close()
        cluster.close()


@contextmanager
def _client(computing: ComputingParameters, n_tasks: int) -> Iterator[Client | None]:
    """Give local processes, started if need be, or the cluster at the given address; None: this process."""
    if computing.scheduler == "none":
        yield None
    elif computing.scheduler == "auto":
        yield _worthwhile_processes(computing, n_tasks)
    elif computing.scheduler == "local":
        yield _processes(min(computing.n_workers, n_tasks))
    else:
        with _connected(computing.scheduler) as client:
            yield client


def _connected(address: str) -> Client:
    """Connect to a cluster."""
    from distributed import Client

    try:
        return Client(address, timeout=CONNECTION_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no dask scheduler answers at computing.scheduler={address!r} ({error}); start one "
            "with 'dask scheduler' and give its address, or use 'auto', 'local' or 'none'"
        ) from error


def _worthwhile_processes(computing: ComputingParameters, n_tasks: int) -> Client | None:
    """Return local processes where there are cores for them and enough to do: two on one core gain little."""
    import psutil
    from dask.system import CPU_COUNT  # what the container allows

    n_cores = min(CPU_COUNT, psutil.cpu_count(logical=False) or CPU_COUNT)
    n_processes = min(computing.n_workers, n_cores, n_tasks)
    if n_processes == 1 or n_tasks < LEAST_FOR_PROCESSES:
        return None
    try:
        return _processes(n_processes)
    except (OSError, RuntimeError) as error:
        logger.warning("processes cannot be started (%s): one does everything", error)
        return None


def _processes(n_workers: int) -> Client:
    """Return a client of at least so many local processes; those that run already are used again."""
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set(_SETTINGS):
        if not _local:
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port: several runs at a time are fine
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
