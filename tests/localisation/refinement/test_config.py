from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from amorph2d.localisation.refinement.config import RefinementParameters


def test_parameters_have_no_defaults() -> None:
    with pytest.raises(ValidationError):
        RefinementParameters()  # type: ignore[call-arg]


def test_parameters_refuse_what_they_do_not_know(refinement_of: Callable[..., RefinementParameters]) -> None:
    with pytest.raises(ValidationError, match="sharpness"):
        refinement_of(sharpness=1.0)


def test_parameters_do_not_change(refinement_of: Callable[..., RefinementParameters]) -> None:
    parameters = refinement_of()
    with pytest.raises(ValidationError, match="frozen"):
        parameters.freedom = 2.0
