import numpy as np
import pytest
from pydantic import ValidationError

from amorph2d.measures.detection import (
    DETECTION_STATISTICS,
    DetectionParameters,
    detection_shift,
    dropped_candidates,
    expected_detection,
    extrapolate,
)
from amorph2d.measures.summary import count_in_blocks, summarise_blocks
from amorph2d.measures.tables import angles_table, bonds_table, rings_table
from amorph2d.measures.window import RectangularWindow
from strategies import honeycomb, make_sites, statistics_parameters

STATISTICS = statistics_parameters(intervals={"n_resamples": 100})
PARAMETERS = DetectionParameters(scales=(0.5, 1.0, 2.0), n_replicates=3, max_atoms=20_000)
MANY = PARAMETERS.model_copy(update={"n_replicates": 6})
NOWHERE = np.empty((0, 2))


def sheet(missing=0.0, added=0, seed=0, n_x=18, n_y=11):
    """Graphene of which atoms are missed, or which has atoms in its rings besides, and its window."""
    atoms, centres, box = honeycomb(n_x, n_y)
    rng = np.random.default_rng(seed)
    kept = atoms[rng.random(len(atoms)) >= missing]
    window = RectangularWindow(4.0, 4.0, *(box - 4.0).tolist())
    false = centres[rng.choice(len(centres), added, replace=False)]
    sites = make_sites(np.concatenate([kept, false]), centres)
    return sites.assign(analysable=window.contains(sites[["x", "y"]].to_numpy())), window, centres


def statistics_of(sites, window):
    bonds = bonds_table(sites, STATISTICS)
    tables = (sites, bonds, angles_table(sites, bonds), rings_table(sites, bonds, STATISTICS))
    counts = count_in_blocks(*tables, window=window, block=1000.0)
    return summarise_blocks(counts, STATISTICS.intervals, np.random.default_rng(0))


