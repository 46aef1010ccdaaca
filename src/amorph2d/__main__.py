"""Run the project as ``python -m amorph2d``, in its folder and with the options of ``kedro run``."""

from __future__ import annotations

from pathlib import Path

from kedro.framework.cli.project import run
from kedro.framework.startup import bootstrap_project


def main() -> None:
    """Run ``kedro run`` in the current folder."""
    bootstrap_project(Path.cwd())
    run()


if __name__ == "__main__":
    main()
