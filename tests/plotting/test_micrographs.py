import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.plotting.micrographs import contact_sheet, family_sheet

NONE = np.empty((0, 2))


def simulated(index, family, dose=2.34e4):
    recipe = {"family": family, "energy": 80e3, "defocus": -55.0, "dose_per_area": dose}
    image = np.random.default_rng(index).normal(size=(12, 20))
    return SimulatedImage(index, image.astype(np.float32), 0.2, NONE, NONE, recipe)


def shown(figure):
    return [axes for axes in figure.axes if axes.images]


def test_contact_sheet_has_an_image_and_a_title_each():
    images = [np.full((4, 6), value) + np.eye(4, 6) for value in range(5)]
    figure = contact_sheet(images, [f"number $_{n}" for n in range(5)], columns=3)
    assert len(figure.axes) == 6
    assert [axes.get_title() for axes in shown(figure)] == [f"number $_{n}" for n in range(5)]
    assert all(len(axes.patches) == 0 for axes in figure.axes)
    assert shown(figure)[0].images[0].get_array().shape == (4, 6)


def test_contact_sheet_with_sampling_has_scale_bars():
    figure = contact_sheet([np.eye(20, 40), np.eye(20, 40)], ["a", "b"], sampling=[0.5, 1.0])
    bars = [axes.artists[0] for axes in figure.axes]
    assert all(isinstance(bar, AnchoredSizeBar) for bar in bars)
    assert [bar.txt_label.get_text() for bar in bars] == ["5 Å", "1 nm"]
    assert [bar.size_bar.get_children()[0].get_width() for bar in bars] == [5, 10]
    FigureCanvasAgg(figure).draw()
    boxes = [bar.get_window_extent(figure.canvas.get_renderer()) for bar in bars]
    assert all(
        axes.bbox.contains(*corner)
        for axes, box in zip(figure.axes, boxes, strict=True)
        for corner in box.get_points()
    )


def test_empty_contact_sheet_says_so():
    figure = contact_sheet([], [])
    assert figure.texts[0].get_text() == "no images"


def test_contact_sheet_names_what_is_wrong():
    with pytest.raises(ValueError, match="images and titles must be equally many, got 1 and 0"):
        contact_sheet([np.eye(3)], [])
    with pytest.raises(ValueError, match="images and titles must be equally many"):
        contact_sheet([np.eye(3)], ["a"], sampling=[])
    with pytest.raises(ValueError, match="columns must be ≥ 1, got 0"):
        contact_sheet([np.eye(3)], ["a"], columns=0)


def test_family_sheet_gives_each_family_its_row(tmp_path):
    order = ["voronoi", "graphene", "voronoi", "voronoi", "graphene"]
    figure = family_sheet([simulated(n, name) for n, name in enumerate(order)], per_family=2)
    titles = [axes.get_title() for axes in shown(figure)]
    assert [title.split("\n")[0] for title in titles] == [
        "1 · graphene",
        "4 · graphene",
        "0 · voronoi",
        "2 · voronoi",
    ]
    assert titles[0].split("\n")[1] == "80 kV, −55 Å, 23\u202f000 e⁻/Å²"
    rows = {axes.get_subplotspec().rowspan.start for axes in shown(figure)[:2]}
    assert rows == {0}
    figure.savefig(tmp_path / "sheet.png")


def test_family_sheet_knows_images_without_noise():
    (axes,) = shown(family_sheet([simulated(0, "a", dose=np.inf)]))
    assert axes.get_title().endswith("no noise")
    with pytest.raises(ValueError, match="per_family must be ≥ 1, got 0"):
        family_sheet([], per_family=0)
