"""Batches of crops, each image prepared once.

What a crop shows depends on (seed, epoch, its number in the epoch) alone, so a resumed training sees the same
batches as one that was never interrupted, whatever the number of worker processes or devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from amorph2d.arrays import AnyArray
from amorph2d.imaging.simulated import OTHER, SimulatedImage, in_units_of_carbon
from amorph2d.learning.config import FitParameters, NetworkConfig
from amorph2d.learning.targets import REACH, UNKNOWN, true_background
from amorph2d.localisation.maps import NetworkInput, network_input
from amorph2d.localisation.resample import resample
from amorph2d.units import positions_to_pixels

_NO_SITES = np.empty((0, 2), dtype=np.float32)

Crop: TypeAlias = tuple[AnyArray, list[AnyArray], AnyArray | None]


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image as the network sees it.

    Attributes
    ----------
    pixels
        Normalised image at the network's sampling, (rows, columns) float16.
    sites
        Row and column of the sites of each kind, one (N, 2) float32 array per channel [px]; none for other
        outputs.
    labels
        What each pixel shows for a network of areas, (rows, columns) uint8; the normalised background for one
        of that, float16; None for sites.
    source
        SHA-256 of the image and the sites before they were prepared.
    """

    pixels: NDArray[np.float16]
    sites: tuple[NDArray[np.float32], ...] = ()
    labels: AnyArray | None = None
    source: str = ""


class Batch(NamedTuple):
    """Crops and what they show.

    Attributes
    ----------
    pixels
        Crops, (B, 1, H, W) float32.
    maps
        Number of the heat map of each site, crop * channels + channel, (S,) int64.
    sites
        Row and column of each site in its crop, (S, 2) float32 [px].
    labels
        Of areas uint8 or of the background float32, (B, H, W); None for sites.
    """

    pixels: Tensor
    maps: Tensor
    sites: Tensor
    labels: Tensor | None = None


class Draw(NamedTuple):
    """One crop to cut: image, epoch, number of the crop in the epoch; epoch -1: the centre, not turned."""

    image: int
    epoch: int
    number: int


def prepare_image(image: SimulatedImage, config: NetworkConfig) -> PreparedImage:
    """Resample and normalise an image as for inference, and bring its truth to the same grid.

    Other materials are scaled to the spacing of carbon first.

    Raises
    ------
    ValueError
        If the network's output asks for a truth that the image does not have.
    """
    image = in_units_of_carbon(image)
    source = network_input(image.image, sampling=(image.sampling, image.sampling), config=config)
    whole = tuple(slice(0, size) for size in source.shape)
    pixels = source.read(*whole).astype(np.float16)
    if config.output == "sites":
        sites = tuple(
            positions_to_pixels(true_sites(image, kind), config.sampling).astype(np.float32)
            for kind in config.channels
        )
        return PreparedImage(pixels, sites=sites, source=_source(image))
    labels = _areas(image, source, config) if config.output == "areas" else _background(image, source, config)
    return PreparedImage(pixels, labels=labels, source=_source(image))


def _areas(image: SimulatedImage, source: NetworkInput, config: NetworkConfig) -> NDArray[np.uint8]:
    """Return what the nearest pixel of the mask shows."""
    if image.mask is None:
        raise ValueError(f"image {image.index} has no mask, without which areas cannot be learnt")
    rows, columns = (
        np.minimum(np.rint(np.arange(size) * config.sampling / image.sampling).astype(int), last - 1)
        for size, last in zip(source.shape, image.mask.shape, strict=True)
    )
    return image.mask[np.ix_(rows, columns)]


def _background(image: SimulatedImage, source: NetworkInput, config: NetworkConfig) -> NDArray[np.float16]:
    """Return the background, normalised as the image is."""
    slow = resample(true_background(image), (image.sampling, image.sampling), config.sampling)
    whole = tuple(slice(0, size) for size in source.shape)
    return source.statistics.normalise(slow, *whole).astype(np.float16)


