"""What is written about a network: its training domain, an example, its model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.imaging.simulated import SimulatedImage

if TYPE_CHECKING:
    from amorph2d.learning.storage import SiteNetwork

CARD = "MODEL_CARD.md"
DOMAIN = ("sampling", "dose_per_area", "energy", "defocus", "Cs", "focal_spread", "angular_spread")
_UNITS = {
    "sampling": "Å/px",
    "dose_per_area": "e⁻/Å²",
    "energy": "eV",
    "defocus": "Å",
    "Cs": "Å",
    "focal_spread": "Å",
    "angular_spread": "mrad",
}
_EXAMPLE_SIDE = 256  # largest side of the example shown [px]


def training_domain(recipes: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Return the lowest and highest value of each condition over the recipes of a training set.

    Lengths are in units of carbon; optics of other materials, whose defocus is another, do not count unless
    the set has no carbon.

    Raises
    ------
    ValueError
        If there is no recipe.
    """
    table = pd.DataFrame(list(recipes))
    if table.empty:
        raise ValueError("recipes must hold at least one, got none")
    scale = table.get("length_scale", pd.Series(1.0, index=table.index))
    table = table.assign(sampling=table["sampling"] / scale, dose_per_area=table["dose_per_area"] * scale**2)
    is_carbon = scale == 1
    table = table[is_carbon] if is_carbon.any() else table
    return {name: [float(table[name].min()), float(table[name].max())] for name in DOMAIN}


def predict_example(network: SiteNetwork, image: SimulatedImage) -> dict[str, Any]:
    """Return a corner of an image with its heat maps, true and found sites, to be drawn."""
    from amorph2d.imaging.simulated import in_units_of_carbon
    from amorph2d.learning.batches import true_sites
    from amorph2d.localisation.heatmaps import run_network
    from amorph2d.localisation.normalise import normalise
    from amorph2d.localisation.peaks import find_peaks
    from amorph2d.localisation.resample import resample
    from amorph2d.units import pixels_to_positions

    image, step = in_units_of_carbon(image), network.config.sampling
    pixels = resample(image.image, (image.sampling, image.sampling), step)
    prepared = normalise(pixels, network.config.normalisation_window / step)
    side = min(_EXAMPLE_SIDE, *(n // network.config.stride * network.config.stride for n in prepared.shape))
    heatmaps = run_network(network, prepared[:side, :side])
    found, true = {}, {}
    for kind, heatmap in zip(network.config.channels, heatmaps, strict=True):
        peaks = find_peaks(heatmap, network.metadata["thresholds"][kind], 0.6 / step)
        found[kind] = pixels_to_positions(peaks.pixels, step)
        sites = true_sites(image, kind)
        true[kind] = sites[(sites < (side - 1) * step).all(axis=1)]
    return {
        "image": pixels[:side, :side],
        "heatmaps": heatmaps,
        "true": true,
        "found": found,
        "sampling": step,
    }


def write_model_card(folder: Path, *, task: str, network: SiteNetwork, scores: pd.DataFrame) -> str:
    """Write the model card of a network into its folder and return its text.

    Parameters
    ----------
    folder
        Folder of the network.
    task
        Name of the registered model.
    network
        The network; its metadata hold ``training_domain``, ``metrics``, ``set``, ``fit`` and
        ``code_version``.
    scores
        Scores on the test images by kind, dose and polarity.
    """
    metadata, config = network.metadata, network.config
    n_weights = sum(int(np.prod(weight.shape)) for weight in network.module.parameters())
    made, fit = metadata["set"], metadata["fit"]
    domain = metadata["training_domain"].items()
    columns = ["kind", "dose_low", "dose_high", "polarity", "n_images", "precision", "recall", "f1", "rmse"]
    text = f"""# Network `{task}`

Residual U-Net that draws one heat map for each of {", ".join(config.channels)} at {config.sampling:g} Å/px.

- {n_weights} weights; levels {list(config.widths)}, stem {config.stem}, skips {config.skips}
- decoder {config.decoder}
- SHA-256 of the weights: `{network.sha256}`

## Use
Locating atoms and ring centres in HRTEM images of single-layer carbon, with bright or dark atoms alike. It
was trained on simulated images alone. Second layers, debris and other materials are not among them: what is
found there means nothing.

## Training
- amorph2d {metadata["code_version"]}
- set `{made["set_id"][:16]}` with seed {made["set_seed"]}: {made["n_images"]} images
- fit with seed {fit["seed"]}: {fit["epochs"]} epochs of {fit["steps_per_epoch"]} steps
- batches of {fit["batch_size"]} crops of {fit["crop"]} px
- thresholds {metadata["thresholds"]}, chosen with the sigmas on validation images

## Training domain
| quantity | lowest | highest | unit |
|---|---|---|---|
{_rows((name, *limits, _UNITS[name]) for name, limits in domain)}

## Scores on test images of the same set
Matched one to one within 0.5 Å, counts added up before ratios; rmse in Å, both axes together; dose in e⁻/Å².

| {" | ".join(columns)} |
|{"---|" * len(columns)}
{_rows(scores[columns].itertuples(index=False, name=None))}

## Licence
BSD-3-Clause, as the project.
"""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).write_text(text, encoding="utf-8")
    return text


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    """Rows of a Markdown table."""
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)


def _cell(value: Any) -> str:
    """Return a value as it reads in a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
