"""Metrics of each epoch, on their way to a run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from amorph2d.tracking.values import flatten_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

logger = logging.getLogger(__name__)


class EpochTracker:
    """Sends the metrics of each epoch to a run, from any thread, leaving out what the run has already.

    A store that fails for a while does not end the training: what could not be sent goes with the next epoch.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._lock = Lock()
        self._waiting: list[_Epoch] = []
        self._sent: set[tuple[str, int]] = set()
        self._known: set[str] = set()

    def __call__(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Send the metrics of `epoch`, counted from 0."""
        with self._lock:
            self._waiting.append(_Epoch(epoch, now(), flatten_metrics(metrics)))
            self._send()

    def flush(self) -> None:
        """Send what is still waiting."""
        with self._lock:
            if self._waiting:
                self._send()

    def _send(self) -> None:
        """Send everything that waits, or keep it and warn."""
        try:
            rows = [row for epoch in self._waiting for row in self._rows(epoch)]
            if rows:
                self._client.log_batch(self._run_id, metrics=rows)
        except Exception as error:
            logger.warning("Metrics of %d epoch(s) wait to be sent to MLflow: %s", len(self._waiting), error)
            return
        self._sent |= {(row.key, row.step) for row in rows}
        self._waiting.clear()

    def _rows(self, epoch: _Epoch) -> list[Metric]:
        """Return what is new in an epoch."""
        for name in epoch.metrics.keys() - self._known:
            self._sent |= {(name, row.step) for row in self._client.get_metric_history(self._run_id, name)}
            self._known.add(name)
        new = {name: value for name, value in epoch.metrics.items() if (name, epoch.number) not in self._sent}
        return metric_rows(new, step=epoch.number, when=epoch.when)


@dataclass(frozen=True)
class _Epoch:
    """Metrics of an epoch; when: milliseconds since 1970."""

    number: int
    when: int
    metrics: Mapping[str, float]


def metric_rows(flat: Mapping[str, float], *, step: int, when: int) -> list[Metric]:
    """Return flat metrics as MLflow takes them."""
    from mlflow.entities import Metric

    return [Metric(name, value, when, step) for name, value in flat.items()]


def now() -> int:
    """Milliseconds since the epoch."""
    return round(1000 * time.time())
