"""A network as MLflow keeps it: a pyfunc model made of code, safetensors and JSON, and a version of it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from amorph2d import __version__
from amorph2d.tracking.folders import CARD, DESCRIPTION, WEIGHTS, NetworkFiles, model_card, n_weights
from amorph2d.tracking.runs import TrackedRun, code_version
from amorph2d.tracking.store import current, local_path, quiet_mlflow
from amorph2d.tracking.values import as_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

_LONGEST_DESCRIPTION = 5000  # characters that MLflow keeps
LICENCE = "BSD-3-Clause"
_HEADLINES = ("f1", "dice", "residual")
_UNITS = {
    "sampling": "Å/px", "dose_per_area": "e⁻/Å²", "energy": "eV", "defocus": "Å", "Cs": "Å",
    "focal_spread": "Å", "angular_spread": "mrad",
}  # fmt: skip
_SERVED = Path(__file__).with_name("served.py")


def add_version(
    run: TrackedRun,
    network: NetworkFiles,
    *,
    task: str,
    metrics: Mapping[str, float],
    tags: Mapping[str, Any],
) -> ModelVersion:
    """Store a network with its run and make a new version of the registered model `task` from it.

    Parameters
    ----------
    run
        The run that the model belongs to.
    network
        The checked folder.
    task
        Name of the registered model, created if there is none.
    metrics
        Flat; shown with the model.
    tags
        Tags of the version, besides what identifies the network.
    """
    client, card = run.client, model_card(task, network)
    model_id = _log_model(run, task=task, network=network, card=card)
    client.log_batch(run.run_id, metrics=_model_metrics(metrics, model_id))
    _create_registered_model(client, task)
    every = {
        "source": "training",
        **_review_tags(network, task, metrics),
        **code_version(current().project_path),
        **tags,
        "sha256": network.sha256,
        "identity": network.identity,
        "amorph2d.version": __version__,
        "metrics": dict(metrics),
        "training_domain": network.metadata.get("training_domain") or {},
    }
    with quiet_mlflow():
        version = client.create_model_version(
            task,
            source=_source(client, model_id),
            run_id=run.run_id,
            model_id=model_id,
            description=_description(card),
            tags={name: as_text(value) for name, value in every.items()},
        )
        link = [{"name": task, "version": int(version.version)}]
        client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(link)})
    return version


def _review_tags(network: NetworkFiles, task: str, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return what a reviewer asks first: for what, how large, trained on what, how good, where valid."""
    metadata, config = network.metadata, network.config
    made, fit = (metadata.get(name) or {} for name in ("set", "fit"))
    domain = metadata.get("training_domain") or {}
    known = {
        "task": task,
        "output": config.get("output", "sites"),
        "channels": ", ".join(config.get("channels", ())),
        "n_weights": n_weights(network),
        "headline": _headline(metrics),
        "licence": LICENCE,
        "set_id": made.get("set_id"),
        "set_seed": made.get("set_seed"),
        "n_images": made.get("n_images"),
        "fit_seed": fit.get("seed"),
        "epochs": fit.get("epochs"),
        "polarity": ", ".join(metadata.get("polarities") or ()),
        "sampling": _with_unit(config.get("sampling"), "Å/px"),
        "trained_with": metadata.get("code_version"),
        **{
            f"domain.{name}": f"{low:.4g} – {high:.4g} {_UNITS.get(name, '')}".rstrip()
            for name, (low, high) in domain.items()
        },
    }
    return {name: value for name, value in known.items() if value not in (None, "")}


def _headline(metrics: Mapping[str, float]) -> str:
    """Return the score of each channel that says most, in one line."""
    return ", ".join(
        f"{name} {value:.4f}"
        for wanted in _HEADLINES
        for name, value in metrics.items()
        if name.rpartition(".")[2] == wanted
    )


def _with_unit(value: Any, unit: str) -> str | None:
    """Return a number with its unit."""
    return None if value is None else f"{value:g} {unit}"


def _description(card: str) -> str:
    """Return as much of the card as MLflow keeps, whole lines, and where the rest is."""
    if len(card) <= _LONGEST_DESCRIPTION:
        return card
    rest = f"\n\nThe whole card is `{CARD}` among the artifacts.\n"
    return card[: _LONGEST_DESCRIPTION - len(rest)].rpartition("\n")[0] + rest


def _source(client: MlflowClient, model_id: str) -> str:
    """Return the address of a model's files; a path where there is one.

    MLflow would look an id up in the store of its global address, which is another one perhaps.
    """
    location = client.get_logged_model(model_id).artifact_location
    return f"models:/{model_id}" if local_path(location) is None else location


def _log_model(run: TrackedRun, *, task: str, network: NetworkFiles, card: str) -> str:
    """Store the network as a pyfunc model made of code, safetensors and JSON; return the model's id."""
    with quiet_mlflow(), TemporaryDirectory() as scratch:
        import mlflow.pyfunc
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        client = run.client
        experiment_id = client.get_run(run.run_id).info.experiment_id
        logged = client.create_logged_model(
            experiment_id, name=task, source_run_id=run.run_id, model_type="network"
        )
        card_path = Path(scratch) / CARD
        card_path.write_text(card, encoding="utf-8")
        mlflow.pyfunc.save_model(
            path=f"{scratch}/model",
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                run_id=run.run_id,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
                metadata={
                    "task": task,
                    "licence": LICENCE,
                    "sha256": network.sha256,
                    "amorph2d": dict(network.metadata),
                },
            ),
            python_model=str(_SERVED),
            artifacts={
                "weights": str(network.folder / WEIGHTS),
                "description": str(network.folder / DESCRIPTION),
                "card": str(card_path),
            },
            signature=_signature(len(network.config.get("channels", ()))),
            pip_requirements=_requirements(),
        )
        client.log_model_artifacts(logged.model_id, f"{scratch}/model")
        client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, step=0)])
        client.finalize_logged_model(logged.model_id, "READY")
    return logged.model_id


def _signature(n_channels: int) -> Any:
    """Return MLflow's description of images in and maps out, any number and size."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    float32 = np.dtype("float32")
    return ModelSignature(
        inputs=Schema([TensorSpec(float32, (-1, -1, -1))]),
        outputs=Schema([TensorSpec(float32, (-1, n_channels, -1, -1))]),
    )


def _requirements() -> list[str]:
    """Return what the served model needs; given, because MLflow's own search takes many seconds."""
    others = [
        f"{name}=={installed_version(name).partition('+')[0]}" for name in ("torch", "safetensors", "numpy")
    ]
    return [f"amorph2d=={__version__}", *others]


def _model_metrics(metrics: Mapping[str, float], model_id: str) -> list[Any]:
    """Return metrics that MLflow shows on the model's own page."""
    from mlflow.entities import Metric

    now = round(1000 * time.time())
    return [Metric(name, value, now, 0, model_id=model_id) for name, value in metrics.items()]


def _create_registered_model(client: MlflowClient, task: str) -> None:
    """Create the registered model unless it exists."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(task, description=f"Networks of the task {task!r} of amorph2d.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
