import numpy as np
import pytest

from amorph2d.measures import ring_counts
from amorph2d.measures.mask_window import MaskWindow
from amorph2d.measures.ring_counts import ring_bounding_boxes, ring_fractions_corrected, ring_weights
from amorph2d.measures.window import RectangularWindow
from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.rings import planar_rings
from amorph2d.topology.shortest_path import ShortestPathRings

CLASSES = (4, 5, 6, 7, 8)
WINDOW = RectangularWindow(-3.0, 2.0, 17.0, 16.0)


@pytest.fixture(scope="module")
def sheet():
    """Atoms of a periodic sheet and its images beside it, bounding boxes and sizes of all rings, the box."""
    wanted = {4: 0.02, 5: 0.30, 6: 0.42, 7: 0.20, 8: 0.06}
    network = bond_switched_network((40, 32), rng=np.random.default_rng(8), ring_fractions=wanted, n_trials=6)
    cells = np.array([[i, j] for i in range(2) for j in range(2)])
    atoms = (network.positions + cells[:, None] * network.box).reshape(-1, 2)
    centres = (network.ring_centres + cells[:, None] * network.box).reshape(-1, 2)
    rings = planar_rings(atoms, delaunay_bonds(atoms, centres, limits=(0.5, 1.9)), max_size=16)
    return ring_bounding_boxes(atoms, rings), rings.sizes, network


@pytest.fixture(scope="module")
def truth(sheet):
    network = sheet[2]
    return np.array([(network.ring_sizes == n).mean() for n in CLASSES])


def place(sheet, window_size, rng):
    """Bounding boxes and sizes of the rings near a window of this size at a random place, seen from there."""
    boxes, sizes, network = sheet
    moved = boxes - np.tile(rng.uniform(5, network.box + 5), 2)
    near = (moved[:, 2:] > 0).all(axis=1) & (moved[:, :2] < window_size).all(axis=1)
    return moved[near], sizes[near]


def disc_with_a_hole(sampling=0.3):
    y, x = np.mgrid[:60, :90] * sampling
    is_inside = ((x - 13.3) / 13) ** 2 + ((y - 8.8) / 8.5) ** 2 < 1
    return MaskWindow(is_inside & ((x - 16) ** 2 + (y - 9) ** 2 > 4), sampling)


def sample(sheet, window, window_size, n_windows, rng):
    """Corrected and raw fractions, and rings per area, of windows at random places."""
    corrected, raw, densities = [], [], []
    for _ in range(n_windows):
        boxes, sizes = place(sheet, window_size, rng)
        weights = ring_weights(boxes, window)
        corrected.append(ring_fractions_corrected(sizes, weights, CLASSES))
        raw.append(ring_fractions_corrected(sizes, weights > 0, CLASSES))
        densities.append([weights[sizes == n].sum() / window.area for n in CLASSES])
    return np.array(corrected), np.array(raw), np.array(densities)


def deviations(found, truth):
    """Deviations of the mean from the truth, in its standard errors."""
    return (found.mean(axis=0) - truth) / (found.std(axis=0) / np.sqrt(len(found)))


@pytest.mark.parametrize("shape", ["rectangle", "mask"])
def test_fractions_in_small_windows_are_those_of_the_sheet_only_if_weighted(sheet, truth, shape):
    if shape == "rectangle":
        window, size = RectangularWindow(0, 0, 18, 13), (18, 13)
    else:
        window, size = disc_with_a_hole(), (27, 18)
    corrected, raw, densities = sample(sheet, window, size, 300, np.random.default_rng(17))
    network = sheet[2]
    per_area = truth * len(network.ring_sizes) / network.box.prod()
    assert np.abs(deviations(densities, per_area)).max() < 3
    assert np.abs(deviations(corrected, truth)).max() < 3
    is_common = np.isin(CLASSES, [5, 7, 8])
    assert (deviations(raw, truth)[is_common] * [1, -1, -1] > 3).all()


def test_rings_of_weight_are_the_complete_ones(sheet):
    network = sheet[2]
    atoms = (network.positions + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])[:, None] * network.box).reshape(
        -1, 2
    )
    rings = planar_rings(
        atoms,
        delaunay_bonds(atoms, limits=(0.5, 1.75)),
        max_size=16,
        is_analysable=WINDOW.contains(atoms),
    )
    weights = ring_weights(ring_bounding_boxes(atoms, rings), WINDOW)
    np.testing.assert_array_equal(weights > 0, rings.is_complete)
    assert weights[rings.is_complete].min() > 1
    assert 10 < rings.is_complete.sum() < len(rings)


def test_weight_in_a_rectangle():
    boxes = [[0, 5, 4, 8], [-3, 2, 17, 9], [-3.5, 5, 0, 8], [0, 14, 1, 16.5], [3, 3, 3, 3]]
    expected = [20 * 14 / (16 * 11), 0, 0, 0, 1]  # the second has no other place along x
    np.testing.assert_allclose(ring_weights(boxes, WINDOW), expected)


