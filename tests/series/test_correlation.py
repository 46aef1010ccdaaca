import numpy as np
import pytest
from numpy.testing import assert_allclose

from amorph2d.series.correlation import Circle, SpectralGrid, measure_displacement

SHAPE, SAMPLING = (90, 121), (0.3, 0.25)
ORIGIN = np.zeros(2)


def waves(place, *, n=400, highest=0.7):
    """Band-limited texture, displaced by `place` [Å]; exact at any displacement."""
    rng = np.random.default_rng(1)
    angle, q, phase = (
        rng.uniform(0, 2 * np.pi, n),
        highest * np.sqrt(rng.uniform(0.02, 1, n)),
        rng.uniform(0, 7, n),
    )
    y, x = np.arange(SHAPE[0]) * SAMPLING[0] - place[1], np.arange(SHAPE[1]) * SAMPLING[1] - place[0]
    qx, qy = 2 * np.pi * q * np.cos(angle), 2 * np.pi * q * np.sin(angle)
    return np.einsum(
        "ni,nj->ij", np.exp(1j * np.outer(qy, y)), np.exp(1j * (np.outer(qx, x) + phase[:, None]))
    ).real


@pytest.fixture(scope="module")
def grid(measuring):
    return SpectralGrid(SHAPE, SAMPLING, measuring())


def measure(grid, measuring, first, second, *, centre=ORIGIN, radius=4.0, expected=ORIGIN, **changes):
    return measure_displacement(
        grid,
        grid.transform(first),
        grid.transform(second),
        circle=Circle(np.array(centre), radius, np.array(expected)),
        parameters=measuring(**changes),
    )


@pytest.mark.parametrize("vector", [(0, 0), (0.37, -1.21), (-2.93, 1.7), (3.1, 0.05)])
def test_displacements_of_a_noiseless_texture_are_found(grid, measuring, vector):
    found = measure(grid, measuring, waves(ORIGIN), waves(vector))
    assert_allclose(found.vector, vector, atol=0.02)
    assert found.is_significant
    assert found.is_unique


def test_the_other_way_round_is_the_opposite(grid, measuring):
    there = measure(grid, measuring, waves(ORIGIN), waves((1.3, -0.4)))
    back = measure(grid, measuring, waves((1.3, -0.4)), waves(ORIGIN))
    assert_allclose(there.vector, -back.vector, atol=1e-4)


def test_only_the_circle_is_searched(grid, measuring):
    outside = measure(grid, measuring, waves(ORIGIN), waves((3, 0)), radius=1.0)
    assert not outside.is_significant
    inside = measure(grid, measuring, waves(ORIGIN), waves((3, 0)), radius=1.0, centre=(3.5, 0.3))
    assert_allclose(inside.vector, (3, 0), atol=0.02)


def test_of_equal_peaks_the_expected_one_is_taken(grid, measuring):
    y, x = np.indices(SHAPE)
    stripes = np.cos(2 * np.pi * x * SAMPLING[1] / 2.5) + np.cos(2 * np.pi * y * SAMPLING[0] / 2.5)
    stripes = stripes + 0.1 * np.random.default_rng(2).standard_normal(SHAPE)
    for expected in [(0, 0), (2.5, 0), (-2.5, 2.5)]:
        found = measure(
            grid, measuring, stripes, stripes, expected=expected, max_ambiguity=0.5, min_significance=1e9
        )
        assert_allclose(found.vector, expected, atol=0.05)
        assert found.is_significant
        assert not found.is_unique


@pytest.mark.parametrize(("noise", "is_unique"), [(0.1, True), (5.0, False)])
def test_a_peak_is_unique_only_where_noise_could_not_have_swapped_it(grid, measuring, noise, is_unique):
    rng = np.random.default_rng(5)
    both = waves((1, 0)) + 0.4 * waves((-2, 1))
    frames = [
        image + noise * waves(ORIGIN).std() * rng.standard_normal(SHAPE) for image in (waves(ORIGIN), both)
    ]
    found = measure(grid, measuring, *frames, min_significance=3.0, max_ambiguity=0.9)
    assert found.is_significant
    assert found.is_unique == is_unique


def test_inverted_contrast_is_not_the_same(grid, measuring):
    assert not measure(grid, measuring, waves(ORIGIN), -waves(ORIGIN), radius=0.5).is_significant


def test_the_stated_error_is_that_of_noise(grid, measuring):
    rng = np.random.default_rng(3)
    noise = 1.5 * waves(ORIGIN).std()
    found = [
        measure(grid, measuring, *(waves(ORIGIN) + noise * rng.standard_normal(SHAPE) for _ in range(2)))
        for _ in range(12)
    ]
    scatter = np.sqrt(np.mean([one.vector**2 for one in found]))
    stated = np.sqrt(np.mean([one.error**2 for one in found]))
    assert 0.6 < scatter / stated < 1.6


def test_what_stands_still_beyond_the_band_does_not_count(grid, measuring):
    frequency = np.hypot(
        *np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(SHAPE, SAMPLING, strict=True)), indexing="ij")
    )
    noise = np.fft.fft2(np.random.default_rng(4).standard_normal(SHAPE)) * (frequency > 0.9)
    still = np.fft.ifft2(noise).real * 3 * waves(ORIGIN).std()
    frames = [waves(place) + still for place in (ORIGIN, (1.1, 0.6))]
    assert_allclose(measure(grid, measuring, *frames).vector, (1.1, 0.6), atol=0.05)
    wide = SpectralGrid(SHAPE, SAMPLING, measuring(band=(0.05, 2.0)))
    assert_allclose(measure(wide, measuring, *frames).vector, (0, 0), atol=0.2)


def test_another_shape_is_refused(grid):
    with pytest.raises(ValueError, match="frames must all have the shape"):
        grid.transform(np.ones((90, 120)))
