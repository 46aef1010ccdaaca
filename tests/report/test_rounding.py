import numpy as np
import pytest

from amorph2d.report.rounding import format_count, format_interval, format_value


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (20000, "20\u202f000"), (-1234567, "\u22121\u202f234\u202f567"), (np.nan, "–")],
)
def test_counts(value, text):
    assert format_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.42357, "1.424"),
        (0.000123456, "0.0001235"),
        (123456.7, "123\u202f457"),
        (-0.5, "\u22120.5000"),
        (0, "0"),
        (np.inf, "–"),
    ],
)
def test_values_have_four_digits(value, text):
    assert format_value(value) == text


def test_decimals_are_kept_and_zero_has_no_sign():
    assert format_value(2.0, decimals=3) == "2.000"
    assert format_value(-0.0001, decimals=2) == "0.00"


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ((1.42357, 1.42201, 1.42513), ("1.4236", "1.4220 – 1.4251")),
        ((87.34, 86.5, 88.2), ("87.34", "86.50 – 88.20")),
        ((0.0, 0.0, 0.5), ("0.00", "0.00 – 0.50")),
        ((1200.0, 900.0, 1500.0), ("1\u202f200", "900 – 1\u202f500")),
        ((-1.0, -2.0, 1.0), ("\u22121.0", "\u22122.0 – 1.0")),
        ((5.0, np.nan, np.nan), ("5.000", "")),
        ((5.0, 5.0, 5.0), ("5.000", "")),
        ((np.nan, np.nan, np.nan), ("–", "")),
    ],
)
def test_intervals_have_two_digits_of_their_half_width(numbers, texts):
    assert format_interval(*numbers) == texts
