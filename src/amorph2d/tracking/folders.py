"""A network's folder as the registry sees it: which files, whose identity, and the card that describes it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from amorph2d.tracking.store import TrackingError

WEIGHTS = "weights.safetensors"
DESCRIPTION = "network.json"
CARD = "MODEL_CARD.md"
# What changes results besides the weights.
_DECISIVE = ("sigma", "thresholds", "training_domain")


@dataclass(frozen=True)
class NetworkFiles:
    """A checked folder with a network.

    Attributes
    ----------
    folder
        Where its files lie.
    sha256
        SHA-256 of the weights.
    identity
        SHA-256 of the weights together with everything else that changes results.
    config, metadata
        Contents of ``network.json``.
    """

    folder: Path
    sha256: str
    identity: str
    config: Mapping[str, Any]
    metadata: Mapping[str, Any]


def read_folder(folder: Path) -> NetworkFiles:
    """Read and check a network's folder without loading the network.

    Raises
    ------
    TrackingError
        If a file is missing or damaged, or the weights are not those that the description was written for.
    """
    for name in (WEIGHTS, DESCRIPTION):
        if not (folder / name).is_file():
            raise TrackingError(f"{folder} holds no network: {name} is missing")
    found = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        config, metadata, expected = (description[key] for key in ("config", "metadata", "sha256"))
    except (ValueError, KeyError, TypeError) as error:
        raise TrackingError(f"{folder / DESCRIPTION} does not describe a network: {error!r}") from error
    if found != expected:
        raise TrackingError(f"{folder / WEIGHTS} is damaged: its SHA-256 is {found}, should be {expected}")
    decisive = {"sha256": found, "config": config, **{key: metadata.get(key) for key in _DECISIVE}}
    identity = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
    return NetworkFiles(folder=folder, sha256=found, identity=identity, config=config, metadata=metadata)


def n_weights(network: NetworkFiles) -> int:
    """Return how many numbers the weights are, from the header of their file."""
    from safetensors import safe_open

    with safe_open(network.folder / WEIGHTS, "numpy") as tensors:
        return sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118


def shipped_folder(task: str) -> Path | None:
    """Return the folder of the network of `task` that ships with this package, None if there is none."""
    folder = Path(str(files("amorph2d"))) / "networks" / task
    return folder if (folder / WEIGHTS).is_file() else None


def model_card(task: str, network: NetworkFiles) -> str:
    """Return the folder's model card, or write one from the description."""
    path = network.folder / CARD
    if path.is_file():
        return path.read_text(encoding="utf-8")
    metadata = network.metadata
    lines = [
        f"# Network `{task}`",
        "",
        f"Residual U-Net for {network.config.get('output', 'sites')} at "
        f"{network.config.get('sampling')} Å/px with the channels "
        f"{', '.join(network.config.get('channels', ()))}. SHA-256 of the weights: `{network.sha256}`.",
        "",
        "Use it inside its training domain; what it says outside of it means nothing.",
        *_section("Training domain", metadata.get("training_domain")),
        *_section("Metrics", metadata.get("metrics")),
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, values: Any) -> list[str]:
    """Return a heading and a table of names and values, nothing if there are none."""
    if not isinstance(values, Mapping) or not values:
        return []
    rows = [f"| {name} | {_cell(value)} |" for name, value in _leaves(values)]
    return ["", f"## {title}", "", "| | |", "|---|---|", *rows]


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested values by dotted names."""
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        found += (
            _leaves(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
        )
    return found


def _cell(value: Any) -> str:
    """Return a value as it reads in a table."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return " – ".join(_cell(item) for item in value)
    return str(value).replace("|", "\\|")
