from __future__ import annotations

import dataclasses
import logging
import math
import re

import numpy as np
import pytest
import torch

from amorph2d.learning.batches import collate, prepare_images, training_batches, validation_batches
from amorph2d.learning.evaluation.evaluate import calibrate_network, evaluate_network
from amorph2d.learning.fit import duration, fit_network, one_cycle
from amorph2d.learning.losses import heatmap_loss
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.targets import draw_peaks
from amorph2d.localisation.config import LocalisationParameters

LOCALISATION = LocalisationParameters(
    tile_size=256,
    batch_size=1,
    thresholds={"atom": "network", "ring": "network"},
    min_distance=0.6,
    border=2.0,
    precision="float32",
)


@pytest.fixture
def images(make_image):
    return [make_image(index, bright=bool(index % 2)) for index in range(3)]


def targets_of(batch, config, shape):
    n_maps = len(batch.pixels) * len(config.channels)
    sigma = config.label_sigma / config.sampling
    return draw_peaks(batch.maps, batch.sites, n_maps=n_maps, shape=shape, sigma=sigma).view(-1, 2, *shape)


def test_a_network_overfits_one_batch(images, make_parameters):
    parameters = make_parameters(batch_size=2, crop=32)
    prepared = prepare_images(images, parameters.network)
    batch = next(iter(training_batches(prepared, parameters.network, parameters.fit)))
    targets = targets_of(batch, parameters.network, (32, 32))
    torch.manual_seed(0)
    network = ResidualUNet(parameters.network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(150):
        loss = heatmap_loss(network(batch.pixels), targets, 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert (torch.sigmoid(network(batch.pixels)) - targets).abs().mean() < 0.1


def test_a_fit_learns_to_find_sites_of_either_contrast(make_image, make_parameters, tmp_path):
    parameters = make_parameters(
        {"widths": (16, 24)}, steps_per_epoch=80, batch_size=4, learning_rate=1e-2, averaging=0.95
    )
    images = [make_image(index, bright=bool(index % 2)) for index in range(10)]
    fitted = fit_network(images[:6], images[6:8], parameters=parameters, folder=tmp_path)
    settings = {"localisation": LOCALISATION, "evaluation": parameters.evaluation}
    network = calibrate_network(fitted.network, images[6:8], **settings)
    tables = evaluate_network(network, images[8:], **settings)
    scores = tables.groups.query("condition == 'polarity'")
    assert set(scores["value"]) == {"bright atoms", "dark atoms"}
    assert (scores["f1"] > 0.9).all()
    assert (tables.totals["rmse"] < 0.2).all()


def state_of(fitted):
    return fitted.network.module.state_dict()


class Killed(Exception):
    pass


@pytest.mark.parametrize("n_finished", [1, 2])
def test_a_resumed_fit_equals_an_uninterrupted_one(images, make_parameters, tmp_path, n_finished):
    parameters = make_parameters(epochs=3, steps_per_epoch=2)
    whole = fit_network(images[:2], images[2:], parameters=parameters, folder=tmp_path / "whole")

    def kill(epoch: int, metrics: dict[str, float]) -> None:
        if epoch + 1 == n_finished:
            raise Killed

    with pytest.raises(Killed):
        fit_network(images[:2], images[2:], parameters=parameters, folder=tmp_path / "parts", on_epoch=kill)
    epochs: list[int] = []
    resumed = fit_network(
        images[:2],
        images[2:],
        parameters=parameters,
        folder=tmp_path / "parts",
        on_epoch=lambda i, _: epochs.append(i),
    )
    assert epochs == [0, 1, 2]
    assert resumed.network.sha256 == whole.network.sha256
    exact = ["epoch", "training_loss", "validation_loss", "learning_rate"]
    assert resumed.history[exact].equals(whole.history[exact])


LIGHT = {
    "gradient": 0.2,
    "gradient_direction": 30.0,
    "vignetting": 0.1,
    "unevenness": 0.0,
    "noise_seed": 1,
}
KILLED = """
import os, pickle, signal, sys, torch
from pathlib import Path
import lightning
from amorph2d.learning import fit as fits

torch.set_num_threads(1)
folder = Path(sys.argv[1])


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def in_an_epoch(step=fits._Fit.training_step):
    def training_step(self, batch):
        if self.global_step == 3:
            kill()
        return step(self, batch)
    fits._Fit.training_step = training_step


def while_writing(save=lightning.Trainer.save_checkpoint):
    def save_checkpoint(self, path):
        save(self, path)
        if self.current_epoch == 1:
            os.truncate(path, path.stat().st_size // 2)
            kill()
    lightning.Trainer.save_checkpoint = save_checkpoint


def before_the_report():
    fits._Fit.report = lambda self, row: kill()


def run(task, state, prepare=lambda: None):
    # A process of its own, without the time that imports take.
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    prepare()
    training, validation, parameters = task
    fitted = fits.fit_prepared(training, validation, parameters=parameters, folder=state)
    state.with_suffix(".sha256").write_text(fitted.network.sha256)
    os._exit(0)


for output, task in pickle.loads((folder / "tasks").read_bytes()).items():
    assert run(task, folder / f"{output}-whole") == 0
    for prepare in (in_an_epoch, while_writing, before_the_report):
        state = folder / f"{output}-{prepare.__name__}"
        assert run(task, state, prepare) == signal.SIGKILL, (output, prepare)
        assert run(task, state) == 0
        assert sorted(path.name for path in state.iterdir() if path.suffix == ".ckpt") == ["last.ckpt"]
"""


@pytest.mark.slow
def test_a_fit_killed_at_any_moment_finds_the_same_weights(make_image, make_parameters, tmp_path):
    import pickle
    import subprocess
    import sys

    tasks = {}
    for output, channels in (("sites", ("atom", "ring")), ("areas", ("monolayer",)), ("background", ())):
        network = {} if output == "sites" else {"output": output, "label_sigma": None, "channels": channels}
        if output == "background":
            network |= {"channels": ("illumination",), "normalisation_window": None}
        parameters = make_parameters(network, steps_per_epoch=2, precision="bf16-mixed")
        images = [make_image(index, **LIGHT) for index in range(3)]
        half = np.repeat([0, 1], 40)[None].repeat(96, axis=0).astype(np.uint8)
        prepared = prepare_images(
            [dataclasses.replace(image, mask=half) for image in images], parameters.network
        )
        tasks[output] = prepared[:2], prepared[2:], parameters
    (tmp_path / "tasks").write_bytes(pickle.dumps(tasks))
    (tmp_path / "fits.py").write_text(KILLED)
    command = [sys.executable, str(tmp_path / "fits.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for output in tasks:
        found = {path.name: path.read_text() for path in tmp_path.glob(f"{output}-*.sha256")}
        assert len(found) == 4
        assert len(set(found.values())) == 1, found


def test_a_finished_fit_is_not_repeated(images, make_parameters, tmp_path, monkeypatch):
    parameters = make_parameters()
    reports: list[tuple[int, dict[str, float]]] = []
    arguments = {
        "parameters": parameters,
        "folder": tmp_path,
        "on_epoch": lambda *report: reports.append(report),
    }
    first = fit_network(images[:2], images[2:], **arguments)
    monkeypatch.setattr("amorph2d.learning.fit._run", None)
    again = fit_network(images[:2], images[2:], **arguments)
    assert again.network.sha256 == first.network.sha256
    assert again.history.equals(first.history)
    assert [epoch for epoch, _ in reports] == [0, 1, 0, 1]
    assert reports[:2] == reports[2:]
    assert set(reports[0][1]) == {"training_loss", "validation_loss", "learning_rate", "seconds"}


def test_the_state_of_another_fit_is_refused(images, make_parameters, tmp_path):
    fit_network(images[:1], images[2:], parameters=make_parameters(epochs=1), folder=tmp_path)
    with pytest.raises(ValueError, match=r"other fit\.batch_size, fit\.epochs: either .* remove that folder"):
        fit_network(
            images[:1], images[2:], parameters=make_parameters(epochs=2, batch_size=3), folder=tmp_path
        )
    parameters = make_parameters({"widths": (8, 16)}, epochs=1)
    with pytest.raises(ValueError, match=r"other network\.widths:"):
        fit_network(images[:1], images[2:], parameters=parameters, folder=tmp_path)
    with pytest.raises(ValueError, match=r"other training images:"):
        fit_network(images[1:2], images[2:], parameters=make_parameters(epochs=1), folder=tmp_path)
    again = fit_network(
        images[1:2], images[2:], parameters=make_parameters(epochs=2), folder=tmp_path, resume=False
    )
    assert len(again.history) == 2


def test_nothing_else_is_written(images, make_parameters, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit_network(images[:1], images[2:], parameters=make_parameters(epochs=1), folder="state")
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["fingerprint.json", "last.ckpt"]
    assert capsys.readouterr() == ("", "")


def test_a_fit_leaves_the_random_state_alone(images, make_parameters, tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    fit_network(images[:1], images[2:], parameters=make_parameters(epochs=1), folder=tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_the_seed_decides(images, make_parameters, tmp_path):
    arguments = images[:1], images[2:]
    one, same, other = (
        fit_network(*arguments, parameters=make_parameters(epochs=1, seed=seed), folder=tmp_path / name)
        for name, seed in [("one", 5), ("same", 5), ("other", 6)]
    )
    assert one.network.sha256 == same.network.sha256
    assert one.network.sha256 != other.network.sha256


def test_the_best_weights_are_kept_not_the_last(images, make_parameters, tmp_path):
    # Trained to see no site anywhere, the network gets worse on an image that has some.
    parameters = make_parameters(epochs=4, steps_per_epoch=4, learning_rate=2e-2, averaging=0.0)
    empty = [dataclasses.replace(images[0], atoms=np.empty((0, 2)), rings=np.empty((0, 2)))]
    fitted = fit_network(empty, images[2:], parameters=parameters, folder=tmp_path)
    losses = fitted.history["validation_loss"]
    assert losses.iloc[-1] > 1.5 * losses.min()
    (batch,) = validation_batches(
        prepare_images(images[2:], parameters.network), parameters.network, parameters.fit
    )
    logits = fitted.network.module(batch.pixels)
    targets = targets_of(batch, parameters.network, tuple(batch.pixels.shape[2:]))
    assert heatmap_loss(logits, targets, 0.0).item() == pytest.approx(losses.min(), rel=1e-5)


def test_patience_ends_a_fit_that_stands_still(images, make_parameters, tmp_path):
    parameters = make_parameters(
        epochs=9, steps_per_epoch=1, learning_rate=1e-30, weight_decay=0.0, patience=2
    )
    fitted = fit_network(images[:1], images[2:], parameters=parameters, folder=tmp_path)
    assert len(fitted.history) == 3
    assert len(fit_network(images[:1], images[2:], parameters=parameters, folder=tmp_path).history) == 3


def test_averaged_weights_are_smoother_than_the_last(images, make_parameters, tmp_path):
    plain, averaged = (
        fit_network(
            images[:1],
            images[2:],
            parameters=make_parameters(averaging=averaging),
            folder=tmp_path / str(averaging),
        )
        for averaging in (0.0, 0.99)
    )
    assert plain.history["training_loss"].equals(averaged.history["training_loss"])
    assert plain.network.sha256 != averaged.network.sha256


def test_mixed_precision_gives_nearly_the_same_losses(images, make_parameters, tmp_path):
    exact, mixed = (
        fit_network(
            images[:2],
            images[2:],
            parameters=make_parameters(precision=precision),
            folder=tmp_path / precision,
        ).history
        for precision in ("32-true", "bf16-mixed")
    )
    assert mixed["validation_loss"].to_numpy() == pytest.approx(exact["validation_loss"].to_numpy(), rel=0.03)


def test_a_diverged_fit_is_an_error(images, make_parameters, tmp_path):
    with pytest.raises(
        FloatingPointError, match=r"the loss became nan .* learning_rate must be lower than 1e\+25"
    ):
        fit_network(images[:1], images[2:], parameters=make_parameters(learning_rate=1e25), folder=tmp_path)


def test_the_time_left_is_said(images, make_parameters, tmp_path, caplog):
    caplog.set_level(logging.INFO, "amorph2d")
    fit_network(images[:1], images[2:], parameters=make_parameters(epochs=2), folder=tmp_path)
    said = [text for text in caplog.messages if text.startswith("epoch")]
    assert re.fullmatch(r"epoch 1 of 2: training loss [\d.]+, validation loss [\d.]+, .+, \d.+ left", said[0])
    assert said[1].endswith(", 0 s left")
    assert [duration(seconds) for seconds in (0, 99.4, 99.6, 5880, 6000, 12600)] == [
        "0 s", "99 s", "2 min", "98 min", "1.7 h", "3.5 h",
    ]  # fmt: skip


def test_every_validation_image_counts_alike(images, make_parameters, tmp_path):
    # Batches of two and of one.
    fitted = fit_network(
        images[:1],
        images,
        parameters=make_parameters(epochs=1, steps_per_epoch=1, learning_rate=1e-30, weight_decay=0.0),
        folder=tmp_path / "all",
    )
    single = [
        fit_network(
            images[:1],
            [image],
            parameters=make_parameters(epochs=1, steps_per_epoch=1, learning_rate=1e-30, weight_decay=0.0),
            folder=tmp_path / str(image.index),
        ).history["validation_loss"][0]
        for image in images
    ]
    assert fitted.history["validation_loss"][0] == pytest.approx(np.mean(single), rel=1e-5)


def test_the_learning_rate_rises_and_falls():
    assert [one_cycle(x, 0.2) for x in (0.0, 0.1, 0.2, 0.6, 1.0)] == pytest.approx(
        [0, 0.5, 1, 0.5, 0], abs=1e-12
    )
    assert one_cycle(0.4, 0.2) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_a_batch_without_sites_has_a_loss(make_config):
    batch = collate([(np.zeros((8, 8), np.float32), [np.zeros((0, 2), np.float32)] * 2, None)])
    assert targets_of(batch, make_config(), (8, 8)).abs().max() == 0
