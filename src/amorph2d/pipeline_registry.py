"""The pipelines by name; `kedro run` runs `__default__`."""

from __future__ import annotations

from kedro.framework.project import find_pipelines
from kedro.pipeline import Pipeline

DEFAULT = ("inference", "statistics")


def register_pipelines() -> dict[str, Pipeline]:
    """Collect the pipelines; the default analyses micrographs: inference, then statistics."""
    pipelines = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum((pipelines[name] for name in DEFAULT if name in pipelines), Pipeline([]))
    return pipelines
