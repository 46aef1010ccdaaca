import numpy as np
import pytest

from amorph2d.imaging.labels import (
    ATOM_RADIUS,
    BOND_REACH,
    bonds_in_field,
    polygons_in_field,
    region_mask,
    sites_in_field,
)
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import bond_vectors, with_atoms
from amorph2d.structures.periodic import polygon_areas_and_centroids

NOTHING = {
    "atoms": np.empty((0, 2)), "bonds": np.empty((0, 2), int), "overlay_positions": np.empty((0, 2)),
    "rings": (np.empty((0, 2)), np.zeros(1, int)),
}  # fmt: skip


@pytest.fixture(scope="module")
def sheet():
    return honeycomb_sheet((17.0, 12.0), bond_length=1.42, rotation=11.0)


def grid(shape, sampling):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.stack([columns, rows], axis=-1) * sampling


def test_empty_field_is_vacuum():
    mask = region_mask(shape=(5, 7), sampling=0.2, **NOTHING)
    assert mask.shape == (5, 7)
    assert mask.dtype == np.uint8
    assert (mask == 0).all()


def test_polygon_is_filled_where_pixel_centres_lie_in_it():
    corners = np.array([[1.05, 2.05], [6.05, 2.05], [6.05, 4.05], [1.05, 4.05]])
    rings = (corners, np.array([0, 4]))
    mask = region_mask(shape=(60, 90), sampling=0.1, **(NOTHING | {"rings": rings}))
    x, y = np.moveaxis(grid((60, 90), 0.1), -1, 0)
    assert np.array_equal(mask == 1, (x > 1.05) & (x < 6.05) & (y > 2.05) & (y < 4.05))


def test_bond_is_a_capsule_and_an_overlay_a_disc_above_it():
    atoms = np.array([[2.0, 3.0], [4.0, 3.5]])
    given = NOTHING | {"atoms": atoms, "bonds": [[0, 1]], "overlay_positions": [[4.01, 2.98]]}
    mask = region_mask(shape=(40, 60), sampling=0.15, **given)
    points = grid((40, 60), 0.15)
    vector = atoms[1] - atoms[0]
    along = np.clip((points - atoms[0]) @ vector / (vector @ vector), 0, 1)
    near_bond = np.linalg.norm(points - atoms[0] - along[..., None] * vector, axis=-1) <= BOND_REACH
    near_overlay = np.linalg.norm(points - [4.01, 2.98], axis=-1) <= ATOM_RADIUS
    assert np.array_equal(mask == 2, near_overlay)
    assert np.array_equal(mask == 1, near_bond & ~near_overlay)


def test_what_lies_outside_the_image_is_clipped():
    given = NOTHING | {"overlay_positions": [[-1.0, 2.0], [100.0, 100.0], [-50.0, 3.0]]}
    mask = region_mask(shape=(30, 20), sampling=0.2, **given)
    expected = np.linalg.norm(grid((30, 20), 0.2) - [-1.0, 2.0], axis=-1) <= ATOM_RADIUS
    assert np.array_equal(mask == 2, expected)
    assert expected.any()


def mask_of(sheet, shape=(90, 120), sampling=0.15, origin=(3.0, 2.0), overlay=()):
    extent = ((shape[1] - 1) * sampling, (shape[0] - 1) * sampling)
    place = {"origin": origin, "extent": extent, "margin": 4.0}
    atoms, bonds = bonds_in_field(sheet, **place)
    return region_mask(
        shape=shape, sampling=sampling, atoms=atoms, bonds=bonds, rings=polygons_in_field(sheet, **place),
        overlay_positions=np.reshape(overlay, (-1, 2)),
    )  # fmt: skip


def test_whole_sheet_is_monolayer_and_a_whole_layer_other(sheet):
    assert (mask_of(sheet) == 1).all()
    overlay, _ = bonds_in_field(sheet, origin=(0.0, 0.0), extent=(18.0, 14.0), margin=4.0)
    assert (mask_of(sheet, overlay=overlay) == 2).all()


