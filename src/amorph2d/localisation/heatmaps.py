"""Run a network over images."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array

if TYPE_CHECKING:
    import torch

    from amorph2d.learning.storage import TrainedNetwork

Precision = Literal["auto", "bf16", "float32"]


def run_network(network: TrainedNetwork, image: ArrayLike, *, precision: Precision = "auto") -> Float32Array:
    """Return the maps of an image that the network draws: heat maps, probabilities of areas or a background.

    The image is mirrored at its last row and column until its sides fit the network. A GPU is used if there
    is one; the network then stays there.

    Parameters
    ----------
    network
        The network.
    image
        Normalised image at the network's sampling, (rows, columns), or several alike, (B, rows, columns).
    precision
        Number format of the layers; ``auto`` is bf16 where the processor computes in it, else float32.

    Returns
    -------
    Float32Array
        Maps, (channels, rows, columns) or (B, channels, rows, columns): between 0 and 1; a background is in
        units of the normalised image.

    Raises
    ------
    ValueError
        If the shape is wrong or `precision` unknown.
    """
    import torch

    images = np.asarray(image, dtype=np.float32)
    if images.ndim not in (2, 3) or 0 in images.shape[-2:]:
        raise ValueError(f"image must be (rows, columns) or (B, rows, columns), got the shape {images.shape}")
    if precision not in ("auto", "bf16", "float32"):
        raise ValueError(f"precision must be 'auto', 'bf16' or 'float32', got {precision!r}")
    rows, columns = images.shape[-2:]
    n_channels = len(network.config.channels)
    if images.size == 0:
        return np.empty((0, n_channels, rows, columns), dtype=np.float32)
    padded = pad_to_stride(images, network.config.stride)
    device = _settle(network.module)
    is_bf16 = _computes_bf16(device) if precision == "auto" else precision == "bf16"
    batch = torch.from_numpy(padded.reshape(-1, 1, *padded.shape[-2:])).to(device)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=is_bf16):
        logits = network.module(batch.contiguous(memory_format=torch.channels_last))
        maps = logits[..., :rows, :columns].float()
        if network.config.output != "background":
            maps = torch.sigmoid(maps)
    return maps.cpu().numpy().reshape(*images.shape[:-2], n_channels, rows, columns)


def pad_to_stride(images: Float32Array, stride: int) -> Float32Array:
    """Continue images (..., rows, columns) by mirroring until both sides are multiples of `stride`."""
    missing = [(0, -size % stride) for size in images.shape[-2:]]
    if not np.any(missing):
        return images
    return np.pad(images, [(0, 0)] * (images.ndim - 2) + missing, mode="reflect")


def _settle(module: torch.nn.Module) -> torch.device:
    """Move a module to the GPU if there is one, and return where it is."""
    import torch

    if torch.accelerator.is_available():
        module.to(torch.accelerator.current_accelerator())
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def _computes_bf16(device: torch.device) -> bool:
    """Say whether the device has instructions for bf16, without which it is slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
