import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest


class Project:
    """A copy of the project with a store of its own, in which commands are run as a user would."""

    def __init__(self, folder, original):
        self.folder = folder
        for name in ("conf", "src", "data/01_raw"):
            shutil.copytree(original / name, folder / name, ignore=shutil.ignore_patterns("*.pyc", "local"))
        (folder / "conf" / "local").mkdir()
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(original / name, folder / name)

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "COLUMNS": "200", "KEDRO_DISABLE_TELEMETRY": "1"}

    def command(self, *arguments):
        return [str(Path(sys.executable).with_name("kedro")), *arguments]

    def kedro(self, *arguments):
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=600,
        )
        return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr)

    def analyse(self, micrographs, results, **parameters):
        given = {"micrographs": micrographs, "results": results} | parameters
        return self.kedro("run", "--params", ",".join(f"{name}={value}" for name, value in given.items()))


@pytest.fixture(scope="session")
def copy(tmp_path_factory, project):
    return Project(tmp_path_factory.mktemp("project"), project)
