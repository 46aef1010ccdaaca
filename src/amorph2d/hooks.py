"""What `kedro run` does besides its nodes: check parameters, keep runs, say what was not analysed."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.hooks import hook_impl

from amorph2d.pipelines.scheduling import stop_processes
from amorph2d.tracking import store as stores
from amorph2d.tracking.store import TrackingError

if TYPE_CHECKING:
    import pandas as pd
    from kedro.config import AbstractConfigLoader
    from kedro.framework.context import KedroContext
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline

logger = logging.getLogger(__name__)

CALIBRATION, CONDITIONS = "calibration", "conditions"
REPORT = "report"
SUMMARY = "summary"
ANALYSED = "analysed"
POOLED = "pooled"
_ASKED_FOR = re.compile(r"\$\{\s*runtime_params\s*:\s*([\w-]+)")
# Simulated sets with where their parameters are, and what is kept of them.
SETS = {
    "simulated_set": "params:synthesis",
    "wide_simulated_set": "wide_set",
    "matched_simulated_set": "matched_set",
}
SET_TABLES = {
    "simulated_set": ("set_description",),
    "wide_simulated_set": ("wide.set_description",),
    "matched_simulated_set": (
        "matched.set_description",
        "conditions",
        "matched_ranges",
        "comparison_distances",
    ),
}
SET_FIGURES = {
    "simulated_set": ("contact_sheet",),
    "wide_simulated_set": ("wide.contact_sheet",),
    "matched_simulated_set": ("matched.contact_sheet", "comparison_figure"),
}
_PREFIX = "params:"
_SUFFIXES = {".yml", ".yaml", ".json"}


class TrackingHooks:
    """Kedro hooks of this project. MLflow is imported only when a run is kept."""

    def __init__(self) -> None:
        self._started = time.time()
        self._parameters: dict[str, Any] = {}

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse parameters that nobody reads and choose the MLflow store."""
        loader = context.config_loader
        check_runtime_parameters(loader)
        try:
            stores.configure(context.project_path, _mlflow_settings(loader))
        except TrackingError as error:
            raise click.ClickException(str(error)) from error

    @hook_impl
    def after_catalog_created(self, parameters: dict[str, Any]) -> None:
        """Remember the parameters."""
        self._parameters = parameters

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Note the time, and end at once if the run needs a server that does not answer."""
        self._started = time.time()
        if _needs_store(pipeline, catalog):
            try:
                stores.check_server(stores.current())
            except TrackingError as error:
                raise click.ClickException(str(error)) from error

    @hook_impl
    def after_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Keep the analysis, name the report, and end with an error if a micrograph was not analysed."""
        stop_processes()
        outputs = pipeline.all_outputs()
        report = _file_of(catalog, REPORT) if REPORT in outputs else None
        if report is not None:
            self._log_analysis(run_params, pipeline, catalog, report)
            click.echo(f"Report: {report}")  # a log line would be wrapped in the middle of the path
        for name, parameters in SETS.items():
            if name in outputs:
                self._log_set(name, parameters, catalog)
        for name in (CALIBRATION, CONDITIONS):
            if name in outputs:
                _refuse_silence(catalog[name].load())

    @hook_impl
    def on_pipeline_error(self, error: Exception) -> None:
        """Say a problem with the store or the registry in one line instead of a traceback."""
        stop_processes()
        cause = _tracking_error(error)
        if cause is not None:
            raise click.ClickException(str(cause)) from error

    def _log_analysis(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog, report: Path
    ) -> None:
        """Keep the analysis as an MLflow run; an analysis is not lost because MLflow is."""
        if not stores.current().log_analyses:
            return
        from amorph2d.tracking.runs import log_analysis

        try:
            log_analysis(
                {name.removeprefix(_PREFIX): self._parameters[name] for name in _parameter_names(pipeline)},
                metrics=pooled_metrics(catalog[SUMMARY].load()) if SUMMARY in catalog else {},
                report=report,
                tags={"pipelines": run_params.get("pipeline_names") or "__default__", **_inputs(run_params)},
                started=self._started,
            )
        except Exception as error:
            logger.warning("The analysis is finished but was not kept in MLflow: %s", error)

    def _log_set(self, name: str, parameters: str, catalog: DataCatalog) -> None:
        """Keep a simulated set with its contact sheet as an MLflow run, once."""
        from amorph2d.tracking.runs import log_set

        try:
            tables = {table: catalog[table].load() for table in SET_TABLES[name] if table in catalog}
            figures = [_file_of(catalog, figure) for figure in SET_FIGURES[name] if figure in catalog]
            manifest = catalog[name].load().manifest
            log_set(
                self._parameters.get(parameters) or catalog[parameters].load(),
                set_id=manifest["set_id"],
                seed=manifest["seed"],
                n_images=manifest["n_images"],
                tables=tables,
                figures=[path for path in figures if path is not None and path.is_file()],
                started=self._started,
            )
        except Exception as error:
            logger.warning("The set is finished but was not kept in MLflow: %s", error)


