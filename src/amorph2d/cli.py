"""Commands that the project adds to `kedro`: list the registered networks, promote one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from kedro.framework.cli.utils import env_option

if TYPE_CHECKING:
    from kedro.framework.startup import ProjectMetadata

    from amorph2d.tracking.registry import NetworkRow


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


def _configure(project: ProjectMetadata, env: str | None) -> None:
    """Choose the store as `kedro run` does."""
    from kedro.framework.session import KedroSession

    KedroSession.create(project.project_path, env=env, save_on_close=False).load_context()


def _table(rows: list[NetworkRow]) -> list[str]:
    """Return the lines of the list, columns aligned."""
    table = [("task", "version", "aliases", "source", "registered", "f1", "sha256")]
    table += [
        (
            row.task,
            str(row.version),
            ", ".join(row.aliases),
            row.source,
            f"{row.created.astimezone():%Y-%m-%d %H:%M}",
            ", ".join(
                f"{_without_f1(name)} {value:.3f}" for name, value in row.metrics.items() if "f1" in name
            ),
            row.sha256[:12],
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _without_f1(name: str) -> str:
    """Return what an F1 score is about: ``atom`` of ``atom.f1`` or ``f1_atom``."""
    return name.replace("f1", "").strip("._") or "f1"
