"""What fine-tuning does for images far from those that a network was trained on, and for ordinary ones.

    python benchmarks/finetuning.py --threads 1

The network that ships is the champion. Images of a microscope that the base parameters do not know take the
place of a matched set: `camera` has a hundred times the faulty pixels and uneven light, `optics` strong coma,
threefold and twofold astigmatism. Ordinary images are drawn from the base parameters. The champion is
fitted further to the former alone and to a mixture of both, and the weights are averaged with those of the
champion (`share` of the new ones). Prints the scores on test images of both kinds; counts are added up before
ratios. No harm is done where the scores on ordinary images stay.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from amorph2d.imaging.simulated import SimulatedImage

ROOT = Path(__file__).parents[1]
CARBON = {"relaxed": 0.2, "switched": 0.3, "polycrystal": 0.25, "graphene": 0.25}
FAR: dict[str, dict[str, dict[str, Any]]] = {
    "camera": {
        "detector": {
            "faulty": 1.0,
            "dead_pixels": [1000.0, 4000.0],
            "spikes": [1000.0, 4000.0],
            "bits": {0: 1.0},
            "gradient": [0.5, 0.8],
        }
    },
    "optics": {
        "optics": {"coma": [1000.0, 2500.0], "trefoil": [1000.0, 2500.0], "astigmatism": [15.0, 30.0]},
        "detector": {"dose_per_area": [1e4, 1e5]},
    },
}
PARTS = ("training", "validation", "test")


def parameters_of(name: str) -> dict[str, Any]:
    """The base parameters of a part of the project."""
    return yaml.safe_load((ROOT / "conf" / "base" / f"parameters_{name}.yml").read_text(encoding="utf-8"))


def simulate(counts: dict[str, int], changes: dict[str, dict[str, Any]], seed: int) -> dict[str, list]:
    """Images of carbon for each part; parts have no specimen in common."""
    from amorph2d.arrays import as_records
    from amorph2d.imaging.config import SynthesisParameters
    from amorph2d.imaging.recipes import draw_recipes
    from amorph2d.imaging.simulate import simulate_images

    raw = parameters_of("synthesis")["synthesis"]
    raw |= {"n_images": sum(counts.values()), "images_per_specimen": 2, "images_per_shard": 2, "seed": seed}
    raw["structures"]["families"] = CARBON
    raw["pores"]["radius"] = [1.0, 15.0]
    raw["detector"]["shape"] = [256, 256]
    for group, values in changes.items():
        raw[group] |= values
    images = list(simulate_images(as_records(draw_recipes(SynthesisParameters(**raw)))))
    parts: dict[str, list[SimulatedImage]] = {}
    for name in PARTS:
        parts[name], images = images[: counts[name]], images[counts[name] :]
    return parts


def finetune(champion: Any, far: dict, ordinary: dict, steps: int, rate: float, seed: int = 1) -> Any:
    """The champion fitted to the far images, and to as many ordinary ones as are given."""
    from amorph2d.learning.config import FinetuningParameters, TrainingParameters
    from amorph2d.learning.finetuning import further_training
    from amorph2d.learning.fit import fit_network

    base = parameters_of("finetuning")["finetuning"]
    training = parameters_of("training")["sites"]["training"]
    training["fit"] |= {"batch_size": 8, "crop": 128, "accelerator": "cpu"}
    changes = {"epochs": 4, "steps_per_epoch": steps // 4, "learning_rate": rate, "seed": seed}
    parameters = further_training(
        champion.config,
        TrainingParameters.model_validate(training),
        FinetuningParameters.model_validate(base | changes),
    )
    with tempfile.TemporaryDirectory() as folder:
        return fit_network(
            [*far["training"], *ordinary.get("training", [])],
            [*far["validation"], *ordinary.get("validation", [])],
            parameters=parameters,
            folder=folder,
            start=champion,
        ).network


def judge(network: Any, parts: dict[str, dict[str, list]]) -> dict[str, float]:
    """Scores on the test images of each set, with thresholds from the validation images of both."""
    from amorph2d.learning.config import EvaluationParameters
    from amorph2d.learning.evaluation.evaluate import calibrate_network, evaluate_network
    from amorph2d.localisation.config import LocalisationParameters

    run = parameters_of("inference")["localisation"]
    how = {
        "localisation": LocalisationParameters.model_validate(run),
        "evaluation": EvaluationParameters.model_validate(
            parameters_of("training")["sites"]["training"]["evaluation"]
        ),
    }
    known = [image for part in parts.values() for image in part["validation"]]
    network = calibrate_network(network, known, **how)
    scores: dict[str, float] = {}
    for name, part in parts.items():
        totals = evaluate_network(network, part["test"], **how).totals.set_index("channel")
        for channel in ("atom", "ring"):
            scores[f"{name} {channel} F1"] = totals.loc[channel, "f1"]
        scores[f"{name} rmse"] = totals.loc["atom", "rmse"]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--far", choices=sorted(FAR), default="camera", help="what the microscope is like")
    parser.add_argument("--images", type=int, default=48, help="training images of each kind")
    parser.add_argument("--judged", type=int, default=16, help="test images of each kind")
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--rate", type=float, default=1e-3, help="largest learning rate")
    parser.add_argument("--shares", type=float, nargs="*", default=[1.0, 0.5])
    parser.add_argument("--network", type=Path, default=ROOT / "src/amorph2d/networks/sites")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="file for the table, CSV")
    arguments = parser.parse_args()

    from amorph2d.learning.finetuning import average_weights
    from amorph2d.learning.storage import load_network

    torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    counts = dict(zip(PARTS, (arguments.images, 8, arguments.judged), strict=True))
    parts = {"far": simulate(counts, FAR[arguments.far], 31), "ordinary": simulate(counts, {}, 32)}
    print(f"simulated {2 * sum(counts.values())} images in {time.perf_counter() - start:.0f} s", flush=True)
    champion = load_network(arguments.network)
    rows = [{"network": "champion"} | judge(champion, parts)]
    for name, rehearsal in (("far alone", {}), ("mixed", parts["ordinary"])):
        start = time.perf_counter()
        tuned = finetune(champion, parts["far"], rehearsal, arguments.steps, arguments.rate)
        print(f"{name}: {arguments.steps} steps in {time.perf_counter() - start:.0f} s", flush=True)
        for share in arguments.shares:
            network = average_weights(champion, tuned, share)
            rows.append({"network": f"{name}, share {share:g}"} | judge(network, parts))
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    if arguments.out:
        table.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
