"""Fitting a network to simulated images, with Lightning."""

from __future__ import annotations

import copy
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.nn import functional

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.batches import (
    Batch,
    PreparedImage,
    images_fingerprint,
    prepare_images,
    training_batches,
    validation_batches,
)
from amorph2d.learning.config import TrainingParameters
from amorph2d.learning.network import ResidualUNet, in_channels_last
from amorph2d.learning.storage import SiteNetwork, build_network, write_whole
from amorph2d.learning.targets import draw_peaks

logger = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"
FINGERPRINT = "fingerprint.json"
# They change how fast the same weights are found, not which.
_WITHOUT_EFFECT = {"accelerator", "workers"}

OnEpoch = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """A network after its training.

    Attributes
    ----------
    network
        The averaged weights of the epoch with the lowest validation loss.
    history
        One row per epoch: epoch, training_loss, validation_loss, learning_rate, seconds [s].
    """

    network: SiteNetwork
    history: pd.DataFrame


def fit_network(
    training: Iterable[SimulatedImage],
    validation: Iterable[SimulatedImage],
    *,
    parameters: TrainingParameters,
    folder: str | Path,
    on_epoch: OnEpoch | None = None,
    resume: bool = True,
) -> FittedNetwork:
    """Fit a network, or go on with a fit that was interrupted.

    Parameters
    ----------
    training, validation
        Images with their truth; each is prepared once and kept in memory at half precision.
    parameters
        The network and its fit.
    folder
        Where the state after each epoch is kept; made if it is not there.
    on_epoch
        Called with the number of the epoch, from 0, and its row of the history: for every epoch of the fit,
        also for those that an interrupted run had finished.
    resume
        Go on from the state in `folder`, if there is one; otherwise begin again and replace it.

    Returns
    -------
    FittedNetwork
        The network and the history of the fit.

    Raises
    ------
    ValueError
        If there are no images, or the state in `folder` belongs to other parameters or images.
    """
    folder = Path(folder)
    images = prepare_images(training, parameters.network), prepare_images(validation, parameters.network)
    checkpoint = _claim_folder(folder, _fingerprint(parameters, *images), resume=resume)
    fit = _Fit(parameters, on_epoch)
    if checkpoint is not None:
        fit.on_load_checkpoint(torch.load(checkpoint, map_location="cpu", weights_only=True))
        for row in fit.history:
            fit.report(row)
    if not fit.is_finished:
        _run(fit, images, parameters=parameters, folder=folder, checkpoint=checkpoint)
    metadata = {"n_training_images": len(images[0]), "n_validation_images": len(images[1])}
    return FittedNetwork(build_network(parameters.network, fit.best, metadata), pd.DataFrame(fit.history))


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


class _Fit(lightning.LightningModule):
    """The training's state: weights, their moving average, the best of those, and the history."""

    def __init__(self, parameters: TrainingParameters, on_epoch: OnEpoch | None) -> None:
        super().__init__()
        self.parameters_of_fit = parameters.fit
        self.config = parameters.network
        self.on_epoch = on_epoch
        with torch.random.fork_rng():
            torch.manual_seed(parameters.fit.seed)
            self.network = in_channels_last(ResidualUNet(parameters.network))
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self._losses: dict[str, list[Tensor]] = {"training": [], "validation": []}
        self._started = 0.0

    @property
    def is_finished(self) -> bool:
        if len(self.history) == self.parameters_of_fit.epochs:
            return True
        losses = [row["validation_loss"] for row in self.history]
        patience = self.parameters_of_fit.patience
        return (
            bool(losses) and patience is not None and len(losses) - 1 - losses.index(min(losses)) >= patience
        )

    def configure_optimizers(self) -> Any:
        fit = self.parameters_of_fit
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=fit.learning_rate, weight_decay=fit.weight_decay, betas=(0.9, 0.99)
        )
        n_steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: one_cycle(step / n_steps, fit.warmup)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Batch) -> Tensor:
        loss = self._loss(self.network, batch)
        self._losses["training"].append(loss.detach())
        return loss

    def validation_step(self, batch: Batch) -> None:
        self._losses["validation"].append(self._loss(self.average, batch))

    def on_train_epoch_start(self) -> None:
        self._started = time.monotonic()

    def on_train_batch_end(self, *_: Any) -> None:
        # Early on, a shorter memory forgets the first weights.
        decay = min(self.parameters_of_fit.averaging, self.global_step / (self.global_step + 10))
        old, new = ([*network.state_dict().values()] for network in (self.average, self.network))
        torch._foreach_lerp_(old, new, 1 - decay)

    def on_train_epoch_end(self) -> None:
        row: dict[str, float] = {"epoch": self.current_epoch}
        for name, losses in self._losses.items():
            mean = self.trainer.strategy.reduce(torch.stack(losses).mean(), reduce_op="mean")
            row[f"{name}_loss"] = float(mean)
            losses.clear()
        row["learning_rate"] = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        row["seconds"] = time.monotonic() - self._started
        if not math.isfinite(row["training_loss"]):
            raise FloatingPointError(
                f"the loss became {row['training_loss']} in epoch {self.current_epoch}: "
                f"learning_rate must be lower than {self.parameters_of_fit.learning_rate}"
            )
        if row["validation_loss"] <= min(
            [past["validation_loss"] for past in self.history], default=math.inf
        ):
            self.best = {
                name: weight.detach().cpu().clone() for name, weight in self.average.state_dict().items()
            }
        self.history.append(row)
        self.trainer.should_stop = self.is_finished

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["history"], checkpoint["best"] = self.history, self.best

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.history, self.best = checkpoint["history"], checkpoint["best"]

    def report(self, row: dict[str, float]) -> None:
        """Tell the caller about an epoch that is finished and saved."""
        if self.on_epoch is not None and self.global_rank == 0:
            self.on_epoch(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})

    def _loss(self, network: ResidualUNet, batch: Batch) -> Tensor:
        n_crops, _, height, width = batch.pixels.shape
        n_maps = n_crops * len(self.config.channels)
        sigma = self.config.label_sigma / self.config.sampling
        targets = draw_peaks(batch.maps, batch.sites, n_maps=n_maps, shape=(height, width), sigma=sigma)
        logits = network(batch.pixels.contiguous(memory_format=torch.channels_last))
        return heatmap_loss(logits, targets.view(logits.shape), self.parameters_of_fit.foreground_weight)


