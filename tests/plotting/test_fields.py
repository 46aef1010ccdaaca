from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection

from amorph2d.plotting import fields
from amorph2d.plotting.fields import (
    CYCLIC,
    DIVERGING,
    SEQUENTIAL,
    order_map,
    orientation_map,
    strain_map,
    symmetric_limit,
)

ATOMS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [2.0, 0.5]])
BONDS = np.array([[0, 1], [1, 2], [2, 3], [0, 3], [1, 4], [2, 4]])
RINGS = SimpleNamespace(
    members=np.array([0, 1, 2, 3, 1, 4, 2]), offsets=np.array([0, 4, 7]), sizes=np.array([4, 3])
)
NO_RINGS = SimpleNamespace(members=np.empty(0, int), offsets=np.zeros(1, int), sizes=np.empty(0, int))
IMAGE = np.random.default_rng(0).normal(size=(20, 31))


def of_type(figure, kind):
    return [artist for artist in figure.axes[0].collections if isinstance(artist, kind)]


def lightness(name):
    """Of each of 256 colours, by the luma of their sRGB values."""
    return colormaps[name](np.linspace(0, 1, 256))[:, :3] @ [0.299, 0.587, 0.114]


def test_limits_are_robust_and_symmetric():
    values = np.r_[np.linspace(-1, 1, 1001), 50, np.nan]
    assert symmetric_limit(values) == pytest.approx(0.98, abs=0.01)
    assert symmetric_limit(values, share=1) == 50
    assert symmetric_limit(np.r_[np.zeros(200), 3]) == 3
    assert symmetric_limit([0.0, np.nan]) == symmetric_limit([]) == 1


def test_strain_at_atoms_is_drawn_around_zero():
    strain = [0.01, -0.02, 0.005, np.nan, 0.0]
    figure = strain_map(IMAGE, ATOMS, strain, sampling=(0.1, 0.2), title="$a_b")
    (drawn,) = of_type(figure, EllipseCollection)
    np.testing.assert_allclose(drawn.get_offsets(), ATOMS[[0, 1, 2, 4]])
    np.testing.assert_allclose(drawn.get_array(), [1, -2, 0.5, 0])
    low, high = drawn.get_clim()
    assert low == -high
    assert high == pytest.approx(2, rel=0.05)
    assert drawn.get_cmap().name == DIVERGING
    axes, bar = figure.axes
    assert bar.get_ylabel() == "Strain [%]"
    assert axes.get_title(loc="left") == "$a_b"
    np.testing.assert_allclose(axes.images[0].get_extent(), [-0.1, 6.1, 1.95, -0.05])
    assert axes.get_ylim() == pytest.approx((1.95, -0.05))
    assert [type(artist).__name__ for artist in axes.artists] == ["AnchoredSizeBar"]


def test_strain_of_bonds_is_drawn_along_them():
    strain = np.array([0.1, -0.1, np.nan, 0.02, 0.0, 0.05])
    figure = strain_map(IMAGE, ATOMS, strain, sampling=0.1, bonds=BONDS, label="Bond strain [%]")
    (drawn,) = of_type(figure, LineCollection)
    known = np.isfinite(strain)
    np.testing.assert_allclose(drawn.get_segments(), ATOMS[BONDS[known]])
    np.testing.assert_allclose(drawn.get_array(), 100 * strain[known])
    assert figure.axes[1].get_ylabel() == "Bond strain [%]"


def test_orientations_are_drawn_in_a_circle_of_colours_with_boundaries():
    lines = [np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 1.0]]), ATOMS[:2]]
    figure = orientation_map(IMAGE, ATOMS, RINGS, [70.0, -5.0], sampling=0.1, boundaries=lines)
    (drawn,), (drawn_lines,) = of_type(figure, PolyCollection), of_type(figure, LineCollection)
    np.testing.assert_allclose(drawn.get_array(), [10, 55])
    np.testing.assert_allclose(drawn.get_paths()[0].vertices[:4], ATOMS[:4])
    assert drawn.get_clim() == (0, 60)
    assert len(drawn_lines.get_segments()) == 2
    np.testing.assert_allclose(drawn_lines.get_segments()[0], lines[0])
    only = orientation_map(IMAGE, ATOMS, RINGS, [np.nan, 3.0], sampling=0.1)
    np.testing.assert_allclose(of_type(only, PolyCollection)[0].get_array(), [3])
    np.testing.assert_allclose(of_type(only, PolyCollection)[0].get_paths()[0].vertices[:3], ATOMS[[1, 4, 2]])
    assert not of_type(only, LineCollection)


