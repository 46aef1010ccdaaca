"""Errors of the conditions that `amorph2d.imaging.adaptation` measures, on simulated images.

    python benchmarks/adaptation.py [images]

Draws recipes of carbon from the base parameters, clean and without pores, measures each image and compares
with its recipe. Prints one line per quantity, for counts and for 8-bit files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import yaml

from amorph2d.arrays import as_records
from amorph2d.imaging.adaptation.conditions import measure_conditions
from amorph2d.imaging.config import SynthesisParameters
from amorph2d.imaging.detector import modulation_transfer
from amorph2d.imaging.optics import Optics, contrast_transfer
from amorph2d.imaging.recipes import draw_recipes
from amorph2d.imaging.simulate import OPTICS_COLUMNS, simulate_images

BASE = Path(__file__).parents[1] / "conf" / "base" / "parameters_synthesis.yml"
FAMILIES = {"relaxed": 0.3, "polycrystal": 0.2, "graphene": 0.5}


def parameters(n_images: int, bits: int) -> SynthesisParameters:
    """Clean carbon under all conditions, 384 × 384 px."""
    raw = yaml.safe_load(BASE.read_text())["synthesis"]
    raw |= {"n_images": n_images, "images_per_specimen": 4, "images_per_shard": 4, "seed": 5}
    raw["structures"]["families"] = FAMILIES
    raw["pores"] |= {"probability": 0.0, "open": 0.0, "radius": [1.0, 10.0]}
    raw["overlays"] |= {"layer": 0.0, "debris": 0.0, "adatoms": 0.0}
    raw["optics"]["matched"] = 1.0
    raw["detector"] |= {"shape": [384, 384], "bits": {bits: 1.0}}
    return SynthesisParameters(**raw)


def true_noise(recipe: dict, frequency: np.ndarray) -> np.ndarray:
    """Noise at `frequency`, in Nyquist frequencies, relative to shot noise at zero frequency."""
    transfer = modulation_transfer(
        frequency,
        floor=recipe["mtf_floor"],
        width=recipe["mtf_width"],
        exponent=recipe["mtf_exponent"],
    )
    return transfer**2 + recipe["readout_noise"] ** 2


def errors(n_images: int, bits: int) -> dict[str, list[float]]:
    """Deviations of what is measured from what is true, by quantity."""
    frequency = np.linspace(0, 1.4, 60)
    found: dict[str, list[float]] = {}
    for image in simulate_images(as_records(draw_recipes(parameters(n_images, bits)))):
        recipe = image.recipe
        got = measure_conditions(image.image, sampling=image.sampling, depth=bits)
        optics = Optics(**{name: recipe[name] for name in OPTICS_COLUMNS})
        is_bright = bool(contrast_transfer(1 / 2.13, optics) > 0)
        noise = (
            modulation_transfer(
                frequency, floor=got.mtf_floor, width=got.mtf_width, exponent=got.mtf_exponent
            )
            ** 2
        )
        truth = true_noise(recipe, frequency)
        deviations = {
            "dose, log": np.log(got.dose_per_area / recipe["dose_per_area"]),
            "colour of the noise, rms log": np.std(np.log(noise / truth)),
            "gradient": got.gradient - recipe["gradient"],
            "vignetting": got.vignetting - recipe["vignetting"],
            "unevenness": got.unevenness - recipe["unevenness"],
            "polarity wrong": float(got.polarity == ("dark atoms" if is_bright else "bright atoms")),
            "polarity unknown": float(got.polarity == "unknown"),
            "covered share": 1 - got.clean_share,
            "vacuum share": got.vacuum_share,
            "faults missed or invented": float(
                (got.outliers > 0) != (recipe["spikes"] + recipe["dead_pixels"] > 0)
            ),
        }
        for name, value in deviations.items():
            found.setdefault(name, []).append(float(value))
    return found


def main() -> None:
    """Print mean, root mean square and 95 % of the absolute deviations."""
    n_images = int(sys.argv[1]) if len(sys.argv) > 1 else 48
    for bits in (0, 8):
        print(f"{n_images} images, bits {bits}:  mean, rms, 95 % of |deviation|, known in")
        for name, values in errors(n_images, bits).items():
            known = np.array(values)[np.isfinite(values)]
            if known.size:
                numbers = (known.mean(), np.sqrt(np.mean(known**2)), np.quantile(abs(known), 0.95))
                print(f"  {name:30s}", *(f"{number:8.3f}" for number in numbers), f"{known.size:5d}")


if __name__ == "__main__":
    main()
