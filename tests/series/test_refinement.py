import numpy as np
import pandas as pd
import pytest

from amorph2d.series.refinement import refine_drift
from strategies import honeycomb, make_sites

ATOMS, CENTRES, _ = honeycomb(6, 4)
NOISE = 0.05


def drift_table(path):
    return pd.DataFrame(
        {
            "frame": np.arange(len(path), dtype=np.int32),
            "dx": path[:, 0],
            "dy": path[:, 1],
            "error": 0.1,
            "correlation": 0.5,
            "is_reliable": True,
        }
    )


def series(n_frames, *, rng, kept=0.95, noise=NOISE):
    path = np.cumsum(rng.normal(0, 1.0, (n_frames, 2)), axis=0)
    path -= path[0]
    tables = []
    for k, place in enumerate(path):
        atoms, centres = (points[rng.random(len(points)) < kept] + place for points in (ATOMS, CENTRES))
        atoms, centres = (points + rng.normal(0, noise, points.shape) for points in (atoms, centres))
        tables.append(make_sites(atoms, centres, frame=k))
    return tables, path


def errors_of(drift, path):
    return drift[["dx", "dy"]].to_numpy() - path


def test_drift_becomes_as_exact_as_the_number_of_sites_allows(linking):
    rng = np.random.default_rng(3)
    tables, path = series(30, rng=rng)
    rough = path + rng.normal(0, 0.1, path.shape)
    rough[0] = 0
    refined = refine_drift(tables, drift_table(rough), parameters=linking())
    expected = NOISE * np.sqrt(2 / (0.95 * (len(ATOMS) + len(CENTRES))))
    error = np.sqrt((errors_of(refined, path)[1:] ** 2).mean())
    assert error < 1.4 * expected
    assert refined["error"][1:].between(0.7 * expected, 1.5 * expected).all()
    assert refined["error"][0] == 0
    assert refined["is_reliable"].all()
    # Errors of sums of displacements from frame to frame would grow with the root of the number of frames.
    assert np.abs(errors_of(refined, path)[-1]).max() < 3 * expected


def test_exact_positions_give_the_exact_drift(linking):
    tables, path = series(5, rng=np.random.default_rng(1), noise=0.0)
    rough = path + 0.2 * np.array([[0, 0], [1, 0], [0, -1], [1, 1], [-1, 0]])
    refined = refine_drift(tables, drift_table(rough), parameters=linking())
    np.testing.assert_allclose(errors_of(refined, path), 0, atol=1e-4)


def test_atoms_that_move_do_not_count(linking):
    rng = np.random.default_rng(4)
    tables, path = series(8, rng=rng, kept=1.0, noise=0.01)
    for table in tables[4:]:
        is_moving = table["x"] < table["x"].median() - 3
        table.loc[is_moving, "x"] += 0.4
        assert 0.15 < is_moving.mean() < 0.45
    refined = refine_drift(tables, drift_table(path), parameters=linking())
    mean_shift = 0.4 * np.mean(tables[4]["x"] < tables[4]["x"].median() - 3)
    assert mean_shift > 0.05
    assert np.abs(errors_of(refined, path)).max() < 0.015


def test_a_frame_without_sites_keeps_its_drift(linking):
    tables, path = series(5, rng=np.random.default_rng(6))
    tables[2] = tables[2].iloc[:0]
    drift = drift_table(path + np.array([[0, 0], [0, 0], [3.0, 0], [0, 0], [0, 0]]))
    refined = refine_drift(tables, drift, parameters=linking())
    assert refined["dx"][2] == drift["dx"][2]
    assert refined["error"][2] == 0.1
    assert list(refined["is_reliable"]) == [True, True, False, True, True]
    assert list(refined["n_linked"] > 0) == [True, True, False, True, True]


def test_sites_that_meet_by_chance_are_not_believed(linking):
    rng = np.random.default_rng(7)
    frames = [make_sites(rng.uniform(0, 30, (350, 2)), frame=k) for k in range(4)]
    refined = refine_drift(frames, drift_table(np.zeros((4, 2))), parameters=linking())
    assert (refined["n_linked"] > 100).all()
    assert not refined["is_reliable"].any()


def test_what_was_not_reliable_does_not_become_so(linking):
    tables, path = series(3, rng=np.random.default_rng(8))
    drift = drift_table(path).assign(is_reliable=[True, False, True])
    assert list(refine_drift(tables, drift, parameters=linking())["is_reliable"]) == [True, False, True]


@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_no_sites_and_short_series(linking, n_frames):
    drift = drift_table(np.zeros((n_frames, 2)))
    refined = refine_drift([make_sites([], frame=k) for k in range(n_frames)], drift, parameters=linking())
    assert list(refined["n_linked"]) == [0] * n_frames
    assert (refined["dx"] == 0).all()


def test_tables_must_be_of_the_frames_of_the_drift(linking):
    tables, path = series(2, rng=np.random.default_rng(9))
    with pytest.raises(ValueError, match="as many"):
        refine_drift(tables[:1], drift_table(path), parameters=linking())
    with pytest.raises(ValueError, match="of the frames of drift, got 1 for 0"):
        refine_drift(tables[::-1], drift_table(path), parameters=linking())
