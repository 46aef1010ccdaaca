import numpy as np
import pytest

from amorph2d.report.values import SCALES, choose_colouring


def test_a_share_is_coloured_from_low_to_high():
    values = np.linspace(0, 1, 101)
    found = choose_colouring("psi6", [*values, np.nan])
    assert found.scale == "sequential"
    assert found.stored == (0, 1)
    assert found.coloured == pytest.approx((0.01, 0.99))
    assert found.label == "order |ψ₆|"


def test_both_signs_diverge_from_zero():
    found = choose_colouring("bond_strain", np.linspace(-0.1, 0.3, 401))
    assert found.scale == "diverging"
    assert found.coloured[0] == -found.coloured[1] == pytest.approx(-0.296)
    assert found.stored == pytest.approx((-0.1, 0.3))


@pytest.mark.parametrize(("low", "range_"), [(1.0, (0, 60)), (-29.0, (-30, 30))])
def test_orientations_turn_round(low, range_):
    found = choose_colouring("grain_orientation", [low, 25.0])
    assert (found.scale, found.coloured) == ("cyclic", range_)
    assert found.label == "Grain orientation [°]"


def test_constant_and_unknown_numbers_still_have_a_range():
    low, high = choose_colouring("area", [5.2, 5.2]).coloured
    assert low == 5.2 < high
    assert choose_colouring("area", [np.nan]).coloured == (0, 1)
    assert choose_colouring("area", []).describe()["label"] == "area [Å²]"


def luminance(colour):
    linear = [
        ((part / 255 + 0.055) / 1.055) ** 2.4 if part > 10 else part / 255 / 12.92
        for part in bytes.fromhex(colour[1:])
    ]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def test_scales_are_ordered_in_lightness():
    sequential = [luminance(colour) for colour in SCALES["sequential"]]
    assert (np.diff(sequential) > 0).all()
    diverging = [luminance(colour) for colour in SCALES["diverging"]]
    assert (np.diff(diverging[:5]) > 0).all()
    assert (np.diff(diverging[5:]) < 0).all()
    cyclic = [luminance(colour) for colour in SCALES["cyclic"]]
    assert abs(cyclic[0] - cyclic[-1]) < 0.3
