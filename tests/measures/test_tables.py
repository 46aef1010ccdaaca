import numpy as np
import pandas as pd
import pytest

from amorph2d.measures import tables
from amorph2d.measures.tables import (
    angles_table,
    bonds_table,
    differing_ring_sizes,
    network_tables,
    pdf_table,
    ring_atoms_table,
    rings_table,
)
from amorph2d.measures.window import RectangularWindow
from strategies import BOND, honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters()
WINDOW = RectangularWindow(0, 0, 20, 30)
TRIANGLE = [[3, 3], [4.4, 3], [3.7, 4.2]]


def all_tables(sites, parameters=PARAMETERS):
    bonds = bonds_table(sites, parameters)
    return {
        "bonds": bonds,
        "angles": angles_table(sites, bonds),
        "rings": rings_table(sites, bonds, parameters),
        "ring_atoms": ring_atoms_table(sites, bonds, parameters),
        "pdf": pdf_table(sites, WINDOW, parameters),
    }


def schema(table):
    return {name: str(dtype) for name, dtype in table.dtypes.items()}


SCHEMAS = {
    "bonds": {"frame": "int32", "atom_i": "int64", "atom_j": "int64", "length": "float64"},
    "angles": {"frame": "int32", "atom_i": "int64", "vertex": "int64", "atom_j": "int64", "angle": "float64"},
    "rings": {
        "frame": "int32",
        "ring": "int64",
        "size": "int32",
        "x": "float64",
        "y": "float64",
        "area": "float64",
        "complete": "bool",
        "delaunay_size": "int32",
    },
    "ring_atoms": {"frame": "int32", "row": "int64", "atom": "int64"},
    "pdf": {"frame": "int32", "r": "float64", "g": "float64", "g_error": "float64"},
}


@pytest.mark.parametrize(
    "sites",
    [
        make_sites([]),
        make_sites([[2, 3]]),
        make_sites([[2, 3], [3.4, 3]]),
        make_sites([], [[1, 1], [4, 4]]),
        make_sites(TRIANGLE, [[3.7, 3.4]]),
        make_sites(honeycomb(3, 2)[0], honeycomb(3, 2)[1]),
    ],
    ids=["empty", "one atom", "two atoms", "centres only", "triangle", "graphene"],
)
def test_columns_and_types_are_the_same_whatever_is_there(sites):
    assert {name: schema(table) for name, table in all_tables(sites).items()} == SCHEMAS


def test_a_triangle_in_site_numbers():
    sites = make_sites(TRIANGLE, [[3.7, 3.4]])
    sites["site"] = [40, 10, 30, 20]
    found = all_tables(sites)
    assert found["bonds"][["atom_i", "atom_j"]].to_numpy().tolist() == [[10, 30], [10, 40], [30, 40]]
    np.testing.assert_allclose(found["bonds"]["length"], [np.hypot(0.7, 1.2), 1.4, np.hypot(0.7, 1.2)])
    assert found["angles"][["atom_i", "vertex", "atom_j"]].to_numpy().tolist() == [
        [30, 10, 40],
        [10, 30, 40],
        [10, 40, 30],
    ]
    assert found["angles"]["angle"].sum() == pytest.approx(180)
    ring = found["rings"].iloc[0]
    assert (ring["ring"], ring["size"], ring["complete"]) == (20, 3, True)
    assert ring[["x", "y", "area"]].tolist() == pytest.approx([3.7, 3.4, 0.84])
    assert sorted(found["ring_atoms"]["atom"]) == [10, 30, 40]


def test_rows_in_any_order_give_the_same():
    atoms, centres, _ = honeycomb(4, 3)
    sites = make_sites(atoms, centres)
    expected, shuffled = all_tables(sites), all_tables(sites.sample(frac=1, random_state=1))
    for name, table in expected.items():
        pd.testing.assert_frame_equal(table, shuffled[name])


def test_frames_do_not_see_each_other():
    atoms, centres, _ = honeycomb(4, 3)
    one = make_sites(atoms, centres, frame=3)
    two = make_sites(atoms[5:] + np.array([0.7, 0.2]), centres, frame=7)
    both = all_tables(pd.concat([two, one]))
    for name, table in both.items():
        alone = pd.concat([all_tables(one)[name], all_tables(two)[name]], ignore_index=True)
        pd.testing.assert_frame_equal(table, alone)


def test_graphene_sheet():
    atoms, centres, _ = honeycomb(6, 4)
    found = all_tables(make_sites(atoms, centres))
    np.testing.assert_allclose(found["bonds"]["length"], BOND)
    np.testing.assert_allclose(found["angles"]["angle"], 120)
    np.testing.assert_array_equal(found["rings"]["size"], 6)
    rings = found["rings"].set_index("ring")
    np.testing.assert_allclose(rings[["x", "y"]], centres[rings.index - len(atoms)])


