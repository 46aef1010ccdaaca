"""Simulate shards in this process, in local processes or on a dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from amorph2d.imaging.config import ComputingParameters
from amorph2d.imaging.simulated import SimulatedImage

if TYPE_CHECKING:
    from distributed import Client
    from rich.progress import Progress

logger = logging.getLogger(__name__)

Recipes = list[dict[str, Any]]
CONNECTION_TIMEOUT = 10  # [s]


def simulate_shard(recipes: Recipes) -> list[SimulatedImage]:
    """Simulate the images of one shard on one thread: the number of threads changes the last bits."""
    from threadpoolctl import threadpool_limits

    from amorph2d.imaging.simulate import simulate_images

    with threadpool_limits(limits=1):
        return list(simulate_images(recipes))


def simulate_shards(
    shards: Mapping[str, Recipes], computing: ComputingParameters
) -> Iterator[tuple[str, list[SimulatedImage]]]:
    """Yield (name, images) of each shard as it is finished; only the order depends on the scheduler.

    Raises
    ------
    ConnectionError
        If no dask scheduler answers at the address that `computing` names.
    """
    with _progress_bar() as progress:
        task = progress.add_task("simulating", total=sum(map(len, shards.values())), rate="")
        for name, images in _results(shards, computing):
            yield name, images
            progress.advance(task, len(images))
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:.2f} images/s," if speed else "")
        elapsed = progress.tasks[0].elapsed
    if shards and elapsed:
        n_images = sum(map(len, shards.values()))
        logger.info(
            "simulated %d images in %.0f s, %.2f images/s", n_images, elapsed, n_images / max(elapsed, 1e-3)
        )


def _progress_bar() -> Progress:
    """Return a bar with the number of images, the rate and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("images, {task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("left"),
        speed_estimate_period=300,
    )


def _results(
    shards: Mapping[str, Recipes], computing: ComputingParameters
) -> Iterator[tuple[str, list[SimulatedImage]]]:
    """Choose where the shards are made."""
    if not shards:
        return
    if computing.scheduler == "none":
        for name, recipes in shards.items():
            yield name, simulate_shard(recipes)
        return
    with _client(computing, len(shards)) as client:
        yield from _from_cluster(client, shards)


def _client(computing: ComputingParameters, n_shards: int) -> Client:
    """Start local processes, or connect to the cluster whose address is given."""
    from distributed import Client

    if computing.scheduler == "local":
        return Client(
            n_workers=min(computing.n_workers, n_shards),
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
    client: Client, shards: Mapping[str, Recipes]
) -> Iterator[tuple[str, list[SimulatedImage]]]:
    """Keep the workers busy with a few shards each: memory stays bounded whatever the size of the set.

    Dask gives the shards of a worker that died to another; a worker that comes back takes part again.
    """
    from distributed import as_completed

    waiting = iter(shards.items())
    window = 2 * max(1, sum(client.nthreads().values()))
    names: dict[str, str] = {}

    def submit_next() -> Any:
        name, recipes = next(waiting)
        future = client.submit(simulate_shard, recipes, pure=False)
        names[str(future.key)] = name
        return future

    running = as_completed([submit_next() for _ in range(min(window, len(shards)))])
    for future in running:
        images = future.result()
        if len(names) < len(shards):
            running.add(submit_next())
        yield names[str(future.key)], images
