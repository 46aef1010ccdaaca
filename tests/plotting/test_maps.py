from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from amorph2d.plotting.colours import RING_COLOURS
from amorph2d.plotting.maps import area_examples, prediction_examples, ring_map

ATOMS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [2.0, 0.5]])
BONDS = np.array([[0, 1], [1, 2], [2, 3], [0, 3], [1, 4], [2, 4]])
RINGS = SimpleNamespace(
    members=np.array([0, 1, 2, 3, 1, 4, 2]), offsets=np.array([0, 4, 7]), sizes=np.array([4, 3])
)
NO_RINGS = SimpleNamespace(members=np.empty(0, int), offsets=np.zeros(1, int), sizes=np.empty(0, int))
IMAGE = np.random.default_rng(0).normal(size=(20, 31))


def of_type(axes, kind):
    return [artist for artist in axes.collections if isinstance(artist, kind)]


def paths(axes):
    return [patch for patch in axes.patches if isinstance(patch, PathPatch)]


def test_ring_map_draws_each_ring_in_its_colour():
    figure = ring_map(IMAGE, ATOMS, BONDS, RINGS, sampling=0.1)
    axes = figure.axes[0]
    triangle, square = [patch for patch in paths(axes) if patch.get_fill()]
    assert to_hex(triangle.get_facecolor()) == RING_COLOURS[3]
    assert to_hex(square.get_facecolor()) == RING_COLOURS[4]
    np.testing.assert_allclose(square.get_path().vertices[:4], ATOMS[:4])
    np.testing.assert_allclose(triangle.get_path().vertices[:3], ATOMS[[1, 4, 2]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["3 (1)", "4 (1)"]


def test_ring_map_draws_atoms_and_bonds_on_the_image():
    axes = ring_map(IMAGE, ATOMS, BONDS, RINGS, sampling=(0.1, 0.2), title="$a_b").axes[0]
    (bonds,), (atoms,) = (
        [patch for patch in paths(axes) if not patch.get_fill()],
        of_type(axes, PathCollection),
    )
    np.testing.assert_allclose(bonds.get_path().vertices.reshape(-1, 2, 2), ATOMS[BONDS])
    assert bonds.get_path().codes.tolist() == [Path.MOVETO, Path.LINETO] * len(BONDS)
    np.testing.assert_allclose(atoms.get_offsets(), ATOMS)
    # the centre of pixel (0, 0) is the origin, and y runs down
    np.testing.assert_allclose(axes.images[0].get_extent(), [-0.1, 6.1, 1.95, -0.05])
    assert axes.get_ylim() == pytest.approx((1.95, -0.05))
    assert axes.get_title(loc="left") == "$a_b"


def test_ring_map_draws_all_of_many_rings_and_bonds(monkeypatch):
    monkeypatch.setattr("amorph2d.plotting.maps._PATHS_AT_ONCE", 2)
    rings = SimpleNamespace(members=np.tile([1, 4, 2], 5), offsets=3 * np.arange(6), sizes=np.full(5, 3))
    drawn = paths(ring_map(IMAGE, ATOMS, BONDS, rings, sampling=0.1).axes[0])
    polygons = [len(patch.get_path().to_polygons()) for patch in drawn if patch.get_fill()]
    assert polygons == [2, 2, 1]
    bonds = [patch.get_path().vertices.reshape(-1, 2, 2) for patch in drawn if not patch.get_fill()]
    np.testing.assert_allclose(np.concatenate(bonds), ATOMS[BONDS])


def test_ring_map_of_nothing_draws_the_image(tmp_path):
    figure = ring_map(IMAGE, np.empty((0, 2)), np.empty((0, 2)), NO_RINGS, sampling=0.1)
    assert figure.axes[0].get_legend() is None
    figure.savefig(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 1000


def test_ring_map_names_what_is_wrong():
    short = SimpleNamespace(members=RINGS.members, offsets=RINGS.offsets[:2], sizes=RINGS.sizes)
    with pytest.raises(ValueError, match="rings must have 3 offsets up to 7"):
        ring_map(IMAGE, ATOMS, BONDS, short, sampling=0.1)
    with pytest.raises(ValueError, match="rings must index 3 atoms, got 0 to 4"):
        ring_map(IMAGE, ATOMS[:3], BONDS[:2], RINGS, sampling=0.1)
    with pytest.raises(ValueError, match="bonds must index 5 points"):
        ring_map(IMAGE, ATOMS, [[0, 5]], RINGS, sampling=0.1)


def test_prediction_examples_show_truth_and_finds():
    sites = {"atom": ATOMS, "ring": ATOMS[:2]}
    found = {"atom": ATOMS[:3] + 0.05, "ring": np.empty((0, 2))}
    figure = prediction_examples(
        IMAGE, np.zeros((2, 10, 16)), sites, found, sampling=0.1, heatmap_sampling=0.2
    )
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["image", "atom: 5 true, 3 found", "ring: 2 true, 0 found"]
    true, crosses = of_type(figure.axes[1], PathCollection)
    np.testing.assert_allclose(true.get_offsets(), ATOMS)
    np.testing.assert_allclose(crosses.get_offsets(), ATOMS[:3] + 0.05)
    np.testing.assert_allclose(figure.axes[0].images[0].get_extent(), [-0.05, 3.05, 1.95, -0.05])
    np.testing.assert_allclose(figure.axes[1].images[0].get_extent(), [-0.1, 3.1, 1.9, -0.1])


def test_prediction_examples_need_one_heat_map_for_each_kind():
    with pytest.raises(ValueError, match="heatmaps must have one channel for each kind"):
        prediction_examples(IMAGE, np.zeros((1, 4, 4)), {"a": [], "b": []}, {"a": [], "b": []}, sampling=0.1)
    with pytest.raises(ValueError, match="heatmaps must have one channel for each kind"):
        prediction_examples(IMAGE, np.zeros((1, 4, 4)), {"a": []}, {"b": []}, sampling=0.1)


def test_area_examples_show_estimate_and_truth_in_the_same_grey_values():
    image = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    truth = np.full((1, 20, 30), 100.0)
    truth[:, :10] = 300.0
    figure = area_examples(image, truth - 50.0, truth, channels=["illumination"], sampling=0.5)
    shown = [axes.images[0].get_array() for axes in figure.axes]
    assert [axes.get_title() for axes in figure.axes] == [
        "image", "illumination, estimated", "illumination, true",
    ]  # fmt: skip
    assert np.allclose(shown[2][:10], 1)
    assert np.allclose(shown[2][10:], 0)
    assert np.allclose(shown[1][:10], 0.75)


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_area_examples_of_one_value_run_from_nothing_to_one(value):
    maps = np.full((1, 5, 6), 0.25)
    figure = area_examples(maps[0], maps, np.full_like(maps, value), channels=["vacuum"], sampling=1.0)
    assert np.allclose(figure.axes[1].images[0].get_array(), 0.25)


def test_area_examples_need_a_truth_for_each_map():
    with pytest.raises(ValueError, match=r"maps and truth must be .* alike for \['vacuum'\]"):
        area_examples(
            np.ones((4, 4)), np.ones((2, 4, 4)), np.ones((2, 4, 4)), channels=["vacuum"], sampling=1.0
        )
