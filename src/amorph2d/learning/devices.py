"""The processes of a fit on several devices: one for each device.

On one machine the process that asks for the fit is the first and starts the others, which know nothing but
the fit: what surrounds it, for instance a pipeline and its records, happens once. They are started afresh
rather than forked, as a GPU does not survive a fork, and not as copies of the command, which would do
everything else again. Each has a copy of the images. On several machines something else starts them all:
torchrun, or Slurm's srun.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from lightning.fabric.plugins.environments.lightning import find_free_network_port

from amorph2d.learning.config import FitParameters

_START = "from amorph2d.learning.devices import _help; _help()"
_READY = b"ready\n"
_GRACE = 5.0  # how long the error of one process may go ahead of the end of the other that caused it [s]
_PATIENCE = 60.0  # how long a process may take to end when the fit is done [s]
Helper: TypeAlias = "subprocess.Popen[bytes]"
_CHANGED = ("MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "OMP_NUM_THREADS")


def count_devices(fit: FitParameters) -> int:
    """Return how many devices each machine uses."""
    if fit.devices != "auto":
        return fit.devices
    is_gpu = fit.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    return torch.cuda.device_count() if is_gpu else 1


def is_launched(fit: FitParameters) -> bool:
    """Say whether torchrun or srun started the processes of this fit."""
    n_processes = fit.nodes * count_devices(fit)
    if n_processes == 1:
        return False
    tasks = os.environ.get("SLURM_NTASKS", "")
    return TorchElasticEnvironment.detect() or (SLURMEnvironment.detect() and tasks == str(n_processes))


def is_first(fit: FitParameters) -> bool:
    """Say whether this is the process that tells of the fit."""
    return not is_launched(fit) or cluster_environment(fit).global_rank() == 0


def cluster_environment(fit: FitParameters) -> ClusterEnvironment:
    """Return who says which process this is.

    Raises
    ------
    ValueError
        If there are several machines, on which nobody started the processes.
    """
    if not is_launched(fit):
        if fit.nodes > 1:
            raise ValueError(
                f"nodes={fit.nodes} needs torchrun or srun, which starts {count_devices(fit)} process(es) of "
                "the same command on each machine"
            )
        return LightningEnvironment()
    return TorchElasticEnvironment() if TorchElasticEnvironment.detect() else SLURMEnvironment()


@contextmanager
def helpers(n_devices: int, work: Callable[..., Any], *arguments: Any) -> Iterator[list[Helper]]:
    """Have the other processes of a fit do `work` while this one does the same as the first.

    Parameters
    ----------
    n_devices
        Number of processes, this one included; with 1 nothing happens.
    work
        A function of a module.
    arguments
        What it is called with; each process gets a copy.

    Yields
    ------
    list
        The other processes, which have their work.

    Raises
    ------
    RuntimeError
        If one of them cannot start, or ends with an error.
    """
    if n_devices == 1:
        yield []
        return
    n_threads = max(1, torch.get_num_threads() // n_devices)
    with _changed({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_free_network_port())}, n_threads):
        started = [_start(rank) for rank in range(1, n_devices)]
        try:
            for process in started:
                _send(process, (n_threads, work, arguments))
            yield started
            with suppress(subprocess.TimeoutExpired):
                for process in started:
                    process.wait(_PATIENCE)
        except (RuntimeError, OSError) as error:
            # It may be the consequence of what happened elsewhere.
            failed = [status for status in map(_exit_status, started) if status]
            if failed:
                raise RuntimeError(
                    f"a process of the fit ended with exit status {failed[0]}; its error is above"
                ) from error
            raise
        finally:
            for process in started:
                process.kill()
                process.communicate()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _exit_status(process: Helper) -> int | None:
    """Return with what a process ended, None if it goes on."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE)
    return process.returncode


@contextmanager
def _changed(environment: dict[str, str], n_threads: int) -> Iterator[None]:
    """Let this process be the first of several for a while."""
    before, threads = {name: os.environ.get(name) for name in _CHANGED}, torch.get_num_threads()
    os.environ.update(environment | {"LOCAL_RANK": "0", "NODE_RANK": "0"})
    torch.set_num_threads(n_threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _start(rank: int) -> Helper:
    """Start a process that waits for its work."""
    environment = os.environ | {
        "LOCAL_RANK": str(rank),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return subprocess.Popen(
        [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


def _send(process: Helper, task: Any) -> None:
    """Give a process its work, and wait until it has it."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(task, process.stdin)
        process.stdin.flush()
        is_ready = process.stdout.readline() == _READY
    except BrokenPipeError:
        is_ready = False
    if not is_ready:
        process.wait(_PATIENCE)
        raise RuntimeError("a process of the fit did not start")


def _help() -> None:
    """Take work from the process that started this one, and do it; end when that one ends."""
    n_threads, work, arguments = pickle.load(sys.stdin.buffer)
    os.write(1, _READY)
    os.dup2(2, 1)  # nobody reads what is printed from here on
    threading.Thread(target=_leave_with_first, daemon=True).start()
    torch.set_num_threads(n_threads)
    work(*arguments)


def _leave_with_first() -> None:
    """End this process, even in the middle of a step, when the one that started it is gone."""
    os.read(0, 1)
    os._exit(1)
