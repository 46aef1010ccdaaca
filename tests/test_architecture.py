import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "amorph2d"
SCIENCE = (
    "structures",
    "imaging",
    "learning",
    "localisation",
    "topology",
    "measures",
    "micrographs",
    "series",
    "plotting",
    "report",
    "twin",
    "series",
    "analysis",
)
FORBIDDEN = (
    "kedro",
    "kedro_datasets",
    "mlflow",
    "amorph2d.pipelines",
    "amorph2d.tracking",
    "amorph2d.datasets",
)
HEAVY = ("torch", "lightning", "mlflow", "abtem", "numba", "plotly", "matplotlib", "rsciio")


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom) and statement.module:
            names.add(statement.module)
    return names


def belongs_to(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("package", SCIENCE)
def test_science_does_not_know_the_pipelines(package):
    files = sorted((SOURCE / package).rglob("*.py"))
    assert files
    broken = {
        f"{path.relative_to(SOURCE)} imports {module}"
        for path in files
        for module in imported_modules(path)
        if any(belongs_to(module, name) for name in FORBIDDEN)
    }
    assert not broken


def test_the_rule_sees_a_forbidden_import(tmp_path):
    (tmp_path / "bad.py").write_text("def f():\n    from mlflow.tracking import MlflowClient\n")
    assert any(belongs_to(module, "mlflow") for module in imported_modules(tmp_path / "bad.py"))


def test_listing_the_pipelines_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from amorph2d.pipelines import finetuning, inference, statistics, synthesis, training\n"
        "for package in (finetuning, inference, statistics, synthesis, training):\n"
        "    assert package.create_pipeline().nodes\n"
        "import amorph2d.settings\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_kedro_can_validate_the_parameters_of_every_node():
    from typing import get_type_hints

    from pydantic import BaseModel

    from amorph2d.pipelines import finetuning, inference, statistics, synthesis, training

    typed = set()
    for package in (finetuning, inference, statistics, synthesis, training):
        for node in package.create_pipeline().nodes:
            hints = get_type_hints(node.func)
            for name, hint in zip(node.inputs, hints.values(), strict=False):
                is_model = isinstance(hint, type) and issubclass(hint, BaseModel)
                if is_model and name.startswith("params:"):
                    typed.add(name)
    assert typed == {
        "params:synthesis",
        "params:computing",
        *(f"params:{task}.training" for task in ("sites", "monolayer", "pores", "illumination")),
        "params:finetuning",
        "params:localisation",
        "params:analysis",
        "params:statistics",
    }
