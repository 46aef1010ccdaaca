"""The residual U-Net."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from amorph2d.learning.config import NetworkConfig


class ResidualUNet(nn.Module):
    """Residual U-Net: an image in, one heat map of logits per kind of site out.

    Max pooling on the way down, nearest-neighbour upsampling on the way up, skip connections between equal
    levels. There are no normalisation layers: each residual block starts as the identity, which trains
    without them, and the output at a pixel depends on its receptive field alone.

    Parameters
    ----------
    config
        Width, depth, stem, skips and decoder.

    References
    ----------
    Ronneberger, Fischer, Brox, MICCAI 2015, doi:10.1007/978-3-319-24574-4_28 (U-Net); He et al., CVPR 2016,
    doi:10.1109/CVPR.2016.90 (residual blocks); Zhang, Dauphin, Ma, ICLR 2019, arXiv:1901.09321 (training
    residual networks without normalisation); Leist et al., ACS Nano 16, 20488 (2022),
    doi:10.1021/acsnano.2c06807.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths, step = config.widths, config.stem_stride
        self.stem = nn.Conv2d(step**2, widths[0], 3, padding=1)
        self.encoder = nn.ModuleList(_blocks(width, config.blocks) for width in widths)
        pairs = list(pairwise(widths))
        self.widen = nn.ModuleList(nn.Conv2d(fine, coarse, 1) for fine, coarse in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairs)
        self.decoder = nn.ModuleList(_Join(fine, config) for fine, _ in pairs)
        self.head = nn.Conv2d(widths[0], len(config.channels) * step**2, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, channels, H, W) float32 of images (B, 1, H, W); H, W multiples of the stride.

        Raises
        ------
        ValueError
            If the shape does not fit.
        """
        stride, step = self.config.stride, self.config.stem_stride
        if image.ndim != 4 or image.shape[1] != 1 or image.shape[2] % stride or image.shape[3] % stride:
            raise ValueError(
                f"images must be (B, 1, H, W), H and W multiples of {stride}, got {tuple(image.shape)}"
            )
        x = self.stem(functional.pixel_unshuffle(image, step) if step > 1 else image)
        skips = []
        for level, encode in enumerate(self.encoder):
            if level > 0:
                x = self.widen[level - 1](functional.max_pool2d(x, 2))
            x = encode(x)
            skips.append(x)
        for level in reversed(range(len(self.narrow))):
            up = functional.interpolate(self.narrow[level](x), scale_factor=2.0, mode="nearest")
            x = self.decoder[level](skips[level], up)
        # In bfloat16 neighbouring maxima would tie, and peaks would double.
        with torch.autocast(x.device.type, enabled=False):
            logits = self.head(functional.relu(x).float())
        return functional.pixel_shuffle(logits, step) if step > 1 else logits


def in_channels_last(network: ResidualUNet) -> ResidualUNet:
    """Return `network` with its weights in the layout that is fastest for convolutions."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ResidualBlock(nn.Module):
    """x + two 3 x 3 convolutions of relu(x); the identity before training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output, shaped as `x`."""
        inner = functional.relu(self.first(functional.relu(x)), inplace=True)
        # In place: neither convolution needs its output for the way back.
        output: Tensor = self.second(inner).add_(x)
        return output


class _Join(nn.Module):
    """Joins skipped and upsampled features of one level and processes them."""

    def __init__(self, width: int, config: NetworkConfig) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * width, width, 1) if config.skips == "concat" else None
        self.refine: nn.Module = (
            _blocks(width, config.blocks) if config.decoder == "symmetric" else _PointwiseBlock(width)
        )

    def forward(self, skip: Tensor, up: Tensor) -> Tensor:
        x = skip + up if self.merge is None else self.merge(torch.cat([skip, up], dim=1))
        return self.refine(x)


class _PointwiseBlock(nn.Module):
    """x + a 1 x 1 convolution of relu(x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(functional.relu(x))


def _blocks(width: int, n_blocks: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(n_blocks)))
