from functools import cache

import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.tables import network_tables, ring_atoms_table, rings_table
from amorph2d.measures.window import RectangularWindow
from amorph2d.series.config import LinkingParameters
from amorph2d.series.events import EVENT_COLUMNS, EVENT_UNITS, EventParameters, _kind, events_table
from amorph2d.series.linking import link_sites
from amorph2d.series.network_changes import NetworkChanges
from amorph2d.series.ring_changes import RingChange, Scene
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import with_atoms
from strategies import make_sites
from turning_bonds import NETWORK, find_true, observe_series, turn_bond

WINDOW = (4.0, 4.0, 35.0, 30.0)
N_FRAMES = 12


def parameters(**changes):
    return EventParameters(**{"min_frames": 3, "max_gap": 3, "max_jump": 1.3} | changes)


@cache
def crystal():
    return honeycomb_sheet((39, 34), bond_length=1.42, rotation=7.0)


@cache
def turned_sheets(relax):
    """Sheets of a series in which four bonds turn, and frame and place of each."""
    rng = np.random.default_rng(4)
    sheet, sheets, truth = crystal(), [], []
    places = [(x, y) for x in (12, 27) for y in (11, 22)]
    when = sorted(rng.choice(np.arange(3, N_FRAMES - 3), len(places), replace=False).tolist())
    for frame in range(N_FRAMES):
        if frame in when:
            sheet, middle = turn_bond(sheet, places[when.index(frame)], relax=relax)
            truth.append((frame, *middle))
        sheets.append(sheet)
    return sheets, truth


@cache
def quiet_series():
    rng = np.random.default_rng(1)
    return observe_series(turned_sheets(True)[0], rng=rng, window=WINDOW, noise=0.02)


@cache
def still_series():
    return observe_series([crystal()] * 8, rng=np.random.default_rng(0), window=WINDOW, noise=0.02)


def find_events(sites, network, **changes):
    field = changes.pop("field", None)
    return events_table(sites, *network, parameters(**changes), field=field)


def test_columns_and_units():
    sites, network = observe_series([crystal()] * 2, rng=np.random.default_rng(0), window=WINDOW)
    events = find_events(sites, network)
    assert events.empty
    assert {name: str(kind) for name, kind in events.dtypes.items()} == EVENT_COLUMNS
    assert set(EVENT_UNITS) == set(EVENT_COLUMNS)


@pytest.mark.parametrize(
    ("relax", "noise", "missed"), [(True, 0.03, 0.005), (True, 0.06, 0.01), (False, 0.05, 0.02)]
)
def test_turned_bonds_are_found_in_their_frame_and_no_others(relax, noise, missed):
    sheets, truth = turned_sheets(relax)
    # The bonds of a network that is not relaxed are not all where neighbours are; they are given then.
    options = {"noise": noise, "missed": missed, "drift": 0.3, "true_bonds": not relax}
    seen = observe_series(sheets, rng=np.random.default_rng(0), window=WINDOW, **options)
    events = find_events(*seen)
    events = events[events["persistent"]].reset_index(drop=True)
    assert len(events) == len(truth) == 4
    assert sorted(find_true(events, truth)) == [0, 1, 2, 3]
    assert (events["kind"] == "bond rotation").all()


def test_a_turned_bond_is_described():
    truth = turned_sheets(True)[1]
    events = find_events(*quiet_series())
    assert (events["n_bonds_broken"] == 2).all()
    assert (events["n_bonds_made"] == 2).all()
    assert set(events["rings_before"]) == {"6-6-6-6"}
    assert set(events["rings_after"]) == {"5-5-7-7"}
    assert events["event"].tolist() == list(range(len(truth)))
    assert (events["frame_after"] - events["frame_before"] == 1).all()
    np.testing.assert_allclose(events["time"], 2.0 * events["frame_after"] - 1.0)


def test_tracks_are_lost_where_bonds_turn_unless_they_are_joined():
    sites, network = quiet_series()
    assert (find_events(sites, network)["kind"] == "bond rotation").all()
    assert not (find_events(sites, network, max_jump=0.0)["kind"] == "bond rotation").any()


def test_drift_changes_nothing():
    sheets, _ = turned_sheets(True)
    still, moving = (
        find_events(*observe_series(sheets, rng=np.random.default_rng(3), window=WINDOW, drift=drift))
        for drift in (0.0, 1.7)
    )
    pd.testing.assert_frame_equal(still, moving)


def middle_atom(sheet, place=(20.0, 17.0)):
    return int(np.hypot(*(sheet.positions - place).T).argmin())


