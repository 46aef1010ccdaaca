import itertools

import numpy as np
import pytest

from amorph2d.plotting.colours import (
    LARGEST_RING,
    RING_COLOURS,
    SERIES,
    SMALLEST_RING,
    ring_classes,
    ring_colour,
    ring_label,
)

# Simulation of complete colour-vision deficiencies in linear RGB:
# Machado, Oliveira & Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009), severity 1.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear_rgb(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = (
        np.array(
            [
                [0.4124564, 0.3575761, 0.1804375],
                [0.2126729, 0.7151522, 0.0721750],
                [0.0193339, 0.1191920, 0.9503041],
            ]
        )
        @ np.clip(rgb, 0, 1)
        / [0.95047, 1.0, 1.08883]
    )
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISION)
def test_ring_sizes_stay_apart_with_every_colour_vision(vision):
    seen = {size: lab(np.array(VISION[vision]) @ linear_rgb(c)) for size, c in RING_COLOURS.items()}
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 20, (one, other)


@pytest.mark.parametrize("vision", VISION)
def test_lightness_falls_with_the_distance_from_the_hexagon(vision):
    light = {size: lab(np.array(VISION[vision]) @ linear_rgb(c))[0] for size, c in RING_COLOURS.items()}
    for side in ([6, 5, 4, 3], [6, 7, 8, 9]):
        assert (np.diff([light[size] for size in side]) < -8).all()


def test_hexagons_are_pale():
    chroma = {size: np.hypot(*lab(linear_rgb(colour))[1:]) for size, colour in RING_COLOURS.items()}
    assert chroma[6] < 10
    assert min(value for size, value in chroma.items() if size != 6) > 30


def test_series_are_distinct():
    for one, other in itertools.combinations(SERIES, 2):
        assert np.linalg.norm(lab(linear_rgb(one)) - lab(linear_rgb(other))) > 20


def test_every_size_has_a_class_a_label_and_a_colour():
    assert list(RING_COLOURS) == list(range(SMALLEST_RING, LARGEST_RING + 1))
    np.testing.assert_array_equal(ring_classes([[2, 3], [6, 40]]), [[3, 3], [6, 9]])
    assert ring_label(8) == "8"
    assert ring_label(9) == "9+"
    assert ring_colour(17) == RING_COLOURS[9]
    assert ring_colour(1) == RING_COLOURS[3]
