"""Choose the network: accuracy on held-back simulations against the time that training and use take.

    python benchmarks/architectures.py data/05_model_input/simulated_reference --minutes 4

Every architecture is trained on the same images for the same processor time, its number of steps measured
first; the images of the set's validation part are the judge, those of its test part are not touched.
A step's batch and crop, the learning rate and the labels are the same for all. Prints, and with ``--out``
writes, one row per architecture: weights, steps taken, seconds per megapixel of the finished network, F1 and
RMSE.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from amorph2d.datasets.shards import SimulatedSetDataset
from amorph2d.learning.batches import prepare_images
from amorph2d.learning.config import TrainingParameters
from amorph2d.learning.evaluation.evaluate import calibrate_network, evaluate_network
from amorph2d.learning.fit import fit_prepared
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.heatmaps import run_network

PARAMETERS = Path(__file__).parents[1] / "conf" / "base" / "parameters_training.yml"
_UNSHUFFLED = {"stem": "unshuffle", "skips": "add", "blocks": 1}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "the paper's form: plain stem, concatenated skips": {
        "stem": "plain", "widths": [16, 32, 64, 128], "skips": "concat", "decoder": "symmetric", "blocks": 1,
    },
    "plain stem, added skips, light decoder": {
        "stem": "plain", "widths": [16, 32, 64, 128], "skips": "add", "decoder": "light", "blocks": 1,
    },
    "unshuffle 32-64-128, symmetric": {**_UNSHUFFLED, "widths": [32, 64, 128], "decoder": "symmetric"},
    "unshuffle 32-64-128, light": {**_UNSHUFFLED, "widths": [32, 64, 128], "decoder": "light"},
    "unshuffle 48-96-192, light": {**_UNSHUFFLED, "widths": [48, 96, 192], "decoder": "light"},
    "unshuffle 32-64-128-256, light": {**_UNSHUFFLED, "widths": [32, 64, 128, 256], "decoder": "light"},
    "unshuffle 32-64-128, light, 2 blocks": {
        **_UNSHUFFLED, "widths": [32, 64, 128], "decoder": "light", "blocks": 2,
    },
}  # fmt: skip
WARMUP, TIMED = 5, 25  # steps


def parameters_of(architecture: dict[str, Any], *, steps: int, epochs: int, seed: int) -> TrainingParameters:
    """Return the base parameters with another network and another length of training."""
    base = yaml.safe_load(PARAMETERS.read_text())["sites"]["training"]
    base["network"] |= architecture
    base["fit"] |= {"epochs": epochs, "steps_per_epoch": steps, "seed": seed, "averaging": 0.99}
    return TrainingParameters.model_validate(base)


def seconds_per_step(images: Any, architecture: dict[str, Any], seed: int) -> float:
    """Measure a training step, after a few that are not counted."""
    times = {}
    for steps in (WARMUP, WARMUP + TIMED):
        with tempfile.TemporaryDirectory() as folder:
            parameters = parameters_of(architecture, steps=steps, epochs=1, seed=seed)
            started = time.process_time()
            fit_prepared(images[0], images[1][:1], parameters=parameters, folder=folder)
            times[steps] = time.process_time() - started
    return (times[WARMUP + TIMED] - times[WARMUP]) / TIMED


def seconds_per_megapixel(network: Any) -> float:
    """Time the finished network on 1024 × 1024 pixels, the best of three."""
    image = np.random.default_rng(0).standard_normal((1024, 1024), dtype=np.float32)
    times = []
    for _ in range(4):
        started = time.process_time()
        run_network(network, image)
        times.append(time.process_time() - started)
    return min(times[1:]) / 1.048576


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("set", type=Path, help="folder of a simulated set")
    parser.add_argument("--minutes", type=float, default=4.0, help="processor time of each training")
    parser.add_argument("--judged", type=int, default=80, help="validation images that judge")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--only", nargs="*", default=list(ARCHITECTURES), help="some of the architectures")
    parser.add_argument("--out", type=Path, help="file for the table, CSV")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # so that processor time is time

    simulated = SimulatedSetDataset(filepath=str(arguments.set)).load()
    validation = list(simulated.split("validation"))[: arguments.judged]
    any_config = parameters_of(ARCHITECTURES["unshuffle 32-64-128, light"], steps=1, epochs=1, seed=0).network
    images = prepare_images(simulated.split("training"), any_config), prepare_images(validation, any_config)
    localisation = LocalisationParameters(
        tile_size=1024,
        batch_size=1,
        thresholds={"atom": None, "ring": None},
        min_distance=0.6,
        border=2.0,
        precision="auto",
    )
    rows = []
    for name in arguments.only:
        architecture = ARCHITECTURES[name]
        step = seconds_per_step(images, architecture, arguments.seed)
        epochs = 3
        steps = max(round(60 * arguments.minutes / step / epochs), 1)
        parameters = parameters_of(architecture, steps=steps, epochs=epochs, seed=arguments.seed)
        with tempfile.TemporaryDirectory() as folder:
            started = time.process_time()
            network = fit_prepared(*images, parameters=parameters, folder=folder).network
            seconds = time.process_time() - started
        judged = {"localisation": localisation, "evaluation": parameters.evaluation}
        network = calibrate_network(network, validation, **judged)
        scores = evaluate_network(network, validation, **judged).totals.set_index("channel")
        rows.append(
            {
                "network": name,
                "weights": sum(weight.numel() for weight in network.module.parameters()),
                "steps": steps * epochs,
                "seconds": seconds,
                "s/Mpx": seconds_per_megapixel(network),
                "F1 atoms": scores.f1["atom"],
                "RMSE atoms": scores.rmse["atom"],
                "F1 rings": scores.f1["ring"],
                "RMSE rings": scores.rmse["ring"],
            }
        )
        table = pd.DataFrame(rows)
        print(table.to_string(index=False, float_format=lambda value: f"{value:.4g}"), flush=True)
        if arguments.out:
            table.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
