from __future__ import annotations

from types import SimpleNamespace
from typing import get_args

import pytest

from amorph2d.learning.config import NetworkConfig
from amorph2d.learning.evaluation.areas import calibrate_areas, evaluate_areas
from amorph2d.learning.evaluation.background import calibrate_background, evaluate_background
from amorph2d.learning.evaluation.evaluate import CALIBRATE, EVALUATE, calibrate_network, evaluate_network
from amorph2d.learning.evaluation.sites import calibrate_sites, evaluate_sites

OUTPUTS = get_args(NetworkConfig.model_fields["output"].annotation)


def test_every_output_is_judged_by_its_own_functions():
    assert set(OUTPUTS) == {"sites", "areas", "background"}
    sites, areas = (evaluate_sites, calibrate_sites), (evaluate_areas, calibrate_areas)
    expected = {"sites": sites, "areas": areas, "background": (evaluate_background, calibrate_background)}
    assert {name: (EVALUATE[name], CALIBRATE[name]) for name in OUTPUTS} == expected


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(("run", "table"), [(evaluate_network, EVALUATE), (calibrate_network, CALIBRATE)])
def test_all_that_is_given_is_handed_on(monkeypatch, output, run, table):
    for name in OUTPUTS:
        monkeypatch.setitem(table, name, lambda *given, name=name, **more: (name, given, more))
    network = SimpleNamespace(config=SimpleNamespace(output=output))
    more = {"localisation": object(), "evaluation": object()}
    assert run(network, "images", **more) == (output, (network, "images"), more)
