import numpy as np
import pytest

from amorph2d.report.encode import unpack
from amorph2d.report.payload import collect
from amorph2d.report.tiles import SIGMA_STEP, Found, Grid, cover, cut_into_tiles, ring_density

EMPTY = np.empty(0)


def opened(tile):
    """A tile as the page reads it."""
    columns, header = unpack(tile.text)
    x0, y0, x1, y1 = header["box"]
    first = np.cumsum(columns["first"], dtype=np.int64) % 65536
    return {
        **columns,
        "n": header["n"],
        "x": x0 + columns["ax"] * (x1 - x0) / 65534,
        "y": y0 + columns["ay"] * (y1 - y0) / 65534,
        "pairs": np.column_stack([first, (first + columns["step"]) % 65536]),
        "lengths": columns["length"] * header["longest"] / 65534,
        "members": np.cumsum(columns["members"], dtype=np.int64) % 65536,
        "degrees": columns["angle"] * (180 / 65534),
    }


@pytest.fixture(scope="module")
def found(make_view):
    view = make_view("sheet", shape=(260, 380), disorder=0.15, seed=3)
    return collect(view)[0]


@pytest.fixture(scope="module", params=[0.7, 8.0, 21.5, 1000.0])
def tiles(request, found):
    field = (-0.1, -0.1, 76.0, 52.0)
    return [opened(tile) for tile in cut_into_tiles(found, Grid(field, request.param))]


def test_each_atom_is_owned_once_and_where_it_was(found, tiles):
    sites = np.concatenate([tile["asite"] for tile in tiles])
    order = np.argsort(sites)
    np.testing.assert_array_equal(sites[order], np.sort(found.atoms["site"]))
    for axis in "xy":
        places = np.concatenate([tile[axis][: tile["n"]] for tile in tiles])[order]
        np.testing.assert_allclose(places, found.atoms[axis], atol=0.002)
    sigma = np.concatenate([tile["asigma"] for tile in tiles])[order] * SIGMA_STEP
    np.testing.assert_allclose(sigma, found.atoms["sigma"], atol=0.6 * SIGMA_STEP)
    confidence = np.concatenate([tile["aconfidence"] for tile in tiles])[order] / 254
    np.testing.assert_allclose(confidence, found.atoms["confidence"], atol=0.003)
    flags = np.concatenate([tile["aflags"] for tile in tiles])[order]
    np.testing.assert_array_equal(flags, found.atoms["flags"])


def test_bonds_join_the_same_places_whichever_tiles_they_cross(found, tiles):
    ends = np.concatenate([np.column_stack([tile[axis][tile["pairs"]] for axis in "xy"]) for tile in tiles])
    lengths = np.concatenate([tile["lengths"] for tile in tiles])
    assert len(ends) == len(found.pairs)
    np.testing.assert_allclose(
        np.hypot(ends[:, 0] - ends[:, 1], ends[:, 2] - ends[:, 3]), lengths, atol=0.005
    )
    np.testing.assert_allclose(np.sort(lengths), np.sort(found.lengths), atol=1e-4)
    counted = sum(int(tile["counted"].sum()) for tile in tiles)
    analysable = (found.atoms["flags"] & 1).astype(bool)
    assert counted == analysable[found.pairs].all(axis=1).sum()


def test_rings_keep_their_polygons(found, tiles):
    assert sum(len(tile["size"]) for tile in tiles) == len(found.rings["size"])
    areas = []
    for tile in tiles:
        for ring in np.split(tile["members"], np.cumsum(tile["size"])[:-1]) if len(tile["size"]) else []:
            x, y = tile["x"][ring], tile["y"][ring]
            areas.append(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)
    np.testing.assert_allclose(np.sort(areas), np.sort(found.rings["area"]), atol=0.02)