def test_vacancy_is_vacuum_at_its_place(sheet):
    is_kept = np.ones(len(sheet.positions), dtype=bool)
    is_kept[10] = False
    mask = mask_of(with_atoms(sheet, is_kept), shape=(80, 110), origin=(0.0, 0.0))
    rows, columns = np.nonzero(mask == 0)
    missing = sheet.positions[10]
    assert len(rows) > 0
    distance = np.hypot(columns * 0.15 - missing[0], rows * 0.15 - missing[1])
    wrapped = distance[distance < 4]
    assert len(wrapped) / len(distance) > 0.2
    assert wrapped.max() < 2.2
    nearest = np.rint(missing / 0.15).astype(int)
    assert mask[nearest[1], nearest[0]] == 0


@pytest.mark.parametrize("origin", [(0.0, 0.0), (16.0, 11.5), (-7.0, 40.0)])
def test_bonds_of_a_field_have_their_lengths_and_are_all_there(sheet, origin):
    place = {"origin": origin, "extent": (50.0, 31.0), "margin": 3.0}
    atoms, bonds = bonds_in_field(sheet, **place)
    vectors = atoms[bonds[:, 1]] - atoms[bonds[:, 0]]
    assert np.hypot(*vectors.T) == pytest.approx(np.hypot(*bond_vectors(sheet).T).mean(), rel=0.01)
    inside = ((atoms >= 0) & (atoms <= (50.0, 31.0))).all(axis=1)
    assert (np.bincount(bonds.ravel(), minlength=len(atoms))[inside] == 3).all()
    density = len(sheet.positions) / sheet.box.prod()
    assert len(atoms) == pytest.approx(density * 56 * 37, rel=0.03)
    back = (atoms + origin) % sheet.box
    distance = np.abs(back[:, None] - sheet.positions)
    distance = np.minimum(distance, sheet.box - distance)
    assert np.hypot(*np.moveaxis(distance, -1, 0)).min(axis=1).max() < 1e-9


def test_polygons_of_a_field_are_whole_and_cover_it(sheet):
    corners, offsets = polygons_in_field(sheet, origin=(5.0, 3.0), extent=(40.0, 20.0), margin=3.0)
    areas, centroids = polygon_areas_and_centroids(corners, offsets)
    assert np.diff(offsets).tolist() == [6] * (len(offsets) - 1)
    assert areas == pytest.approx(sheet.box.prod() / len(sheet.ring_sizes), rel=0.02)
    assert ((centroids >= -3.1) & (centroids <= (43.1, 23.1))).all()
    assert len(areas) == pytest.approx(46 * 26 / areas.mean(), rel=0.06)


def test_field_without_anything(sheet):
    bare = with_atoms(sheet, np.zeros(len(sheet.positions), dtype=bool))
    atoms, bonds = bonds_in_field(bare, origin=(0, 0), extent=(5, 5), margin=1.0)
    corners, offsets = polygons_in_field(bare, origin=(0, 0), extent=(5, 5), margin=1.0)
    assert (len(atoms), len(bonds), len(corners), offsets.tolist()) == (0, 0, 0, [0])


def test_senseless_arguments_are_refused(sheet):
    with pytest.raises(ValueError, match="sampling and scale must be > 0, got 0"):
        region_mask(shape=(4, 4), sampling=0, **NOTHING)
    for function in (bonds_in_field, polygons_in_field):
        with pytest.raises(ValueError, match="margin must be ≥ 0 Å, got -1"):
            function(sheet, origin=(0, 0), extent=(5, 5), margin=-1)


def test_sites_repeat_with_the_box():
    found = sites_in_field([[1.0, 2.0]], [10.0, 8.0], origin=(0.0, 0.0), extent=(25.0, 9.0))
    assert sorted(map(tuple, found)) == [(1.0, 2.0), (11.0, 2.0), (21.0, 2.0)]
    shifted = sites_in_field([[1.0, 2.0]], [10.0, 8.0], origin=(4.0, 4.0), extent=(8.0, 7.0))
    assert shifted == pytest.approx(np.array([[7.0, 6.0]]))
    assert sites_in_field(np.empty((0, 2)), [10.0, 8.0], origin=(0, 0), extent=(5, 5)).shape == (0, 2)