def test_ring_atoms_follow_the_rings():
    atoms, centres, _ = honeycomb(5, 3)
    found = all_tables(make_sites(atoms[1:], centres))
    of_ring = found["ring_atoms"].groupby("row")["atom"]
    np.testing.assert_array_equal(of_ring.size(), found["rings"]["size"])
    for row, ring in found["rings"].iterrows():
        np.testing.assert_allclose(
            atoms[1:][of_ring.get_group(row)].mean(axis=0), ring[["x", "y"]].astype(float)
        )


def test_a_ring_without_a_detected_centre():
    atoms, centres, _ = honeycomb(4, 3)
    sites = make_sites(atoms, centres)
    rings = all_tables(sites)["rings"]
    lost = rings["ring"].iloc[2]
    again = all_tables(sites[sites["site"] != lost])["rings"]
    assert again["ring"].tolist().count(-1) == 1
    known = rings.assign(
        ring=again["ring"], delaunay_size=np.where(again["ring"] < 0, -1, rings["delaunay_size"])
    )
    pd.testing.assert_frame_equal(again, known.astype({"delaunay_size": "int32"}))


def test_rings_with_an_atom_that_does_not_count_are_not_complete():
    atoms, centres, _ = honeycomb(4, 3)
    counts = np.ones(len(atoms) + len(centres), dtype=bool)
    counts[18] = False
    found = all_tables(make_sites(atoms, centres, analysable=counts))
    touched = found["ring_atoms"].loc[found["ring_atoms"]["atom"] == 18, "row"]
    assert len(touched) > 1
    assert found["rings"].index[~found["rings"]["complete"]].tolist() == touched.tolist()


def test_pair_distribution_counts_analysable_atoms_in_the_window():
    sites = make_sites(
        [[2, 3], [3.42, 3], [2, 4.4], [-5, 3]], [[8, 8]], analysable=[True, True, False, True, True]
    )
    table = pdf_table(sites, WINDOW, PARAMETERS)
    assert table.loc[table["g"] > 0, "r"].tolist() == pytest.approx([1.425])
    assert len(table) == 200


def test_limits_are_those_of_the_parameters():
    sites = make_sites([[2, 3], [4.5, 3]])
    wide = PARAMETERS.model_copy(update={"bonds": PARAMETERS.bonds.model_copy(update={"limits": (0.5, 3.0)})})
    assert len(bonds_table(sites, PARAMETERS)) == 0
    assert len(bonds_table(sites, wide)) == 1


def test_criteria_that_disagree_are_listed():
    atoms, centres, _ = honeycomb(6, 4)
    sites = make_sites(atoms, centres)
    rings = all_tables(sites)["rings"]
    assert len(differing_ring_sizes(rings)) == 0
    wrong = rings.assign(size=np.where(rings.index == 4, 7, rings["size"]).astype("int32"))
    table = differing_ring_sizes(wrong)
    assert schema(table) == SCHEMAS["rings"]
    assert table[["ring", "size", "delaunay_size"]].to_numpy().tolist() == [[rings["ring"][4], 7, 6]]
    assert len(differing_ring_sizes(wrong.assign(complete=False))) == 0
    assert len(differing_ring_sizes(wrong.assign(ring=-1))) == 0
    assert len(differing_ring_sizes(rings.iloc[:0])) == 0


def test_one_triangulation_gives_the_tables_of_several():
    atoms, centres, _ = honeycomb(9, 5)
    rng = np.random.default_rng(3)
    frames = [
        make_sites(atoms + rng.normal(0, 0.2, atoms.shape), centres[1:]).assign(frame=np.int32(number))
        for number in (2, 5)
    ]
    for sites in (pd.concat(frames), make_sites([]), make_sites([[2, 3]])):
        found, bonds = network_tables(sites, PARAMETERS), bonds_table(sites, PARAMETERS)
        pd.testing.assert_frame_equal(found.bonds, bonds)
        pd.testing.assert_frame_equal(found.rings, rings_table(sites, bonds, PARAMETERS))
        pd.testing.assert_frame_equal(found.ring_atoms, ring_atoms_table(sites, bonds, PARAMETERS))


@pytest.mark.parametrize("name", ["frame", "site", "kind", "x", "analysable"])
def test_names_a_missing_column(name):
    with pytest.raises(ValueError, match=f"sites must have the columns .*, got none called {name}"):
        bonds_table(make_sites(TRIANGLE).drop(columns=name), PARAMETERS)


def test_refuses_bonds_of_other_sites():
    sites = make_sites(TRIANGLE, [[3.7, 3.4]])
    bonds = bonds_table(sites, PARAMETERS)
    with pytest.raises(ValueError, match="bonds must name atoms of the same frame, got 3"):
        angles_table(sites, bonds.replace({"atom_j": {2: 3}}))
    with pytest.raises(ValueError, match="bonds must name atoms of the same frame, got 2"):
        rings_table(sites[sites["site"] != 2], bonds, PARAMETERS)
    with pytest.raises(ValueError, match="got frame 5 without any"):
        angles_table(sites, bonds.assign(frame=5))


def test_frames_without_sites_can_be_had():
    assert list(tables.split_frames(make_sites([]))) == []
    [(frame, rows)] = tables.split_frames(make_sites([]), at_least_one=True)
    assert frame == 0
    assert len(rows) == 0
