from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.outlines import (
    DIRECTIONS,
    SHORTEST_WAVELENGTH,
    Band,
    Blob,
    Direction,
    Outline,
    Patches,
    circle,
    irregular_blob,
    random_patches,
    rough_band,
)

BOX = np.array([60.0, 37.0])
# Along a strip, in units of the box.
ALONG = {"x": [1, 0], "y": [0, 1], "diagonal": [1, 1], "antidiagonal": [1, -1]}


def grid(box: np.ndarray = BOX, step: float = 0.25) -> np.ndarray:
    """Middles of cells that fill the box, (rows, columns, 2)."""
    columns, rows = np.rint(box / step).astype(int)
    x, y = (np.arange(columns) + 0.5) / columns * box[0], (np.arange(rows) + 0.5) / rows * box[1]
    return np.stack(np.meshgrid(x, y), axis=-1)


def share(outline: Outline, box: np.ndarray = BOX) -> float:
    """Share of the box that a region covers, by counting."""
    return float(outline.contains(grid(box).reshape(-1, 2)).mean())


def some_points(n: int = 500) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (n, 2)) * BOX


def rough(direction: Direction = "x", seed: int = 0, box: np.ndarray = BOX, **how: float) -> Band:
    how = {"share": 0.4, "roughness": 1.5} | how
    return rough_band(box, direction=direction, rng=np.random.default_rng(seed), **how)


def blob(seed: int = 0, **how: object) -> Blob:
    given = {"centre": [12.0, 30.0], "radius": 11.0, "roughness": 0.3} | how
    return irregular_blob(BOX, rng=np.random.default_rng(seed), **given)  # type: ignore[arg-type]


def patches(seed: int = 0, box: np.ndarray = BOX, **how: float) -> Patches:
    how = {"share": 0.3, "wavelength": 15.0} | how
    return random_patches(box, rng=np.random.default_rng(seed), **how)


OUTLINES: dict[str, Outline] = {
    "circle": circle(BOX, centre=[0.5, 36.0], radius=9.0),
    "blob": blob(centre=[59.0, 1.0]),
    **{f"band along {direction}": rough(direction) for direction in DIRECTIONS},
    "patches": patches(),
}


@pytest.fixture(params=list(OUTLINES))
def outline(request: pytest.FixtureRequest) -> Outline:
    return OUTLINES[request.param]


def test_outlines_repeat_with_the_box(outline: Outline) -> None:
    points = some_points()
    depth = outline.depth(points)
    assert depth.shape == (500,)
    for boxes in ([1, 0], [0, 1], [-3, 2], [5, -7]):
        np.testing.assert_allclose(outline.depth(points + boxes * BOX), depth, atol=1e-8)


def test_what_is_deep_is_inside(outline: Outline) -> None:
    points = some_points()
    np.testing.assert_array_equal(outline.contains(points), outline.depth(points) > 0)
    assert outline.contains(points).any()
    assert not outline.contains(points).all()
    assert outline.depth(np.empty((0, 2))).shape == outline.contains(np.empty((0, 2))).shape == (0,)
    np.testing.assert_array_equal(outline.box, BOX)


def test_depth_does_not_jump_at_the_edge(outline: Outline) -> None:
    points = some_points(4000)
    depth = outline.depth(points)
    moved = (outline.depth(points + 0.005) - depth)[np.abs(depth) < 2]
    assert len(moved) > 100
    assert np.abs(moved).max() < 0.05


def test_an_outline_says_how_deep_a_point_is() -> None:
    with pytest.raises(TypeError, match="depth"):
        Outline()  # type: ignore[abstract]


# Circles and blobs


def test_circle_has_its_area_and_exact_depths() -> None:
    disc = circle(BOX, centre=[20, 15], radius=8.0)
    assert share(disc) * BOX.prod() == pytest.approx(np.pi * 64, rel=0.005)
    points = np.array([[20, 15], [28, 15], [20, 24], [14, 7]])
    np.testing.assert_allclose(disc.depth(points), [8, 0, -1, -2], atol=1e-12)
    np.testing.assert_array_equal(disc.contains(points), [True, False, False, False])


@pytest.mark.parametrize("centre", [[0.2, 36.9], [-300.0, 1000.0], [60.0, 0.0]])
def test_circle_over_the_edge_is_whole(centre: list[float]) -> None:
    disc = circle(BOX, centre=centre, radius=8.0)
    assert share(disc) * BOX.prod() == pytest.approx(np.pi * 64, rel=0.01)
    around = np.array(centre) + 7.9 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])
    np.testing.assert_allclose(disc.depth(around), 0.1, atol=1e-9)