@pytest.mark.parametrize("sampling", [0.5, (0.25, 0.5), (0.1, 0.05)])
def test_a_full_mask_is_a_rectangle(sampling):
    step_y, step_x = np.broadcast_to(sampling, 2)
    mask = np.ones((round(14 / step_y), round(20 / step_x)), dtype=bool)
    rectangle = RectangularWindow(-step_x / 2, -step_y / 2, 20 - step_x / 2, 14 - step_y / 2)
    rng = np.random.default_rng(4)
    low = rng.uniform(-1, 18, (200, 2)) * [1, 0.7]
    boxes = np.concatenate([low, low + rng.uniform(0, 5, (200, 2))], axis=1)
    expected = ring_weights(boxes, rectangle)
    # Pixels that no whole one of 0.25 Å covers are left out at the far edges.
    tolerance = 1e-9 if sampling != (0.1, 0.05) else 0.03
    found = ring_weights(boxes, MaskWindow(mask, sampling))
    is_same = (found > 0) == (expected > 0)
    assert is_same.mean() > (0.98 if tolerance > 1e-3 else 0.999)
    np.testing.assert_allclose(found[is_same], expected[is_same], rtol=tolerance)


@pytest.mark.parametrize("side", [0.0, 0.9, 2.0, 3.6])
def test_share_of_a_mask_is_the_share_of_places(side):
    window = disc_with_a_hole(sampling=0.5)
    rng = np.random.default_rng(1)
    low = rng.uniform(-0.25, [44.75, 29.75], (60_000, 2))
    boxes = np.concatenate([low, low + np.array([side, 0.7 * side])], axis=1)
    weights = ring_weights(boxes, window)
    assert np.ptp(weights[weights > 0]) < 1e-9
    share = (weights > 0).mean() * 45 * 30 / window.area
    assert share == pytest.approx(
        1 / weights.max(), abs=4 * np.sqrt(share / len(low)) * 45 * 30 / window.area
    )


def test_a_large_mask_is_made_coarser():
    mask = np.ones((1500, 2600), dtype=bool)
    mask[:, 2000:] = False
    window = MaskWindow(mask, 0.3)
    found = ring_weights([[100, 100, 102.4, 102.8], [598, 100, 601, 103]], window)
    assert found[0] == pytest.approx(600 * 450 / (597.6 * 447.2), rel=1e-3)
    assert found[1] == 0


def test_a_mask_too_thin_for_any_ring():
    mask = np.zeros((20, 30), dtype=bool)
    mask[4] = True
    boxes = [[2, 2, 4, 2], [2, 2, 4, 3]]
    assert ring_weights(boxes, MaskWindow(mask, 0.5))[0] == pytest.approx(15 / 13)
    assert ring_weights(boxes, MaskWindow(mask, 0.5))[1] == 0
    assert not ring_weights(boxes, MaskWindow(~mask & mask, 0.5)).any()
    assert not ring_weights(boxes, RectangularWindow(2, 2, 2, 5)).any()


def test_bounding_boxes():
    atoms = [[0, 0], [2, 1], [1, 3], [5, 5], [7, -2], [6, 6]]
    rings = ShortestPathRings(np.array([0, 1, 2, 5, 3, 2, 4]), np.array([3, 4]))
    np.testing.assert_array_equal(ring_bounding_boxes(atoms, rings), [[0, 0, 2, 3], [1, -2, 7, 6]])


def test_nothing_gives_nothing():
    empty = ShortestPathRings(np.empty(0, np.int64), np.empty(0, np.int64))
    boxes = ring_bounding_boxes((), empty)
    assert boxes.shape == (0, 4)
    assert ring_weights(boxes, WINDOW).shape == (0,)
    assert np.isnan(ring_fractions_corrected([], [], CLASSES)).all()


def test_fractions_of_known_weights():
    found = ring_fractions_corrected([5, 6, 6, 8, 11], [1, 1, 2, 3, 1], [4, 5, 6, 7, 8])
    np.testing.assert_allclose(found, [0, 1 / 8, 3 / 8, 0, 4 / 8])


@pytest.mark.parametrize(
    ("boxes", "message"),
    [([[0, 0, 1]], "shape"), ([[1, 0, 0, 1]], "lower bounds"), ([[0, 0, np.nan, 1]], "finite")],
)
def test_bad_boxes(boxes, message):
    with pytest.raises(ValueError, match=message):
        ring_weights(boxes, WINDOW)


@pytest.mark.parametrize(
    ("sizes", "weights", "classes", "message"),
    [
        ([5], [1, 1], [5], "shape"),
        ([5], [-1], [5], "≥ 0"),
        ([5], [np.inf], [5], "finite"),
        ([5], [1], [6, 5], "rise"),
        ([5], [1], [], "rise"),
    ],
)
def test_bad_fractions(sizes, weights, classes, message):
    with pytest.raises(ValueError, match=message):
        ring_fractions_corrected(sizes, weights, classes)


@pytest.mark.parametrize("most", [(1, 1), (4, 9), (20, 3)])
def test_places_of_blocks_are_all_of_them(most):
    rng = np.random.default_rng(3)
    mask = rng.random((11, 14)) < 0.85
    n_places = ring_counts._count_places(mask, *most)
    assert n_places.shape == (most[0] + 1, most[1] + 1)
    for columns in range(1, most[0] + 1):
        for rows in range(1, most[1] + 1):
            expected = 0
            if columns <= 14 and rows <= 11:
                expected = (
                    np.lib.stride_tricks.sliding_window_view(mask, (rows, columns)).all(axis=(2, 3)).sum()
                )
            assert n_places[columns, rows] == expected, (columns, rows)
    assert not n_places[0].any()
    assert not n_places[:, 0].any()
