import subprocess
import sys


def test_the_package_runs_as_a_module(project):
    done = subprocess.run(
        [sys.executable, "-m", "amorph2d", "--help"], cwd=project, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "--pipelines" in done.stdout
