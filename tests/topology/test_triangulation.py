import numpy as np
import pytest
from hypothesis import given, settings
from scipy.spatial import Delaunay

from amorph2d.topology import triangulation
from amorph2d.topology.triangulation import delaunay_edges
from strategies import honeycomb, points


def as_set(edges):
    return {tuple(edge) for edge in edges.tolist()}


def tiled_edges(positions, box):
    """The periodic edges, from an open triangulation of 5 × 5 boxes."""
    shifts = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    shifts.sort(key=lambda shift: shift != (0, 0))
    tiles = np.concatenate([positions + np.array(shift) * box for shift in shifts])
    edges = np.sort(delaunay_edges(tiles, None), axis=1)
    edges = edges[edges[:, 0] < len(positions)] % len(positions)
    return as_set(np.sort(edges[edges[:, 0] != edges[:, 1]], axis=1))


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_points_for_an_edge(n):
    assert delaunay_edges(np.zeros((n, 2)), None).shape == (0, 2)
    assert delaunay_edges(np.zeros((n, 2)), np.array([9.0, 9.0])).shape == (0, 2)


def test_points_on_a_line_make_a_chain():
    along = np.array([5.0, 1.0, 2.0, 9.0])
    line = np.stack([1e3 + along, 2 * along - 7], axis=1)
    assert as_set(delaunay_edges(line, None)) == {(1, 2), (0, 2), (0, 3)}
    assert as_set(delaunay_edges(line[:2], None)) == {(0, 1)}


def test_coinciding_points_stand_for_one():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4], [2, 2], [2, 2]], dtype=float)
    assert as_set(delaunay_edges(square, None)) == {
        (0, 1),
        (1, 2),
        (2, 3),
        (0, 3),
        *((k, 4) for k in range(4)),
    }
    assert delaunay_edges(np.ones((5, 2)), None).shape == (0, 2)


@given(points())
@settings(max_examples=50)
def test_circles_around_edges_are_empty(positions):
    edges = delaunay_edges(positions, None)
    assert (edges[:, 0] < edges[:, 1]).all()
    if len(positions) > 2:
        indptr, neighbours = Delaunay(positions).vertex_neighbor_vertices
        of_scipy = {
            (i, j)
            for i in range(len(positions))
            for j in neighbours[indptr[i] : indptr[i + 1]].tolist()
            if i < j
        }
        assert as_set(edges) == of_scipy


@given(points(max_size=80))
@settings(max_examples=30)
def test_periodic_edges_are_those_of_a_tiled_plane(positions):
    box = np.array([31.0, 37.0])
    if len(positions) > 9:
        assert as_set(delaunay_edges(positions, box)) == tiled_edges(positions, box)


def test_points_in_one_corner_of_a_wide_box():
    positions = np.random.default_rng(4).uniform(13, 14, (10, 2))
    box = np.array([31.0, 37.0])
    edges = as_set(delaunay_edges(positions, box))
    assert edges == tiled_edges(positions, box)
    assert len(edges) > len(as_set(delaunay_edges(positions, None)))


def test_a_pore_wider_than_the_margin(monkeypatch):
    atoms, centres, box = honeycomb(30, 16)
    sites = np.concatenate([atoms, centres])
    sites = sites[np.linalg.norm((sites - [10, 20] + box / 2) % box - box / 2, axis=1) > 30]
    sites += np.random.default_rng(0).normal(0, 0.05, sites.shape)
    expected = tiled_edges(sites, box)
    assert as_set(delaunay_edges(sites, box)) == expected
    monkeypatch.setattr(triangulation, "_circles_lie_within", lambda *_: True)
    assert as_set(delaunay_edges(sites, box)) != expected


@pytest.mark.parametrize("scale", [(1.0, 1.0), (400.0, 0.3)])
def test_many_points_have_the_edges_of_few(monkeypatch, scale):
    positions = np.random.default_rng(8).normal(50, 10, (2500, 2)) * scale
    inserted = as_set(delaunay_edges(positions, None))
    monkeypatch.setattr(triangulation, "_MANY", 10**9)
    assert inserted == as_set(delaunay_edges(positions, None))


def test_many_points_some_of_which_coincide():
    positions = np.random.default_rng(9).random((2500, 2)) * 60
    doubled = np.concatenate([positions, positions[:100]])
    assert as_set(delaunay_edges(doubled, None)) == as_set(delaunay_edges(positions, None))
