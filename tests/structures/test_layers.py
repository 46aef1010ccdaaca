import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.layers import second_layer
from amorph2d.structures.outlines import rough_band

BOX = np.array([43.0, 31.0])


@pytest.fixture(scope="module")
def layer():
    return honeycomb_sheet((25.0, 18.0), bond_length=1.42, rotation=17.0)


@pytest.mark.parametrize("gap", [1.0, 3.35, -5.0])
def test_layer_fills_the_box_at_its_height(layer, gap):
    cloud = second_layer(layer, box=BOX, gap=gap, rng=np.random.default_rng(0))
    assert cloud.kind == "layer"
    assert (cloud.positions[:, 2] == gap).all()
    xy = cloud.positions[:, :2]
    assert ((xy >= 0) & (xy < BOX)).all()
    expected = len(layer.positions) / layer.box.prod() * BOX.prod()
    assert len(xy) == pytest.approx(expected, rel=0.06)
    assert set(cloud.numbers) == {6}


def test_no_atoms_meet_at_the_seam(layer):
    for seed in range(5):
        xy = second_layer(layer, box=BOX, gap=3.0, rng=np.random.default_rng(seed)).positions[:, :2]
        assert cKDTree(xy, boxsize=BOX).query(xy, k=2)[0][:, 1].min() >= 1.1


def test_shift_is_random_and_given_by_the_seed(layer):
    first, again, other = (
        second_layer(layer, box=BOX, gap=3.0, rng=np.random.default_rng(seed)).positions for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first[:50], other[:50])


def test_partial_layer_lies_in_its_outline(layer):
    outline = rough_band(BOX, direction="y", share=0.4, roughness=2.0, rng=np.random.default_rng(3))
    whole = second_layer(layer, box=BOX, gap=3.0, rng=np.random.default_rng(1))
    part = second_layer(layer, box=BOX, gap=3.0, rng=np.random.default_rng(1), outline=outline)
    inside = whole.positions[outline.contains(whole.positions[:, :2])]
    assert np.array_equal(part.positions, inside)
    assert len(part.positions) / len(whole.positions) == pytest.approx(0.4, abs=0.08)


def test_elements_of_the_layer_are_kept():
    nitride = honeycomb_sheet((20.0, 20.0), bond_length=1.45, rotation=0.0, numbers=(5, 7))
    numbers = second_layer(nitride, box=BOX, gap=3.3, rng=np.random.default_rng(0)).numbers
    assert np.bincount(numbers)[[5, 7]] / len(numbers) == pytest.approx([0.5, 0.5], abs=0.02)


@pytest.mark.parametrize("gap", [0.0, 0.5, -0.9, 6.0])
def test_layers_that_touch_or_fly_are_refused(layer, gap):
    with pytest.raises(ValueError, match=rf"gap must lie in 1 … 5 Å above or below the sheet, got {gap}"):
        second_layer(layer, box=BOX, gap=gap, rng=np.random.default_rng(0))
