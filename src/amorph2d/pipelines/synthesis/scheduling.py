"""Simulate shards in this process, in local processes or on a dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from amorph2d.imaging.config import ComputingParameters
from amorph2d.imaging.simulated import SimulatedImage

if TYPE_CHECKING:
    from distributed import Client

Recipes = list[dict[str, Any]]


def simulate_shard(recipes: Recipes) -> list[SimulatedImage]:
    """Simulate the images of one shard on one thread: the number of threads changes the last bits."""
    from threadpoolctl import threadpool_limits

    from amorph2d.imaging.simulate import simulate_image

    with threadpool_limits(limits=1):
        return [simulate_image(recipe) for recipe in recipes]


def simulate_shards(
    shards: Mapping[str, Recipes], computing: ComputingParameters
) -> Iterator[tuple[str, list[SimulatedImage]]]:
    """Yield (name, images) of each shard as it is finished; only the order depends on the scheduler."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("shards,"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        task = progress.add_task("simulating", total=len(shards))
        for result in _results(shards, computing):
            yield result
            progress.advance(task)


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
    from distributed import Client

    if computing.scheduler == "local":
        client = Client(
            n_workers=min(computing.n_workers, len(shards)),
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
    else:
        client = Client(computing.scheduler)
    with client:
        yield from _from_cluster(client, shards)


def _from_cluster(
    client: Client, shards: Mapping[str, Recipes]
) -> Iterator[tuple[str, list[SimulatedImage]]]:
    """Keep the workers busy with a few shards each: memory stays bounded whatever the size of the set."""
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
