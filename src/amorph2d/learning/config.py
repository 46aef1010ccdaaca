"""What a network is, how it is fitted and how it is judged: the models of the training parameters.

Importing this module does not import torch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Width = Annotated[int, Field(ge=1)]
Condition = Literal["dose_per_area", "defocus", "sampling", "bound"]
Threshold = Annotated[float, Field(gt=0, lt=1)]

CHANNELS = {
    "sites": ("atom", "ring"),
    "areas": ("vacuum", "monolayer", "other"),
    "background": ("illumination",),
}  # what the maps of each output can show


class NetworkConfig(BaseModel):
    """Architecture of a residual U-Net and the scale on which it works; stored beside its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # Networks registered before there were other outputs do not name theirs.
    output: Literal["sites", "areas", "background"] = Field(
        default="sites",
        description="sites: a heat map for each kind of site; areas: the probability that a pixel shows one "
        "kind of area; background: the slow variation of the illumination",
    )
    sampling: float = Field(gt=0, description="Pixel size to which every image is resampled [Å/px]")
    normalisation_window: float | None = Field(
        gt=0, description="Gaussian sigma of the local mean and deviation; null: of the whole image [Å]"
    )
    channels: tuple[str, ...] = Field(min_length=1, description="What each map of the output shows")
    label_sigma: float | None = Field(
        default=None, gt=0, description="sites: Gaussian sigma of a site in its heat map [Å]"
    )
    stem: Literal["plain", "unshuffle"] = Field(
        description="plain: the finest level has the image's resolution; unshuffle: half of it"
    )
    widths: tuple[Width, ...] = Field(min_length=1, description="Channels of each level, finest first")
    blocks: int = Field(ge=1, description="Residual blocks (two 3 x 3 convolutions each) per level")
    skips: Literal["add", "concat"] = Field(description="How the encoder's features join the decoder's")
    decoder: Literal["symmetric", "light"] = Field(
        description="symmetric: residual blocks as in the encoder; light: 1 x 1 convolutions"
    )

    @model_validator(mode="after")
    def _check_output(self) -> Self:
        known = CHANNELS[self.output]
        bad = [channel for channel in self.channels if channel not in known]
        if bad or len(set(self.channels)) < len(self.channels):
            raise ValueError(
                f"channels of output {self.output!r} must be of {', '.join(known)}, each once, "
                f"got {', '.join(self.channels)}"
            )
        if self.output == "background" and self.normalisation_window is not None:
            raise ValueError(
                "normalisation_window must be null for output 'background', which a window would take away, "
                f"got {self.normalisation_window}"
            )
        if (self.output == "sites") != (self.label_sigma is not None):
            raise ValueError(
                f"label_sigma must be given for output 'sites' and for no other, got {self.label_sigma} "
                f"for {self.output!r}"
            )
        return self

    @property
    def stem_stride(self) -> int:
        """Pixels of the image per pixel of the finest level, along one axis."""
        return 2 if self.stem == "unshuffle" else 1

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest level: image sides must be multiples of it [px]."""
        return self.stem_stride * 2 ** (len(self.widths) - 1)

    @property
    def receptive_field(self) -> int:
        """Farthest pixel, along one axis, that can change the output at a pixel [px]."""
        reaches = []
        for pixel in range(self.stride):
            first, last = self._support(pixel)
            reaches.append(max(pixel - first, last - pixel))
        return max(reaches)

    def _support(self, pixel: int) -> tuple[int, int]:
        """First and last pixel of the image that the output at `pixel` depends on."""
        n_levels, step = len(self.widths), self.stem_stride
        grow = 2 * self.blocks if self.decoder == "symmetric" else 0
        decoded = []
        first = last = pixel // step
        for _ in range(n_levels - 1):
            first, last = first - grow, last + grow
            decoded.append((first, last))
            first, last = first // 2, last // 2
        for level in reversed(range(n_levels)):
            first, last = first - 2 * self.blocks, last + 2 * self.blocks
            if level > 0:
                first, last = 2 * first, 2 * last + 1
                first, last = min(first, decoded[level - 1][0]), max(last, decoded[level - 1][1])
        return (first - 1) * step, (last + 1) * step + step - 1


class FitParameters(BaseModel):
    """How the weights are found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(ge=1, description="Epochs; after each the network is validated and saved")
    steps_per_epoch: int | None = Field(ge=1, description="Steps per epoch; null: every image once")
    batch_size: int = Field(ge=1, description="Crops per step on each device")
    crop: int = Field(ge=8, description="Side of the random square crops [px]")
    learning_rate: float = Field(gt=0, description="Largest learning rate of the one-cycle schedule")
    warmup: float = Field(gt=0, lt=1, description="Part of the steps in which the learning rate rises")
    weight_decay: float = Field(ge=0, description="Decoupled weight decay of AdamW")
    gradient_clip: float = Field(gt=0, description="Largest norm of a step's gradient")
    foreground_weight: float = Field(
        ge=0, description="Extra weight in the loss of a pixel on a site or in the area"
    )
    averaging: float = Field(
        ge=0, lt=1, description="Decay per step of the moving average of the weights; 0: none"
    )
    patience: int | None = Field(
        ge=1, description="Stop after this many epochs without a lower validation loss; null: never"
    )
    precision: Literal["32-true", "bf16-mixed"] = Field(description="Arithmetic of the convolutions")
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field(
        description="Where to train; auto: a GPU if there is one"
    )
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        description="How many devices, each with a process of its own; auto: all GPUs, or one CPU"
    )
    nodes: int = Field(
        ge=1, description="On how many machines; with more than one, torchrun or srun starts the processes"
    )
    workers: int = Field(ge=0, description="Processes that cut crops; 0: the training process itself")
    seed: int = Field(
        ge=0, description="Seed of the first weights, of the order of the images and of the crops"
    )