def test_angles_stay_with_their_atoms(found, tiles):
    total = {}
    for tile in tiles:
        for site, part in zip(
            tile["asite"], np.split(tile["degrees"], np.cumsum(tile["angles"])[:-1]), strict=False
        ):
            total[int(site)] = float(part.sum())
    expected = np.bincount(found.vertices, found.angles, found.n_atoms)
    np.testing.assert_allclose([total[int(site)] for site in found.atoms["site"]], expected, atol=0.02)


def test_a_field_is_covered_with_about_as_many_atoms_per_tile_as_asked():
    grid = cover((0, 0, 200.0, 100.0), 100_000, per_tile=1000)
    assert grid.n_rows * grid.n_columns == pytest.approx(100, rel=0.2)
    assert cover((0, 0, 200.0, 100.0), 1500, per_tile=1000).n_columns == 1
    with pytest.raises(ValueError, match="per_tile must be ≥ 1, got 0"):
        cover((0, 0, 1, 1), 5, per_tile=0)


def test_points_outside_belong_to_the_rim():
    grid = Grid((0.0, 0.0, 30.0, 20.0), 10.0)
    np.testing.assert_array_equal(grid.cells(np.array([-5, 5, 99]), np.array([5, 15, -1])), [0, 3, 2])


def nothing():
    site = dict.fromkeys(("x", "y", "sigma", "confidence"), EMPTY)
    site |= {"flags": EMPTY.astype(np.uint8), "site": EMPTY.astype(int)}
    ring = dict.fromkeys(("x", "y", "area"), EMPTY)
    ring |= {"flags": EMPTY.astype(np.uint8), "size": EMPTY.astype(int)}
    whole = EMPTY.astype(int)
    return Found(site, site, whole.reshape(0, 2), EMPTY, whole, EMPTY, whole, np.zeros(1, dtype=int), ring)


def test_nothing_found_makes_no_tiles():
    assert cut_into_tiles(nothing(), Grid((0, 0, 10, 10), 3.0)) == []


def test_too_many_atoms_in_a_tile_are_refused():
    n = 65_001
    found = nothing()
    atoms = {name: np.zeros(n) for name in ("x", "y", "sigma", "confidence")}
    atoms |= {"flags": np.zeros(n, dtype=np.uint8), "site": np.arange(n)}
    crowded = Found(atoms, *(getattr(found, name) for name in (
        "centres", "pairs", "lengths", "vertices", "angles", "members", "offsets", "rings"
    )))  # fmt: skip
    with pytest.raises(ValueError, match="a tile must hold at most 65000 atoms, got 65001"):
        cut_into_tiles(crowded, Grid((0, 0, 10, 10), 3.0))


def test_density_is_the_share_of_each_size():
    found = nothing()
    ring = {"x": np.array([1.0, 2.0, 12.0]), "y": np.array([1.0, 1.0, 1.0]), "size": np.array([5, 6, 6])}
    ring |= {"area": np.array([25.0, 50.0, 300.0]), "flags": np.array([1, 3, 1], dtype=np.uint8)}
    values = {"psi6": (np.array([0.0, 1.0, np.nan]), 0.0, 1.0)}
    rings = Found(found.atoms, found.centres, found.pairs, EMPTY, found.vertices, EMPTY, found.members,
                  np.zeros(4, dtype=int), ring, ring_values=values)  # fmt: skip
    density = ring_density(rings, Grid((0.0, 0.0, 20.0, 20.0), 10.0), np.array([2, 3, 3]))
    assert (density["rows"], density["columns"], density["side"]) == (2, 2, 10.0)
    columns, _ = unpack(density["data"])
    np.testing.assert_array_equal(columns["k2"], [64, 0, 0, 0])
    np.testing.assert_array_equal(columns["k3"], [127, 255, 0, 0])
    np.testing.assert_array_equal(columns["warnings"], [1, 0, 0, 0])
    np.testing.assert_array_equal(columns["v0"], [32767, 65535, 65535, 65535])
