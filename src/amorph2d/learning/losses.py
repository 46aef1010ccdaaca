"""What a fit makes small, for each output of a network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_BEND = 0.5  # where the loss of the background goes from square to linear, in spreads of the image


def heatmap_loss(logits: Tensor, targets: Tensor, foreground_weight: float) -> Tensor:
    """Return the cross entropy of heat maps, less that of a perfect answer: 0 where the logits are right.

    Parameters
    ----------
    logits, targets
        Network's output and heat maps between 0 and 1, of equal shape.
    foreground_weight
        A pixel's weight is 1 + `foreground_weight` times its target.
    """
    entropy = functional.binary_cross_entropy(targets, targets, reduction="none")
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none") - entropy
    weights = 1 + foreground_weight * targets
    return (weights * losses).sum() / weights.sum()


def area_loss(logits: Tensor, targets: Tensor, foreground_weight: float) -> Tensor:
    """Return the cross entropy of areas over the pixels whose target is known.

    Parameters
    ----------
    logits, targets
        Network's output, and 0, 1 or NaN where nothing is known, of equal shape.
    foreground_weight
        A pixel's weight is 1 + `foreground_weight` times its target.
    """
    known, targets = ~targets.isnan(), targets.nan_to_num()
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    weights = (1 + foreground_weight * targets) * known
    return (weights * losses).sum() / weights.sum().clamp(min=1)


def background_loss(predicted: Tensor, targets: Tensor, foreground_weight: float) -> Tensor:  # noqa: ARG001
    """Return Huber's loss of a background over the pixels whose target is known.

    Parameters
    ----------
    predicted, targets
        Network's output, and the background in units of the normalised image or NaN, of equal shape.
    foreground_weight
        Not used: every pixel counts alike.

    References
    ----------
    Huber, Ann. Math. Stat. 35, 73 (1964), doi:10.1214/aoms/1177703732.
    """
    known = ~targets.isnan()
    losses = functional.huber_loss(predicted, targets.nan_to_num(), reduction="none", delta=_BEND)
    return torch.where(known, losses, 0.0).sum() / known.sum().clamp(min=1)


LOSSES = {"sites": heatmap_loss, "areas": area_loss, "background": background_loss}
