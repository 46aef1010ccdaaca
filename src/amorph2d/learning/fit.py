"""Fitting a network to simulated images, with Lightning.

The whole state is kept after each epoch, and only then: a fit that is killed, at any moment, loses the epoch
that it was in, goes on by the same call and finds the same weights, bit by bit. An epoch is as long as
`steps_per_epoch` says: choose it so that a few minutes are lost. With several devices each takes its part of
the crops of a step and of the validation images; see `devices` for who starts their processes.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.batches import (
    Batch,
    PreparedImage,
    images_fingerprint,
    prepare_images,
    training_batches,
    validation_batches,
)
from amorph2d.learning.config import FitParameters, TrainingParameters
from amorph2d.learning.devices import cluster_environment, count_devices, helpers, is_first, is_launched
from amorph2d.learning.losses import LOSSES
from amorph2d.learning.network import ResidualUNet, in_channels_last
from amorph2d.learning.storage import TrainedNetwork, build_network, write_whole
from amorph2d.learning.targets import draw_areas, draw_peaks

logger = logging.getLogger(__name__)

CHECKPOINT = "last.ckpt"
FINGERPRINT = "fingerprint.json"
# They change how fast the same weights are found, not which.
_WITHOUT_EFFECT = {"accelerator", "workers"}

OnEpoch = Callable[[int, dict[str, float]], None]
Images = tuple[Sequence[PreparedImage], Sequence[PreparedImage]]


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

    network: TrainedNetwork
    history: pd.DataFrame


def fit_network(
    training: Iterable[SimulatedImage],
    validation: Iterable[SimulatedImage],
    *,
    parameters: TrainingParameters,
    folder: str | Path,
    start: TrainedNetwork | None = None,
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
    start
        A network of the same architecture whose weights are the first ones; drawn from the seed if None.
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
    images = prepare_images(training, parameters.network), prepare_images(validation, parameters.network)
    return fit_prepared(
        *images, parameters=parameters, folder=folder, start=start, on_epoch=on_epoch, resume=resume
    )


def fit_prepared(
    training: Sequence[PreparedImage],
    validation: Sequence[PreparedImage],
    *,
    parameters: TrainingParameters,
    folder: str | Path,
    start: TrainedNetwork | None = None,
    on_epoch: OnEpoch | None = None,
    resume: bool = True,
) -> FittedNetwork:
    """Fit a network to images that are prepared already; see `fit_network`."""
    images = training, validation
    _check_start(start, parameters)
    state = _find_state(Path(folder), _fingerprint(parameters, *images, start), resume=resume)
    fit = _Fit(parameters, on_epoch if is_first(parameters.fit) else None, start)
    if state.checkpoint is not None:
        fit.on_load_checkpoint(torch.load(state.checkpoint, map_location="cpu", weights_only=True))
        for row in fit.history:
            fit.report(row)
    if not fit.is_finished:
        n_devices = 1 if is_launched(parameters.fit) else count_devices(parameters.fit)
        with helpers(n_devices, _help_to_fit, parameters, images, start, state):
            _run(fit, images, parameters=parameters, state=state)
    metadata = {"n_training_images": len(training), "n_validation_images": len(validation)}
    return FittedNetwork(build_network(parameters.network, fit.best, metadata), pd.DataFrame(fit.history))


class _Fit(lightning.LightningModule):
    """The training's state: weights, their moving average, the best of those, and the history."""

    def __init__(
        self, parameters: TrainingParameters, on_epoch: OnEpoch | None, start: TrainedNetwork | None = None
    ) -> None:
        super().__init__()
        self.parameters_of_fit = parameters.fit
        self.config = parameters.network
        self.on_epoch = on_epoch
        with torch.random.fork_rng():
            torch.manual_seed(parameters.fit.seed)
            self.network = in_channels_last(ResidualUNet(parameters.network))
        if start is not None:
            self.network.load_state_dict(start.module.state_dict())
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self._losses: dict[str, list[Tensor]] = {"training": [], "validation": []}
        # There may be fewer validation images than devices.
        self.allow_zero_length_dataloader_with_multiple_devices = True
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
        self._note("training", loss, batch)
        return loss

    def validation_step(self, batch: Batch) -> None:
        self._note("validation", self._loss(self.average, batch), batch)

    def on_train_epoch_start(self) -> None:
        self._started = time.monotonic()

    def on_train_batch_end(self, *_: Any) -> None:
        # Early on, a shorter memory forgets the first weights.
        decay = min(self.parameters_of_fit.averaging, self.global_step / (self.global_step + 10))
        old, new = ([*network.state_dict().values()] for network in (self.average, self.network))
        torch._foreach_lerp_(old, new, 1 - decay)

    def on_train_epoch_end(self) -> None:
        row: dict[str, float] = {"epoch": self.current_epoch}
        for name in self._losses:
            row[f"{name}_loss"] = self._mean_loss(name)
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
        if self.on_epoch is not None:
            self.on_epoch(int(row["epoch"]), {name: value for name, value in row.items() if name != "epoch"})

    def _note(self, name: str, loss: Tensor, batch: Batch) -> None:
        """Keep the loss of a batch and the number of its crops."""
        n_crops = loss.new_tensor(float(len(batch.pixels)))
        self._losses[name].append(torch.stack([loss.detach() * n_crops, n_crops]))

    def _mean_loss(self, name: str) -> float:
        """Return the mean loss of the epoch's crops on all devices, and forget them."""
        own = [torch.zeros(2, device=self.device), *self._losses[name]]
        self._losses[name].clear()
        total, n_crops = self.trainer.strategy.reduce(torch.stack(own).sum(dim=0), reduce_op="sum").tolist()
        return float(total / n_crops)

    def _loss(self, network: ResidualUNet, batch: Batch) -> Tensor:
        outputs = network(batch.pixels.contiguous(memory_format=torch.channels_last))
        targets = self._targets(batch, outputs.shape)
        return LOSSES[self.config.output](outputs, targets, self.parameters_of_fit.foreground_weight)

    def _targets(self, batch: Batch, shape: torch.Size) -> Tensor:
        """Draw what the network should have drawn, (B, channels, H, W)."""
        if batch.labels is None:
            sigma = cast(float, self.config.label_sigma) / self.config.sampling
            n_maps, size = shape[0] * shape[1], (shape[2], shape[3])
            return draw_peaks(batch.maps, batch.sites, n_maps=n_maps, shape=size, sigma=sigma).view(shape)
        if self.config.output == "areas":
            return draw_areas(batch.labels, self.config.channels)
        return batch.labels.float()[:, None]


