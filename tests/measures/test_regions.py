import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.regions import restrict
from amorph2d.measures.tables import network_tables
from strategies import honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters()


def tables(seed=0):
    atoms, centres, _ = honeycomb(8, 6)
    sites = make_sites(atoms, centres)
    sites["site"] = np.random.default_rng(seed).permutation(len(sites))
    return sites, network_tables(sites, PARAMETERS)


def test_everything_inside_changes_nothing():
    sites, found = tables()
    kept = restrict(sites, found.rings, found.ring_atoms, np.ones(len(sites), bool))
    pd.testing.assert_frame_equal(kept[0], sites)
    pd.testing.assert_frame_equal(kept[1], found.rings)


def test_rings_with_an_atom_outside_do_not_count():
    sites, found = tables()
    inside = (sites["x"] < 9).to_numpy()
    own, rings = restrict(sites, found.rings, found.ring_atoms, inside)
    assert own["analysable"].tolist() == inside.tolist()
    outside = set(sites["site"][~inside])
    members = found.ring_atoms.groupby("row")["atom"].apply(lambda atoms: bool(set(atoms) & outside))
    assert 0 < members.sum() < len(members)
    assert rings["complete"].tolist() == (~members).tolist()


def test_refuses_another_number_of_sites():
    sites, found = tables()
    with pytest.raises(ValueError, match=r"is_inside must have the shape \(\d+,\), got \(3,\)"):
        restrict(sites, found.rings, found.ring_atoms, np.ones(3, bool))