def blinking(frames, **changes):
    """Events of a crystal without any, one atom of which is missed in some frames."""
    sheet = crystal()
    place = sheet.positions[middle_atom(sheet)]

    def is_missed(frame, positions):
        return (np.hypot(*(positions - place).T) < 0.1) & (frame in frames)

    rng = np.random.default_rng(0)
    seen = observe_series([sheet] * 8, rng=rng, window=WINDOW, noise=0.02, is_missed=is_missed)
    events = find_events(*seen, **changes)
    return events[events["persistent"]]


def test_a_missed_detection_is_no_event_because_of_gaps_and_persistence():
    assert blinking({4}).empty
    assert blinking({3, 4}).empty
    assert blinking({4}, max_gap=0).empty
    # Without both, the atom goes and comes back.
    assert blinking({4}, max_gap=0, min_frames=1)["kind"].tolist() == ["atom lost", "atom gained"]


def test_flicker_of_a_bond_is_an_event_only_without_persistence():
    sites, network = still_series()
    rows = sites[(sites["frame"] == 4) & (sites["kind"] == "atom")]
    near = rows.loc[np.hypot(rows["x"] - 20, rows["y"] - 17).idxmin(), "site"]
    bonds = network.bonds
    is_cut = (bonds["frame"] == 4) & (bonds["atom_i"] == near)
    tables = (bonds.drop(bonds.index[is_cut][:1]), network.rings, network.ring_atoms)
    lasting = find_events(sites, tables)
    assert not lasting["persistent"].any()
    assert lasting["kind"].tolist() == ["bond broken", "bond made"]
    brief = find_events(sites, tables, min_frames=1)
    assert brief["persistent"].all()
    assert brief["kind"].tolist() == ["bond broken", "bond made"]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_an_atom_that_goes_or_comes(is_reversed):
    sheet = crystal()
    is_kept = np.ones(len(sheet.positions), dtype=bool)
    is_kept[middle_atom(sheet)] = False
    sheets = [sheet] * 5 + [with_atoms(sheet, is_kept)] * 5
    sheets = sheets[::-1] if is_reversed else sheets
    seen = observe_series(sheets, rng=np.random.default_rng(0), window=WINDOW, noise=0.03, missed=0.003)
    events = find_events(*seen)
    (event,) = events[events["persistent"]].itertuples()
    assert event.kind == ("atom gained" if is_reversed else "atom lost")
    assert (event.frame_before, event.frame_after) == (4, 5)
    rings = ("6-6-6", "12")
    assert (event.rings_before, event.rings_after) == (rings[::-1] if is_reversed else rings)
    n_bonds = (event.n_bonds_broken, event.n_bonds_made)
    assert n_bonds == ((0, 3) if is_reversed else (3, 0))
    assert np.hypot(*(np.array([event.x, event.y]) - sheet.positions[~is_kept][0])) < 0.2


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_bond_that_breaks_or_forms(is_reversed):
    sheet = crystal()
    sites, network = still_series()
    one, other = (middle_bond(sheet)[k] for k in (0, 1))
    bonds, is_cut = network.bonds, np.zeros(len(network.bonds), dtype=bool)
    for frame in range(4) if is_reversed else range(4, 8):
        names = [nearest_site(sites, frame, sheet.positions[k]) for k in (one, other)]
        pairs = np.sort(bonds[["atom_i", "atom_j"]].to_numpy(), axis=1)
        is_cut |= (bonds["frame"] == frame).to_numpy() & (pairs == np.sort(names)).all(axis=1)
    assert is_cut.sum() == 4
    (event,) = find_events(sites, rebuilt(sites, bonds[~is_cut])).itertuples()
    assert event.kind == ("bond made" if is_reversed else "bond broken")
    assert {event.rings_before, event.rings_after} == {"6-6", "10"}
    assert event.frame_after == 4


def middle_bond(sheet):
    atom = middle_atom(sheet)
    return sheet.bonds[(sheet.bonds == atom).any(axis=1)][0]


def nearest_site(sites, frame, place):
    rows = sites[sites["frame"] == frame]
    return int(rows.loc[np.hypot(rows["x"] - place[0], rows["y"] - place[1]).idxmin(), "site"])


def rebuilt(sites, bonds):
    return bonds, rings_table(sites, bonds, NETWORK), ring_atoms_table(sites, bonds, NETWORK)


