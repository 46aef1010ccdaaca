"""What is written about a network: its training domain, an example, its model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import AnyArray
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.comparison import comparison_markdown

if TYPE_CHECKING:
    from amorph2d.learning.evaluation.tables import Evaluation
    from amorph2d.learning.storage import TrainedNetwork
    from amorph2d.localisation.config import LocalisationParameters

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
_EXAMPLE_SIDE = 256  # largest side of an example of sites [px]
_N_EPOCHS = 8  # rows of the table of losses
_N_BINS = 6  # rows of the table of reliability per channel and quantity
_METRICS = (
    "precision", "recall", "f1", "rmse", "rmse_over_bound", "ring_fraction_error", "dice", "iou",
    "false_share", "found_vacancies", "found_small", "found_medium", "found_large", "residual", "uncorrected",
    "residual_peak", "residual_spread", "uncorrected_spread", "calibration_error", "within_1_sigma",
    "within_2_sigma",
)  # fmt: skip

# What a network of each task is for, and what it cannot do.
_USES = {
    "sites": "Locating atoms and ring centres in HRTEM images of single-layer materials, with bright or dark "
    "atoms alike. Where a second layer, debris or adatoms lie on the sheet it was not asked for anything, "
    "and what is found there means nothing. Elements are not told apart, and heights are not measured.",
    "monolayer": "Telling which parts of an HRTEM image show a single layer, so that statistics count "
    "nothing else. It works at a coarse sampling: the edge of an area is known to a few Å. It does not say "
    "what else there is, and knows no kinds of contamination but those that were simulated.",
    "pores": "Finding vacuum in an HRTEM image, from missing atoms to pores of tens of nanometres. Holes of "
    "a few atoms are near the limit of its sampling: count those from sites and rings. A patch of "
    "contamination is not vacuum, but may be taken for it outside of the training domain.",
    "illumination": "Estimating the slow background of an HRTEM image, so that it can be divided out. It "
    "knows nothing of the fixed pattern of a camera, and a large area of another thickness may be taken for "
    "a change of the illumination.",
}
_DRAWS = {
    "sites": "draws one heat map for each of",
    "areas": "gives the probability that a pixel shows each of",
    "background": "draws the slow variation of the",
}
_LEGENDS = {
    "sites": "Matched one to one; counts added up before ratios; rmse in Å, both axes together.",
    "areas": "Areas added up before ratios; false_share: what is predicted in images that show nothing of "
    "the channel; found_*: share of the regions of vacuum of that size that are found.",
    "background": "Residual: root mean square of estimate / truth - 1; uncorrected: without a correction.",
}


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


def polarities(recipes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the contrasts that a training set was drawn for: ``bright atoms``, ``dark atoms``.

    Images at a defocus that was drawn freely, ``any``, may show both.
    """
    found = {str(recipe.get("condition", "any")) for recipe in recipes}
    return sorted(found - {"any"} or {"bright atoms", "dark atoms"})


def predict_example(network: TrainedNetwork, image: SimulatedImage) -> dict[str, Any]:
    """Return an image with what a network says of it and the truth, to be drawn.

    Parameters
    ----------
    network
        The network, calibrated.
    image
        The image; lengths of other materials are scaled to those of carbon.

    Returns
    -------
    dict
        Of sites: image, a corner at the network's sampling; heatmaps (channels, rows, columns); true and
        found, positions by channel [Å]; sampling [Å/px]. Of areas and background, at the image's own pixels:
        image; maps, probabilities or grey values, and truth, (channels, rows, columns), NaN where it is not
        known; channels; sampling [Å/px].
    """
    from amorph2d.imaging.simulated import in_units_of_carbon

    examples = {"sites": _example_of_sites, "areas": _example_of_areas, "background": _example_of_background}
    return examples[network.config.output](network, in_units_of_carbon(image))