def test_order_is_drawn_from_nothing_to_one():
    figure = order_map(IMAGE, ATOMS, RINGS, [0.2, 0.9], sampling=0.1)
    (drawn,) = of_type(figure, PolyCollection)
    assert drawn.get_clim() == (0, 1)
    np.testing.assert_allclose(drawn.get_array(), [0.2, 0.9])
    assert "ψ" in figure.axes[1].get_ylabel()


def test_colours_say_what_they_stand_for():
    sequential, cyclic, diverging = lightness(SEQUENTIAL), lightness(CYCLIC), lightness(DIVERGING)
    assert (np.diff(sequential) > 0).all()
    ends = colormaps[CYCLIC]([0.0, 1.0])
    np.testing.assert_allclose(ends[0], ends[1], atol=0.02)
    assert np.abs(np.diff(cyclic)).max() < 0.02
    assert diverging.argmax() in range(120, 136)
    assert (np.diff(diverging[:120]) > 0).all()
    assert (np.diff(diverging[136:]) < 0).all()
    assert diverging[0] == pytest.approx(diverging[-1], abs=0.1)


def test_many_items_are_drawn_as_pixels(monkeypatch):
    draw = {
        "atoms": lambda: strain_map(IMAGE, ATOMS, np.zeros(5), sampling=0.1),
        "rings": lambda: order_map(IMAGE, ATOMS, RINGS, [0.0, 1.0], sampling=0.1),
    }
    for make in draw.values():
        assert not make().axes[0].collections[0].get_rasterized()
    monkeypatch.setattr(fields, "RASTERISED_FROM", 1)
    for make in draw.values():
        assert make().axes[0].collections[0].get_rasterized()


def test_maps_of_nothing_can_be_saved(tmp_path):
    figures = [
        strain_map(IMAGE, np.empty((0, 2)), [], sampling=0.1),
        strain_map(IMAGE, ATOMS, [], bonds=[], sampling=0.1),
        orientation_map(IMAGE, [], NO_RINGS, [], sampling=0.1),
        order_map(IMAGE, ATOMS, RINGS, [np.nan, np.nan], sampling=0.1),
        order_map(IMAGE, ATOMS, RINGS, [0.3, 0.8], sampling=0.1),
    ]
    for number, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{number}.png", dpi=40)
        assert (tmp_path / f"{number}.png").stat().st_size > 1000


def test_maps_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"strain must have the shape \(5,\), got \(4,\)"):
        strain_map(IMAGE, ATOMS, np.zeros(4), sampling=0.1)
    with pytest.raises(ValueError, match=r"strain must have the shape \(6,\), got \(5,\)"):
        strain_map(IMAGE, ATOMS, np.zeros(5), bonds=BONDS, sampling=0.1)
    with pytest.raises(ValueError, match=r"values of rings must have the shape \(2,\), got \(3,\)"):
        order_map(IMAGE, ATOMS, RINGS, np.zeros(3), sampling=0.1)
    with pytest.raises(ValueError, match="rings must index 3 atoms, got 0 to 4"):
        orientation_map(IMAGE, ATOMS[:3], RINGS, np.zeros(2), sampling=0.1)


@pytest.mark.parametrize(
    ("order", "extend"),
    [([0.0, 1 + 1e-12], "neither"), ([0.0, 1.1], "max"), ([-0.1, 1.0], "min"), ([-0.1, 1.1], "both")],
)
def test_the_colour_bar_points_to_what_lies_beyond_it(order, extend):
    figure = order_map(IMAGE, ATOMS, RINGS, order, sampling=0.1)
    assert figure.axes[0].collections[0].colorbar.extend == extend
