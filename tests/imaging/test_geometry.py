import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from amorph2d.imaging import geometry
from amorph2d.imaging.geometry import (
    Distortion,
    distort,
    distorted_positions,
    smooth_variation,
    source_positions,
    unit_vector,
)

SHAPE = (120, 180)
STRONG = Distortion(anisotropy=0.02, anisotropy_direction=35.0, barrel=0.02, wobble=1.5, seed=7)
KINDS = [
    Distortion(anisotropy=0.02, anisotropy_direction=-20.0),
    Distortion(barrel=0.02),
    Distortion(barrel=-0.02),
    Distortion(wobble=2.0, seed=3),
    STRONG,
]


def spots(places, shape):
    """Gaussians at places (N, 2) row, column."""
    rows, columns = np.arange(shape[0])[:, None, None], np.arange(shape[1])[None, :, None]
    square = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2
    return np.exp(-square / (2 * 1.8**2)).sum(axis=2).astype(np.float32)


def centroid(image, place, reach=6):
    """Centroid of the spot next to a place."""
    row, column = np.rint(place).astype(int)
    window = image[row - reach : row + reach + 1, column - reach : column + reach + 1]
    offsets = np.arange(-reach, reach + 1)
    weights = window / window.sum()
    return row + weights.sum(axis=1) @ offsets, column + weights.sum(axis=0) @ offsets


@pytest.mark.parametrize("distortion", KINDS)
def test_inverse_gives_the_points_back(distortion):
    points = np.random.default_rng(0).uniform(-10, 190, (300, 2))
    seen = distorted_positions(points, SHAPE, distortion)
    assert np.abs(seen - points).max() > 0.5
    assert source_positions(seen, SHAPE, distortion) == pytest.approx(points, abs=1e-5)


@pytest.mark.parametrize("distortion", KINDS)
def test_spots_are_where_they_are_said_to_be(distortion):
    margin, keep = 20, 4
    places = np.stack(np.meshgrid([12.3, 60.0, 105.6], [13.0, 90.4, 165.7], indexing="ij"), -1).reshape(-1, 2)
    image = spots(places + margin, (SHAPE[0] + 2 * margin, SHAPE[1] + 2 * margin))
    seen = distorted_positions(places, SHAPE, distortion)
    for arguments in ({}, {"keep": keep}):
        distorted = distort(image, distortion, shape=SHAPE, margin=margin, **arguments)
        shift = arguments.get("keep", 0)
        assert distorted.shape == (SHAPE[0] + 2 * shift, SHAPE[1] + 2 * shift)
        found = np.array([centroid(distorted, place + shift) for place in seen]) - shift
        assert found == pytest.approx(seen, abs=0.03)
        assert np.abs(found - places).max() > 0.3


def test_interpolation_is_that_of_scipy():
    image = np.random.default_rng(1).uniform(size=(60, 84)).astype(np.float32)
    distorted = distort(image, STRONG, shape=(40, 64), margin=10)
    rows, columns = np.meshgrid(np.arange(40.0), np.arange(64.0), indexing="ij")
    sources = source_positions(np.column_stack([rows.ravel(), columns.ravel()]), (40, 64), STRONG) + 10
    expected = map_coordinates(image.astype(float), sources.T, order=3, mode="grid-wrap").reshape(40, 64)
    assert distorted == pytest.approx(expected, abs=2e-5)
    assert distorted.dtype == np.float32


def test_kernel_is_the_same_uncompiled(monkeypatch):
    image = np.random.default_rng(1).uniform(size=(30, 34)).astype(np.float32)
    compiled = distort(image, STRONG, shape=(14, 18), margin=8)
    monkeypatch.setattr(geometry, "_compiled", lambda: geometry._sum_splines)
    assert distort(image, STRONG, shape=(14, 18), margin=8) == pytest.approx(compiled, abs=1e-5)


def test_identity_is_exact():
    image = np.random.default_rng(1).uniform(size=(30, 50)).astype(np.float32)
    points = np.array([[3.0, 4.5], [0.0, 29.0]])
    for distortion in (Distortion(), Distortion(anisotropy_direction=30.0, seed=4)):
        assert np.array_equal(distort(image, distortion, shape=(20, 40), margin=5), image[5:-5, 5:-5])
        assert np.array_equal(distort(image, distortion, shape=(20, 40), margin=5, keep=2), image[3:-3, 3:-3])
        assert np.array_equal(distorted_positions(points, SHAPE, distortion), points)
        assert source_positions(points, SHAPE, distortion) == pytest.approx(points, abs=1e-12)
        assert distortion.reach(SHAPE) == 0


