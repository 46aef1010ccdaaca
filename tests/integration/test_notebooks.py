import json

import pytest


@pytest.mark.parametrize("name", ["first_steps"])
def test_the_code_of_a_notebook_runs(project, monkeypatch, name):
    folder = project / "notebooks"
    cells = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    monkeypatch.chdir(folder)
    names: dict = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
    assert len(names["rings"].sizes) > 1000
