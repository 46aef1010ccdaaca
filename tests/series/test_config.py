import pytest
from pydantic import ValidationError


@pytest.mark.parametrize(
    "band", [(-0.1, 0.5), (0.5, 0.5), (0.8, 0.1), (0.0, float("inf")), (0.1, float("nan"))]
)
def test_a_band_must_be_one(measuring, band):
    with pytest.raises(ValidationError, match="band must be"):
        measuring(band=band)


@pytest.mark.parametrize(
    "changes", [{"max_step": 0}, {"max_ambiguity": 1.5}, {"background": -1}, {"other": 1}]
)
def test_parameters_of_drift_are_checked(measuring, changes):
    with pytest.raises(ValidationError):
        measuring(**changes)


@pytest.mark.parametrize("changes", [{"max_step": 0}, {"memory": -1}])
def test_parameters_of_linking_are_checked(linking, changes):
    with pytest.raises(ValidationError):
        linking(**changes)
