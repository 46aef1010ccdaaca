"""The tables of an evaluation: one row per image, their totals, and the same by condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import Float32Array, FloatArray
from amorph2d.imaging.simulated import SimulatedImage, in_units_of_carbon
from amorph2d.learning.config import Condition
from amorph2d.localisation.normalise import normalise
from amorph2d.units import positions_to_pixels

NUMBERS: tuple[Condition, ...] = ("dose_per_area", "defocus", "sampling", "bound")
NAMES = ("energy", "family", "polarity")
CONDITIONS = (*NUMBERS, *NAMES)
RELIABILITY_COLUMNS = ("channel", "quantity", "predicted", "measured", "n")

Ratios = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How well a network does.

    Attributes
    ----------
    images
        One row per image and channel: index, channel, family, energy [eV], defocus [Å], dose_per_area
        [e⁻/Å²], sampling [Å/px], polarity, for sites also bound [Å]; then counts and sums, which add up.
    totals
        One row per channel: n_images, the summed counts and the ratios formed from them.
    groups
        The same, one row per channel, condition and bin of it: low, high, NaN where the values are names, and
        value, how the bin or name is written. Only bins in which there are images.
    reliability
        What the network says of itself, and what is true: channel, quantity, predicted, measured, n.
    """

    images: pd.DataFrame
    totals: pd.DataFrame
    groups: pd.DataFrame
    reliability: pd.DataFrame


def conditions_of(image: SimulatedImage, *, window: float | None) -> dict[str, Any]:
    """Return the conditions of an image by which scores are grouped.

    Sampling and dose are in units of carbon, as networks see other materials; energy and defocus are those
    that the image was made with.

    Parameters
    ----------
    image
        The image.
    window
        Gaussian sigma of the normalisation; None: of the whole image [Å].

    Returns
    -------
    dict
        index, family, energy [eV], defocus [Å], dose_per_area [e⁻/Å²], sampling [Å/px] and polarity.
    """
    image = in_units_of_carbon(image)
    return {
        "index": image.index,
        "family": str(image.recipe["family"]),
        **{name: float(image.recipe[name]) for name in ("energy", "defocus", "dose_per_area")},
        "sampling": float(image.sampling),
        "polarity": contrast_polarity(image, window=window),
    }


def contrast_polarity(image: SimulatedImage, *, window: float | None) -> str:
    """Say whether an image has ``bright atoms`` or ``dark atoms``.

    The normalised image at the atoms is compared with that at the ring centres, or with its mean where there
    are none.

    Parameters
    ----------
    image
        The image with its truth; without atoms it has ``no atoms``.
    window
        Gaussian sigma of the normalisation; None: of the whole image [Å].
    """
    if len(image.atoms) == 0:
        return "no atoms"
    pixels = (
        image.image - image.image.mean()
        if window is None
        else normalise(image.image, window / image.sampling)
    )
    rings = _values_at(pixels, image.rings, image.sampling)
    background = rings.mean() if len(rings) else 0.0
    is_bright = _values_at(pixels, image.atoms, image.sampling).mean() > background
    return "bright atoms" if is_bright else "dark atoms"


def _values_at(pixels: Float32Array, positions: FloatArray, sampling: float) -> Float32Array:
    """Return the pixels nearest to positions."""
    nearest = np.rint(positions_to_pixels(positions, sampling)).astype(int)
    nearest = np.clip(nearest, 0, np.array(pixels.shape) - 1)
    return pixels[nearest[:, 0], nearest[:, 1]]


def total_images(images: pd.DataFrame, *, ratios: Ratios) -> pd.DataFrame:
    """Add up the counts of each channel and form the ratios: `Evaluation.totals`.

    Parameters
    ----------
    images
        Rows as in `Evaluation.images`.
    ratios
        Makes the columns of ratios from summed counts.
    """
    return _add_up(images, ["channel"], ratios)


def group_images(
    images: pd.DataFrame, *, edges: Mapping[Condition, Sequence[float]], ratios: Ratios
) -> pd.DataFrame:
    """Add up the counts by channel and each condition in turn, then form the ratios: `Evaluation.groups`.

    Parameters
    ----------
    images
        Rows as in `Evaluation.images`. Every column that is neither index, channel nor a condition is added
        up. Where a condition is NaN the image is in no bin of it.
    edges
        Rising values that separate the bins of each numeric condition; the first and the last bin are open. A
        condition without edges is left out.
    ratios
        Makes the columns of ratios from summed counts.

    Returns
    -------
    DataFrame
        channel, condition, low, high, value, n_images, the summed counts and the ratios.

    Raises
    ------
    ValueError
        If `edges` names what is no numeric condition, or there is no image.
    """
    unknown = sorted(set(edges) - set(NUMBERS))
    if unknown:
        raise ValueError(f"edges must be for {', '.join(NUMBERS)}, got also {', '.join(unknown)}")
    if images.empty:
        raise ValueError("images must hold at least one row, got none")
    numbers = [name for name in NUMBERS if name in edges and name in images]
    parts = [_group(_bin(images, name, edges[name]), name, ratios) for name in numbers]
    parts += [_group(_name(images, name), name, ratios) for name in NAMES]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


def share(part: pd.Series, whole: pd.Series) -> pd.Series:
    """Return part / whole of summed counts, NaN where the whole is 0."""
    return part / whole.where(whole != 0)


def _bin(images: pd.DataFrame, condition: str, edges: Sequence[float]) -> pd.DataFrame:
    """Return the images that have a value of a condition, with the bin they are in."""
    known = images[images[condition].notna()]
    limits = np.array([-np.inf, *edges, np.inf])
    number = np.searchsorted(limits[1:-1], known[condition], side="right")
    low, high = limits[number], limits[number + 1]
    values = [_write_bin(*bounds) for bounds in zip(low, high, strict=True)]
    return known.assign(low=low, high=high, value=values)


def _write_bin(low: float, high: float) -> str:
    """Return how a bin is written."""
    if np.isinf(low):
        return f"< {high:g}"
    return f"≥ {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"


def _name(images: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Return the images with the name of their group, sorted: energies are names, there are only a few."""
    images = images.sort_values(condition, kind="stable")
    names = images[condition]
    if condition == "energy":
        names = pd.Series([f"{energy / 1e3:g} keV" for energy in names], index=names.index, dtype="str")
    return images.assign(low=np.nan, high=np.nan, value=names)


def _group(images: pd.DataFrame, condition: str, ratios: Ratios) -> pd.DataFrame:
    """Add up the images by channel and group of one condition."""
    bins = images.sort_values("low", kind="stable")
    table = _add_up(bins, ["channel", "low", "high", "value"], ratios)
    table.insert(1, "condition", condition)
    return table


def _add_up(images: pd.DataFrame, by: list[str], ratios: Ratios) -> pd.DataFrame:
    """Add up the rows that agree in the columns `by`; channels, then groups, in the order they come."""
    described = {"index", "channel", *CONDITIONS, *by}
    counts = [name for name in images.columns if name not in described]
    grouped = images.groupby(by, sort=False, dropna=False)
    table = grouped[counts].sum()
    table.insert(0, "n_images", grouped.size())
    table = pd.concat([table, ratios(table)], axis=1).reset_index()
    order = list(dict.fromkeys(images.sort_index()["channel"]))
    return table.sort_values(
        "channel", key=lambda names: names.map(order.index), kind="stable", ignore_index=True
    )