@dataclass(frozen=True)
class _State:
    """Where the state of a fit is kept, what decides its weights, and the state to go on from, if any."""

    folder: Path
    fingerprint: dict[str, Any]
    checkpoint: Path | None

    def claim(self) -> None:
        """Make the folder that of this fit, and take away what is no longer wanted."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        write_whole(self.folder / FINGERPRINT, json.dumps(self.fingerprint, indent=2).encode())


class _KeepState(Checkpoint):
    """Saves the whole state after each epoch, then reports the epoch."""

    def __init__(self, state: _State) -> None:
        self.state = state

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        # Not before: every process must have seen what the folder held.
        if trainer.is_global_zero and self.state.checkpoint is None:
            self.state.claim()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        path = self.state.folder / CHECKPOINT
        temporary = path.with_name(f".{path.name}.part")
        trainer.save_checkpoint(temporary)
        if not trainer.is_global_zero:
            return
        temporary.replace(path)
        fit = cast(_Fit, pl_module)
        row, n_epochs = fit.history[-1], fit.parameters_of_fit.epochs
        seconds = float(np.median([past["seconds"] for past in fit.history]))
        logger.info(
            "epoch %d of %d: training loss %.5f, validation loss %.5f, %s, %s left",
            row["epoch"] + 1, n_epochs, row["training_loss"], row["validation_loss"],
            duration(row["seconds"]), duration(seconds * (n_epochs - len(fit.history))),
        )  # fmt: skip
        fit.report(row)


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it: ``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def one_cycle(progress: float, warmup: float) -> float:
    """Return the learning rate, relative to its largest, when a part `progress` of the steps is done.

    It rises linearly during the part `warmup`, then falls as a cosine to 0.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * min((progress - warmup) / (1 - warmup), 1.0)))


def _help_to_fit(
    parameters: TrainingParameters, images: Images, start: TrainedNetwork | None, state: _State
) -> None:
    """Train on another device, as the process that asked for the fit does on its own."""
    _run(_Fit(parameters, None, start), images, parameters=parameters, state=state)


def _run(fit: _Fit, images: Images, *, parameters: TrainingParameters, state: _State) -> None:
    """Train from the first epoch, or from the one after the checkpoint, to the end."""
    n_devices, n_nodes = count_devices(parameters.fit), parameters.fit.nodes
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=parameters.fit.accelerator,
            devices=n_devices,
            num_nodes=n_nodes,
            strategy=_strategy(parameters.fit) if n_devices * n_nodes > 1 else "auto",
            plugins=[cluster_environment(parameters.fit)],
            precision=parameters.fit.precision,
            max_epochs=parameters.fit.epochs,
            gradient_clip_val=parameters.fit.gradient_clip,
            callbacks=[_KeepState(state)],
            default_root_dir=state.folder,
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
            ckpt_path=state.checkpoint,
            weights_only=True,
        )


def _strategy(fit: FitParameters) -> DDPStrategy:
    """Return how several processes share a fit; what torchrun started, it ends as well."""
    # Before its next fit the first process may judge a network for longer than the others would wait.
    return DDPStrategy(timeout=timedelta(days=1)) if is_launched(fit) else DDPStrategy()


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


def _check_start(start: TrainedNetwork | None, parameters: TrainingParameters) -> None:
    """Refuse first weights that belong to another network."""
    if start is None:
        return
    own, wanted = (config.model_dump(mode="json") for config in (start.config, parameters.network))
    differing = _differences(own, wanted)
    if differing:
        raise ValueError(
            f"the network to start from has another {', '.join(differing)} than the one to be trained"
        )


def _fingerprint(
    parameters: TrainingParameters,
    training: Sequence[PreparedImage],
    validation: Sequence[PreparedImage],
    start: TrainedNetwork | None,
) -> dict[str, Any]:
    """Return what decides the weights that a fit finds."""
    return {
        "network": parameters.network.model_dump(mode="json"),
        "fit": parameters.fit.model_dump(mode="json", exclude=_WITHOUT_EFFECT),
        "training images": images_fingerprint(training),
        "validation images": images_fingerprint(validation),
        "first weights": None if start is None else start.sha256,
    }


def _find_state(folder: Path, fingerprint: dict[str, Any], *, resume: bool) -> _State:
    """Return the state to go on from, or an empty one to begin; refuse the state of another fit."""
    checkpoint = folder / CHECKPOINT
    if not (resume and checkpoint.is_file()):
        return _State(folder, fingerprint, None)
    differing = _differences(json.loads((folder / FINGERPRINT).read_text()), fingerprint)
    if differing:
        raise ValueError(
            f"{folder} holds a fit with other {', '.join(differing)}: either restore those and go on "
            "with it, or remove that folder to begin again"
        )
    return _State(folder, fingerprint, checkpoint)


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
