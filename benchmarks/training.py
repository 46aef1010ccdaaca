"""Speed and accuracy of training against AtomAI's Segmentor: the same time, the same images, one run.

    python -m venv peer && peer/bin/pip install atomai six
    python benchmarks/training.py --peer-python peer/bin/python

AtomAI (Ziatdinov et al., Nature Machine Intelligence 4, 1101 (2022)) lives in an environment of its own, best
with the torch of this one: `peer/bin/pip install atomai six torch===2.13.0`. (One of its dependencies needs
six without saying so.) Both get the same simulated images, in the conditions of the demo at 0.2 Å/px, the
same batch, crop and number of threads, and the same time to train in:

amorph2d   the network and the fit of `conf/base`, atoms and ring centres
AtomAI     Segmentor("Unet", nb_classes=1) with its defaults, in float32; masks of discs about the atoms;
           crops cut and turned beforehand, which costs it no time; the test that it makes after every step
           is made on corners of 32 px

The number of steps is found by timing a few first, since a falling learning rate must know it. Rates are
those of the whole loop between its sixth and its last step: preparing is left out, amorph2d's validations and
saved states are not. Where others use the machine too, ``--clock processor --threads 1`` gives both the same
processor time instead. The atoms of images that neither saw are then found by each package's own way, at the
threshold with the best F1 on validation images. Of all images, and of those alone whose Cramér-Rao bound is
at most 0.15 Å: in the others much of what is missed nobody could find.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf
from peers.atomai_training import CLOCKS, PARTS, TIMED, WARMUP, seconds_per_step, step_times, steps_in
from scipy.spatial import cKDTree

from amorph2d.datasets.shards import Shard, write_shard
from amorph2d.imaging.bounds import image_bound
from amorph2d.imaging.config import SynthesisParameters
from amorph2d.imaging.recipes import draw_recipe
from amorph2d.imaging.simulate import simulate_image
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.batches import prepare_images, true_sites
from amorph2d.learning.config import TrainingParameters
from amorph2d.learning.fit import fit_prepared
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.locate import locate_sites
from amorph2d.localisation.scores import Scores, score_sites, sum_scores
from amorph2d.units import pixels_to_positions, positions_to_pixels

CONF = Path(__file__).parents[1] / "conf"
PEER = Path(__file__).parent / "peers" / "atomai_training.py"
SAMPLING = 0.2  # of the images and of the network, so that none is resampled [Å/px]
SIDE = 256  # of the images [px]
SEEDS = {"training": 71, "validation": 72, "judged": 73}
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DISC = 0.4  # radius of an atom in the peer's masks: neighbours stay apart by 0.6 Å [Å]
MAX_DISTANCE, BORDER = 0.5, 2.0  # [Å]
EPOCHS = 4
PILOTS = 6  # times the steps of the peer's pilot, whose steps take about so much longer
LARGEST_BOUND = 0.15  # Cramér-Rao bound of images that show their atoms clearly [Å]


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training gave.

    Attributes
    ----------
    name
        Package, versions and arithmetic.
    weights
        Number of weights.
    times
        Clock and processor time at the end of each step [s].
    found
        For each part the atoms at each threshold: image, threshold, x, y [Å].
    """

    name: str
    weights: int
    times: Sequence[tuple[float, float]]
    found: dict[str, pd.DataFrame]


def simulate(n_images: int, seed: int) -> list[SimulatedImage]:
    """Simulate carbon sheets in the conditions of the demo, all with the same pixels and without faults."""
    layers = [OmegaConf.load(CONF / name / "parameters_synthesis.yml") for name in ("base", "demo")]
    here = {
        "seed": seed,
        "n_images": n_images,
        "images_per_specimen": 1,
        "images_per_shard": 1,
        "structures": {"families": {"boron_nitride": 0.0}},
        "detector": {
            "shape": [SIDE, SIDE],
            "sampling": [SAMPLING, SAMPLING],
            "zoom": [1.0, 1.0],
            "faulty": 0.0,  # one hot pixel would leave little of an image that AtomAI scales by its extremes
            "bits": {8: 0.0, 16: 0.0},
        },
    }
    merged = OmegaConf.to_container(OmegaConf.merge(*layers, {"synthesis": here}))["synthesis"]
    parameters = SynthesisParameters.model_validate(merged)
    return [simulate_image(draw_recipe(parameters, index)) for index in range(n_images)]


def images_of(folder: Path, counts: dict[str, int]) -> dict[str, list[SimulatedImage]]:
    """Read the images of each set, simulated first where the folder does not have them."""
    sets = {}
    for name, n_images in counts.items():
        path = folder / f"{name}-{n_images}.safetensors"
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_shard(path, simulate(n_images, SEEDS[name]), "benchmark")
        sets[name] = list(Shard(path))
    return sets