class _KeepState(Checkpoint):
    """Saves the whole state after each epoch, then reports the epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        temporary = self.path.with_name(f".{self.path.name}.part")
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            temporary.replace(self.path)
        fit = cast(_Fit, pl_module)
        row, n_epochs = fit.history[-1], fit.parameters_of_fit.epochs
        logger.info(
            "epoch %d of %d: training loss %.5f, validation loss %.5f, %.0f s",
            row["epoch"] + 1, n_epochs, row["training_loss"], row["validation_loss"], row["seconds"],
        )  # fmt: skip
        fit.report(row)


def one_cycle(progress: float, warmup: float) -> float:
    """Return the learning rate, relative to its largest, when a part `progress` of the steps is done.

    It rises linearly during the part `warmup`, then falls as a cosine to 0.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * min((progress - warmup) / (1 - warmup), 1.0)))


def _run(
    fit: _Fit,
    images: tuple[list[PreparedImage], list[PreparedImage]],
    *,
    parameters: TrainingParameters,
    folder: Path,
    checkpoint: Path | None,
) -> None:
    """Train from the first epoch, or from the one after `checkpoint`, to the end."""
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=parameters.fit.accelerator,
            devices=parameters.fit.devices,
            precision=parameters.fit.precision,
            max_epochs=parameters.fit.epochs,
            gradient_clip_val=parameters.fit.gradient_clip,
            callbacks=[_KeepState(folder / CHECKPOINT)],
            default_root_dir=folder,
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        share = {"rank": trainer.global_rank, "world_size": trainer.world_size}
        trainer.fit(
            fit,
            training_batches(images[0], parameters.network, parameters.fit, **share),
            validation_batches(images[1], parameters.network, parameters.fit, **share),
            ckpt_path=checkpoint,
            weights_only=True,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning from advertising and from advice that does not apply here."""
    chatty = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [source.level for source in chatty]
    for source in chatty:
        source.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Crops are cut in about a millisecond: more processes would only take cores from the training.
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6 with torch 2.13.
            warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
            yield
    finally:
        for source, level in zip(chatty, levels, strict=True):
            source.setLevel(level)


def _fingerprint(
    parameters: TrainingParameters, training: list[PreparedImage], validation: list[PreparedImage]
) -> dict[str, Any]:
    """Return what decides the weights that a fit finds."""
    return {
        "network": parameters.network.model_dump(mode="json"),
        "fit": parameters.fit.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "training images": images_fingerprint(training),
        "validation images": images_fingerprint(validation),
    }


def _claim_folder(folder: Path, fingerprint: dict[str, Any], *, resume: bool) -> Path | None:
    """Return the state to go on from, None to begin; refuse the state of another fit."""
    checkpoint, record = folder / CHECKPOINT, folder / FINGERPRINT
    if resume and checkpoint.is_file():
        differing = _differences(json.loads(record.read_text()), fingerprint)
        if not differing:
            return checkpoint
        raise ValueError(
            f"{folder} holds a fit with other {', '.join(differing)}: either restore those and go on "
            "with it, or remove that folder to begin again"
        )
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.unlink(missing_ok=True)
    write_whole(record, json.dumps(fingerprint, indent=2).encode())
    return None


def _differences(stored: dict[str, Any], wanted: dict[str, Any], prefix: str = "") -> list[str]:
    """Names of the entries in which two nested dictionaries differ."""
    names = []
    for key in sorted(stored.keys() | wanted.keys()):
        before, after = stored.get(key), wanted.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            names += _differences(before, after, f"{key}.")
        elif before != after:
            names.append(f"{prefix}{key}")
    return names