def test_contour_runs_from_x_towards_y() -> None:
    corner = Blob(np.array([1.0, 2.0]), np.array([8.0, 4.0, 6.0, 2.0]), BOX)
    away = np.array([[3, 0], [0, 3], [-3, 0], [0, -3]])
    np.testing.assert_allclose(corner.depth(corner.centre + away), [5, 1, 3, -1])
    # Half-way between two directions the edge is half-way between theirs, beyond the last one the first.
    diagonal = 3 / np.sqrt(2) * np.array([[1, 1], [1, -1]])
    np.testing.assert_allclose(corner.depth(corner.centre + diagonal), [3, 2])


def test_blob_has_the_area_of_its_contour() -> None:
    rough_blob = blob()
    area = np.pi * (rough_blob.contour**2).mean()
    assert share(rough_blob) * BOX.prod() == pytest.approx(area, rel=0.01)
    assert area > 1.005 * np.pi * 11**2


@pytest.mark.parametrize("radius", [0.7, 11.0, 14.0])
@pytest.mark.parametrize("roughness", [0.0, 0.05, 0.3])
def test_blob_has_its_mean_radius_and_largest_deviation(radius: float, roughness: float) -> None:
    contour = blob(radius=radius, roughness=roughness).contour
    assert contour.mean() == pytest.approx(radius)
    assert np.abs(contour / radius - 1).max() == pytest.approx(roughness)


def test_blob_is_rough_down_to_the_shortest_wavelength() -> None:
    box = np.array([300.0, 260.0])
    power = np.zeros(200)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        large = irregular_blob(box, centre=[1, 1], radius=80.0, roughness=0.3, rng=rng)
        power += np.abs(np.fft.rfft(large.contour)[:200]) ** 2
    finest = int(2 * np.pi * 80 / SHORTEST_WAVELENGTH)
    # Nothing displaces the whole, no wave is shorter than allowed; in between amplitudes fall as 1/order.
    assert power[1] < 1e-12 * power[2]
    assert power[finest] > 0
    assert power[finest + 1 :].max() < 1e-12 * power[2]
    slope = np.polyfit(np.log(np.arange(2, finest + 1)), np.log(power[2 : finest + 1]), 1)[0]
    assert slope == pytest.approx(-2, abs=0.2)


def test_smooth_blob_is_the_circle() -> None:
    points = some_points()
    disc = circle(BOX, centre=[12, 30], radius=11.0)
    np.testing.assert_allclose(blob(roughness=0.0).depth(points), disc.depth(points))


# Bands


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("wanted", [0.05, 0.3, 0.8])
def test_smooth_band_has_its_share_and_straight_edges(direction: Direction, wanted: float) -> None:
    band = rough(direction, share=wanted, roughness=0.0)
    assert share(band) == pytest.approx(wanted, abs=0.01)
    points, depth = some_points(), band.depth(some_points())
    for way in (0.123, -0.77, 2.6):
        np.testing.assert_allclose(band.depth(points + way * BOX * ALONG[direction]), depth, atol=1e-9)
    # Straight across it the depth falls by 1 Å per Å, to half of the width on the middle line.
    across = np.array([-1, 1]) * (BOX * ALONG[direction])[::-1]
    moved = band.depth(points + 1e-3 * across / np.hypot(*across)) - depth
    np.testing.assert_allclose(np.abs(moved)[np.abs(depth) < 0.9 * depth.max()], 1e-3, rtol=1e-6)
    assert depth.max() == pytest.approx(band.half_width, rel=0.2)
    assert depth.max() <= band.half_width


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_rough_band_has_its_share_roughness_and_ends_nowhere(direction: Direction) -> None:
    for seed in range(3):
        band = rough(direction, seed)
        assert share(band) == pytest.approx(0.4, abs=0.01)
        np.testing.assert_allclose(band.edges.std(axis=1), 1.5)
        np.testing.assert_allclose(band.edges.mean(axis=1), 0, atol=1e-12)
        assert not np.allclose(band.edges[0], band.edges[1])
        # Its middle line is inside all the way round the box.
        start = BOX * ([0, band.middle] if direction == "x" else [band.middle, 0])
        line = start + np.linspace(0, 1, 400)[:, None] * BOX * ALONG[direction]
        assert band.depth(line).min() > band.half_width - 6
        assert band.half_width > 6


