"""Networks as catalog entries: registered versions, and the folder that a training writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from amorph2d.learning.fit import FittedNetwork
    from amorph2d.learning.storage import TrainedNetwork

DESCRIPTION = "network.json"
HISTORY = "history.csv"


class RegisteredNetworkDataset(AbstractDataset[Any, "TrainedNetwork"]):
    """A registered network, by task and alias or version; read only.

    An empty registry receives the network that ships with this package first.

    Parameters
    ----------
    task
        Name in the registry.
    alias_or_version
        ``champion``, another alias, or the number of a version.
    metadata
        For Kedro's plug-ins.
    """

    def __init__(
        self, *, task: str, alias_or_version: str | int = "champion", metadata: dict[str, Any] | None = None
    ) -> None:
        self._task = task
        self._alias_or_version = alias_or_version
        self.metadata = metadata

    def load(self) -> TrainedNetwork:
        """Return the network; its metadata say under which name and version it is registered."""
        from amorph2d.learning.storage import load_network
        from amorph2d.tracking.registry import ensure_reference, resolve

        ensure_reference(self._task)
        registered = resolve(self._task, self._alias_or_version)
        network = load_network(registered.folder)
        names = {"registered_name": registered.task, "version": registered.version}
        return replace(network, metadata={**network.metadata, **names})

    def save(self, data: Any) -> NoReturn:  # noqa: ARG002
        """Refuse: a network enters the registry by `amorph2d.tracking.registry.register_network`."""
        raise DatasetError(
            f"the registered network {self._task!r} cannot be saved to; "
            "amorph2d.tracking.registry.register_network adds a version"
        )

    def _exists(self) -> bool:
        """Whether there is such a version, or a network to register as the first one."""
        from amorph2d.tracking.registry import is_available

        return is_available(self._task, self._alias_or_version)

    def _describe(self) -> dict[str, Any]:
        return {"task": self._task, "alias_or_version": self._alias_or_version}


class NetworkFolder(AbstractDataset["TrainedNetwork | FittedNetwork", "TrainedNetwork"]):
    """A network in a folder: safetensors, JSON and, after a training, the history as CSV.

    Parameters
    ----------
    filepath
        The folder.
    metadata
        For Kedro's plug-ins.
    """

    def __init__(self, *, filepath: str | Path, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> TrainedNetwork:
        """Return the network."""
        from amorph2d.learning.storage import load_network

        return load_network(self._filepath)

    def save(self, data: TrainedNetwork | FittedNetwork) -> None:
        """Write a network, and the history if it comes from a training."""
        from amorph2d.learning.storage import TrainedNetwork, save_network

        network = data if isinstance(data, TrainedNetwork) else data.network
        save_network(self._filepath, network)
        if not isinstance(data, TrainedNetwork):
            data.history.to_csv(self._filepath / HISTORY, index=False)

    def _exists(self) -> bool:
        """Whether a whole network is there: its description is written last."""
        return (self._filepath / DESCRIPTION).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
