import weakref

import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.window import RectangularWindow
from amorph2d.series import drift as drift_module
from amorph2d.series.correlation import SpectralGrid
from amorph2d.series.drift import DRIFT_COLUMNS, common_field, estimate_drift, remove_drift, restrict_to_field
from strategies import honeycomb, make_sites, rotate

SAMPLING = 0.25
TENTH = 0.1 * SAMPLING
# No step is a whole number of pixels, and none but the last longer than 2 Å.
PATH = np.array([[0, 0], [1.13, -0.71], [2.02, -1.93], [2.41, -3.37], [1.37, -3.11], [0.29, -4.72]])


def measured(frames, parameters, sampling=SAMPLING):
    drift = estimate_drift(frames, sampling=sampling, parameters=parameters)
    return drift, drift[["dx", "dy"]].to_numpy()


@pytest.fixture(scope="module")
def frames(draw, disordered):
    rng = np.random.default_rng(1)
    return [draw(disordered + place, rng=rng) for place in PATH]


def test_sub_pixel_drift_is_recovered_within_a_tenth_of_a_pixel(frames, measuring):
    drift, found = measured(frames, measuring())
    assert tuple(drift.columns) == DRIFT_COLUMNS
    assert list(drift["frame"]) == list(range(len(PATH)))
    assert drift["frame"].dtype == np.int32
    assert np.sqrt(((found - PATH)[1:] ** 2).mean()) < TENTH
    assert np.abs(found - PATH).max() < 2 * TENTH
    assert drift["is_reliable"].all()
    assert drift["error"][0] == 0
    assert drift["error"][1:].between(0.2 * TENTH, 2 * TENTH).all()
    assert drift["correlation"].between(0.2, 1).all()


def test_equal_frames_do_not_drift(frames, measuring):
    drift, found = measured([frames[0]] * 4, measuring())
    np.testing.assert_allclose(found, 0, atol=1e-4)
    np.testing.assert_allclose(drift["correlation"], 1, atol=1e-5)


def test_pixels_need_not_be_square(draw, disordered, measuring):
    rng = np.random.default_rng(2)
    stretched = [draw((disordered + place) * [1, 0.8], rng=rng) for place in PATH[:3]]
    _, found = measured(stretched, measuring(), sampling=(SAMPLING / 0.8, SAMPLING))
    assert np.abs(found - PATH[:3]).max() < 2 * TENTH


def test_bonds_that_switch_and_a_growing_hole_do_no_harm(draw, disordered, measuring):
    rng = np.random.default_rng(3)
    atoms, frames = disordered.copy(), []
    for k, place in enumerate(PATH):
        is_moved = rng.random(len(atoms)) < 0.1
        atoms[is_moved] += rng.normal(0, 0.7, (is_moved.sum(), 2))
        is_kept = np.hypot(*(atoms - [25, 18]).T) > 4 + k
        frames.append(draw(atoms[is_kept] + place, rng=rng))
    drift, found = measured(frames, measuring())
    assert np.sqrt(((found - PATH) ** 2).mean()) < 1.5 * TENTH
    assert drift["is_reliable"].all()


def test_fixed_pixel_gains_and_fading_contrast_do_no_harm(draw, disordered, measuring):
    rng = np.random.default_rng(4)
    gain = 1 + 0.03 * rng.standard_normal((160, 192))
    frames = [
        draw(disordered + place, rng=rng, light=gain, contrast=0.3 - 0.03 * k) for k, place in enumerate(PATH)
    ]
    drift, found = measured(frames, measuring())
    assert np.sqrt(((found - PATH) ** 2).mean()) < 1.5 * TENTH
    assert drift["is_reliable"].all()


def test_hot_pixels_do_no_harm(draw, disordered, measuring):
    rng = np.random.default_rng(12)
    hot = np.where(rng.random((160, 192)) < 2e-3, 60.0, 1.0)
    frames = [draw(disordered + place, rng=rng, light=hot) for place in PATH]
    drift, found = measured(frames, measuring())
    assert np.sqrt(((found - PATH) ** 2).mean()) < 1.5 * TENTH
    assert drift["is_reliable"].all()


def test_uneven_light_does_no_harm(draw, disordered, measuring):
    rng = np.random.default_rng(13)
    y, x = np.mgrid[:160, :192]
    light = 0.15 + np.exp(-((x - 60) ** 2 + (y - 110) ** 2) / (2 * 45**2))
    frames = [draw(disordered + place, rng=rng, light=light, dose=1e4) for place in PATH]
    drift, found = measured(frames, measuring())
    assert np.sqrt(((found - PATH) ** 2).mean()) < 1.5 * TENTH
    assert drift["is_reliable"].all()


