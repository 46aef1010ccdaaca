import numpy as np
import pytest

from amorph2d.micrographs.axes import (
    LONGEST_PIXEL,
    NO_CALIBRATION,
    PLAUSIBLE_SAMPLING,
    Axis,
    axes_sampling,
    frame_times,
)
from amorph2d.micrographs.errors import MicrographError


def pair(scale, unit):
    return Axis(scale, unit), Axis(scale, unit)


@pytest.mark.parametrize(
    ("scale", "unit"),
    [
        (0.02, "nm"),
        (0.2, "Å"),
        (0.2, "\u212b"),
        (0.2, "A"),
        (20, "pm"),
        (2e-5, "µm"),
        (2e-5, "\u03bcm"),
        (2e-5, "um"),
        (2e-5, "micron"),
        (2e-11, "m"),
        (2e-11, "meters"),
        (0.02, "nanometers"),
        (0.02, "Nanometre"),
        (-0.02, " nm "),
    ],
)
def test_lengths_are_told_apart(scale, unit):
    sampling, _ = axes_sampling(pair(scale, unit))
    assert sampling == pytest.approx((0.2, 0.2))


def test_axes_may_differ_in_scale_and_unit():
    sampling, remark = axes_sampling((Axis(0.02, "nm"), Axis(14, "pm")))
    assert sampling == pytest.approx((0.2, 0.14))
    assert remark == "0.02 nm/px × 14 pm/px"


@pytest.mark.parametrize("unit", [None, "", " ", "px", "Pixels", "[]", "<undefined>", "_None_"])
@pytest.mark.parametrize("scale", [1, 0.2])
def test_without_a_unit_there_is_no_calibration(scale, unit):
    sampling, why = axes_sampling(pair(scale, unit))
    assert sampling is None
    assert "no unit" in why
    assert ("scale 1 " in why) == (scale == 1)


@pytest.mark.parametrize("scale", [0, np.nan, np.inf, PLAUSIBLE_SAMPLING[0] / 2, 2 * PLAUSIBLE_SAMPLING[1]])
def test_scales_of_no_microscope(scale):
    sampling, why = axes_sampling(pair(scale, "Å"))
    assert sampling is None
    assert "no microscope's sampling" in why


def test_unknown_units():
    assert axes_sampling(pair(0.2, "furlong")) == (None, "its y axis has the unknown unit 'furlong'")


def test_one_axis_alone_is_not_enough():
    sampling, why = axes_sampling((Axis(0.02, "nm"), Axis()))
    assert sampling is None
    assert "no unit" in why


@pytest.mark.parametrize("unit", ["1/nm", "1 / nm", "nm^-1", "nm**-1", "Å⁻¹", "mrad", "rad", "deg", "°"])
def test_diffraction(unit):
    with pytest.raises(MicrographError, match="diffraction pattern: its x axis"):
        axes_sampling((Axis(), Axis(0.1, unit)))


@pytest.mark.parametrize("unit", ["eV", "keV", "s"])
def test_other_quantities(unit):
    with pytest.raises(MicrographError, match=f"its y axis is in '{unit}'"):
        axes_sampling((Axis(0.1, unit), Axis()))


def test_axes_that_contradict_one_another():
    sampling, why = axes_sampling((Axis(0.02, "nm"), Axis(LONGEST_PIXEL * 0.2 * 1.01, "Å")))
    assert sampling is None
    assert "5.05 times as long as wide" in why
    assert axes_sampling((Axis(0.02, "nm"), Axis(LONGEST_PIXEL * 0.2, "Å")))[0] == pytest.approx((0.2, 1.0))


@pytest.mark.parametrize(
    ("scale", "unit", "step"),
    [
        (0.5, "s", 0.5),
        (20, "ms", 0.02),
        (2, "µs", 2e-6),
        (2, "\u03bcs", 2e-6),
        (0.5, " Sec", 0.5),
        (2, "min", 120),
    ],
)
def test_times_of_frames(scale, unit, step):
    np.testing.assert_allclose(frame_times(Axis(scale, unit), 4), step * np.arange(4))


@pytest.mark.parametrize(
    "axis", [None, Axis(), Axis(1, "nm"), Axis(0, "s"), Axis(-1, "s"), Axis(np.nan, "s"), Axis(1, "deg")]
)
def test_times_that_are_not_stated(axis):
    assert frame_times(axis, 4) is None


def test_default_axes_are_no_calibration():
    assert axes_sampling(NO_CALIBRATION)[0] is None
