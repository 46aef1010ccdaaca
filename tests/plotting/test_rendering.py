import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from amorph2d.plotting.rendering import rendered


def figure_of(layout):
    figure = Figure(figsize=(3, 2), dpi=50, layout=layout)
    axes = figure.add_subplot()
    drawn = axes.imshow(np.arange(12.0).reshape(3, 4))
    figure.colorbar(drawn, ax=axes).set_label("a label that needs room")
    return figure


@pytest.mark.parametrize("layout", ["constrained", None])
def test_a_png_is_what_matplotlib_would_save(layout):
    expected = io.BytesIO()
    figure_of(layout).savefig(expected, format="png")
    ours = Image.open(io.BytesIO(rendered(figure_of(layout), "png")))
    assert ours.size == (150, 100)
    assert ours.info["dpi"] == pytest.approx((50, 50), abs=0.1)
    np.testing.assert_array_equal(np.asarray(ours), np.asarray(Image.open(expected).convert("RGB")))


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("layout", ["constrained", None])
def test_everything_is_drawn_once(monkeypatch, kind, layout):
    drawn = []
    original = AxesImage.make_image

    def make_image(self, *arguments, **options):
        drawn.append(self)
        return original(self, *arguments, **options)

    monkeypatch.setattr(AxesImage, "make_image", make_image)
    rendered(figure_of(layout), kind)
    assert len(drawn) == 1


def test_an_svg_carries_no_date():
    text = rendered(figure_of("constrained"), "svg").decode()
    assert "<svg" in text
    assert "dc:date" not in text