@pytest.fixture(scope="module")
def crystal():
    atoms, _, box = honeycomb(40, 24)
    return np.add(rotate(atoms - box / 2, 7), [24, 20])


CRYSTAL_PATH = 1.6 * np.array([[0, 0], [1, 0.2], [2, 0.1], [3.1, 0.3], [4.1, 0.2]])


def test_a_perfect_lattice_is_not_believed(draw, crystal, measuring):
    rng = np.random.default_rng(5)
    frames = [draw(crystal + place, rng=rng) for place in CRYSTAL_PATH]
    drift, _ = measured(frames, measuring())
    assert list(drift["is_reliable"]) == [True, False, False, False, False]
    assert (drift["error"][1:] > 0.5).all()


def test_what_is_not_periodic_decides_between_lattice_vectors(draw, crystal, measuring):
    rng = np.random.default_rng(6)
    is_kept = rng.random(len(crystal)) > 0.08
    frames = [draw(crystal[is_kept] + place, rng=rng) for place in CRYSTAL_PATH]
    drift, found = measured(frames, measuring())
    assert drift["is_reliable"].all()
    assert np.abs(found - CRYSTAL_PATH).max() < 2.5 * TENTH


def test_steps_below_half_a_lattice_vector_are_followed_on_a_perfect_lattice(draw, crystal, measuring):
    rng = np.random.default_rng(7)
    path = CRYSTAL_PATH / 2
    frames = [draw(crystal + place, rng=rng) for place in path]
    drift, found = measured(frames, measuring(max_step=1.1))
    assert drift["is_reliable"].all()
    assert np.abs(found - path).max() < 2 * TENTH


def test_steps_beyond_the_largest_are_not_found(frames, measuring):
    drift, found = measured(frames, measuring(max_step=0.5))
    assert not drift["is_reliable"][1:].any()
    assert (np.hypot(*np.diff(found, axis=0).T) <= 0.5).all()


@pytest.mark.parametrize("n_bad", [1, 2])
def test_bad_frames_are_named_and_bridged(draw, disordered, measuring, n_bad):
    rng = np.random.default_rng(8)
    path = 0.8 * np.outer(np.arange(8), [1, -0.6])
    frames = [draw(disordered + place, rng=rng) for place in path]
    bad = [3, 4][:n_bad]
    for k in bad:
        frames[k] = draw([], rng=rng)
    drift, found = measured(frames, measuring())
    good = np.setdiff1d(np.arange(8), bad)
    assert list(drift["frame"][~drift["is_reliable"]]) == bad
    assert np.abs(found - path)[good].max() < 2 * TENTH
    assert (drift["error"][bad] > 10 * drift["error"][good].max()).all()


def test_constant_frames_are_not_reliable(measuring):
    drift, found = measured([np.ones((60, 70))] * 3, measuring())
    assert list(drift["is_reliable"]) == [True, False, False]
    np.testing.assert_allclose(found, 0, atol=1e-9)


def test_drift_beyond_half_of_the_field_is_followed(draw, disordered, measuring):
    rng = np.random.default_rng(9)
    path = np.outer(np.arange(11), [2.7, 0.4])
    assert path[-1, 0] > 0.5 * 192 * SAMPLING
    frames = [draw(disordered + place - [10, 0], rng=rng) for place in path]
    drift, found = measured(frames, measuring())
    assert np.abs(found - path).max() < 4 * TENTH
    assert drift["is_reliable"].all()


def test_errors_do_not_add_up_over_many_frames(draw, disordered, measuring, monkeypatch):
    rng = np.random.default_rng(10)
    path = np.cumsum(rng.normal(0, 0.3, (24, 2)), axis=0)
    path -= path[0]
    frames = [draw(disordered + place, rng=rng, shape=(96, 120)) for place in path]
    drift, found = measured(frames, measuring())
    error = np.sqrt(((found - path)[-12:] ** 2).mean())
    assert error < 2 * TENTH
    monkeypatch.setattr(drift_module, "_ANCHOR_RADIUS", 1e-3)  # nothing is found in so small a circle
    unanchored, found = measured(frames, measuring())
    assert unanchored["is_reliable"].all()
    assert unanchored["error"].iloc[-1] > 2 * drift["error"].iloc[-1]
    assert np.sqrt(((found - path)[-12:] ** 2).mean()) > error