def shift(sites, window, missed=0.0, false=0.0, places=NOWHERE, parameters=PARAMETERS, seed=0):
    return detection_shift(
        sites, area=window.area, missed_share=missed, false_share=false, false_places=places,
        statistics=STATISTICS, parameters=parameters, rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_expected_numbers_are_those_of_drawn_sites():
    rng = np.random.default_rng(0)
    kept, dropped = rng.beta(20, 1, 500), rng.beta(1, 8, 60)
    detection = expected_detection(kept, dropped)
    n_false = (rng.random((4000, 500)) > kept).sum(axis=1)
    n_missed = (rng.random((4000, 60)) < dropped).sum(axis=1)
    assert detection.n_false == pytest.approx(n_false.mean(), rel=0.02)
    assert detection.n_missed == pytest.approx(n_missed.mean(), rel=0.02)
    assert detection.n_false_error == pytest.approx(n_false.std(), rel=0.05)
    assert detection.n_missed_error == pytest.approx(n_missed.std(), rel=0.05)
    n_true = 500 - n_false
    assert detection.precision == pytest.approx((n_true / 500).mean(), rel=0.001)
    assert detection.precision_error == pytest.approx((n_true / 500).std(), rel=0.05)
    recall = n_true / (n_true + n_missed)
    assert detection.recall == pytest.approx(recall.mean(), rel=0.001)
    assert detection.recall_error == pytest.approx(recall.std(), rel=0.05)
    assert detection.missed_share == detection.n_missed / 500
    assert detection.false_share == pytest.approx(1 - detection.precision)


def test_sure_sites_and_none():
    sure = expected_detection(np.ones(7), [])
    assert (sure.precision, sure.recall, sure.precision_error, sure.recall_error) == (1, 1, 0, 0)
    none = expected_detection([], [])
    for name in ("precision", "recall", "precision_error", "recall_error", "missed_share", "false_share"):
        assert np.isnan(getattr(none, name)), name


@pytest.mark.parametrize("confidence", [[1.2], [-0.1], [np.nan]])
def test_confidence_is_checked(confidence):
    with pytest.raises(ValueError, match="confidence must be from 0 to 1"):
        expected_detection([0.5], confidence)


def test_a_second_mark_of_an_atom_is_not_a_missed_one():
    sites = make_sites([[0, 0], [5, 0]], [[2, 2]])
    candidates = make_sites([[0, 0], [0.3, 0.1], [2, 2.1], [5, 0.4], [9, 9]], [[3, 3]])
    assert dropped_candidates(sites, candidates, distance=0.5)[["x", "y"]].to_numpy().tolist() == [
        [2, 2.1],
        [9, 9],
    ]
    assert len(dropped_candidates(sites.iloc[:0], candidates, distance=0.5)) == 5
    assert len(dropped_candidates(sites, candidates.iloc[:0], distance=0.5)) == 0
    with pytest.raises(ValueError, match="distance must be ≥ 0 Å"):
        dropped_candidates(sites, candidates, distance=-1.0)


def test_extrapolation():
    scales = np.array([0.5, 1, 2])
    values = np.column_stack([3 * scales - scales**2, 2 * scales])
    assert extrapolate(values, scales) == pytest.approx([-4, -2])
    assert extrapolate([3.0], [2.0]) == pytest.approx(-1.5)


def test_missed_atoms_are_made_up_for():
    truth = statistics_of(*sheet()[:2])
    found, window, _ = sheet(missing=0.02)
    share = 4 * 18 * 11 / (found["kind"] == "atom").sum() - 1
    before, shifts = statistics_of(found, window), shift(found, window, missed=share, parameters=MANY)
    for name in ("ring_fraction_6", "coordination_mean", "coordination_fraction_3", "density"):
        moved = before[name] + shifts[name][0]
        assert abs(moved - truth[name]) < 0.6 * abs(before[name] - truth[name]), name
        assert abs(moved - truth[name]) < 3 * shifts[name][1], name
    assert before["ring_fraction_6"] < 0.97


def test_false_atoms_are_made_up_for():
    truth = statistics_of(*sheet()[:2])
    found, window, centres = sheet(added=5)
    share = 5 / (found["kind"] == "atom").sum()
    before = statistics_of(found, window)
    shifts = shift(found, window, false=share, places=centres + 0.2, parameters=MANY)
    for name in ("ring_fraction_6", "coordination_mean", "density"):
        moved = before[name] + shifts[name][0]
        assert abs(moved - truth[name]) < 0.75 * abs(before[name] - truth[name]), name
    assert before["ring_fraction_6"] < 0.95
    # Without places they stand in the centres of rings, which these nearly are.
    assert shift(found, window, false=share)["ring_fraction_6"][0] > 0.5 * shifts["ring_fraction_6"][0]


def test_nothing_missed_moves_nothing():
    found, window, _ = sheet(n_x=8, n_y=5)
    assert shift(found, window) == dict.fromkeys(DETECTION_STATISTICS, (0.0, 0.0))


def test_density_follows_the_area():
    found, window, _ = sheet(n_x=12, n_y=8)
    density = shift(found, window, missed=0.02)["density"]
    n_atoms = (found["kind"] == "atom").sum()
    counted = (found["analysable"] & (found["kind"] == "atom")).sum()
    expected = 0.02 * counted / window.area
    assert density[0] == pytest.approx(expected, rel=0.5)
    assert n_atoms > counted
    half = RectangularWindow(0, 0, window.area / 2, 1)
    assert shift(found, half, missed=0.02)["density"][0] == pytest.approx(2 * density[0])


def test_atoms_of_little_confidence_go_first():
    found, window, _ = sheet(n_x=12, n_y=8)
    is_left = found["x"] < found["x"].median()
    sided = found.assign(confidence=np.where(is_left, 0.5, 1.0), analysable=found["analysable"] & ~is_left)
    even = found.assign(confidence=0.9, analysable=found["analysable"] & ~is_left)
    lost, lost_evenly = (shift(each, window, missed=0.02)["density"][0] for each in (sided, even))
    assert lost < 0.3 * lost_evenly


def test_a_part_stands_for_the_whole():
    found, window, _ = sheet()
    whole, part = (
        shift(found, window, missed=0.03, parameters=MANY.model_copy(update={"max_atoms": most}))
        for most in (10_000, 450)
    )
    for name in ("ring_fraction_6", "coordination_mean", "density"):
        assert part[name][0] == pytest.approx(whole[name][0], rel=0.5), name
    errors = [each["ring_fraction_6"][1] for each in (whole, part)]
    assert 0.3 * errors[0] < errors[1] < 3 * errors[0]


def test_a_part_of_what_does_not_count_is_empty():
    found, window, _ = sheet(n_x=8, n_y=5)
    few = PARAMETERS.model_copy(update={"max_atoms": 100})
    blind = found.assign(analysable=False)
    assert set(shift(blind, window, missed=0.01, parameters=few).values()) == {(0.0, 0.0)}


def test_same_seed_same_shift():
    found, window, _ = sheet(n_x=7, n_y=4)
    assert shift(found, window, missed=0.02, seed=4) == shift(found, window, missed=0.02, seed=4)
    assert shift(found, window, missed=0.02, seed=4) != shift(found, window, missed=0.02, seed=5)


def test_empty_frame():
    window = RectangularWindow(0, 0, 10, 5)
    empty = make_sites(np.empty((0, 2)))
    assert set(shift(empty, window, missed=0.1, false=0.1).values()) == {(0.0, 0.0)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"missed_share": 1.5}, "missed_share must be from 0 to 1"), ({"area": 0.0}, "area must be > 0 Å²")],
)
def test_bad_input(changes, message):
    given = {"area": 10.0, "missed_share": 0.0, "false_share": 0.0, "false_places": NOWHERE} | changes
    with pytest.raises(ValueError, match=message):
        detection_shift(
            make_sites([[0, 0]]), statistics=STATISTICS, parameters=PARAMETERS, rng=np.random.default_rng(0),
            **given,
        )  # fmt: skip


def test_parameters_are_checked():
    for changes in ({"scales": ()}, {"scales": (0.0,)}, {"n_replicates": 1}, {"max_atoms": 5}):
        with pytest.raises(ValidationError):
            DetectionParameters(**PARAMETERS.model_dump() | changes)


def test_the_number_of_the_frame_changes_nothing():
    found, window, _ = sheet(n_x=7, n_y=4)
    assert shift(found.assign(frame=np.int32(7)), window, missed=0.02) == shift(found, window, missed=0.02)
