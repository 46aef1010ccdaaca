import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from amorph2d.report import payload as payload_module
from amorph2d.report.encode import unpack
from amorph2d.report.payload import (
    add_image,
    collect,
    defect_counts,
    mask_uri,
    overlay_payload,
    select_ragged,
)


def atoms_of(view):
    return view.sites[view.sites["kind"] == "atom"]


def test_what_is_collected_refers_to_the_atoms(view):
    found, _, _ = collect(view)
    sites = found.atoms["site"]
    np.testing.assert_array_equal(sites[found.pairs], view.bonds[["atom_i", "atom_j"]])
    np.testing.assert_array_equal(sites[found.members], view.ring_members)
    np.testing.assert_array_equal(sites[found.vertices], view.angles["vertex"])
    np.testing.assert_array_equal(found.rings["flags"] & 1, view.rings["complete"])


def test_field_begins_at_the_corner_of_the_first_pixel(view):
    head = overlay_payload(replace(view, sampling=(0.2, 0.25)), label="x").head
    assert head["field"] == pytest.approx((-0.125, -0.1, 160 * 0.25, 120 * 0.2))


def test_the_head_counts_complete_rings_by_size(view):
    head = overlay_payload(view, label="x").head
    complete = view.rings.loc[view.rings["complete"], "size"].clip(3, 9)
    assert head["counts"] == complete.value_counts().to_dict()
    assert sum(tile[4] for tile in head["tiles"]) == len(atoms_of(view))


def test_ids_need_not_count_from_zero(view):
    moved = {
        "sites": view.sites.assign(site=view.sites["site"] * 3 + 70000).sample(frac=1, random_state=0),
        "bonds": view.bonds.assign(
            atom_i=view.bonds["atom_i"] * 3 + 70000, atom_j=view.bonds["atom_j"] * 3 + 70000
        ),
        "angles": view.angles.assign(vertex=view.angles["vertex"] * 3 + 70000),
        "ring_members": view.ring_members * 3 + 70000,
    }
    found, _, _ = collect(replace(view, **moved))
    expected = atoms_of(view)["x"].to_numpy()[view.bonds[["atom_i", "atom_j"]].to_numpy()]
    np.testing.assert_allclose(found.atoms["x"][found.pairs], expected)


def test_only_the_shown_frame_is_embedded(view):
    values = np.arange(len(view.rings), dtype=float)
    single = replace(view, ring_values={"psi6": values})
    rings = pd.concat([view.rings.assign(frame=1), view.rings], ignore_index=True)
    both = replace(
        view,
        sites=pd.concat([view.sites.assign(frame=1, x=0.0), view.sites]),
        bonds=pd.concat([view.bonds.assign(frame=1), view.bonds]),
        angles=pd.concat([view.angles.assign(frame=1), view.angles]),
        rings=rings,
        ring_members=np.concatenate([np.zeros_like(view.ring_members), view.ring_members]),
        ring_offsets=np.concatenate([view.ring_offsets, view.ring_offsets[1:] + len(view.ring_members)]),
        ring_values={"psi6": np.concatenate([values + 99, values])},
    )
    assert overlay_payload(both, label="x") == overlay_payload(single, label="x")


@pytest.mark.parametrize("table", ["bonds", "angles"])
def test_a_ring_centre_is_no_atom(view, table):
    column = {"bonds": "atom_j", "angles": "vertex"}[table]
    centre = int(view.rings["ring"].iloc[0])
    with pytest.raises(ValueError, match="got an unknown site"):
        collect(replace(view, **{table: getattr(view, table).assign(**{column: centre})}))


def test_a_micrograph_without_sites(view):
    bare = replace(
        view,
        **{name: getattr(view, name).iloc[:0] for name in ("sites", "bonds", "angles", "rings", "pdf")},
        ring_members=np.empty(0, dtype=int),
        ring_offsets=np.zeros(1, dtype=int),
    )
    payload = overlay_payload(bare, label="x")
    assert payload.chunks == {}
    assert payload.head["tiles"] == []
    assert payload.n_bytes == 0


def test_what_is_suspect_is_marked(view):
    rings = view.rings.assign(delaunay_size=view.rings["size"])
    complete = rings.index[rings["complete"]]
    rings.loc[complete[2], "delaunay_size"] += 1
    rings.loc[complete[5], "ring"] = -1
    is_doubtful = pd.Series(None, index=view.sites.index, dtype=object)
    is_doubtful.iloc[7] = True
    marked = replace(view, rings=rings, sites=view.sites.assign(is_doubtful=is_doubtful))
    found, _, _ = collect(marked)
    flags = found.rings["flags"]
    assert np.flatnonzero(flags & 4).tolist() == [rings.index.get_loc(complete[2])]
    assert np.flatnonzero(flags & 2).tolist() == [rings.index.get_loc(complete[5])]
    assert np.flatnonzero(found.atoms["flags"] & 2).tolist() == [7]
    assert overlay_payload(marked, label="x").head["warnings"] == 3
    assert overlay_payload(view, label="x").head["warnings"] == 0


