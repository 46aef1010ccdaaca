import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorph2d.plotting.histograms import bin_values, choose_edges


def test_density_integrates_to_the_share_inside():
    values = np.random.default_rng(0).normal(1.42, 0.04, 5000)
    bins = bin_values(values, np.linspace(1.4, 1.5, 21))
    inside = ((values >= 1.4) & (values <= 1.5)).mean()
    assert (bins.density * np.diff(bins.edges)).sum() == pytest.approx(inside)
    assert bins.n_outside == round((1 - inside) * 5000)
    np.testing.assert_allclose(bins.centres[:2], [1.4025, 1.4075])


def test_counts_are_those_of_the_values():
    bins = bin_values([0.5, 1.5, 1.6, 9.0, np.nan], np.array([0.0, 1.0, 2.0, 4.0]))
    np.testing.assert_array_equal(bins.counts, [1, 2, 0])
    assert (bins.n_values, bins.n_outside) == (4, 1)
    np.testing.assert_allclose(bins.density, [0.25, 0.5, 0])


def test_without_values_the_density_is_nan():
    bins = bin_values([], choose_edges([]))
    assert np.isnan(bins.density).all()
    assert bins.n_outside == 0


def test_edges_are_round_and_hold_all_but_the_tails():
    values = np.random.default_rng(0).normal(120, 6, 100_000)
    edges = choose_edges(values)
    width = edges[1] - edges[0]
    assert width == pytest.approx(0.5)
    np.testing.assert_allclose(edges / width, np.round(edges / width), atol=1e-6)
    assert 0.001 < bin_values(values, edges).n_outside / 1e5 < 0.0021


def test_an_outlier_does_not_stretch_the_axis():
    values = np.append(np.random.default_rng(0).normal(1.42, 0.04, 5000), 900.0)
    assert choose_edges(values)[-1] < 1.7
    assert choose_edges(values, tail=0)[-1] >= 900


def test_equal_values_get_a_bin_around_them():
    edges = choose_edges([1.42] * 50)
    assert edges[0] <= 1.42 <= edges[-1]
    assert bin_values([1.42] * 50, edges).n_outside == 0


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=200), st.integers(4, 100))
def test_any_sample_gets_ascending_edges_that_hold_it(values, max_bins):
    edges = choose_edges(values, max_bins=max_bins, tail=0)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= max_bins + 3
    assert bin_values(values, edges).n_outside == 0


def test_too_few_bins_are_refused():
    with pytest.raises(ValueError, match="max_bins must be ≥ 4, got 3"):
        choose_edges([1, 2], max_bins=3)
