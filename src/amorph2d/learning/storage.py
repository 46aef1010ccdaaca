"""Networks on disk: safetensors beside JSON, checked by SHA-256; nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from amorph2d.learning.config import NetworkConfig
from amorph2d.learning.network import ResidualUNet, in_channels_last

WEIGHTS = "weights.safetensors"
DESCRIPTION = "network.json"
_KEYS = {"config", "metadata", "sha256"}


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network ready for use.

    Attributes
    ----------
    module
        The network in evaluation mode; images (B, 1, H, W) float32 in, logits (B, channels, H, W) out.
    config
        Its architecture and scale.
    metadata
        What it was trained on and how well it does: JSON values only.
    sha256
        SHA-256 of its weights as stored.
    """

    module: ResidualUNet
    config: NetworkConfig
    metadata: dict[str, Any]
    sha256: str


def build_network(
    config: NetworkConfig, state: dict[str, Tensor], metadata: dict[str, Any]
) -> TrainedNetwork:
    """Return a network with the weights `state`, on the CPU and in evaluation mode.

    Raises
    ------
    ValueError
        If the weights do not fit the architecture.
    """
    with torch.device("meta"):  # no first weights: they would be drawn from the global random state
        module = ResidualUNet(config)
    try:
        module.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise ValueError(f"weights do not fit the network's config: {error}") from None
    module = in_channels_last(module).eval().requires_grad_(False)
    sha256 = hashlib.sha256(_serialise(module)).hexdigest()
    return TrainedNetwork(module, config, metadata, sha256)


def save_network(folder: str | Path, network: TrainedNetwork, metadata: dict[str, Any] | None = None) -> None:
    """Write ``weights.safetensors`` and ``network.json`` into `folder`, which is made if it is not there.

    Each file is whole or absent, and the JSON, without which nothing is loaded, comes last.

    Parameters
    ----------
    folder
        Where to write; a network already there is replaced.
    network
        The network.
    metadata
        Stored instead of the network's own metadata; JSON values only.

    Raises
    ------
    TypeError, ValueError
        If the metadata are not JSON values.
    """
    folder = Path(folder)
    weights = _serialise(network.module)
    description = {
        "config": network.config.model_dump(mode="json"),
        "metadata": network.metadata if metadata is None else metadata,
        "sha256": hashlib.sha256(weights).hexdigest(),
    }
    text = json.dumps(description, indent=2, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    write_whole(folder / WEIGHTS, weights)
    write_whole(folder / DESCRIPTION, (text + "\n").encode())


def load_network(folder: str | Path) -> TrainedNetwork:
    """Read a network written by `save_network`.

    Raises
    ------
    FileNotFoundError
        If one of the two files is missing.
    ValueError
        If a file is damaged, the weights are not those the JSON was written with, or a key is unknown.
    """
    folder = Path(folder)
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"a network folder needs {DESCRIPTION} and {WEIGHTS}; {folder / name} is missing"
            )
    description = _read_description(folder / DESCRIPTION)
    weights = (folder / WEIGHTS).read_bytes()
    sha256 = hashlib.sha256(weights).hexdigest()
    if sha256 != description["sha256"]:
        raise ValueError(
            f"{folder / WEIGHTS} has the SHA-256 {sha256}, but {DESCRIPTION} was written for "
            f"{description['sha256']}: the file is damaged or was exchanged"
        )
    try:
        config = NetworkConfig.model_validate(description["config"])
        state = load(weights)
    except (ValidationError, SafetensorError) as error:
        raise ValueError(f"{folder} holds no network that can be read: {error}") from None
    return build_network(config, state, description["metadata"])


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen half-written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_bytes(content)
    temporary.replace(path)


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(description, dict) or set(description) != _KEYS:
        found = sorted(description) if isinstance(description, dict) else type(description).__name__
        raise ValueError(f"{path} must have the keys {sorted(_KEYS)}, got {found}")
    return description


def _serialise(module: ResidualUNet) -> bytes:
    return save({name: weight.detach().cpu().contiguous() for name, weight in module.state_dict().items()})