def test_two_bonds_that_turn_at_once_side_by_side_are_a_rearrangement():
    sheet = crystal()
    first, middle = turn_bond(sheet, (20, 17), relax=False)
    second, _ = turn_bond(first, np.add(middle, [0.0, 2.6]), relax=False)
    seen = observe_series(
        [sheet] * 5 + [second] * 5, rng=np.random.default_rng(0), window=WINDOW, noise=0.02, true_bonds=True
    )
    events = find_events(*seen)
    assert set(events["kind"]) <= {"rearrangement", "bond rotation"}
    assert (events["kind"] == "rearrangement").any()
    assert (events["frame_after"] == 5).all()


def test_rings_must_change_as_they_do_where_a_bond_turns():
    # The bond of 0 and 1 turns: 2 leaves 0 for 1, and 3 leaves 1 for 0.
    ends, is_gain = np.array([[0, 2], [1, 3], [1, 2], [0, 3]]), np.array([False, False, True, True])
    dates = [np.full(4, 4), np.full(4, 5), np.ones(4, bool), np.zeros(4, bool)]
    changes, scene = NetworkChanges(ends, is_gain, *dates), Scene((0, 1, 2, 3), range(4), range(5, 8))
    sides = [{0, 1, 2, 10}, {0, 1, 3, 11}]
    before = [*sides, {0, 2, 12}, {1, 3, 13}]
    right = [{0, 1, 10}, {0, 1, 11}, *[tip | {14} for tip in ({0, 2, 12}, {1, 3, 13})]]
    wrong = [*right[:3], {1, 3}]

    def kind(after, is_bonded=True):
        rings = RingChange(*(tuple(frozenset(ring) for ring in some) for some in (before, after)))
        return _kind(changes, scene, rings, lambda *_: is_bonded)

    assert kind(right) == "bond rotation"
    assert kind(right[:3]) == "bond rotation"  # a ring that is cut off cannot be compared
    assert kind(wrong) == "rearrangement"
    assert kind(right, is_bonded=False) == "rearrangement"


def test_events_at_the_edge_and_outside_the_field_are_left_out():
    truth = turned_sheets(True)[1]
    sites, network = quiet_series()
    assert len(find_events(sites, network)) == len(truth)
    field = RectangularWindow(4.0, 4.0, 20.0, 30.0)
    inside = sum(x < 20 for _, x, _ in truth)
    assert 0 < inside < len(truth)
    assert len(find_events(sites, network, field=field)) == inside
    cut = sites.assign(analysable=sites["analysable"] & (sites["x"] < 20))
    assert len(find_events(cut, network)) == inside


def test_what_leaves_the_frames_is_not_lost():
    # The frame follows the drift: atoms leave on the left and enter on the right.
    sheet, rng = crystal(), np.random.default_rng(0)
    parts = []
    for frame in range(12):
        x0, y0, x1, y1 = WINDOW[0] + 0.5 * frame, WINDOW[1], WINDOW[2] - 6 + 0.5 * frame, WINDOW[3]
        part, _ = observe_series([sheet], rng=rng, window=(x0, y0, x1, y1), noise=0.02)
        parts.append(part.assign(frame=np.int32(frame)))
    linked = link_sites(parts, parameters=LinkingParameters(max_step=0.7, memory=2))
    sites = pd.concat(linked, ignore_index=True)
    assert find_events(sites, network_tables(sites, NETWORK)).empty


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_short_series(n_frames):
    sheets, _ = turned_sheets(True)
    chosen = [sheets[0], sheets[-1]][:n_frames]
    if chosen:
        sites, network = observe_series(chosen, rng=np.random.default_rng(0), window=WINDOW, noise=0.02)
    else:
        sites = make_sites([]).assign(track=np.empty(0, np.int64), time=0.0)
        network = network_tables(sites, NETWORK)
    events = find_events(sites, network)
    assert not events["persistent"].any()
    assert len(events) == (4 if n_frames == 2 else 0)


def test_frames_may_have_any_numbers_and_no_times():
    sites, network = quiet_series()
    plain = find_events(sites, network)
    tables = [table.assign(frame=3 * table["frame"] + 7) for table in (sites, *network)]
    other = find_events(tables[0].drop(columns="time"), tables[1:])
    np.testing.assert_array_equal(other["frame_after"], 3 * plain["frame_after"] + 7)
    assert other["time"].isna().all()
    assert other["kind"].tolist() == plain["kind"].tolist()


def test_tables_must_belong_together():
    sites, network = observe_series([crystal()] * 2, rng=np.random.default_rng(0), window=WINDOW)
    with pytest.raises(ValueError, match="ring_atoms must have"):
        events_table(sites, network.bonds, network.rings, network.ring_atoms.iloc[1:], parameters())
