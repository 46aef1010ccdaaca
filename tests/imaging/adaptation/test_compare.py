import numpy as np
import pytest

from amorph2d.imaging.adaptation.compare import (
    appearance,
    compare_sets,
    grey_value_distance,
    halve_image,
    histogram_centres,
    pool_appearances,
    spectrum_distance,
)
from amorph2d.imaging.adaptation.config import ComparisonParameters
from amorph2d.imaging.adaptation.spectra import radial_spectrum

HOW = ComparisonParameters(window=6.0, band=(0.1, 2.0), n_images=4)


def looks(image, sampling=0.2, **given):
    return appearance(image, sampling, comparison=HOW, **given)


def test_gain_and_level_do_not_matter(micrograph):
    image = micrograph()
    first, second = looks(image), looks(300 - 4 * image)
    assert spectrum_distance(first, second) == pytest.approx(0, abs=1e-3)
    assert grey_value_distance(first, looks(7 * image + 50)) == pytest.approx(0, abs=1e-3)
    np.testing.assert_allclose(second.quantiles, -first.quantiles[::-1], atol=1e-3)


def test_normalised_images_have_variance_one(micrograph):
    item = looks(micrograph())
    assert item.quantiles.std() == pytest.approx(1, abs=0.1)
    step = np.diff(histogram_centres())[0]
    assert item.histogram.sum() * step == pytest.approx(1, abs=0.01)


def test_pixels_and_field_do_not_change_the_spectrum_below_nyquist(micrograph):
    """In windows as large as the field allows, the Bragg peaks of a larger field would be higher."""
    small = looks(micrograph(shape=(240, 300), sampling=0.2, dose=1e6, mtf=(1.0, 1.0, 2.0)))
    large = looks(micrograph(shape=(500, 512), sampling=0.2, dose=1e6, mtf=(1.0, 1.0, 2.0)))
    peak = np.argmax(small.density)
    assert large.density[peak] == pytest.approx(small.density[peak], rel=0.15)
    whole = [
        radial_spectrum(micrograph(shape=shape, dose=1e6, mtf=(1.0, 1.0, 2.0)), 0.2).mean.max()
        for shape in ((240, 300), (500, 512))
    ]
    assert whole[1] > 1.4 * whole[0]
    coarse = looks(micrograph(sampling=0.4), 0.4)
    assert np.isnan(coarse.density[coarse.frequency > 1.25]).all()
    assert np.isfinite(coarse.density[coarse.frequency < 1.2]).all()


def test_weights_leave_debris_out(micrograph, debris):
    clean = micrograph()
    dirty = micrograph(add=debris((240, 300), 0.2))
    weights = np.broadcast_to(np.arange(300) < 160, clean.shape).astype(float)
    with_weights = spectrum_distance(looks(clean), looks(dirty, weights=weights))
    assert with_weights < 0.5 * spectrum_distance(looks(clean), looks(dirty))


def test_distance_of_spectra_is_the_log_ratio(micrograph):
    item = looks(micrograph())
    louder = type(item)(item.frequency, np.e**2 * item.density, item.quantiles + 0.3, item.histogram)
    assert spectrum_distance(item, louder) == pytest.approx(2)
    assert grey_value_distance(item, louder) == pytest.approx(0.3)
    unknown = type(item)(item.frequency, np.full_like(item.density, np.nan), item.quantiles, item.histogram)
    assert np.isnan(spectrum_distance(item, unknown))


def test_pool_averages_where_spectra_are_known(micrograph):
    fine, coarse = looks(micrograph(sampling=0.2)), looks(micrograph(sampling=0.4), 0.4)
    pooled = pool_appearances([fine, coarse])
    beyond = fine.frequency > 1.25
    np.testing.assert_allclose(pooled.density[beyond], fine.density[beyond])
    np.testing.assert_allclose(pooled.density[5], np.sqrt(fine.density[5] * coarse.density[5]))
    with pytest.raises(ValueError, match="at least one"):
        pool_appearances([])


def test_images_under_equal_conditions_are_closer_than_others(micrograph):
    measured = [looks(micrograph(seed=seed)) for seed in range(3)]
    same = [looks(micrograph(seed=seed)) for seed in range(10, 13)]
    other = [looks(micrograph(dose=2e3, bright_atoms=False, seed=seed)) for seed in range(20, 23)]
    found = compare_sets(measured, same, unmatched=other)
    table = found.distances.set_index("set")
    assert list(table.index) == ["matched", "unmatched", "floor"]
    for column in ("spectrum", "grey_values"):
        assert table.loc["matched", column] < 0.3 * table.loc["unmatched", column]
        assert table.loc["floor", column] < 0.3 * table.loc["unmatched", column]
    assert list(found.appearances) == ["measured", "matched", "unmatched"]


def test_one_micrograph_has_a_floor_from_its_halves_only(micrograph):
    image = micrograph()
    alone = compare_sets([looks(image)], [looks(micrograph(seed=1))])
    assert list(alone.distances["set"]) == ["matched"]
    halves = tuple([looks(half)] for half in halve_image(image))
    assert list(compare_sets([looks(image)], [looks(image)], halves=halves).distances["set"]) == [
        "matched",
        "floor",
    ]


def test_halves():
    left, right = halve_image(np.arange(64 * 71).reshape(64, 71))
    assert left.shape == (64, 35)
    assert right.shape == (64, 36)
    assert right[0, 0] == 35
    with pytest.raises(ValueError, match="64 px wide"):
        halve_image(np.ones((100, 60)))