def _example_of_sites(network: TrainedNetwork, image: SimulatedImage) -> dict[str, Any]:
    """Return a corner of an image with its heat maps, true and found sites."""
    from amorph2d.learning.batches import true_sites
    from amorph2d.localisation.heatmaps import run_network
    from amorph2d.localisation.maps import network_input
    from amorph2d.localisation.peaks import find_peaks
    from amorph2d.units import pixels_to_positions

    config, step = network.config, network.config.sampling
    source = network_input(image.image, sampling=(image.sampling, image.sampling), config=config)
    side = min(_EXAMPLE_SIDE, *(n // config.stride * config.stride for n in source.shape))
    corner = slice(0, side), slice(0, side)
    heatmaps = run_network(network, source.read(*corner))
    found, true = {}, {}
    for kind, heatmap in zip(config.channels, heatmaps, strict=True):
        peaks = find_peaks(heatmap, network.metadata["thresholds"][kind], 0.6 / step)
        found[kind] = pixels_to_positions(peaks.pixels, step)
        sites = true_sites(image, kind)
        true[kind] = sites[(sites < (side - 1) * step).all(axis=1)]
    return {
        "image": source.image.read(*corner),
        "heatmaps": heatmaps,
        "true": true,
        "found": found,
        "sampling": step,
    }


def _example_of_areas(network: TrainedNetwork, image: SimulatedImage) -> dict[str, Any]:
    """Return an image with the probabilities of areas and the true ones."""
    from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
    from amorph2d.localisation.areas import area_maps, at_pixels

    config, sampling = network.config, (image.sampling, image.sampling)
    maps = area_maps(image.image, sampling=sampling, network=network, parameters=_in_one_tile(image, network))
    codes = {"vacuum": VACUUM, "monolayer": MONOLAYER, "other": OTHER}
    truth = np.full((len(config.channels), *image.image.shape), np.nan, dtype=np.float32)
    if image.mask is not None:
        truth[:] = [image.mask == codes[channel] for channel in config.channels]
    at_own = at_pixels(maps, shape=image.image.shape, sampling=sampling, network_sampling=config.sampling)
    return _example(network, image, at_own, truth)


def _example_of_background(network: TrainedNetwork, image: SimulatedImage) -> dict[str, Any]:
    """Return an image with its estimated and its true background."""
    from amorph2d.learning.targets import true_background
    from amorph2d.localisation.areas import estimate_background

    sampling, parameters = (image.sampling, image.sampling), _in_one_tile(image, network)
    slow = estimate_background(image.image, sampling=sampling, network=network, parameters=parameters)
    return _example(network, image, slow[None], true_background(image)[None])


def _example(
    network: TrainedNetwork, image: SimulatedImage, maps: AnyArray, truth: AnyArray
) -> dict[str, Any]:
    """Return an example at the pixels of the image."""
    return {
        "image": image.image,
        "maps": maps,
        "truth": truth,
        "channels": network.config.channels,
        "sampling": image.sampling,
    }


def _in_one_tile(image: SimulatedImage, network: TrainedNetwork) -> LocalisationParameters:
    """Return parameters with which an image of a set is one tile."""
    from amorph2d.localisation.config import LocalisationParameters

    size = max(image.image.shape) * image.sampling / network.config.sampling
    side = int(size) + 4 * (network.config.receptive_field + network.config.stride)
    return LocalisationParameters(
        tile_size=side, batch_size=1, thresholds={}, min_distance=0.0, border=0.0, precision="auto"
    )


def write_model_card(
    folder: Path,
    *,
    task: str,
    network: TrainedNetwork,
    evaluation: Evaluation,
    history: pd.DataFrame,
    comparison: pd.DataFrame | None = None,
) -> str:
    """Write the model card of a network into its folder and return its text.

    Parameters
    ----------
    folder
        Folder of the network.
    task
        Name of the registered model.
    network
        The network; its metadata hold ``training_domain``, ``set``, ``fit``, ``command`` and
        ``code_version``, and perhaps ``polarities`` and ``thresholds``.
    evaluation
        What it does on the test images.
    history
        One row per epoch of its fit.
    comparison
        Table of `amorph2d.learning.comparison.compare` with the champion; None if there was none.
    """
    metadata, legend = network.metadata, _LEGENDS[network.config.output]
    sections = [
        ("Use", _USES.get(task, "A task of your own.") + "\n\nIt was trained on simulated images alone."),
        ("Scores on test images of the same set", f"{legend}\n\n{_scores(evaluation.totals, ['channel'])}"),
        ("Comparison with the champion", "" if comparison is None else comparison_markdown(comparison)),
        ("Training domain", _domain(metadata)),
        ("Training", _recipe(metadata)),
        ("Losses", _losses(history)),
        ("Reliability", _reliability(evaluation.reliability)),
        ("Scores by condition", _scores(evaluation.groups, ["channel", "condition", "value"])),
        ("Licence", "BSD-3-Clause, as the project."),
    ]
    parts = [f"# Network `{task}`", _architecture(network)]
    parts += [f"## {title}\n{text.strip()}" for title, text in sections if text.strip()]
    text = "\n\n".join(parts) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).write_text(text, encoding="utf-8")
    return text


def _architecture(network: TrainedNetwork) -> str:
    """Say what the network is."""
    config = network.config
    n_weights = sum(int(np.prod(weight.shape)) for weight in network.module.parameters())
    window = config.normalisation_window
    scale = "the whole image" if window is None else f"a Gaussian window of {window:g} Å"
    channels = ", ".join(config.channels)
    lines = [
        f"Residual U-Net that {_DRAWS[config.output]} {channels} at {config.sampling:g} Å/px.",
        "",
        f"- {n_weights} weights; levels {list(config.widths)}, blocks per level {config.blocks}",
        f"- stem {config.stem}, skips {config.skips}, decoder {config.decoder}",
        f"- images normalised with mean and deviation of {scale}",
        f"- SHA-256 of the weights: `{network.sha256}`",
    ]
    return "\n".join(lines)


def _domain(metadata: Mapping[str, Any]) -> str:
    """Return the table of the conditions of the training images."""
    rows = [(name, *limits, _UNITS.get(name, "")) for name, limits in metadata["training_domain"].items()]
    table = _table(["quantity", "lowest", "highest", "unit"], rows)
    contrast = ", ".join(metadata.get("polarities") or ())
    return f"{table}\n\nContrast: {contrast}." if contrast else table


def _recipe(metadata: Mapping[str, Any]) -> str:
    """Say how the network was made, so that it can be made again."""
    made, fit = metadata["set"], metadata["fit"]
    command = metadata["command"]
    n_steps = fit["steps_per_epoch"]
    steps = "one pass over the images" if n_steps is None else f"{n_steps} steps"
    lines = [
        f"- `{command}` with amorph2d {metadata['code_version']}",
        f"- set `{made['set_id'][:16]}` with seed {made['set_seed']}: {made['n_images']} images",
        f"- fit with seed {fit['seed']}: {fit['epochs']} epochs of {steps}",
        f"- batches of {fit['batch_size']} crops of {fit['crop']} px, largest learning rate "
        f"{fit['learning_rate']:g}",
    ]
    if metadata.get("thresholds"):
        chosen = ", ".join(f"{channel} {value:g}" for channel, value in metadata["thresholds"].items())
        lines.append(f"- thresholds on validation images: {chosen}")
    return "\n".join(lines)


def _losses(history: pd.DataFrame) -> str:
    """Return the losses of some epochs, first, best and last among them, and the time of all."""
    if history.empty:
        return ""
    last = len(history) - 1
    best = int(np.nanargmin(history["validation_loss"])) if history["validation_loss"].notna().any() else last
    shown = sorted({*np.linspace(0, last, _N_EPOCHS).round().astype(int).tolist(), best})
    columns = [name for name in ("epoch", "training_loss", "validation_loss", "seconds") if name in history]
    rows = history.iloc[shown][columns].astype({"epoch": int})
    text = _table(columns, rows.astype(object).itertuples(index=False, name=None))
    kept = f"The weights are those of epoch {int(history['epoch'].iloc[best])}, the lowest validation loss."
    if "seconds" in history:
        kept += f" {len(history)} epochs took {history['seconds'].sum() / 60:.1f} min."
    return f"{kept}\n\n{text}"


def _reliability(reliability: pd.DataFrame) -> str:
    """Return some bins of what the network says of itself beside what is true."""
    if reliability.empty:
        return ""
    parts = [
        part.iloc[np.unique(np.linspace(0, len(part) - 1, _N_BINS).round().astype(int))]
        for _, part in reliability.groupby(["channel", "quantity"], sort=False)
    ]
    columns = ["channel", "quantity", "predicted", "measured", "n"]
    rows = pd.concat(parts)[columns].astype(object)
    said = "What it says of its answers, and what is true (sigma in Å; the others: the share that is right)."
    return f"{said}\n\n{_table(columns, rows.itertuples(index=False, name=None))}"


def _scores(table: pd.DataFrame, names: Sequence[str]) -> str:
    """Return a table of scores; a metric that is nowhere defined has no column."""
    metrics = [name for name in _METRICS if name in table and table[name].notna().any()]
    columns = [*names, "n_images", *metrics]
    return _table(columns, table[columns].astype(object).itertuples(index=False, name=None))


def _table(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join([f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *lines])


def _cell(value: Any) -> str:
    """Return a value as it reads in a table."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value).replace("|", "\\|")
