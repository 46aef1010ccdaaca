import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.twin import twin_figure
from amorph2d.twin.make import Twin


def made(**changes):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(30, 40)).astype(np.float32)
    sites = pd.DataFrame(
        {"x": [10.0, 12.0], "y": [8.0, 9.0], "twin_misfit": [1.0, 9.0], "is_doubtful": [False, True]}
    )
    given = {
        "status": "made", "reason": "", "window": (slice(5, 35), slice(10, 50)), "sampling": (0.5, 0.25),
        "image": image, "residual": image[::-1], "compared": np.ones((30, 40), dtype=bool),
        "misfit": np.full((4, 5), np.nan, np.float32), "misfit_sampling": (4.0, 2.0), "sites": sites,
        "correlation": 0.9, "noise_floor": 0.1,
    }  # fmt: skip
    return Twin(**given | changes)


@pytest.mark.parametrize("shape", [(30, 40), (50, 60)])
def test_four_panels_and_the_doubtful_sites(shape):
    figure = twin_figure(np.random.default_rng(1).normal(size=shape), made())
    assert [axes.get_title() for axes in figure.axes] == [
        "micrograph", "twin, correlation 0.900", "micrograph less twin", "misfit, 0 to 10",
    ]  # fmt: skip
    assert [axes.images[0].get_array().shape for axes in figure.axes] == [(30, 40)] * 3 + [(4, 5)]
    offsets = figure.axes[0].collections[0].get_offsets()
    assert np.allclose(offsets, [[12 - 10 * 0.25, 9 - 5 * 0.5]])
    figure.draw_without_rendering()


def test_without_a_twin_the_reason_is_written():
    nothing = np.full((30, 40), np.nan, np.float32)
    figure = twin_figure(np.eye(30, 40), made(image=nothing, reason="7 atoms are too few"))
    assert figure.axes[1].texts[0].get_text() == "no twin: 7 atoms are too few"
    assert [len(axes.images) for axes in figure.axes] == [1, 0, 0, 0]


def test_an_image_of_another_size_is_named():
    with pytest.raises(ValueError, match=r"must contain the window of the twin, \(30, 40\), got \(7, 0\)"):
        twin_figure(np.eye(12, 9), made())
