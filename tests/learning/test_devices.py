from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import textwrap

import pytest
import torch

from amorph2d.learning import devices
from amorph2d.learning.batches import prepare_images
from amorph2d.learning.fit import fit_prepared

LAUNCHED = """
import json, os, pickle, sys, torch
from pathlib import Path
from amorph2d.learning.fit import fit_prepared

torch.set_num_threads(1)
folder = Path(sys.argv[1])
training, validation, parameters = pickle.loads((folder / "task").read_bytes())
epochs = []
fitted = fit_prepared(
    training,
    validation,
    parameters=parameters,
    folder=folder / "state",
    on_epoch=lambda k, _: epochs.append(k),
)
found = {"sha256": fitted.network.sha256, "epochs": epochs, "losses": list(fitted.history["validation_loss"])}
(folder / os.environ["RANK"]).write_text(json.dumps(found))
"""


@pytest.fixture
def images(make_image, make_parameters):
    """Three for training and three for validation: two devices cannot share the latter evenly."""
    made = [make_image(index, bright=bool(index % 2)) for index in range(6)]
    prepared = prepare_images(made, make_parameters().network)
    return prepared[:3], prepared[3:]


@pytest.fixture
def launched(monkeypatch):
    """What torchrun tells the processes that it starts."""
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
def test_two_devices_find_what_one_finds_with_batches_twice_as_large(
    images, make_parameters, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "amorph2d")
    epochs: list[int] = []
    before = dict(os.environ)
    two = fit_prepared(
        *images,
        parameters=make_parameters(devices=2, batch_size=2),
        folder=tmp_path / "two",
        on_epoch=lambda epoch, _: epochs.append(epoch),
    )
    one = fit_prepared(*images, parameters=make_parameters(batch_size=4), folder=tmp_path / "one")
    assert epochs == [0, 1]
    assert len([text for text in caplog.messages if text.startswith("epoch 2 of 2")]) == 2
    columns = ["training_loss", "validation_loss", "learning_rate"]
    assert two.history[columns].to_numpy() == pytest.approx(one.history[columns].to_numpy(), rel=1e-4)
    pairs = zip(two.network.module.parameters(), one.network.module.parameters(), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-3
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["fingerprint.json", "last.ckpt"]
    # Nothing of the second process is left, and the next fit is one of one device.
    assert dict(os.environ) == before
    assert not torch.distributed.is_initialized()
    # One validation image for two devices: one of them has none.
    fewer = images[0], images[1][:1]
    parameters = make_parameters(devices=2, epochs=1)
    alone = fit_prepared(*fewer, parameters=parameters, folder=tmp_path / "alone")
    assert alone.history["validation_loss"].notna().all()


@pytest.mark.slow
def test_processes_that_torchrun_starts_agree_and_go_on_together(images, make_parameters, tmp_path):
    import pickle

    parameters = make_parameters(devices=2)
    (tmp_path / "task").write_bytes(pickle.dumps((*images, parameters)))
    (tmp_path / "fit.py").write_text(textwrap.dedent(LAUNCHED))

    def run():
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        rendezvous = {
            "TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0",
            "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
        command = [sys.executable, str(tmp_path / "fit.py"), str(tmp_path)]
        started = [
            subprocess.Popen(
                command, env=os.environ | rendezvous | {"RANK": rank, "LOCAL_RANK": rank}, stderr=-1
            )
            for rank in "01"
        ]
        errors = [process.communicate(timeout=300)[1].decode() for process in started]
        assert [process.returncode for process in started] == [0, 0], errors
        return [json.loads((tmp_path / rank).read_text()) for rank in "01"]

    first, second = run()
    assert first["sha256"] == second["sha256"]
    assert first["losses"] == second["losses"]
    assert [first["epochs"], second["epochs"]] == [[0, 1], []]
    again = run()
    assert again[1]["sha256"] == first["sha256"]
    assert [process["epochs"] for process in again] == [[0, 1], []]


def test_several_machines_need_a_launcher(images, make_parameters, tmp_path):
    with pytest.raises(ValueError, match=r"nodes=2 needs torchrun or srun, which starts 1 process\(es\)"):
        fit_prepared(*images, parameters=make_parameters(nodes=2), folder=tmp_path)


def test_a_launcher_is_noticed_by_its_number_of_processes(make_parameters, launched):
    assert devices.is_launched(make_parameters(devices=2).fit)
    assert not devices.is_launched(make_parameters(devices=1).fit)
    environment = devices.cluster_environment(make_parameters(devices=2).fit)
    assert environment.global_rank() == 1
    assert [devices.is_first(make_parameters(devices=n).fit) for n in (1, 2)] == [True, False]


def test_slurm_counts_only_if_it_started_each_process(make_parameters, monkeypatch):
    for name, value in {
        "SLURM_NTASKS": "2",
        "SLURM_NTASKS_PER_NODE": "2",
        "SLURM_PROCID": "1",
        "SLURM_JOB_NAME": "fit",
    }.items():
        monkeypatch.setenv(name, value)
    assert devices.is_launched(make_parameters(devices=2).fit)
    assert type(devices.cluster_environment(make_parameters(devices=2).fit)).__name__ == "SLURMEnvironment"
    assert not devices.is_launched(make_parameters(devices=4).fit)


@pytest.mark.parametrize(
    ("accelerator", "n_gpus", "expected"), [("auto", 3, 3), ("cpu", 3, 1), ("gpu", 0, 1)]
)
def test_auto_takes_every_gpu(make_parameters, monkeypatch, accelerator, n_gpus, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n_gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)
    assert devices.count_devices(make_parameters(devices="auto", accelerator=accelerator).fit) == expected


@pytest.mark.slow
def test_an_error_of_a_helper_is_not_waited_for():
    def fit(*task):
        with devices.helpers(2, *task) as started:
            started[0].wait()
            raise ConnectionError("the other side is gone")

    with pytest.raises(RuntimeError, match="ended with exit status 1; its error is above"):
        fit(_Unknown())
    with pytest.raises(RuntimeError, match="ended with exit status 3; its error is above"):
        fit(os._exit, 3)


class _Unknown:
    """Can be written, but not read where this module is not."""

    def __reduce__(self):
        return int, ("not a number",)


def test_one_device_needs_no_other_process(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with devices.helpers(1, print) as started:
        assert started == []