def test_a_wrong_displacement_is_outvoted():
    path = np.column_stack([np.arange(8.0), -0.5 * np.arange(8.0)])
    ends = [(k - lag, k) for lag in (1, 2) for k in range(lag, 8)]
    pairs = [drift_module._Pair(i, j, path[j] - path[i], 0.02, True) for i, j in ends]
    wrong = ends.index((3, 4))
    pairs[wrong] = pairs[wrong]._replace(vector=np.add(pairs[wrong].vector, [2.46, 0]))
    drift, errors, is_agreeing = drift_module._solve(pairs, 8)
    np.testing.assert_allclose(drift, path, atol=0.01)
    assert list(np.flatnonzero(~is_agreeing)) == [wrong]
    assert errors[0] == 0
    assert errors[-1] < 0.2


def test_frames_are_read_one_at_a_time(draw, disordered, measuring, monkeypatch):
    rng = np.random.default_rng(11)
    frames, spectra, most = [], [], []
    transform = SpectralGrid.transform

    def transform_and_watch(grid, frame):
        spectrum = transform(grid, frame)
        spectra.append(weakref.ref(spectrum))
        return spectrum

    def read():
        for place in np.repeat(PATH, 2, axis=0):
            most.append([sum(one() is not None for one in every) for every in (frames, spectra)])
            frame = draw(disordered + place, rng=rng, shape=(64, 80))
            frames.append(weakref.ref(frame))
            yield frame
            del frame

    monkeypatch.setattr(SpectralGrid, "transform", transform_and_watch)
    assert len(estimate_drift(read(), sampling=SAMPLING, parameters=measuring())) == 2 * len(PATH)
    # Whenever the next frame is asked for, none is held, and the coefficients of the last two and the anchor.
    np.testing.assert_array_equal(np.max(most, axis=0), [0, 3])
    assert len(frames) == len(spectra) == 2 * len(PATH)


@pytest.mark.parametrize("n_frames", [0, 1])
def test_short_series(frames, measuring, n_frames):
    drift, found = measured(frames[:n_frames], measuring())
    assert found.shape == (n_frames, 2)
    assert (found == 0).all()
    assert drift["is_reliable"].all()
    assert tuple(drift.columns) == DRIFT_COLUMNS


def test_impossible_frames_are_refused(frames, measuring):
    with pytest.raises(ValueError, match=r"shape \(160, 192\), got \(192, 160\)"):
        measured([frames[0], frames[1].T], measuring())
    with pytest.raises(ValueError, match="finite"):
        measured([np.full((20, 20), np.nan)], measuring())
    with pytest.raises(ValueError, match="band must hold"):
        measured([np.ones((20, 20))], measuring(band=(5.0, 6.0)))
    with pytest.raises(ValueError, match="sampling"):
        measured(frames, measuring(), sampling=0.0)


def table_of(dx, dy):
    return pd.DataFrame({"frame": np.arange(len(dx)), "dx": dx, "dy": dy})


def test_positions_are_moved_to_the_first_frame():
    tables = [make_sites([[1, 2], [4, 4]], frame=0), make_sites([[2, 1.5]], frame=1), make_sites([], frame=2)]
    moved = remove_drift(tables, table_of([0.0, 1.0, 3.0], [0.0, -0.5, 1.0]))
    np.testing.assert_allclose(moved[1][["x", "y"]], [[1, 2]])
    pd.testing.assert_frame_equal(moved[0], tables[0])
    pd.testing.assert_frame_equal(moved[2], tables[2])
    assert tables[1]["x"][0] == 2
    with pytest.raises(ValueError, match="none for 1"):
        remove_drift(tables, table_of([0.0], [0.0]))


def test_the_common_field_is_seen_by_all_frames():
    drift = table_of([0.0, 3.0, -1.0], [0.0, 0.0, 2.0])
    field = common_field(drift, (40, 60), (0.5, 0.25))
    # In the first frame from −0.125 Å to 14.875 Å along x and −0.25 Å to 19.75 Å along y.
    assert field == RectangularWindow(-0.125 + 1, -0.25, 14.875 - 3, 19.75 - 2)


def test_a_field_that_no_two_frames_share_is_refused():
    with pytest.raises(ValueError, match=r"got 15\.0 Å along x"):
        common_field(table_of([0.0, 15.0], [0.0, 0.0]), (40, 60), 0.25)
    with pytest.raises(ValueError, match="at least one"):
        common_field(table_of([], []), (40, 60), 0.25)


def test_only_sites_in_the_field_stay_analysable():
    table = make_sites([[1, 1], [1, 9], [2, 2]], analysable=[True, True, False])
    (restricted, empty) = restrict_to_field([table, make_sites([])], RectangularWindow(0, 0, 5, 5))
    assert list(restricted["analysable"]) == [True, False, False]
    assert len(empty) == 0
    assert list(table["analysable"]) == [True, True, False]
