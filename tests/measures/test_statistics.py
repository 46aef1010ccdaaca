import numpy as np

from amorph2d.measures.statistics import RING_SIZES, STATISTICS, Ratio, Spread, ring_class


def test_ratio_is_nan_where_nothing_was_counted():
    values = Ratio("a", "n")({"a": np.array([6.0, 0.0]), "n": np.array([4.0, 0.0])})
    np.testing.assert_array_equal(values, [1.5, np.nan])


def test_spread_is_the_standard_deviation():
    x = np.random.default_rng(0).normal(1.41, 0.04, 1000)
    sums = {"x": np.array([x.sum(), 0]), "xx": np.array([(x**2).sum(), 0]), "n": np.array([len(x), 0.0])}
    np.testing.assert_allclose(Spread("x", "xx", "n")(sums), [x.std(), np.nan])


def test_spread_of_equal_values_is_zero_whatever_the_rounding():
    x = np.full(7, 0.1)
    sums = {"x": np.float64(x.sum()), "xx": np.float64((x**2).sum()), "n": np.float64(7)}
    assert Spread("x", "xx", "n")(sums) < 1e-7


def test_the_last_ring_class_is_open():
    assert [ring_class(n) for n in RING_SIZES] == ["3", "4", "5", "6", "7", "8", "9_or_more"]
    assert "ring_fraction_6" in STATISTICS
    assert "ring_fraction_9_or_more" in STATISTICS
