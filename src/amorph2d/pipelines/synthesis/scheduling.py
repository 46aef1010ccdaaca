"""Simulate shards, wherever that is done, and say how it goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.pipelines.scheduling import ComputingParameters, run_tasks

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)

Recipes = list[dict[str, Any]]


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
        for name, images in run_tasks(simulate_shard, shards, computing):
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
