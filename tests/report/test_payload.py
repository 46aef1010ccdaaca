import base64
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from amorph2d.report.payload import FINEST, select_ragged, shown_shape, viewer_payload

TYPES = {"f4": "<f4", "u1": "u1", "u2": "<u2", "u4": "<u4"}


def decode(encoded):
    return np.frombuffer(base64.b64decode(encoded["data"]), dtype=TYPES[encoded["type"]])


def atoms_of(view):
    return view.sites[view.sites["kind"] == "atom"]


def test_sites_bonds_and_rings_come_back(view):
    payload = viewer_payload(view, label="x", max_side=4096)
    atoms = atoms_of(view)
    np.testing.assert_allclose(decode(payload["atoms"]["x"]), atoms["x"], rtol=1e-6)
    np.testing.assert_allclose(
        decode(payload["centres"]["y"]), view.sites.loc[view.sites["kind"] == "ring", "y"]
    )
    np.testing.assert_array_equal(decode(payload["atoms"]["analysable"]), atoms["analysable"])
    ends = atoms["site"].to_numpy()[decode(payload["bonds"])].reshape(-1, 2)
    np.testing.assert_array_equal(ends, view.bonds[["atom_i", "atom_j"]])
    rings = payload["rings"]
    np.testing.assert_array_equal(atoms["site"].to_numpy()[decode(rings["members"])], view.ring_members)
    np.testing.assert_array_equal(np.diff(decode(rings["offsets"])), view.rings["size"])
    np.testing.assert_array_equal(decode(rings["complete"]), view.rings["complete"])


def test_field_begins_at_the_corner_of_the_first_pixel(view):
    payload = viewer_payload(replace(view, sampling=(0.2, 0.25)), label="x", max_side=4096)
    assert payload["field"] == pytest.approx([-0.125, -0.1, 160 * 0.25, 120 * 0.2])


def test_ids_need_not_count_from_zero(view):
    moved = {
        "sites": view.sites.assign(site=view.sites["site"] * 3 + 70000).sample(frac=1, random_state=0),
        "bonds": view.bonds.assign(
            atom_i=view.bonds["atom_i"] * 3 + 70000, atom_j=view.bonds["atom_j"] * 3 + 70000
        ),
        "ring_members": view.ring_members * 3 + 70000,
    }
    payload = viewer_payload(replace(view, **moved), label="x", max_side=4096)
    x = decode(payload["atoms"]["x"])[decode(payload["bonds"])]
    expected = atoms_of(view)["x"].to_numpy()[view.bonds[["atom_i", "atom_j"]].to_numpy().ravel()]
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    assert payload["atoms"]["site"]["type"] == "u4"


def test_only_the_shown_frame_is_embedded(view):
    rings = pd.concat([view.rings.assign(frame=1), view.rings], ignore_index=True)
    offsets = np.concatenate([view.ring_offsets, view.ring_offsets[1:] + len(view.ring_members)])
    both = replace(
        view,
        sites=pd.concat([view.sites.assign(frame=1, x=0.0), view.sites]),
        bonds=pd.concat([view.bonds.assign(frame=1), view.bonds]),
        rings=rings,
        ring_members=np.concatenate([np.zeros_like(view.ring_members), view.ring_members]),
        ring_offsets=offsets,
    )
    assert viewer_payload(both, label="x", max_side=4096) == viewer_payload(view, label="x", max_side=4096)


def test_a_bond_to_a_ring_centre_is_refused(view):
    centre = int(view.rings["ring"].iloc[0])
    with pytest.raises(ValueError, match="got an unknown site"):
        viewer_payload(replace(view, bonds=view.bonds.assign(atom_j=centre)), label="x", max_side=4096)


def test_a_micrograph_without_sites(view):
    bare = replace(
        view,
        **{name: getattr(view, name).iloc[:0] for name in ("sites", "bonds", "angles", "rings", "pdf")},
        ring_members=np.empty(0, dtype=int),
        ring_offsets=np.zeros(1, dtype=int),
    )
    payload = viewer_payload(bare, label="x", max_side=4096)
    assert payload["atoms"]["n"] == payload["rings"]["n"] == 0
    np.testing.assert_array_equal(decode(payload["rings"]["offsets"]), [0])


@pytest.mark.parametrize(
    ("sampling", "max_side", "shape"),
    [
        ((0.2, 0.2), 4096, (120, 160)),
        ((0.2, 0.2), 80, (60, 80)),
        ((FINEST / 2, FINEST / 2), 4096, (60, 80)),
        ((FINEST / 2, 0.2), 4096, (60, 160)),
        ((0.2, 0.2), 1, (1, 1)),
    ],
)
def test_images_are_no_larger_and_no_finer_than_needed(view, sampling, max_side, shape):
    assert shown_shape(replace(view, sampling=sampling), max_side=max_side) == shape


def test_an_image_needs_a_pixel(view):
    with pytest.raises(ValueError, match="max_side must be ≥ 1 px, got 0"):
        shown_shape(view, max_side=0)


def test_select_ragged_keeps_whole_rows():
    flat, offsets = select_ragged(
        np.arange(9), np.array([0, 3, 3, 7, 9]), np.array([False, True, True, True])
    )
    np.testing.assert_array_equal(flat, [3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(offsets, [0, 0, 4, 6])
