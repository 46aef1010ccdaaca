from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from amorph2d.report import view as view_module
from amorph2d.report.view import counted_angles, counted_lengths, counted_sizes, site_rows


def test_site_rows_find_ids_in_any_order():
    sites = pd.DataFrame({"site": [7, 3, 12]})
    np.testing.assert_array_equal(site_rows(sites, np.array([[3, 12], [7, 3]])), [[1, 2], [0, 1]])
    assert site_rows(sites.iloc[:0], np.empty((0, 2), dtype=int)).shape == (0, 2)


@pytest.mark.parametrize("ids", [[4], [13], [-1]])
def test_unknown_sites_are_refused(ids):
    with pytest.raises(ValueError, match="got an unknown site"):
        site_rows(pd.DataFrame({"site": [7, 3, 12]}), np.array(ids))
    with pytest.raises(ValueError, match="got an unknown site"):
        site_rows(pd.DataFrame({"site": []}, dtype=int), np.array(ids))


def test_only_what_is_analysable_counts(view):
    analysable = view.sites.set_index("site")["analysable"]
    bonds = view.bonds[analysable[view.bonds["atom_i"]].values & analysable[view.bonds["atom_j"]].values]
    np.testing.assert_array_equal(counted_lengths(view), bonds["length"])
    angles = view.angles[analysable[view.angles["vertex"]].values]
    np.testing.assert_array_equal(counted_angles(view), angles["angle"])
    np.testing.assert_array_equal(counted_sizes(view), view.rings.loc[view.rings["complete"], "size"])
    assert 0 < len(bonds) < len(view.bonds)
    assert 0 < len(counted_sizes(view)) < len(view.rings)


def test_other_frames_do_not_count(view):
    names = ("sites", "bonds", "angles", "rings")
    doubled = {
        name: pd.concat([getattr(view, name), getattr(view, name).assign(frame=1)], ignore_index=True)
        for name in names
    }
    members = np.tile(view.ring_members, 2)
    offsets = np.concatenate([view.ring_offsets, view.ring_offsets[1:] + len(view.ring_members)])
    series = replace(view, **doubled, ring_members=members, ring_offsets=offsets)
    for count in (counted_lengths, counted_angles, counted_sizes):
        np.testing.assert_array_equal(count(series), count(view))


def test_a_view_checks_its_tables(view):
    with pytest.raises(ValueError, match=r"bonds of sheet_01 must .* missing \['length'\]"):
        replace(view, bonds=view.bonds.drop(columns="length"))
    with pytest.raises(ValueError, match="ring_offsets of sheet_01 must be"):
        replace(view, ring_offsets=view.ring_offsets[:-1])
    with pytest.raises(ValueError, match="ring_offsets of sheet_01 must be"):
        replace(view, ring_members=view.ring_members[:-1])
    with pytest.raises(ValueError, match="sampling must be > 0"):
        replace(view, sampling=(0.2, 0.0))
    with pytest.raises(ValueError, match="image of sheet_01 must be two-dimensional"):
        replace(view, image=np.zeros(4))


def test_an_image_mapped_from_a_file_is_accepted(view, tmp_path):
    np.save(tmp_path / "image.npy", view.image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    assert replace(view, image=mapped).image is mapped


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"image": np.zeros(5, dtype=np.float32)}, "image of sheet_01 must be two-dimensional"),
        ({"image": np.zeros((0, 4), dtype=np.float32)}, "must be two-dimensional and not empty"),
        ({"image": np.array([[1, np.nan]], dtype=np.float32)}, "must be finite, got NaN"),
        ({"mask": np.zeros(4, dtype=np.uint8)}, "mask of sheet_01 must be two-dimensional"),
        ({"mask": np.full((4, 4), 3, dtype=np.uint8)}, "values 0, 1 or 2"),
        ({"ring_values": {"psi6": np.zeros(1)}}, r"ring_values psi6 of sheet_01 must have the shape"),
        ({"atom_values": {"strain": np.zeros(1)}}, r"atom_values strain of sheet_01 must have the shape"),
        ({"defects": pd.DataFrame({"kind": ["585"]})}, "defects of sheet_01 must have"),
        ({"film_type": "text/html"}, "film_type must be one of image/gif"),
    ],
)
def test_parts_that_do_not_fit_are_refused(view, part, message):
    with pytest.raises(ValueError, match=message):
        replace(view, **part)


def test_a_pixel_far_down_is_looked_at(view, monkeypatch):
    monkeypatch.setattr(view_module, "_STRIP", 1)
    image = view.image.copy()
    image[-1, -1] = np.inf
    with pytest.raises(ValueError, match=f"below row {len(image) - 1}"):
        replace(view, image=image)
