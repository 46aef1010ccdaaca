from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

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
    with pytest.raises(ValueError, match="image must be two-dimensional"):
        replace(view, image=np.zeros(4))