def check_runtime_parameters(loader: AbstractConfigLoader) -> None:
    """Refuse runtime parameters that no parameter file names and no configuration asks for.

    Raises
    ------
    click.ClickException
        If there is such a parameter; the message lists the known ones.
    """
    given = loader.runtime_params or {}
    source = Path(loader.conf_source)
    if not given or not source.is_dir():
        return
    environments = {
        getattr(loader, "base_env", "base"),
        loader.env or getattr(loader, "default_run_env", "local"),
    }
    known = set().union(*(_names(source / environment) for environment in environments))
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f'; did you mean "{close[0]}"?' if close else "."
            raise click.ClickException(f'unknown parameter "{name}"{hint} Known: {", ".join(sorted(known))}')


def pooled_metrics(summary: pd.DataFrame) -> dict[str, float]:
    """Return the numbers of the row that pools all micrographs, or of the only row."""
    if summary.empty:
        return {}
    is_pooled = (summary.select_dtypes(exclude="number") == POOLED).any(axis=1)
    row = summary[is_pooled].iloc[0] if is_pooled.any() else summary.iloc[-1]
    return {str(name): value for name, value in row.items() if not isinstance(value, str)}


def _names(folder: Path) -> Iterator[str]:
    """Yield the parameters that the files of an environment define or ask for."""
    import yaml

    for path in sorted(folder.rglob("*")):
        if path.suffix not in _SUFFIXES or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        yield from _ASKED_FOR.findall(text)
        if any(part.startswith("parameters") for part in path.relative_to(folder).parts):
            # Kedro itself says what is wrong with a file that cannot be parsed.
            with suppress(yaml.YAMLError):
                yield from yaml.safe_load(text) or {}


def _mlflow_settings(loader: AbstractConfigLoader) -> dict[str, Any] | None:
    """Return the contents of mlflow.yml, None if the project has none."""
    from kedro.config import MissingConfigException

    try:
        return loader["mlflow"]
    except (KeyError, MissingConfigException):
        return None


def _needs_store(pipeline: Pipeline, catalog: DataCatalog) -> bool:
    """Whether the pipeline reads a registered network."""
    from amorph2d.datasets.networks import RegisteredNetworkDataset

    return any(isinstance(catalog.get(name), RegisteredNetworkDataset) for name in pipeline.inputs())


def _parameter_names(pipeline: Pipeline) -> list[str]:
    """Return the parameters that a pipeline reads, as catalog entries."""
    return sorted(name for name in pipeline.inputs() if name.startswith(_PREFIX))


def _file_of(catalog: DataCatalog, name: str) -> Path | None:
    """Return the file that a dataset is kept in."""
    dataset = catalog.get(name)
    path = getattr(dataset, "_filepath", None) or (dataset._describe().get("filepath") if dataset else None)
    return None if path is None else Path(str(path))


def _refuse_silence(calibration: pd.DataFrame) -> None:
    """Log each micrograph that was not analysed with its reason; end with an error if there are any."""
    calibration = calibration[calibration["file"] != POOLED]
    left_out = calibration[calibration["status"] != ANALYSED]
    for row in left_out.itertuples():
        logger.error("Not analysed: %s: %s", row.file, row.reason)
    if len(left_out):
        names = ", ".join(str(file) for file in left_out["file"])
        raise click.ClickException(
            f"{len(left_out)} of {len(calibration)} micrographs were not analysed: {names}"
        )


def _inputs(run_params: dict[str, Any]) -> dict[str, str]:
    """Return tags with what was asked for on the command line."""
    given = run_params.get("runtime_params") or {}
    return {f"parameter.{name}": str(value) for name, value in given.items()}


def _tracking_error(error: BaseException | None) -> TrackingError | None:
    """Return the tracking error that caused an error."""
    while error is not None:
        if isinstance(error, TrackingError):
            return error
        error = error.__cause__ or error.__context__
    return None
