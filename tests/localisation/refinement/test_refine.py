from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import KDTree

from amorph2d.localisation.refinement.refine import refine_sites


def points(table: pd.DataFrame) -> np.ndarray:
    return table.loc[table["kind"] == "atom", ["x", "y"]].to_numpy()


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))


@pytest.mark.parametrize(
    ("sampling", "polarity"), [((0.2, 0.2), 1.0), ((0.16, 0.24), -1.0), ((0.25, 0.18), 1.0)]
)
def test_positions_get_better(
    sheet_of: Callable[..., Any],
    tables_of: Callable[..., pd.DataFrame],
    refinement_of: Callable[..., Any],
    sampling: tuple[float, float],
    polarity: float,
) -> None:
    sheet = sheet_of(sampling=sampling, polarity=polarity)
    result = refine_sites(sheet.image, tables_of(sheet.start), sampling=sampling, parameters=refinement_of())
    inner = sheet.inner()
    before, after = rms((sheet.start - sheet.atoms)[inner]), rms((points(result.sites) - sheet.atoms)[inner])
    assert result.reason == ""
    assert (result.n_rejected, result.n_found) == (0, 0)
    assert after < 0.7 * before
    assert (result.sites["origin"][inner] == "refined").all()
    misfit = result.sites["misfit"][inner]
    assert 0.6 < misfit.median() < 1.3


