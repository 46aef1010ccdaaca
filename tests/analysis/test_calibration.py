"""What is known of a micrograph before its sites are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from amorph2d.analysis.calibration import calibrate_micrograph
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.read import Micrograph


def calibrate(simulated, settings, *, stated=None, parameter=None, length_scale=1.0, table=None):
    micrograph = Micrograph(
        "a",
        Path("a.tif"),
        simulated.image,
        stated,
        None if stated is None else "file",
        "0" * 64,
        {"energy": 8e4},
    )
    return calibrate_micrograph(
        micrograph,
        parameter=parameter,
        table=table or {},
        length_scale=length_scale,
        network=settings["networks"].sites,
        localisation=settings["localisation"],
        parameters=settings["parameters"],
    )


def test_stated_sampling_is_taken(simulated, settings):
    record = calibrate(simulated, settings, stated=(0.2, 0.21))
    assert (record["sampling_y"], record["sampling_x"], record["sampling_source"]) == (0.2, 0.21, "file")
    assert (record["rows"], record["columns"], record["n_frames"]) == (200, 260, 1)
    assert record["energy"] == 8e4
    assert record["warnings"] == ""


@pytest.mark.parametrize("length_scale", [1.0, 3.0])
def test_sampling_is_estimated_from_the_image(simulated, settings, length_scale):
    record = calibrate(simulated, settings, parameter="auto", length_scale=length_scale)
    assert record["sampling_x"] == pytest.approx(0.2 * length_scale, rel=0.02)
    assert 0 < record["sampling_error"] < 0.02 * length_scale
    assert record["sampling_source"] == "image"


def test_a_statement_that_contradicts_the_image_is_named(simulated, settings):
    record = calibrate(simulated, settings, parameter="auto", stated=(0.3, 0.3))
    assert "0.3 Å/px" in record["warnings"]
    assert "(stated by file)" in record["warnings"]
    assert record["sampling_x"] == pytest.approx(0.2, rel=0.02)


def test_nothing_known_or_too_small_is_refused(simulated, settings):
    with pytest.raises(MicrographError, match="has no calibration"):
        calibrate(simulated, settings)
    with pytest.raises(MicrographError, match="check the sampling"):
        calibrate(simulated, settings, table={"a.tif": 0.02})
    assert np.isfinite(calibrate(simulated, settings, table={"a": 0.2})["dose_per_area"])
