import numpy as np
import pytest
from pydantic import ValidationError

from amorph2d.measures.detection import (
    DETECTION_STATISTICS,
    DetectionParameters,
    detection_shift,
    detection_table,
    expected_false,
    extrapolate,
)
from amorph2d.measures.summary import count_in_blocks, summarise_blocks
from amorph2d.measures.tables import angles_table, bonds_table, rings_table
from amorph2d.measures.window import RectangularWindow
from strategies import honeycomb, make_sites, statistics_parameters

STATISTICS = statistics_parameters(intervals={"n_resamples": 100})
PARAMETERS = DetectionParameters(
    missed_per_false=3.0,
    displacement=0.7,
    least_share=1e-6,
    scales=(0.5, 1.0, 2.0),
    n_replicates=3,
    max_atoms=20_000,
)
MANY = PARAMETERS.model_copy(update={"n_replicates": 6})


def sheet(missing=0.0, seed=0, n_x=18, n_y=11):
    """Graphene of which atoms are missed, its window, and the centres of its rings."""
    atoms, centres, box = honeycomb(n_x, n_y)
    rng = np.random.default_rng(seed)
    kept = atoms[rng.random(len(atoms)) >= missing]
    window = RectangularWindow(4.0, 4.0, *(box - 4.0).tolist())
    sites = make_sites(kept, centres)
    return sites.assign(analysable=window.contains(sites[["x", "y"]].to_numpy())), window, centres


def statistics_of(sites, window):
    bonds = bonds_table(sites, STATISTICS)
    tables = (sites, bonds, angles_table(sites, bonds), rings_table(sites, bonds, STATISTICS))
    counts = count_in_blocks(*tables, window=window, block=1000.0)
    return summarise_blocks(counts, STATISTICS.intervals, np.random.default_rng(0))


def shift(sites, window, missed=0.0, false=0.0, parameters=PARAMETERS, seed=0):
    return detection_shift(
        sites, area=window.area, missed_share=missed, false_share=false,
        statistics=STATISTICS, parameters=parameters, rng=np.random.default_rng(seed),
    )  # fmt: skip


def test_expected_number_is_that_of_drawn_sites():
    rng = np.random.default_rng(0)
    confidence = rng.beta(20, 1, 500)
    n_false = (rng.random((4000, 500)) > confidence).sum(axis=1)
    assert expected_false(confidence) == pytest.approx(n_false.mean(), rel=0.02)
    assert expected_false(np.ones(7)) == expected_false([]) == 0


@pytest.mark.parametrize("confidence", [[1.2], [-0.1], [np.nan]])
def test_confidence_is_checked(confidence):
    with pytest.raises(ValueError, match="confidence must be from 0 to 1"):
        expected_false(confidence)


def test_table_of_a_frame():
    found, window, _ = sheet(n_x=12, n_y=8)
    statistics = statistics_parameters(detection=PARAMETERS.model_dump() | {"least_share": 0.01})
    doubtful = found.assign(confidence=0.999)
    table = detection_table(
        doubtful, window.area, statistics=statistics, rng=np.random.default_rng(0), frame=3
    ).set_index("statistic")
    n_atoms = ((found["kind"] == "atom") & found["analysable"]).sum()
    assert table.index.tolist() == list(DETECTION_STATISTICS)
    assert table["frame"].eq(3).all()
    assert table["n_atoms"].eq(n_atoms).all()
    assert table["n_false"].to_numpy() == pytest.approx(n_atoms / 1000, rel=1e-3)
    assert table["n_missed"].to_numpy() == pytest.approx(3 * n_atoms / 1000, rel=1e-3)
    # Twice as much doubt moves twice as far, though either is less than an atom of this sheet.
    twice = detection_table(
        found.assign(confidence=0.998), window.area, statistics=statistics, rng=np.random.default_rng(0)
    ).set_index("statistic")
    assert table.loc["ring_fraction_6", "shift"] > 0
    for name in ("ring_fraction_6", "coordination_mean"):
        assert twice.loc[name, "shift"] == pytest.approx(2 * table.loc[name, "shift"], rel=0.3), name


def test_table_of_a_frame_in_which_nothing_counts():
    found, _, _ = sheet(n_x=5, n_y=4)
    table = detection_table(
        found.assign(analysable=False), 0.0, statistics=STATISTICS, rng=np.random.default_rng(0)
    )
    assert (table[["n_atoms", "n_false", "n_missed", "shift", "shift_error"]] == 0).all(axis=None)


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
    found, window, _ = sheet()
    rng = np.random.default_rng(3)
    atoms = found.index[found["kind"] == "atom"]
    rows, angle = rng.choice(atoms, 16, replace=False), rng.uniform(0, 2 * np.pi, 16)
    found.loc[rows, "x"] += 0.7 * np.cos(angle)
    found.loc[rows, "y"] += 0.7 * np.sin(angle)
    before = statistics_of(found, window)
    shifts = shift(found, window, false=16 / len(atoms), parameters=MANY)
    for name in ("ring_fraction_6", "coordination_mean", "coordination_fraction_2"):
        moved = before[name] + shifts[name][0]
        assert abs(moved - truth[name]) < 0.6 * abs(before[name] - truth[name]), name
    assert shifts["density"][0] == pytest.approx(0, abs=1e-3)


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
    given = {"area": 10.0, "missed_share": 0.0, "false_share": 0.0} | changes
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