class EvaluationParameters(BaseModel):
    """How a fitted network is judged."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    edges: dict[Condition, tuple[float, ...]] = Field(
        description="Values of a condition that separate the bins in which the scores are tabulated"
    )
    border: float = Field(ge=0, description="What is closer to the image's edge does not count [Å]")
    max_distance: float = Field(gt=0, description="sites: largest distance of a matched pair [Å]")
    thresholds: tuple[Threshold, ...] = Field(
        min_length=1, description="Values from which each channel gets the one with the best F1 or Dice"
    )
    readable: float = Field(
        ge=0,
        le=1,
        description="sites: thresholds come from the images whose F1 reaches this with one of them; from all "
        "where none does",
    )
    bins: int = Field(
        ge=1, description="Bins, equally filled, in which confidence and sigma are held against the truth"
    )

    @model_validator(mode="after")
    def _check_edges(self) -> Self:
        for name, edges in self.edges.items():
            if not edges or any(b <= a for a, b in pairwise(edges)):
                raise ValueError(f"edges of {name} must be one or more rising numbers, got {edges}")
        return self


class TrainingParameters(BaseModel):
    """One training: the network, its fit and its evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: NetworkConfig
    fit: FitParameters
    evaluation: EvaluationParameters

    @model_validator(mode="after")
    def _check_crop(self) -> Self:
        if self.fit.crop % self.network.stride:
            raise ValueError(
                f"crop must be a multiple of the network's stride of {self.network.stride} px, "
                f"got {self.fit.crop}"
            )
        return self


class FinetuningParameters(BaseModel):
    """How a trained network is fitted to a matched set; what is not named is as in its training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: str = Field(description="What fits the network, for its model card")
    rehearsal: float = Field(
        ge=0, lt=1, description="Part of the images that are those of the general set, where there is one"
    )
    share: float = Field(
        gt=0, le=1, description="Share of the fitted weights in their average with the first; 1: no average"
    )
    epochs: int = Field(ge=1, description="Epochs; after each the network is validated and saved")
    steps_per_epoch: int = Field(ge=1, description="Steps per epoch")
    learning_rate: float = Field(gt=0, description="Largest learning rate of the one-cycle schedule")
    warmup: float = Field(gt=0, lt=1, description="Part of the steps in which the learning rate rises")
    averaging: float = Field(ge=0, lt=1, description="Decay per step of the moving average of the weights")
    seed: int = Field(ge=0, description="Seed of the choice of images, their order and the crops")