def parameters_of(arguments: argparse.Namespace, steps: int, *, epochs: int) -> TrainingParameters:
    """Return the base parameters with the batch, crop and length of this comparison."""
    base: Any = OmegaConf.to_container(OmegaConf.load(CONF / "base" / "parameters_training.yml"))
    base = base["sites"]["training"]
    base["network"] |= {"sampling": SAMPLING}
    base["fit"] |= {
        "epochs": epochs,
        "steps_per_epoch": steps,
        "batch_size": arguments.batch,
        "crop": arguments.crop,
        "precision": arguments.precision,
        "averaging": 0.98,  # as in the demo: the base set's is for longer trainings
        "accelerator": "cpu",
        "seed": arguments.seed,
    }
    return TrainingParameters.model_validate(base)


def train(sets: dict[str, list[SimulatedImage]], arguments: argparse.Namespace) -> Trained:
    """Train for the time that was given, and find the atoms of both parts."""
    config = parameters_of(arguments, 1, epochs=1).network
    images = prepare_images(sets["training"], config), prepare_images(sets["validation"], config)

    def fit(steps: int, epochs: int) -> tuple[Any, list[tuple[float, float]]]:
        parameters = parameters_of(arguments, steps, epochs=epochs)
        with tempfile.TemporaryDirectory() as folder, step_times() as times:
            return fit_prepared(*images, parameters=parameters, folder=folder).network, times

    _, pilot = fit(WARMUP + PILOTS * TIMED + 1, 1)
    steps = -(-steps_in(arguments.minutes, pilot, arguments.clock) // EPOCHS)
    network, times = fit(steps, EPOCHS)
    name = f"amorph2d, {arguments.precision}, torch {torch.__version__}"
    weights = sum(weight.numel() for weight in network.module.parameters())
    return Trained(name, weights, times, {part: locate(network, sets[part]) for part in PARTS})


def locate(network: Any, images: Sequence[SimulatedImage]) -> pd.DataFrame:
    """Find the atoms at each threshold."""
    parameters = LocalisationParameters(
        tile_size=1024,
        batch_size=1,
        thresholds={"atom": min(THRESHOLDS), "ring": 0.5},
        min_distance=0.6,
        border=BORDER,
        precision="auto",
    )
    tables = []
    for index, image in enumerate(images):
        sites = locate_sites(
            image.image, sampling=(SAMPLING, SAMPLING), network=network, parameters=parameters
        )
        atoms = sites[sites["kind"] == "atom"].assign(image=index)
        tables += [atoms[atoms["confidence"] > value].assign(threshold=value) for value in THRESHOLDS]
    return pd.concat(tables)[["image", "threshold", "x", "y"]]


def train_peer(sets: dict[str, list[SimulatedImage]], arguments: argparse.Namespace) -> Trained:
    """Let AtomAI do the same in its own environment."""
    scaled = {name: [_scaled(image.image) for image in images] for name, images in sets.items()}
    masks = [discs(image) for image in sets["training"]]
    crops = cut_crops(list(zip(scaled["training"], masks, strict=True)), arguments)
    # Without a GPU, as amorph2d's part.
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads), "CUDA_VISIBLE_DEVICES": ""}
    options = ("minutes", "batch", "threads", "clock")
    given = [text for name in options for text in (f"--{name}", str(getattr(arguments, name)))]
    with tempfile.TemporaryDirectory() as folder:
        parts = {part: np.stack(scaled[part]) for part in PARTS}
        np.savez(Path(folder) / "data.npz", **crops, **parts, thresholds=THRESHOLDS)
        command = [arguments.peer_python, str(PEER), folder, *given]
        subprocess.run(command, check=True, env=environment, stdout=sys.stderr)
        with np.load(Path(folder) / "result.npz") as result:
            found = {part: _as_table(result[part]) for part in PARTS}
            name = f"{result['versions']}, 32-true"
            return Trained(name, int(result["weights"]), result["times"], found)


def _scaled(image: np.ndarray) -> np.ndarray:
    """Scale an image to 0 … 1, as AtomAI's predictor does."""
    return ((image - image.min()) / np.ptp(image)).astype(np.float32)


def _as_table(rows: np.ndarray) -> pd.DataFrame:
    """Bring the peer's rows into the form of `locate`."""
    x, y = pixels_to_positions(rows[:, 2:], SAMPLING).T
    return pd.DataFrame({"image": rows[:, 0].astype(int), "threshold": rows[:, 1], "x": x, "y": y})


def discs(image: SimulatedImage) -> np.ndarray:
    """Return a mask of discs about the atoms that amorph2d is asked for too, (rows, columns) uint8."""
    atoms = positions_to_pixels(true_sites(image, "atom"), SAMPLING)
    shape = image.image.shape
    if len(atoms) == 0:
        return np.zeros(shape, dtype=np.uint8)
    pixels = np.stack(np.indices(shape), axis=-1)
    return (cKDTree(atoms).query(pixels)[0] <= DISC / SAMPLING).astype(np.uint8)