def test_anisotropy_stretches_along_its_direction_and_keeps_the_mean_magnification():
    along_x, along_y = unit_vector(30.0)
    middle = np.array([59.5, 89.5])
    seen = distorted_positions(
        middle + 40 * np.array([[along_y, along_x], [along_x, -along_y]]),
        SHAPE,
        Distortion(anisotropy=0.02, anisotropy_direction=30.0),
    )
    lengths = np.linalg.norm(seen - middle, axis=1)
    assert lengths == pytest.approx([40 * 1.01, 40 * 0.99])


@pytest.mark.parametrize("barrel", [0.01, -0.01])
def test_barrel_moves_the_corner_by_its_share(barrel):
    corner = np.array([[0.0, 0.0]])
    middle = np.array([59.5, 89.5])
    source = source_positions(corner, SHAPE, Distortion(barrel=barrel))
    assert source - middle == pytest.approx((corner - middle) * (1 - barrel))
    half = source_positions((corner + middle) / 2, SHAPE, Distortion(barrel=barrel))
    assert half - middle == pytest.approx((corner - middle) / 2 * (1 - barrel / 4))


def test_wobble_has_its_size_and_its_seed_decides_it():
    pixels = np.random.default_rng(0).uniform(-0.5, [119.5, 179.5], (20000, 2))
    moved = source_positions(pixels, SHAPE, Distortion(wobble=2.0, seed=5)) - pixels
    assert np.sqrt((moved**2).sum(axis=1).mean()) == pytest.approx(2.0, rel=0.02)
    again = source_positions(pixels, SHAPE, Distortion(wobble=2.0, seed=5)) - pixels
    other = source_positions(pixels, SHAPE, Distortion(wobble=2.0, seed=6)) - pixels
    assert np.array_equal(moved, again)
    assert np.abs(moved - other).max() > 0.5


def test_smooth_variation_has_mean_zero_and_unit_spread():
    rows, columns = np.arange(90.0)[:, None], np.arange(140.0)[None, :]
    variation = smooth_variation(rows, columns, (90, 140), np.random.default_rng(2))
    assert variation.mean() == pytest.approx(0, abs=1e-12)
    assert variation.std() == pytest.approx(1)
    assert np.abs(np.diff(variation, axis=0)).max() < 0.15


def test_empty_and_single():
    assert distorted_positions(np.empty((0, 2)), SHAPE, STRONG).shape == (0, 2)
    assert source_positions(np.empty((0, 2)), SHAPE, STRONG).shape == (0, 2)
    assert distort(np.full((21, 21), 3.0), STRONG, shape=(1, 1), margin=10) == pytest.approx(3.0)


def test_reach_is_what_distort_needs():
    for keep in (0, 15):
        reach = STRONG.reach(SHAPE, beyond=keep)
        image = np.ones((SHAPE[0] + 2 * (reach + keep), SHAPE[1] + 2 * (reach + keep)))
        assert distort(image, STRONG, shape=SHAPE, margin=reach + keep, keep=keep) == pytest.approx(1)
        narrow = keep + 1
        with pytest.raises(ValueError, match=f"margin must be ≥ {keep + reach - 2} px for this distortion"):
            distort(
                np.ones((SHAPE[0] + 2 * narrow, SHAPE[1] + 2 * narrow)),
                STRONG, shape=SHAPE, margin=narrow, keep=keep,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"anisotropy": 0.2}, "anisotropy must lie in"),
        ({"barrel": -0.2}, "barrel must lie in"),
        ({"wobble": -1.0}, "wobble must be ≥ 0 px, got -1"),
        ({"wobble": np.nan}, "wobble must be ≥ 0 px, got nan"),
        ({"seed": -1}, "seed must be ≥ 0, got -1"),
    ],
)
def test_impossible_distortions_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Distortion(**change)


def test_contradictions_are_refused():
    with pytest.raises(ValueError, match="image must have the shape"):
        distort(np.ones((30, 30)), STRONG, shape=(20, 20), margin=4)
    with pytest.raises(ValueError, match=r"keep must lie in 0 … 5 px, got 6"):
        distort(np.ones((30, 30)), STRONG, shape=(20, 20), margin=5, keep=6)
    with pytest.raises(ValueError, match="weak enough to be inverted"):
        distorted_positions([[3.0, 4.0]], (20, 20), Distortion(wobble=30.0))