def test_edges_are_displaced_outwards_where_they_are() -> None:
    edges = np.array([[2.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, 0.0]])
    band = Band("x", 0.5, 5.0, edges, BOX)
    middle = BOX[1] / 2
    above, below = [[x, middle + 4] for x in (0, 15, 30, 45)], [[x, middle - 4] for x in (0, 15, 30, 45)]
    np.testing.assert_allclose(band.depth(np.array(above)), [3, 1, 1, 1])
    np.testing.assert_allclose(band.depth(np.array(below)), [1, 1, 0, 1])
    upright = Band("y", 0.5, 5.0, edges, BOX)
    right = np.array([[34, y] for y in (0, BOX[1] / 4, BOX[1] / 2)])
    np.testing.assert_allclose(upright.depth(right), [3, 1, 1])


def test_edge_reaches_beyond_the_line_where_the_box_repeats() -> None:
    # The middle line lies at 18.5 Å, the upper edge at 49.5 Å: it covers what lies below 12.5 Å as well.
    band = Band("x", 0.5, 1.0, np.array([[30.0], [0.0]]), BOX)
    np.testing.assert_allclose(band.depth(np.array([[7.0, 10.0], [7.0, 14.0]])), [2.5, -1.5])


def test_edges_are_rough_down_to_the_shortest_wavelength() -> None:
    edge = rough(box=np.array([300.0, 260.0])).edges[0]
    spectrum = np.abs(np.fft.rfft(edge))
    assert spectrum[0] < 1e-9
    assert (spectrum[1:61] > 1e-6 * spectrum.max()).all()
    assert spectrum[61:].max() < 1e-9 * spectrum.max()


def test_bands_lie_anywhere() -> None:
    middles = [rough(seed=seed).middle for seed in range(60)]
    assert 0 <= min(middles) < 0.15
    assert 0.85 < max(middles) < 1


# Patches


@pytest.mark.parametrize("box", [BOX, [5.0, 90.0], [33.3, 33.3]])
@pytest.mark.parametrize("wanted", [0.02, 0.3, 0.97])
def test_patches_have_their_share(box: np.ndarray, wanted: float) -> None:
    box = np.array(box)
    region = patches(1, box, share=wanted)
    assert np.mean(region.depths > 0) == pytest.approx(wanted, abs=1 / region.depths.size)
    assert share(region, box) == pytest.approx(wanted, abs=0.03)


def test_patches_know_how_far_their_edge_is() -> None:
    region = patches()
    rows, columns = region.depths.shape
    steps = BOX / [columns, rows]
    assert steps == pytest.approx([1.0, 37 / 40])
    x, y = np.meshgrid(np.arange(columns) * steps[0], np.arange(rows) * steps[1])
    points, is_inside = np.stack([x, y], axis=-1).reshape(-1, 2), (region.depths > 0).ravel()
    to_outside = cKDTree(points[~is_inside], boxsize=BOX).query(points[is_inside])[0]
    to_inside = cKDTree(points[is_inside], boxsize=BOX).query(points[~is_inside])[0]
    depth = region.depth(points)
    np.testing.assert_allclose(depth, region.depths.ravel(), atol=1e-9)
    np.testing.assert_allclose(depth[is_inside], to_outside - steps.min() / 2)
    np.testing.assert_allclose(depth[~is_inside], steps.min() / 2 - to_inside)


def test_patches_know_no_depth_beyond_their_reach() -> None:
    region = patches(0, np.array([400.0, 300.0]), share=0.02, wavelength=400.0)
    assert region.depths.min() == -30.0


def test_grid_of_patches_starts_at_the_origin_and_closes() -> None:
    depths = np.arange(12.0).reshape(3, 4)
    region = Patches(depths, np.array([40.0, 30.0]))
    at = np.array([[0, 0], [10, 0], [0, 10], [25, 20], [35, 0], [0, 25], [40, 30]])
    np.testing.assert_allclose(region.depth(at), [0, 1, 4, 10.5, 1.5, 4, 0], atol=1e-9)


def test_longer_wavelengths_make_fewer_edges() -> None:
    def length_of_edges(wavelength: float) -> float:
        regions = [patches(seed, np.array([100.0, 80.0]), wavelength=wavelength) for seed in range(4)]
        is_inside = np.array([region.depths > 0 for region in regions])
        return sum(np.mean(is_inside != np.roll(is_inside, 1, axis=axis)) for axis in (1, 2))

    lengths = [length_of_edges(wavelength) for wavelength in (3.0, 10.0, 40.0)]
    assert lengths[0] > 1.3 * lengths[1] > 1.5 * lengths[2]


