from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from amorph2d.measures.config import LiteratureValue, NoiseParameters, StatisticsParameters, scaled

BASE = Path(__file__).parents[2] / "conf" / "base" / "parameters_statistics.yml"


def base():
    return yaml.safe_load(BASE.read_text(encoding="utf-8"))["statistics"]


def changed(section, name, value):
    values = base()
    values[section][name] = value
    return values


def test_the_parameters_file_is_complete():
    parameters = StatisticsParameters(**base())
    assert parameters.bonds.limits == (0.5, 1.9)
    assert parameters.model_dump(mode="json") == base()


def test_fields_are_described():
    sections = [section.annotation for section in StatisticsParameters.model_fields.values()]
    models = [model for model in sections if hasattr(model, "model_fields")]
    assert len(models) == len(sections) - 1  # literature is a list
    for model in (*models, LiteratureValue, NoiseParameters):
        for name, field in model.model_fields.items():
            assert field.description, name
            assert field.is_required(), name


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("bonds", "limits", [1.9, 0.5]),
        ("bonds", "limits", [-1, 1.9]),
        ("bonds", "limit", 1.9),
        ("rings", "max_size", 2),
        ("pdf", "r_max", 0),
        ("pdf", "bin_width", 11.0),
        ("intervals", "level", 1),
        ("intervals", "block", -20),
        ("intervals", "n_resamples", 10),
        ("intervals", "seed", -1),
        ("literature", 0, {"statistic": "bond_mean", "low": 2, "high": 1, "source": "none"}),
        ("structure_factor", "q_step", 13.0),
        ("comparison", "min_micrographs", 1),
    ],
)
def test_refuses_nonsense(section, name, value):
    with pytest.raises(ValidationError, match=f"(?s){section}.*{name}"):
        StatisticsParameters(**changed(section, name, value))


def test_lengths_follow_the_material():
    parameters = StatisticsParameters(**base())
    assert scaled(parameters, 1.0) is parameters
    wide = scaled(parameters, 3.0)
    assert wide.bonds.limits == pytest.approx((1.5, 5.7))
    assert (wide.pdf.r_max, wide.pdf.bin_width) == pytest.approx((30.0, 0.15))
    assert wide.intervals.block == pytest.approx(3 * parameters.intervals.block)
    assert wide.structure_factor.q_max == pytest.approx(parameters.structure_factor.q_max / 3)
    assert wide.pores.min_area == pytest.approx(9 * parameters.pores.min_area)
    assert wide.strain.reference_length is None
    assert wide.detection.displacement == pytest.approx(3 * parameters.detection.displacement)
    assert (wide.rings, wide.dopants) == (parameters.rings, parameters.dopants)
    assert wide.intervals.n_resamples == parameters.intervals.n_resamples
    with pytest.raises(ValueError, match="length_scale must be > 0, got 0"):
        scaled(parameters, 0)