def _source(image: SimulatedImage) -> str:
    """Return the SHA-256 of an image as it was simulated: prepared, it would depend on the rounding."""
    digest = hashlib.sha256(repr((image.image.shape, image.sampling)).encode())
    for array in (image.image, image.atoms, image.rings, np.empty(0) if image.mask is None else image.mask):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def true_sites(image: SimulatedImage, kind: str) -> NDArray[np.float64]:
    """Return the true positions of the sites of one kind, (N, 2) [Å].

    Sites under a second layer, debris or adatoms are left out: nobody can tell them there, and a network that
    is not asked to will not invent any.

    Raises
    ------
    ValueError
        If `kind` is neither ``atom`` nor ``ring``.
    """
    if kind in ("atom", "ring"):
        sites = image.atoms if kind == "atom" else image.rings
        return sites if image.mask is None else sites[_is_bare(image, image.mask, sites)]
    raise ValueError(f"kind must be 'atom' or 'ring', got {kind!r}")


def _is_bare(image: SimulatedImage, mask: NDArray[np.uint8], sites: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say which sites lie where nothing lies on the sheet."""
    nearest = np.rint(positions_to_pixels(sites, image.sampling)).astype(int)
    rows, columns = np.clip(nearest, 0, np.array(mask.shape) - 1).T
    return mask[rows, columns] != OTHER


def prepare_images(images: Iterable[SimulatedImage], config: NetworkConfig) -> list[PreparedImage]:
    """Prepare images one by one; `images` may be a generator.

    Raises
    ------
    ValueError
        If there is no image.
    """
    prepared = [prepare_image(image, config) for image in images]
    if not prepared:
        raise ValueError("images must hold at least one image, got none")
    return prepared


def images_fingerprint(images: Sequence[PreparedImage]) -> str:
    """Return the SHA-256 that tells which images, in which order, were prepared."""
    return hashlib.sha256("".join(image.source for image in images).encode()).hexdigest()


def turn(pixels: AnyArray, sites: AnyArray, way: int) -> tuple[AnyArray, AnyArray]:
    """Apply one of the eight symmetries of the square to an image and the sites in it.

    Parameters
    ----------
    pixels
        Image, (rows, columns).
    sites
        Row and column, (N, 2) [px].
    way
        0 to 7; bit 0 mirrors the rows, bit 1 the columns, bit 2 exchanges the axes last.

    Returns
    -------
    tuple
        Turned image (a view) and sites.
    """
    size = np.array(pixels.shape, dtype=np.float32) - 1
    if way & 1:
        pixels, sites = pixels[::-1], np.stack([size[0] - sites[:, 0], sites[:, 1]], axis=1)
    if way & 2:
        pixels, sites = pixels[:, ::-1], np.stack([sites[:, 0], size[1] - sites[:, 1]], axis=1)
    if way & 4:
        pixels, sites = pixels.T, sites[:, ::-1]
    return pixels, sites


class Crops(Dataset[Crop]):
    """Square crops of prepared images, turned at random.

    Parameters
    ----------
    images
        Prepared images; one smaller than the crop is continued with zeros, its mean.
    crop
        Side of the crops [px].
    seed
        Seed of places and turns.
    reach
        How far outside the crop a site still draws into it [px].
    """

    def __init__(self, images: Sequence[PreparedImage], *, crop: int, seed: int, reach: float) -> None:
        self.images, self.crop, self.seed, self.reach = images, crop, seed, reach

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: Draw) -> Crop:
        """Return the crop (crop, crop) float32, the sites of each kind in it, (N, 2) [px], and its labels."""
        image = self.images[draw.image]
        room = np.maximum(np.array(image.pixels.shape) - self.crop, 0)
        if draw.epoch < 0:
            corner, way = room // 2, 0
        else:
            rng = np.random.default_rng([self.seed, draw.epoch, draw.number])
            corner, way = rng.integers(0, room, endpoint=True), int(rng.integers(8))
        pixels = self._cut(image.pixels, corner, 0.0).astype(np.float32)
        kept = []
        for sites in image.sites:
            local = sites - corner.astype(np.float32)
            is_near = ((local >= -self.reach) & (local <= self.crop - 1 + self.reach)).all(axis=1)
            kept.append(turn(pixels, local[is_near], way)[1])
        labels = None
        if image.labels is not None:
            fill = UNKNOWN if image.labels.dtype == np.uint8 else np.nan
            labels = np.ascontiguousarray(turn(self._cut(image.labels, corner, fill), _NO_SITES, way)[0])
        return np.ascontiguousarray(turn(pixels, _NO_SITES, way)[0]), kept, labels

    def _cut(self, pixels: AnyArray, corner: AnyArray, fill: float) -> AnyArray:
        """Cut the crop at `corner`, continued with `fill` where the image ends."""
        window = pixels[corner[0] : corner[0] + self.crop, corner[1] : corner[1] + self.crop]
        cut = np.full((self.crop, self.crop), fill, dtype=pixels.dtype)
        cut[: window.shape[0], : window.shape[1]] = window
        return cut


def collate(crops: Sequence[Crop]) -> Batch:
    """Join crops into a batch."""
    sites = [kind for _, kinds, _ in crops for kind in kinds]
    counts = [len(kind) for kind in sites]
    labels = [label for _, _, label in crops if label is not None]
    return Batch(
        pixels=torch.from_numpy(np.stack([pixels for pixels, _, _ in crops])[:, None]),
        maps=torch.repeat_interleave(torch.arange(len(sites)), torch.tensor(counts, dtype=torch.int64)),
        sites=torch.from_numpy(np.concatenate([_NO_SITES, *sites]).astype(np.float32)),
        labels=torch.from_numpy(np.stack(labels)) if labels else None,
    )


class Schedule(Sampler[Draw]):
    """The crops of an epoch: passes over the images, each in a new order, shared out among the devices.

    Parameters
    ----------
    n_images, n_crops
        Images of the set and crops of an epoch.
    seed
        Seed of the orders.
    rank, world_size
        This device's number and the number of devices.
    """

    def __init__(self, n_images: int, n_crops: int, *, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.n_images, self.n_crops, self.seed = n_images, n_crops, seed
        self.rank, self.world_size, self.epoch = rank, world_size, 0

    def set_epoch(self, epoch: int) -> None:
        """Take the crops of another epoch; Lightning calls this before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(range(self.rank, self.n_crops, self.world_size))

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng([self.seed, self.epoch])
        n_passes = -(-self.n_crops // self.n_images)
        order = np.concatenate([rng.permutation(self.n_images) for _ in range(n_passes)])
        for number in range(self.rank, self.n_crops, self.world_size):
            yield Draw(int(order[number]), self.epoch, number)


def training_batches(
    images: Sequence[PreparedImage],
    config: NetworkConfig,
    fit: FitParameters,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Any]:
    """Return the loader of the training's random crops; its sampler's `set_epoch` selects the epoch."""
    crops = Crops(images, crop=fit.crop, seed=fit.seed, reach=_reach(config))
    n_at_once = fit.batch_size * world_size
    n_steps = fit.steps_per_epoch or -(-len(images) // n_at_once)
    schedule = Schedule(len(images), n_steps * n_at_once, seed=fit.seed, rank=rank, world_size=world_size)
    return DataLoader(
        crops,
        batch_size=fit.batch_size,
        sampler=schedule,
        collate_fn=collate,
        num_workers=fit.workers,
        persistent_workers=fit.workers > 0,
        generator=torch.Generator(),  # else each epoch would draw from the global one
    )


def validation_batches(
    images: Sequence[PreparedImage],
    config: NetworkConfig,
    fit: FitParameters,
    *,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Any]:
    """Return the loader of the central crop of each validation image, always the same."""
    crops = Crops(images, crop=fit.crop, seed=fit.seed, reach=_reach(config))
    draws = [Draw(image, -1, image) for image in range(rank, len(images), world_size)]
    return DataLoader(
        crops, batch_size=fit.batch_size, sampler=draws, collate_fn=collate, generator=torch.Generator()
    )


def _reach(config: NetworkConfig) -> float:
    return (REACH * (config.label_sigma or 0.0)) / config.sampling + 1
