import numpy as np
import pytest

from amorph2d.micrographs.axes import Axis
from amorph2d.micrographs.contents import Content
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.selection import choose, refusal


def content(*shape, dtype="f4", **more):
    return Content(shape, np.dtype(dtype), lambda _: np.zeros(shape), **more)


@pytest.mark.parametrize("shape", [(40, 64), (1, 40, 64, 1), (5, 40, 64)])
@pytest.mark.parametrize("dtype", ["f4", "f8", ">u2", "i8", "?"])
def test_images_and_series_are_no_others(shape, dtype):
    assert refusal(content(*shape, dtype=dtype)) is None


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (content(40, 64, is_colour=True), "is a colour image"),
        (content(40, 64, dtype="c8"), "is complex .complex64"),
        (content(40, 64, dtype="M8[s]"), "does not hold numbers but datetime64"),
        (content(40, 64, signal="electron_diffraction"), "is a diffraction pattern"),
        (content(40, 64, signal="EELS", n_signal=1), "is a map of electron energy losses"),
        (content(40, 64, 9, signal="CL", n_signal=1), "is a map of cathodoluminescence"),
        (content(40, 64, 9, n_signal=1), "is a map of spectra"),
        (content(1, 1), "holds a single number"),
        (content(1, 64), "is 1-D with 64 values"),
        (content(64, axes=(Axis(1, "eV"),)), "is 1-D with 64 values"),
        (content(2, 3, 40, 64), "4-D data .*like 4D-STEM"),
        (
            content(9, 40, 64, axes=(Axis(1, " eV "), Axis(), Axis())),
            "map of spectra: its first axis is in ' eV '",
        ),
    ],
)
def test_what_is_no_image_is_named(given, reason):
    with pytest.raises(MicrographError, match=reason):
        choose([given])


@pytest.mark.parametrize("signal", ["EELS", "", "CL"])
def test_images_of_filtered_energy_are_images(signal):
    assert refusal(content(40, 64, signal=signal)) is None


def test_the_image_is_found_among_others():
    image = content(40, 64)
    assert choose([content(40, 64, dtype="c8"), content(9), image, content(10, 16)]) is image


def test_the_series_is_found_beside_its_thumbnail():
    series = content(5, 40, 64)
    assert choose([content(10, 16), series]) is series


def test_several_images_are_refused():
    with pytest.raises(MicrographError, match=r"holds 2 images .a 40 × 64 px, untitled 5 × 40 × 64 px"):
        choose([content(40, 64, title="a"), content(5, 40, 64)])


def test_nothing_is_refused():
    with pytest.raises(MicrographError, match="holds no image"):
        choose([])


def test_what_may_be_grey_is_chosen():
    colour = content(40, 64, 3, dtype="u1", is_colour=True)
    assert choose([colour]) is colour