def cut_crops(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]], arguments: argparse.Namespace
) -> dict[str, np.ndarray]:
    """Cut crops and their masks at random places, turned at random, as many of each image."""
    rng = np.random.default_rng(arguments.seed)
    crops, masks = [], []
    for number in rng.permutation(arguments.crops):
        pair = pairs[number % len(pairs)]
        row, column = rng.integers(0, SIDE - arguments.crop, size=2, endpoint=True)
        quarters, is_mirrored = rng.integers(4), rng.integers(2)
        for whole, target in zip(pair, (crops, masks), strict=True):
            window = whole[row : row + arguments.crop, column : column + arguments.crop]
            target.append(np.rot90(window.T if is_mirrored else window, quarters))
    return {"crops": np.stack(crops), "masks": np.stack(masks)}


def score(found: pd.DataFrame, images: Sequence[SimulatedImage], threshold: float) -> Scores:
    """Score the atoms found in some images at a threshold."""
    kept = found[np.isclose(found["threshold"], threshold)]
    last = (SIDE - 1) * SAMPLING
    window = (BORDER, BORDER, last - BORDER, last - BORDER)
    return sum_scores(
        score_sites(
            kept.loc[kept["image"] == index, ["x", "y"]].to_numpy(),
            true_sites(image, "atom"),
            max_distance=MAX_DISTANCE,
            window=window,
        )
        for index, image in enumerate(images)
    )


def score_clear(found: pd.DataFrame, images: Sequence[SimulatedImage], threshold: float) -> Scores:
    """Score the images alone whose Cramér-Rao bound is small: others hide their atoms from everybody."""
    is_clear = [image_bound(image) <= LARGEST_BOUND for image in images]
    clear = [image for image, is_kept in zip(images, is_clear, strict=True) if is_kept]
    numbers = np.cumsum(is_clear) - 1
    kept = found[np.array(is_clear)[found["image"]]]
    return score(kept.assign(image=numbers[kept["image"]]), clear, threshold)


def summarise(
    trained: Trained, sets: dict[str, list[SimulatedImage]], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return one row of the table."""
    f1 = [score(trained.found["validation"], sets["validation"], value).f1 for value in THRESHOLDS]
    threshold = THRESHOLDS[int(np.argmax(np.nan_to_num(f1)))]
    judged = score(trained.found["judged"], sets["judged"], threshold)
    clear = score_clear(trained.found["judged"], sets["judged"], threshold)
    seconds, processor_seconds = seconds_per_step(trained.times)
    spent = np.subtract(trained.times[-1], trained.times[0])
    return {
        "training": trained.name,
        "weights": trained.weights,
        "steps/s": 1 / seconds,
        "crops/s": arguments.batch / seconds,
        "processor s/step": processor_seconds,
        "steps": len(trained.times),
        **{f"{clock} minutes": value / 60 for clock, value in zip(CLOCKS, spent, strict=True)},
        "threshold": threshold,
        "F1": judged.f1,
        "precision": judged.precision,
        "recall": judged.recall,
        "RMSE / Å": judged.rmse,
        f"F1, bound ≤ {LARGEST_BOUND} Å": clear.f1,
        f"RMSE / Å, bound ≤ {LARGEST_BOUND} Å": clear.rmse,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", help="interpreter of an environment with AtomAI; none: not compared")
    parser.add_argument("--minutes", type=float, default=3.0, help="training time of each")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor: those minutes of it, with --threads 1"
    )
    parser.add_argument("--batch", type=int, default=8, help="crops per step")
    parser.add_argument("--crop", type=int, default=128, help="side of the crops [px]")
    parser.add_argument("--precision", choices=("bf16-mixed", "32-true"), default="bf16-mixed")
    parser.add_argument("--images", type=int, default=120, help="training images")
    parser.add_argument("--validation", type=int, default=20, help="images that choose the thresholds")
    parser.add_argument("--judged", type=int, default=30, help="images that judge")
    parser.add_argument("--sets", type=Path, help="folder to keep the images in; none: made anew")
    parser.add_argument("--crops", type=int, default=2400, help="crops cut beforehand for AtomAI")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--out", type=Path, help="file for the table, CSV")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    counts = {
        "training": arguments.images,
        "validation": arguments.validation,
        "judged": arguments.judged,
    }
    with tempfile.TemporaryDirectory() as folder:
        sets = images_of(arguments.sets or Path(folder), counts)
    ways = [train] + [train_peer] * (arguments.peer_python is not None)
    table = pd.DataFrame([summarise(way(sets, arguments), sets, arguments) for way in ways])
    print(table.T.to_string(header=False, float_format=lambda value: f"{value:.4g}"))
    if len(table) > 1:
        rate = table["steps/s"][0] / table["steps/s"][1]
        work = table["processor s/step"][1] / table["processor s/step"][0]
        print(f"amorph2d: {rate:.2f} times the steps per second, {work:.2f} times those per processor second")
    if arguments.out:
        table.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