def test_numbers_of_rings_and_atoms_become_colourings(view):
    strain = np.linspace(-0.1, 0.2, len(atoms_of(view)))
    valued = replace(
        view, ring_values={"psi6": np.full(len(view.rings), np.nan)}, atom_values={"bond_strain": strain}
    )
    payload = overlay_payload(valued, label="x")
    named = payload.head["colourings"]
    assert [item["name"] for item in named["rings"]] == ["area", "psi6"]
    (item,) = named["atoms"]
    columns, header = unpack(payload.chunks["o0"])
    stored = item["stored"][0] + columns["av0"] / 65534 * (item["stored"][1] - item["stored"][0])
    by_site = dict(zip(columns["asite"].tolist(), stored[: header["n"]].tolist(), strict=True))
    expected = dict(zip(atoms_of(view)["site"].tolist(), strain.tolist(), strict=True))
    assert by_site == pytest.approx(expected, abs=1e-5)
    assert (columns["rv1"] == 65535).all()


def test_density_only_where_atoms_are_too_many_to_draw(view, monkeypatch):
    assert overlay_payload(view, label="x").head["density"] is None
    monkeypatch.setattr(payload_module, "DETAIL", 100)
    density = overlay_payload(view, label="x").head["density"]
    columns, _ = unpack(density["data"])
    assert len(columns["k3"]) == density["rows"] * density["columns"]


def test_the_image_is_added_as_a_pyramid(view):
    large = replace(view, image=np.random.default_rng(0).random((1100, 700), dtype=np.float32))
    payload = add_image(overlay_payload(large, label="x"), large, (1100, 700))
    assert payload.head["image"]["levels"] == 2
    assert [name for name in payload.chunks if name[0] == "i"] == [
        "i0-0-0", "i0-0-1", "i0-1-0", "i0-1-1", "i0-2-0", "i0-2-1",
    ]  # fmt: skip


def test_masks_are_clear_where_the_sheet_is_one_layer():
    mask = np.ones((30, 40), dtype=np.uint8)
    mask[:10], mask[20:] = 0, 2
    picture = Image.open(io.BytesIO(base64.b64decode(mask_uri(mask).split(",")[1]))).convert("RGBA")
    pixels = np.asarray(picture)
    assert pixels.shape == (30, 40, 4)
    assert (pixels[10:20, :, 3] == 0).all()
    assert (pixels[:10, :, 3] > 80).all()
    assert (pixels[0, 0, :3] != pixels[-1, 0, :3]).all()


def test_large_masks_are_shown_coarser():
    mask = np.zeros((100, 5000), dtype=np.uint8)
    mask[:, 2500:] = 1
    picture = Image.open(io.BytesIO(base64.b64decode(mask_uri(mask).split(",")[1]))).convert("RGBA")
    assert picture.size == (2048, 100)
    assert np.asarray(picture)[:, :, 3].mean() == pytest.approx(110 / 2, rel=0.01)


def test_defects_are_grouped_by_kind(view):
    defects = pd.DataFrame(
        {
            "frame": [0, 0, 0, 1],
            "kind": ["585", "5-7 pair", "5-7 pair", "585"],
            "rings": 2,
            "x": [1.0, 2.0, 3.0, 4.0],
            "y": [5.0, 6.0, 7.0, 8.0],
            "complete": [True, True, False, True],
        }
    )
    shown = replace(view, defects=defects)
    assert defect_counts(shown) == [("5-7 pair", 2, 1), ("585", 1, 1)]
    first, second = overlay_payload(shown, label="x").head["defects"]
    assert (first["kind"], first["places"], first["complete"]) == ("5-7 pair", [2, 6, 3, 7], [1, 0])
    assert second["places"] == [1, 5]
    assert first["colour"] != second["colour"]
    assert defect_counts(view) == []


def test_select_ragged_keeps_whole_rows():
    flat, offsets = select_ragged(
        np.arange(9), np.array([0, 3, 3, 7, 9]), np.array([False, True, True, True])
    )
    np.testing.assert_array_equal(flat, [3, 4, 5, 6, 7, 8])
    np.testing.assert_array_equal(offsets, [0, 0, 4, 6])
