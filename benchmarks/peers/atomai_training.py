"""AtomAI's part of `benchmarks/training.py`, run by the interpreter of an environment that has AtomAI.

    python benchmarks/peers/atomai_training.py FOLDER --minutes 3 --batch 8 --threads 2

FOLDER holds ``data.npz``: crops and masks to train on, (N, H, W); images to find the atoms in, in each of the
two parts (validation, judged), (N, H, W), all between 0 and 1; and the thresholds. Written beside it:
``result.npz`` with the times at the end of each step [s], and for each part one row per atom: image,
threshold, row, column [px].
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

WARMUP, TIMED = 5, 20  # steps that are left out, and steps from which the length of the training is found
CLOCKS = ("wall", "processor")
PARTS = ("validation", "judged")
CORNER = 32  # side of what is left of the images on which AtomAI tests itself after every step [px]


@contextmanager
def step_times() -> Iterator[list[tuple[float, float]]]:
    """Collect the clock and the processor time at the end of each step of any optimiser [s]."""
    times: list[tuple[float, float]] = []
    handle = register_optimizer_step_post_hook(
        lambda *_: times.append((time.perf_counter(), time.process_time()))
    )
    try:
        yield times
    finally:
        handle.remove()


def seconds_per_step(times: Sequence[tuple[float, float]]) -> np.ndarray:
    """Return the clock and processor time of a step of a training's loop, the first steps left out [s]."""
    return (np.array(times[-1]) - times[WARMUP]) / (len(times) - 1 - WARMUP)


def steps_in(minutes: float, pilot: Sequence[tuple[float, float]], clock: str) -> int:
    """Return how many steps last some minutes, by the steps of a pilot."""
    return max(round(60 * minutes / seconds_per_step(pilot)[CLOCKS.index(clock)]), WARMUP + 2)


def fit(data: Any, *, steps: int, batch: int, folder: Path) -> tuple[Any, list[tuple[float, float]]]:
    """Train a Segmentor for some steps; return it and the times of each step."""
    from atomai.models import Segmentor

    model = Segmentor("Unet", nb_classes=1)
    # A test batch follows every step whatever one wants: corners make it cost next to nothing.
    test = (data[name][:batch, :CORNER, :CORNER] for name in ("crops", "masks"))
    with step_times() as times:
        model.fit(
            data["crops"],
            data["masks"],
            *test,
            training_cycles=steps,
            batch_size=batch,
            plot_training_history=False,
            filename=str(folder / "atomai"),
        )
    return model, times


def locate(model: Any, images: np.ndarray, thresholds: Sequence[float]) -> np.ndarray:
    """Find the atoms of images, one by one as AtomAI scales what it is given together; see the module."""
    from atomai.predictors import Locator

    rows = []
    for index, image in enumerate(images):
        output = model.predict(image, compute_coords=False, verbose=False)
        for threshold in thresholds:
            pixels = Locator(threshold).run(output)[0][:, :2]
            rows.append(np.insert(pixels, [0, 0], [index, threshold], axis=1))
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    import atomai

    data = dict(np.load(arguments.folder / "data.npz"))
    settings = {"batch": arguments.batch, "folder": arguments.folder}
    _, pilot = fit(data, steps=WARMUP + TIMED + 1, **settings)
    steps = steps_in(arguments.minutes, pilot, arguments.clock)
    model, times = fit(data, steps=steps, **settings)
    np.savez(
        arguments.folder / "result.npz",
        times=times,
        weights=sum(weight.numel() for weight in model.net.parameters()),
        versions=f"AtomAI {atomai.__version__}, torch {torch.__version__}",
        **{part: locate(model, data[part], data["thresholds"]) for part in PARTS},
    )


if __name__ == "__main__":
    main()