# Seeds and errors


@pytest.mark.parametrize("draw", [blob, rough, patches])
def test_same_seed_same_outline(draw) -> None:  # type: ignore[no-untyped-def]
    points = some_points()
    np.testing.assert_array_equal(draw(seed=1).depth(points), draw(seed=1).depth(points))
    assert not np.allclose(draw(seed=1).depth(points), draw(seed=2).depth(points))


def test_generator_moves_on() -> None:
    rng = np.random.default_rng(0)
    one, other = (random_patches(BOX, share=0.5, wavelength=9.0, rng=rng) for _ in range(2))
    assert not np.array_equal(one.depths, other.depths)


def test_directions_are_all_there() -> None:
    assert get_args(Direction) == DIRECTIONS


@pytest.mark.parametrize("radius", [0.0, -1.0, np.nan, np.inf])
def test_radius_must_be_positive(radius: float) -> None:
    with pytest.raises(ValueError, match=f"radius must be > 0 Å, got {radius}"):
        circle(BOX, centre=[0, 0], radius=radius)
    with pytest.raises(ValueError, match=f"radius must be > 0 Å, got {radius}"):
        blob(radius=radius)


def test_blobs_must_be_narrower_than_the_box() -> None:
    circle(BOX, centre=[0, 0], radius=18.49)
    with pytest.raises(ValueError, match=r"reaches 18\.5 Å .* half of the box \[60\.0, 37\.0\] Å is 18\.5 Å"):
        circle(BOX, centre=[0, 0], radius=18.5)
    blob(radius=15.0, roughness=0.2)
    with pytest.raises(ValueError, match=r"blob must be narrower than the box: it reaches 19\.5 Å"):
        blob(radius=15.0, roughness=0.3)


@pytest.mark.parametrize("roughness", [-0.1, 1.0, np.nan])
def test_contour_must_not_meet_the_centre(roughness: float) -> None:
    with pytest.raises(ValueError, match=f"roughness must be ≥ 0 and < 1, got {roughness}"):
        blob(roughness=roughness)


@pytest.mark.parametrize(
    ("centre", "message"),
    [
        ([[0, 0], [1, 1]], "centre must be one point, got 2"),
        ([], "centre must be one point, got 0"),
        ([0, 0, 0], r"centre must have the shape \(N, 2\), got \(1, 3\)"),
        ([0, np.nan], "centre must be finite"),
    ],
)
def test_centre_must_be_a_point(centre: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        circle(BOX, centre=centre, radius=3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        blob(centre=centre)


@pytest.mark.parametrize("box", [[10.0], [10.0, 0.0], [10.0, -4.0], [np.inf, 5.0]])
def test_box_must_be_two_lengths(box: list[float]) -> None:
    rng = np.random.default_rng(0)
    for draw in (
        lambda: circle(box, centre=[0, 0], radius=1.0),
        lambda: irregular_blob(box, centre=[0, 0], radius=1.0, roughness=0.1, rng=rng),
        lambda: rough_band(box, direction="x", share=0.5, roughness=1.0, rng=rng),
        lambda: random_patches(box, share=0.5, wavelength=5.0, rng=rng),
    ):
        with pytest.raises(ValueError, match="box must be two lengths > 0 Å along x and y, got"):
            draw()


@pytest.mark.parametrize("wanted", [0.0, 1.0, -0.2, np.nan])
def test_share_must_leave_inside_and_outside(wanted: float) -> None:
    for draw in (rough, patches):
        with pytest.raises(ValueError, match=f"share must be > 0 and < 1, got {wanted}"):
            draw(share=wanted)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_roughness_and_wavelength_are_lengths(value: float) -> None:
    with pytest.raises(ValueError, match=f"roughness must be ≥ 0 Å, got {value}"):
        rough(roughness=value)
    with pytest.raises(ValueError, match=f"wavelength must be > 0 Å, got {value}"):
        patches(wavelength=value)


def test_wavelength_must_not_vanish() -> None:
    with pytest.raises(ValueError, match=r"wavelength must be > 0 Å, got 0\.0"):
        patches(wavelength=0.0)


def test_direction_must_be_known() -> None:
    with pytest.raises(ValueError, match="direction must be one of x, y, diagonal, antidiagonal, got 'z'"):
        rough("z")  # type: ignore[arg-type]
