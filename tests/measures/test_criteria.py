import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.criteria import CRITERIA_COLUMNS, compare_criteria
from amorph2d.measures.tables import network_tables, ring_atoms_table, rings_table
from strategies import honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters()


def compared(sites):
    return compare_criteria(sites, *network_tables(sites, PARAMETERS), PARAMETERS)


def test_criteria_agree_on_a_honeycomb():
    atoms, centres, _ = honeycomb(7, 5)
    criteria, checks = compared(make_sites(atoms, centres))
    assert (criteria["status"] == "agrees").all()
    assert criteria["shortest_path"].all()
    row = checks.iloc[0]
    assert row["is_consistent"]
    assert row["n_rings"] == row["n_expected_rings"] == len(criteria) == row["shortest_path_rings_6"]
    assert row[["n_isolated", "n_over_coordinated", "n_crossings", "n_holes"]].tolist() == [0, 0, 0, 0]
    assert row["n_pieces"] == 1


def test_a_ring_around_a_lost_centre_and_strange_atoms():
    atoms, centres, _ = honeycomb(7, 5)
    hanging = np.array([[atoms[:, 0].max() + 1.4, atoms[atoms[:, 0].argmax(), 1]]])
    alone = np.array([[-40.0, -40.0]])
    sites = make_sites(np.concatenate([atoms, hanging, alone]), centres)
    middle = sites.index[sites["kind"] == "ring"][len(centres) // 2]
    before = compared(sites)[1].iloc[0]
    assert before["n_isolated"] == 1
    sites.loc[middle, ["x", "y"]] += 0.8  # towards an atom: some of its Delaunay edges are lost
    criteria, checks = compared(sites)
    assert (
        checks.loc[0, "rings_other_delaunay_size"] == (criteria["status"] == "other_delaunay_size").sum() > 0
    )
    assert criteria.loc[criteria["status"] == "other_delaunay_size", "row"].min() >= 0


def test_shortcuts_and_rings_that_are_no_faces():
    # Two faces share four bonds; a single bond leads around these, so the face of eight has a shortcut, and
    # the circle of five about both is a ring by shortest paths.
    ends, inner = [[0, 0], [3, 0]], [[0.5, -1], [1.5, -1.6], [2.5, -1]]
    sites = make_sites([*ends, *inner, [-0.8, -1.5], [1.5, -3.5], [3.8, -1.5]])
    pairs = np.array([[0, 1], [0, 2], [2, 3], [3, 4], [1, 4], [0, 5], [5, 6], [6, 7], [1, 7]])
    bonds = pd.DataFrame({"frame": np.int32(0), "atom_i": pairs[:, 0], "atom_j": pairs[:, 1], "length": 1.4})
    rings = rings_table(sites, bonds, PARAMETERS), ring_atoms_table(sites, bonds, PARAMETERS)
    criteria, checks = compare_criteria(sites, bonds, *rings, PARAMETERS)
    found = criteria.set_index("status")
    assert found["size"].to_dict() == {"has_shortcut": 8, "agrees": 5, "no_face": 5}
    assert found.loc["no_face", "row"] == -1
    row = checks.iloc[0]
    assert row[["rings_has_shortcut", "rings_no_face", "rings_agrees"]].tolist() == [1, 1, 1]
    assert row["shortest_path_rings_5"] == 2
    assert row["shortest_path_rings_8"] == 0


def test_frames_and_emptiness():
    atoms, centres, _ = honeycomb(4, 3)
    sites = make_sites(atoms, centres)
    series = pd.concat([sites.assign(frame=np.int32(n)) for n in (3, 4)])
    criteria, checks = compared(series)
    assert checks["frame"].tolist() == [3, 4]
    assert criteria.groupby("frame").size().nunique() == 1
    for none in (make_sites([]), make_sites([[1, 2]])):
        criteria, checks = compared(none)
        assert {name: str(kind) for name, kind in criteria.dtypes.items()} == CRITERIA_COLUMNS
        assert len(criteria) == 0


def test_what_does_not_count():
    atoms, centres, _ = honeycomb(5, 4)
    sites = make_sites(atoms, centres, analysable=np.zeros(len(atoms) + len(centres), bool))
    row = compared(sites)[1].iloc[0]
    assert row["n_dangling"] == row["shortest_path_rings_6"] == row["rings_agrees"] == 0
    assert row["n_rings"] == pytest.approx(len(network_tables(sites, PARAMETERS).rings))
