"""Tiles own each pixel once and read enough around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amorph2d.localisation.tiles import cover


@given(
    shape=st.tuples(st.integers(1, 400), st.integers(1, 400)),
    stride=st.sampled_from([1, 2, 8, 16]),
    halo=st.integers(0, 40),
    room=st.integers(0, 150),
)
def test_every_pixel_is_owned_once_and_has_its_context(shape, stride, halo, room):
    tile_size = 2 * (halo + stride) + stride + room
    n_owners = np.zeros(shape, dtype=int)
    tiles = cover(shape, tile_size=tile_size, halo=halo, stride=stride)
    for tile in tiles:
        n_owners[tile.own] += 1
        for read, own, size in zip(tile.read, tile.own, shape, strict=True):
            assert read.start % stride == 0
            assert read.start <= max(own.start - halo, 0)
            assert read.stop >= min(own.stop + halo, size)
            assert own.start < own.stop
            assert -(-(read.stop - read.start) // stride) * stride <= max(tile_size, stride)
    np.testing.assert_array_equal(n_owners, 1)
    filled = {tuple(-(-(axis.stop - axis.start) // stride) for axis in tile.read) for tile in tiles}
    assert len(filled) == 1


def test_every_point_is_owned_once(rng):
    points = rng.uniform(-0.5, [99.5, 149.5], (3000, 2))
    points[:100] = np.rint(points[:100]) - 0.5
    points = points[(points >= -0.5).all(axis=1)]
    tiles = cover((100, 150), tile_size=48, halo=9, stride=4)
    assert len(tiles) > 10
    np.testing.assert_array_equal(sum(tile.owns(points).astype(int) for tile in tiles), 1)


def test_margin_shares_points_at_the_borders():
    first, second = cover((10, 30), tile_size=24, halo=4, stride=2)
    border = first.own[1].stop
    points = np.array([[5.0, border - 0.7], [5.0, border - 0.4], [5.0, border + 3.0]])
    np.testing.assert_array_equal(first.owns(points), [True, False, False])
    np.testing.assert_array_equal(first.owns(points, margin=1.0), [True, True, False])
    np.testing.assert_array_equal(second.owns(points, margin=1.0), [True, True, True])


def test_small_image_is_one_tile():
    (tile,) = cover((30, 17), tile_size=64, halo=20, stride=8)
    assert tile.read == tile.own == (slice(0, 30), slice(0, 17))
    np.testing.assert_array_equal(tile.origin, [0.0, 0.0])


def test_tiles_are_as_few_as_possible():
    assert len(cover((1000, 1000), tile_size=1024, halo=100, stride=8)) == 1
    assert len(cover((1024, 1840), tile_size=1024, halo=100, stride=8)) == 2
    assert len(cover((1024, 1841), tile_size=1024, halo=100, stride=8)) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_size": 40}, "tile_size must be >= 56 px"),
        ({"stride": 0}, "stride must be >= 1 px"),
        ({"halo": -1}, "halo >= 0 px"),
        ({"shape": (0, 4)}, "shape must be"),
        ({"shape": (4, 4, 4)}, "shape must be"),
    ],
)
def test_wrong_arguments(changes, message):
    arguments = {"shape": (90, 70), "tile_size": 64, "halo": 20, "stride": 8} | changes
    with pytest.raises(ValueError, match=message):
        cover(arguments.pop("shape"), **arguments)
