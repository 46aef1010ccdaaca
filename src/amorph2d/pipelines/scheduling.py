"""Do many independent tasks in this process, in local processes or on a dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from amorph2d.imaging.config import ComputingParameters

if TYPE_CHECKING:
    from distributed import Client

Task = TypeVar("Task")
Result = TypeVar("Result")
CONNECTION_TIMEOUT = 10  # [s]


def run_tasks(
    function: Callable[..., Result],
    tasks: Mapping[str, Task],
    computing: ComputingParameters,
    *shared: Any,
) -> Iterator[tuple[str, Result]]:
    """Yield (name, ``function(task, *shared)``) of each task as it is finished.

    Only the order depends on where the tasks are done. What is `shared` goes to every process once.

    Raises
    ------
    ConnectionError
        If no dask scheduler answers at the address that `computing` names.
    """
    if not tasks:
        return
    if computing.scheduler == "none":
        for name, task in tasks.items():
            yield name, function(task, *shared)
        return
    with _client(computing, len(tasks)) as client:
        yield from _from_cluster(client, function, tasks, shared)


def _client(computing: ComputingParameters, n_tasks: int) -> Client:
    """Start local processes, or connect to the cluster whose address is given."""
    from distributed import Client

    if computing.scheduler == "local":
        return Client(
            n_workers=min(computing.n_workers, n_tasks),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
    try:
        return Client(computing.scheduler, timeout=CONNECTION_TIMEOUT)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"no dask scheduler answers at computing.scheduler={computing.scheduler!r} ({error}); start one "
            "with 'dask scheduler' and give its address, or use 'local' or 'none'"
        ) from error


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
