"""What contradicts itself goes; what is missing comes back only with a peak, and only where it must be."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from amorph2d.localisation.consistency import (
    ConsistencyParameters,
    drop_contradictions,
    find_missing_atoms,
    make_consistent,
)

BOND = 1.42
APART = {"atom_distance": 0.9, "ring_distance": 1.25, "ring_to_atom": 0.8}
MISSING = {
    "bond_length": BOND, "bond_tolerance": 0.21, "bond_limits": (0.5, 1.9), "angle_tolerance": 25.0,
    "surroundings": 0.75, "enclosed": 0.33,
}  # fmt: skip


def parameters(**changes):
    apart = {name: changes.pop(name, value) for name, value in APART.items()}
    return ConsistencyParameters(**apart, missing=MISSING | changes)


def table(atoms, rings=(), *, confidence=0.9, ring_confidence=0.9, frame=0):
    atoms, rings = (np.reshape(points, (-1, 2)).astype(float) for points in (atoms, rings))
    x, y = np.concatenate([atoms, rings]).T
    n_atoms, n_rings = len(atoms), len(rings)
    return pd.DataFrame(
        {
            "frame": np.full(n_atoms + n_rings, frame, np.int32),
            "site": np.arange(n_atoms + n_rings, dtype=np.int64),
            "kind": ["atom"] * n_atoms + ["ring"] * n_rings,
            "x": x,
            "y": y,
            "sigma": np.full(n_atoms + n_rings, 0.1, np.float32),
            "confidence": np.concatenate(
                [np.broadcast_to(confidence, n_atoms), np.broadcast_to(ring_confidence, n_rings)]
            ).astype(np.float32),
            "analysable": np.ones(n_atoms + n_rings, bool),
        }
    )


def graphene(n_x, n_y, turn=0.0):
    """Atoms and ring centres of n_x by n_y cells, the middle of all near the origin."""
    a, b = np.array([np.sqrt(3) * BOND, 0]), np.array([np.sqrt(3) * BOND / 2, 1.5 * BOND])
    i, j = (each.ravel() for each in np.meshgrid(np.arange(n_x), np.arange(n_y)))
    cells = (i - j // 2)[:, None] * a + j[:, None] * b
    cells = cells - cells.mean(axis=0)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    atoms = np.concatenate([cells, cells + np.array([0, BOND])]) @ rotation
    return atoms, (cells + np.array([0, 2 * BOND])) @ rotation


def nearest(points, place):
    return int(np.argmin(np.hypot(*(points - place).T)))


def rim(turn=0.0):
    """Graphene with a wide hole, and the number of an atom on its rim that has two neighbours."""
    atoms, rings = graphene(14, 12, turn)
    away = np.hypot(*atoms.T)
    atoms = atoms[away > 5]
    rings = rings[[np.hypot(*(atoms - ring).T).min() < 1.5 and np.hypot(*ring) > 6 for ring in rings]]
    distances = np.hypot(*(atoms[:, None] - atoms).transpose(2, 0, 1))
    is_bonded = (distances < 1.6) & (distances > 0)
    n_bonds = is_bonded.sum(axis=1)
    on_rim = (n_bonds == 2) & (np.hypot(*atoms.T) < 7)
    on_rim &= np.array([(n_bonds[is_bonded[k]] == 3).all() for k in range(len(atoms))])
    on_rim &= np.array([0 < (np.hypot(*(rings - atom).T) < 1.9).sum() <= 2 for atom in atoms])
    return atoms, rings, int(np.flatnonzero(on_rim)[0])


def split(atoms, rings, missing, *, peak=0.3, **changes):
    """Sites without some atoms, and candidates with them as weak peaks."""
    confidence = np.full(len(atoms), 0.9)
    confidence[missing] = peak
    candidates = table(atoms, rings, confidence=confidence, **changes)
    is_weak = (candidates["kind"] == "atom") & (candidates["confidence"] <= peak + 1e-6)
    sites = candidates[~is_weak].reset_index(drop=True)
    return sites.assign(site=np.arange(len(sites))), candidates


def repaired(sites, candidates, **changes):
    out = make_consistent(sites, candidates, parameters=parameters(**changes))
    return out.loc[out["origin"] == "repaired", ["x", "y"]].to_numpy()


@pytest.mark.parametrize("turn", [0.0, 0.4, 1.3])
def test_an_atom_of_a_rim_is_taken_in_where_its_peak_is(turn):
    atoms, rings, missing = rim(turn)
    sites, candidates = split(atoms, rings, missing)
    out = make_consistent(sites, candidates, parameters=parameters())
    assert len(out) == len(sites) + 1
    pd.testing.assert_frame_equal(out.iloc[:-1].drop(columns="origin"), sites)
    assert (out["origin"].iloc[:-1] == "network").all()
    new = out.iloc[-1]
    assert (new["origin"], new["site"], new["kind"]) == ("repaired", len(sites), "atom")
    assert (new["x"], new["y"]) == tuple(atoms[missing])
    assert new["confidence"] == np.float32(0.3)
    assert out.dtypes.drop("origin").equals(sites.dtypes)


def test_nothing_is_taken_in_without_a_peak():
    atoms, rings, missing = rim()
    sites, _ = split(atoms, rings, missing)
    assert len(repaired(sites, sites)) == 0


def test_whole_sheets_stay_as_they_are():
    sites = table(*graphene(9, 7))
    out = make_consistent(sites, sites, parameters=parameters())
    pd.testing.assert_frame_equal(out, sites.assign(origin="network"))


@pytest.mark.parametrize(
    "change",
    [
        {"angle_tolerance": 3.0},
        {"bond_tolerance": 0.02},
        {"surroundings": 0.95},
        {"bond_limits": (0.5, 2.2)},  # then the atoms across are too near
    ],
)
def test_a_peak_beside_the_place_needs_tolerance(change):
    atoms, rings, missing = rim()
    atoms[missing] += 0.14 * np.array([np.cos(0.7), np.sin(0.7)])
    sites, candidates = split(atoms, rings, missing)
    if "bond_limits" in change:
        extra = atoms[missing] * (1 - 2.0 / np.hypot(*atoms[missing]))
        sites = pd.concat([sites, table([extra]).assign(site=len(sites))], ignore_index=True)
    assert len(repaired(sites, candidates)) == 1
    assert len(repaired(sites, candidates, **change)) == 0


def test_a_peak_at_the_border_is_left_alone():
    atoms, rings, missing = rim()
    sites, candidates = split(atoms, rings, missing)
    candidates.loc[missing, "analysable"] = False
    assert len(repaired(sites, candidates)) == 0


def test_an_atom_beside_no_ring_or_too_many_peaks_of_rings_is_none():
    atoms, rings, missing = rim()
    sites, candidates = split(atoms, rings, missing)
    is_near = (np.hypot(sites["x"] - atoms[missing, 0], sites["y"] - atoms[missing, 1]) < 1.9) & (
        sites["kind"] == "ring"
    )
    assert is_near.any()
    assert len(repaired(sites[~is_near], candidates)) == 0
    inwards = atoms[missing] / np.hypot(*atoms[missing])
    across = np.array([inwards[1], -inwards[0]])
    peaks = atoms[missing] - 1.3 * inwards + np.outer([-0.4, 0.4], across)
    noise = table([], peaks, ring_confidence=0.15)
    assert len(repaired(sites, pd.concat([candidates, noise]))) == 0


def test_full_atoms_get_no_fourth_bond():
    atoms, rings = graphene(9, 7)
    place = rings[nearest(rings, (0, 0))]
    candidates = pd.concat([table(atoms, rings), table([place, place + np.array([0.3, 0])], confidence=0.4)])
    assert len(repaired(table(atoms, rings), candidates)) == 0


def test_a_vacancy_is_filled_by_a_strong_peak_only():
    atoms, rings = graphene(9, 7)
    missing = nearest(atoms, (0, 0))
    for peak, n in ((0.4, 1), (0.3, 0)):
        assert len(repaired(*split(atoms, rings, missing, peak=peak))) == n


def test_an_atom_taken_in_counts_as_a_neighbour(monkeypatch):
    atoms, rings = graphene(9, 7)
    middle = nearest(atoms, (0, 0))
    ends = np.argsort(np.hypot(*(atoms - atoms[middle]).T))[1:3]
    shared = nearest(rings, atoms[[middle, *ends]].mean(axis=0) * 2 - atoms[middle])
    sites, candidates = split(atoms, np.delete(rings, shared, axis=0), [middle, *ends], peak=0.4)
    found = repaired(sites, candidates)
    np.testing.assert_array_equal(found, atoms[np.sort([middle, *ends])])
    monkeypatch.setattr("amorph2d.localisation.consistency._PASSES", 1)
    np.testing.assert_array_equal(repaired(sites, candidates), atoms[np.sort(ends)])


def test_missing_atoms_are_looked_for_only_if_asked():
    atoms, rings, missing = rim()
    sites, candidates = split(atoms, rings, missing)
    out = make_consistent(sites, candidates, parameters=ConsistencyParameters(**APART, missing=None))
    pd.testing.assert_frame_equal(out, sites.assign(origin="network"))


def test_of_peaks_for_one_place_the_strongest_is_taken():
    atoms, rings, missing = rim()
    sites, candidates = split(atoms, rings, missing)
    beside = table([atoms[missing] + [0.05, 0.05]], confidence=0.2)
    found = repaired(sites, pd.concat([beside, candidates], ignore_index=True))
    np.testing.assert_array_equal(found, [atoms[missing]])


def test_of_close_atoms_the_weaker_goes():
    sites = table([[0, 0], [0.8, 0], [1.6, 0], [4, 0], [5.0, 0]], confidence=[0.5, 0.6, 0.7, 0.4, 0.3])
    kept = drop_contradictions(sites, parameters())
    assert kept["site"].tolist() == [
        0,
        2,
        3,
        4,
    ]  # the middle one goes, and with it what speaks against the first
    assert len(drop_contradictions(sites, parameters(atom_distance=0.0))) == 5


def test_a_ring_centre_on_an_atom_goes():
    sites = table([[0, 0], [5, 0]], [[0.5, 0.5], [5.9, 0], [2.5, 0]], confidence=0.5)
    assert drop_contradictions(sites, parameters())["site"].tolist() == [0, 1, 3, 4]
    assert len(drop_contradictions(sites, parameters(ring_to_atom=0.5))) == 5


def test_of_close_ring_centres_the_weaker_goes():
    sites = table([], [[0, 0], [1.2, 0], [3, 0], [4.3, 0]], ring_confidence=[0.4, 0.5, 0.4, 0.5])
    assert drop_contradictions(sites, parameters())["site"].tolist() == [1, 2, 3]


def test_a_ring_centre_that_goes_takes_no_other_with_it():
    sites = table([[0, 0]], [[0.6, 0], [1.6, 0]], ring_confidence=[0.9, 0.4])
    assert drop_contradictions(sites, parameters())["site"].tolist() == [0, 2]


def test_what_was_dropped_does_not_come_back():
    atoms, rings, missing = rim()
    double = np.concatenate([atoms, [atoms[missing] + [0.5, 0.2]]])
    sites = table(double, rings, confidence=[*[0.9] * len(atoms), 0.8])
    out = make_consistent(sites, sites, parameters=parameters())
    assert set(sites["site"]) - set(out["site"]) == {len(atoms)}


def test_origins_and_numbers_stay():
    atoms, rings, missing = rim()
    sites, candidates = split(atoms, rings, missing)
    sites = sites.assign(site=sites["site"] + 100, origin="refined", note=1.5)
    out = make_consistent(sites, candidates, parameters=parameters())
    assert out["origin"].tolist() == ["refined"] * len(sites) + ["repaired"]
    assert out["site"].iloc[-1] == sites["site"].max() + 1
    assert np.isnan(out["note"].iloc[-1])


def test_the_order_of_rows_changes_nothing():
    atoms, rings, missing = rim(0.2)
    sites, candidates = split(atoms, rings, missing)
    shuffled = [part.sample(frac=1, random_state=3) for part in (sites, candidates)]
    np.testing.assert_array_equal(repaired(*shuffled), repaired(sites, candidates))
    assert find_missing_atoms(sites, candidates, parameters().missing).tolist() == [missing]


@pytest.mark.parametrize(
    ("atoms", "rings"), [([], []), ([[0, 0]], []), ([], [[1, 2]]), ([[0, 0], [1.4, 0]], [])]
)
def test_hardly_any_sites(atoms, rings):
    sites = table(atoms, rings)
    peaks = pd.concat([sites, table([[0.7, 1.2], [9, 9]], [[4, 4]], confidence=0.4)])
    out = make_consistent(sites, peaks, parameters=parameters())
    pd.testing.assert_frame_equal(out, sites.assign(origin="network"))
    assert len(make_consistent(sites, sites.iloc[:0], parameters=parameters())) == len(sites)


def test_many_sites_take_little_time():
    atoms, rings = graphene(120, 90)
    missing = np.random.default_rng(0).choice(len(atoms), 400, replace=False)
    sites, candidates = split(atoms, rings, missing, peak=0.4)
    start = time.process_time()
    out = make_consistent(sites, candidates, parameters=parameters())
    assert time.process_time() - start < 3  # 0.4 s when nothing else runs
    assert 300 < (out["origin"] == "repaired").sum() <= 400
    true = {tuple(place) for place in atoms[missing]}
    assert {tuple(place) for place in out.loc[out["origin"] == "repaired", ["x", "y"]].to_numpy()} <= true


def test_refuses_tables_that_do_not_fit():
    sites = table([[0, 0], [1.4, 0]])
    with pytest.raises(ValueError, match=r"sites must have the columns .* got no confidence"):
        make_consistent(sites.drop(columns="confidence"), sites, parameters=parameters())
    with pytest.raises(ValueError, match=r"sites must be those of one frame, got the frames \[0, 1\]"):
        make_consistent(sites, sites.assign(frame=1), parameters=parameters())
    with pytest.raises(ValueError, match="positions must be finite"):
        make_consistent(sites.assign(x=np.nan), sites, parameters=parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bond_limits": (2.0, 1.9)}, "bond_limits must be shortest < longest"),
        ({"bond_limits": (0.5, 1.5)}, "bond_limits must reach to the longest bond of a missing atom, 1.72 Å"),
        ({"bond_length": 0.0}, "greater than 0"),
        ({"more": 1}, "Extra inputs"),
        ({"atom_distance": -1.0}, "greater than or equal to 0"),
    ],
)
def test_refuses_parameters_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match=message):
        parameters(**change)
