"""Commands that the project adds to `kedro`: list the registered networks, promote one, roll back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from kedro.framework.startup import ProjectMetadata

    from amorph2d.tracking.registry import NetworkRow

_HEADLINES = ("f1", "dice", "residual")


@click.group(name="amorph2d")
def cli() -> None:
    """Commands of amorph2d."""


@cli.command()
@click.option("--task", default=None, help="Only the networks of this task.")
@env_option
@click.pass_obj
def networks(project: ProjectMetadata, task: str | None, env: str | None) -> None:
    """List the registered networks."""
    from amorph2d.tracking.registry import list_networks
    from amorph2d.tracking.store import TrackingError

    _configure(project, env)
    try:
        rows = list_networks(task)
    except TrackingError as error:
        raise click.ClickException(str(error)) from error
    if not rows:
        click.echo("No network is registered; the first run of `inference` registers the one that ships.")
        return
    for line in _table(rows):
        click.echo(line)


@cli.command()
@click.option("--task", required=True, help="Name of the network, for instance sites.")
@click.option("--version", type=click.IntRange(min=1), default=None, help="Version; default: the candidate.")
@env_option
@click.pass_obj
def promote(project: ProjectMetadata, task: str, version: int | None, env: str | None) -> None:
    """Let a registered network serve `inference`: give it the alias champion."""
    from amorph2d.tracking import registry
    from amorph2d.tracking.store import TrackingError

    _configure(project, env)
    try:
        promoted = registry.promote(task, version)
    except TrackingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{task} version {promoted.version} is the champion now.")


@cli.command()
@click.option("--task", required=True, help="Name of the network, for instance sites.")
@env_option
@click.pass_obj
def rollback(project: ProjectMetadata, task: str, env: str | None) -> None:
    """Let the previous champion serve `inference` again."""
    from amorph2d.tracking import registry
    from amorph2d.tracking.store import TrackingError

    _configure(project, env)
    try:
        restored = registry.roll_back(task)
    except TrackingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{task} version {restored.version} is the champion again.")


@cli.command()
@click.option("--task", required=True, help="Name of the network, for instance sites.")
@env_option
@click.pass_obj
def champions(project: ProjectMetadata, task: str, env: str | None) -> None:
    """List which versions were champion, and since when."""
    from amorph2d.tracking import registry
    from amorph2d.tracking.store import TrackingError

    _configure(project, env)
    try:
        reigns = registry.list_champions(task)
    except TrackingError as error:
        raise click.ClickException(str(error)) from error
    for reign in reigns:
        click.echo(f"{reign.since.astimezone():%Y-%m-%d %H:%M}  version {reign.version}, {reign.how}")


def _configure(project: ProjectMetadata, env: str | None) -> None:
    """Choose the store as `kedro run` does."""
    from kedro.framework.session import KedroSession

    KedroSession.create(project.project_path, env=env, save_on_close=False).load_context()


def _table(rows: list[NetworkRow]) -> list[str]:
    """Return the lines of the list, columns aligned."""
    table = [("task", "version", "aliases", "source", "registered", "scores", "sha256")]
    table += [
        (
            row.task,
            str(row.version),
            ", ".join(row.aliases),
            row.source,
            f"{row.created.astimezone():%Y-%m-%d %H:%M}",
            ", ".join(_scores(row.metrics)),
            row.sha256[:12],
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _scores(metrics: Mapping[str, float]) -> list[str]:
    """Return the score of each channel that says most: ``atom f1 0.988`` of ``atom.f1``."""
    return [
        f"{name.replace('.', ' ')} {value:.3f}"
        for name, value in metrics.items()
        if name.rpartition(".")[2] in _HEADLINES
    ]