def test_errors_are_those_that_are_made(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    ratios = []
    for seed in (2, 3):
        sheet = sheet_of(seed, noise=0.4)
        result = refine_sites(
            sheet.image, tables_of(sheet.start), sampling=sheet.sampling, parameters=refinement_of()
        )
        inner, table = sheet.inner(), result.sites
        errors = (points(table) - sheet.atoms) / table["sigma"].to_numpy()[:, None]
        ratios.append(errors[inner])
    pooled = np.abs(np.concatenate(ratios))
    assert 0.60 < (pooled < 1).mean() < 0.78
    assert 0.90 < (pooled < 2).mean() < 0.99


def test_less_noise_gives_smaller_errors(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    found = []
    for noise in (0.1, 0.3, 0.8):
        sheet = sheet_of(noise=noise)
        result = refine_sites(
            sheet.image,
            tables_of(sheet.start),
            sampling=sheet.sampling,
            parameters=refinement_of(n_repairs=0, least_amplitude=0.0),
        )
        inner = sheet.inner()
        found.append((rms((points(result.sites) - sheet.atoms)[inner]), result.sites["sigma"][inner].mean()))
    assert found[0][0] < found[1][0] < found[2][0] < 0.062
    assert found[0][1] < found[1][1] < found[2][1]


def test_an_image_that_is_not_round_needs_angular_terms(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of(noise=0.1, coma=0.5)
    errors = []
    for order in (0, 3):
        result = refine_sites(
            sheet.image, tables_of(sheet.start), sampling=sheet.sampling,
            parameters=refinement_of(kernel_order=order),
        )  # fmt: skip
        off = (points(result.sites) - sheet.atoms)[sheet.inner()]
        errors.append((off - off.mean(axis=0)).std())
    assert errors[1] < 0.8 * errors[0]


def test_false_atoms_go_and_missing_ones_are_found(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of()
    inner = np.flatnonzero(sheet.inner(6.0))
    lost = inner[::40]
    ring = np.array([20.0, 17.0])
    free = ring + np.mgrid[-2:2:0.2, -2:2:0.2].reshape(2, -1).T
    false = free[np.argmax(KDTree(sheet.atoms).query(free)[0])]
    start = np.concatenate([np.delete(sheet.start, lost, axis=0), [false]])
    given = tables_of(start).assign(origin="network")
    result = refine_sites(sheet.image, given, sampling=sheet.sampling, parameters=refinement_of())
    assert result.n_rejected == 1
    assert result.n_found == len(lost)
    repaired = result.sites[result.sites["origin"] == "repaired"]
    assert KDTree(sheet.atoms[lost]).query(points(repaired))[0].max() < 0.15
    assert KDTree(points(result.sites)).query(false)[0] > 0.5
    assert result.sites["site"].is_unique
    assert repaired["site"].min() > given["site"].max()
    assert (repaired["confidence"] == 0.5).all()
    assert list(result.sites.columns) == [*given.columns, "misfit"]
    assert result.sites.dtypes[given.columns].equals(given.dtypes)
    # Without repairs none is added.
    kept = refine_sites(
        sheet.image, given, sampling=sheet.sampling,
        parameters=refinement_of(n_repairs=0, least_amplitude=0.0),
    )  # fmt: skip
    assert (kept.n_found, kept.n_rejected) == (0, 0)


@pytest.mark.parametrize(("confidence", "is_believed"), [(0.6, True), (0.999, False)])
def test_many_atoms_go_only_if_the_network_doubts_them(
    sheet_of: Callable[..., Any],
    tables_of: Callable[..., pd.DataFrame],
    refinement_of: Callable[..., Any],
    confidence: float,
    is_believed: bool,
) -> None:
    sheet = sheet_of()
    places = np.mgrid[6:28:0.1, 6:28:0.1].reshape(2, -1).T
    distance = KDTree(sheet.atoms).query(places)[0]
    nearby = KDTree(places).query_ball_point(places, 1.0)
    false = places[[place == max(near, key=distance.__getitem__) for place, near in enumerate(nearby)]][::3]
    start = np.concatenate([sheet.start, false])
    given = tables_of(start)
    given["confidence"] = np.where(np.arange(len(start)) < len(sheet.start), 0.999, confidence).astype(
        "float32"
    )
    parameters = refinement_of()
    result = refine_sites(sheet.image, given, sampling=sheet.sampling, parameters=parameters)
    is_left = KDTree(points(result.sites)).query(false)[0] < 0.3
    if is_believed:
        assert result.n_rejected > 10
        assert not result.reason
        assert not is_left.any()
    else:
        assert "atoms for none that the network is sure of" in result.reason
        assert result.n_rejected == 0
        pd.testing.assert_frame_equal(result.sites[given.columns], given)


def test_candidates_support_what_is_missing(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of()
    lost = np.flatnonzero(sheet.inner(6.0))[::50]
    given = tables_of(np.delete(sheet.start, lost, axis=0))
    candidates = tables_of(sheet.start[lost[:2]]).assign(confidence=np.float32(0.2))
    parameters = refinement_of(repair_amplitude=np.inf)
    result = refine_sites(
        sheet.image, given, sampling=sheet.sampling, parameters=parameters, weaker=candidates
    )
    repaired = result.sites[result.sites["origin"] == "repaired"]
    assert len(repaired) == 2
    assert np.allclose(repaired["confidence"], 0.2)
    assert KDTree(sheet.atoms[lost[:2]]).query(points(repaired))[0].max() < 0.15


def test_ring_centres_pass_through(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of()
    given = tables_of(sheet.start, rings=np.array([[10.0, 11.0], [20.5, 13.0]]))
    before = given.copy()
    result = refine_sites(sheet.image, given, sampling=sheet.sampling, parameters=refinement_of())
    pd.testing.assert_frame_equal(given, before)
    rings = result.sites[result.sites["kind"] == "ring"]
    pd.testing.assert_frame_equal(
        rings[given.columns].reset_index(drop=True),
        given[given["kind"] == "ring"].reset_index(drop=True),
    )
    assert (rings["origin"] == "network").all()
    assert rings["misfit"].isna().all()


def test_other_matter_keeps_the_network(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of()
    rng = np.random.default_rng(5)
    image, mask = sheet.image.copy(), np.ones(sheet.shape, dtype=np.uint8)
    mask[:, 120:] = 2
    image[:, 120:] += rng.normal(0, 40, image[:, 120:].shape).astype(np.float32)
    given = tables_of(sheet.start)
    result = refine_sites(image, given, sampling=sheet.sampling, parameters=refinement_of(), mask=mask)
    is_other = sheet.start[:, 0] > 24.5
    same = points(result.sites) == sheet.start
    assert same[is_other].all()
    assert (result.sites["origin"][is_other] == "network").all()
    is_clear = sheet.inner() & (sheet.start[:, 0] < 22)
    errors = points(result.sites) - sheet.atoms
    assert rms(errors[is_clear]) < 0.75 * rms((sheet.start - sheet.atoms)[is_clear])
    # Without the mask, misfit alone keeps most of them.
    blind = refine_sites(
        image,
        given,
        sampling=sheet.sampling,
        parameters=refinement_of(n_repairs=0, least_amplitude=0.0, sample_size=100, n_samples=1),
    )
    assert blind.reason or (blind.sites["origin"][is_other & sheet.inner()] == "network").mean() > 0.8


def test_tiles_change_next_to_nothing(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of()
    lost = np.flatnonzero(sheet.inner(6.0))[::60]
    given = tables_of(np.delete(sheet.start, lost, axis=0))
    whole, tiled = (
        refine_sites(
            sheet.image, given, sampling=sheet.sampling, workers=workers,
            parameters=refinement_of(tile_size=size, kernel_reach=4.0, border=2.0),
        )
        for size, workers in ((1024, 1), (120, 2))
    )  # fmt: skip
    assert len(whole.sites) == len(tiled.sites) == len(sheet.start)
    distance, number = KDTree(points(tiled.sites)).query(points(whole.sites))
    assert len(np.unique(number)) == len(number)
    assert np.percentile(distance, 99) < 0.02


def test_an_image_may_be_a_memory_map(
    sheet_of: Callable[..., Any],
    tables_of: Callable[..., pd.DataFrame],
    refinement_of: Callable[..., Any],
    tmp_path: Any,
) -> None:
    sheet = sheet_of()
    np.save(tmp_path / "image.npy", sheet.image.astype(np.uint16))
    given, parameters = tables_of(sheet.start), refinement_of()
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    one, two = (
        refine_sites(image, given, sampling=sheet.sampling, parameters=parameters)
        for image in (mapped, np.array(mapped))
    )
    pd.testing.assert_frame_equal(one.sites, two.sites)


@pytest.mark.parametrize("what", ["noise", "flat", "wrong places", "few"])
def test_what_cannot_be_fitted_stays_as_it_was(
    sheet_of: Callable[..., Any],
    tables_of: Callable[..., pd.DataFrame],
    refinement_of: Callable[..., Any],
    what: str,
) -> None:
    sheet = sheet_of()
    rng = np.random.default_rng(3)
    image, start = sheet.image, sheet.start
    if what == "noise":
        image = rng.normal(100, 10, sheet.shape).astype(np.float32)
    elif what == "flat":
        image = np.full(sheet.shape, 3.0, np.float32)
    elif what == "wrong places":
        start = rng.uniform(0, 34, (400, 2))
    else:
        start = start[:20]
    given = tables_of(start)
    result = refine_sites(image, given, sampling=sheet.sampling, parameters=refinement_of())
    assert result.reason
    pd.testing.assert_frame_equal(result.sites[given.columns], given)
    assert (result.sites["origin"] == "network").all()
    assert (result.n_rejected, result.n_found) == (0, 0)


def test_a_table_without_atoms_comes_back(
    tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    given = tables_of(np.empty((0, 2)), rings=np.array([[1.0, 2.0]]))
    result = refine_sites(
        np.ones((30, 50)), given, sampling=(0.2, 0.2), parameters=refinement_of(),
        mask=np.ones((30, 50), np.uint8),
    )  # fmt: skip
    assert result.reason.startswith("fewer than")
    assert len(result.sites) == 1


def test_origin_of_an_atom_found_before_stays(
    sheet_of: Callable[..., Any], tables_of: Callable[..., pd.DataFrame], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of()
    number = int(np.flatnonzero(sheet.inner(6.0))[3])
    given = tables_of(sheet.start)
    given["origin"] = pd.array(["network"] * len(given), dtype="str")
    given.loc[number, "origin"] = "repaired"
    result = refine_sites(sheet.image, given, sampling=sheet.sampling, parameters=refinement_of())
    assert result.sites.loc[number, "origin"] == "repaired"
    assert result.sites.loc[number, "x"] != given.loc[number, "x"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.ones(5)}, "two-dimensional"),
        ({"image": np.ones((0, 5))}, "not empty"),
        ({"mask": np.ones((3, 3), np.uint8)}, r"mask must have the shape"),
        ({"workers": 0}, "workers must be ≥ 1"),
        ({"sampling": (0.0, 0.2)}, "sampling"),
        ({"image": np.full((30, 50), np.nan)}, "finite"),
    ],
)
def test_what_is_wrong_is_named(
    tables_of: Callable[..., pd.DataFrame],
    refinement_of: Callable[..., Any],
    change: dict[str, Any],
    message: str,
) -> None:
    given: dict[str, Any] = {"image": np.ones((30, 50)), "sampling": (0.2, 0.2), "workers": 1} | change
    with pytest.raises(ValueError, match=message):
        refine_sites(
            given.pop("image"), tables_of(np.array([[1.0, 1.0]])), parameters=refinement_of(), **given
        )
