from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging import bounds
from amorph2d.imaging.simulated import OTHER, SimulatedImage
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation import sites
from amorph2d.learning.evaluation.sites import calibrate_sites, evaluate_sites, judge_sites
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import TrainedNetwork, build_network
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.scores import score_sites

LOCALISATION = LocalisationParameters(
    tile_size=128,
    batch_size=1,
    thresholds={"atom": 0.3, "ring": 0.3},
    min_distance=0.6,
    border=0.0,
    precision="float32",
)
EVALUATION = EvaluationParameters(
    edges={"dose_per_area": (10000.0,), "defocus": (0.0,), "sampling": (0.15,), "bound": (0.05,)},
    border=2.0,
    max_distance=0.5,
    thresholds=(0.2, 0.35, 0.5),
    readable=0.95,
    bins=5,
)
WINDOW = (2.0, 2.0, 17.8, 21.8)


@pytest.fixture
def network(make_config) -> TrainedNetwork:
    config = make_config(widths=(4,))
    return build_network(config, ResidualUNet(config).state_dict(), {"name": "test"})


@pytest.fixture
def settings():
    return {"localisation": LOCALISATION, "evaluation": EVALUATION}


def grid_image(
    index: int = 0, *, dose: float = 2e4, contrast: float = 1.0, n: int = 5, **recipe
) -> SimulatedImage:
    """Return n² atoms on a grid of 3 Å, all more than 2 Å inside, rings halfway between."""
    shape = (15 * n + 45, 15 * n + 25)
    steps = np.arange(n) * 3.0 + 3.0
    atoms = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    rows, columns = (np.exp(-((0.2 * np.arange(size)[:, None] - steps) ** 2) / 0.5).sum(1) for size in shape)
    pixels = np.outer(rows, columns)
    known = {"family": "grid", "energy": 80e3, "defocus": 0.0, "dose_per_area": dose}
    image = (100 + 10 * contrast * pixels).astype(np.float32)
    return SimulatedImage(index, image, 0.2, atoms, (atoms + 1.5)[:4], known | recipe)


def table(
    parts: dict[str, np.ndarray],
    confidence: dict[str, np.ndarray] | float = 0.9,
    sigma: np.ndarray | float = math.nan,
) -> pd.DataFrame:
    rows = [
        pd.DataFrame(
            {"kind": kind, "x": points[:, 0], "y": points[:, 1], "sigma": np.float32(sigma),
             "confidence": confidence if isinstance(confidence, float) else confidence[kind]}
        )
        for kind, points in parts.items()
    ]  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def truth(image: SimulatedImage, **changes) -> pd.DataFrame:
    return table({"atom": image.atoms, "ring": image.rings}, **changes)


@pytest.fixture
def pretend(monkeypatch):
    """Let `locate_sites` return what is asked for, image by image, and note how it is called."""

    def prepare(*tables: pd.DataFrame) -> list[dict]:
        answers, calls = iter(tables), []

        def locate(_, **given):
            calls.append(given)
            return next(answers)

        monkeypatch.setattr(sites, "locate_sites", locate)
        return calls

    return prepare


@pytest.fixture
def bound_of(monkeypatch):
    """Give images a Cramér–Rao bound by their index."""
    return lambda values: monkeypatch.setattr(bounds, "image_bound", lambda image: values[image.index])


def of(frame: pd.DataFrame, channel: str) -> pd.Series:
    return frame.set_index("channel").loc[channel]


def test_counts_add_up_before_ratios_are_taken(network, settings, pretend):
    few, many = grid_image(0, n=2), grid_image(1, n=5)
    pretend(
        table({"atom": few.atoms[:1], "ring": few.rings}),
        table(
            {
                "atom": np.concatenate([many.atoms + np.array([0.1, 0.0]), [[4.5, 6.0]]]),
                "ring": many.rings[:0],
            },
        ),
    )
    found = evaluate_sites(network, [few, many], **settings)
    atom, ring = of(found.totals, "atom"), of(found.totals, "ring")
    assert atom[["n_images", "n_true", "n_predicted", "n_matched"]].tolist() == [2, 29, 27, 26]
    assert atom["precision"] == pytest.approx(26 / 27)
    assert atom["recall"] == pytest.approx(26 / 29)
    assert atom["f1"] == pytest.approx(2 * 26 / (27 + 29))
    assert atom["rmse"] == pytest.approx(math.sqrt(25 * 0.01 / 26))
    assert (ring["precision"], ring["recall"]) == (1.0, 0.5)
    assert list(found.images["n_true"]) == [4, 4, 25, 4]


def test_groups_have_every_condition(network, settings, pretend):
    images = [grid_image(0, dose=5e3), grid_image(1, dose=1e4), grid_image(2, dose=3e4, contrast=-1)]
    pretend(*map(truth, images))
    groups = evaluate_sites(network, images, **settings).groups
    atoms = groups[groups["channel"] == "atom"]
    assert list(zip(atoms["condition"], atoms["value"], atoms["n_images"], strict=True)) == [
        ("dose_per_area", "< 10000", 1),
        ("dose_per_area", "≥ 10000", 2),
        ("defocus", "≥ 0", 3),
        ("sampling", "≥ 0.15", 3),
        ("energy", "80 keV", 3),
        ("family", "grid", 3),
        ("polarity", "bright atoms", 2),
        ("polarity", "dark atoms", 1),
    ]
    assert (groups["f1"] == 1).all()


def test_sites_near_the_border_do_not_count(network, settings, pretend):
    image = grid_image()
    edge = dataclasses.replace(image, atoms=np.concatenate([image.atoms, [[0.5, 5.0], [19.0, 5.0]]]))
    extra = [[10.0, 1.0], [0.5, 9.0]]
    pretend(table({"atom": np.concatenate([image.atoms, extra]), "ring": image.rings}))
    atom = of(evaluate_sites(network, [edge], **settings).totals, "atom")
    assert atom[["n_true", "n_predicted", "n_matched"]].tolist() == [25, 25, 25]


def test_what_lies_under_something_is_no_true_site(network, settings, pretend):
    image = grid_image()
    mask = np.ones(image.image.shape, np.uint8)
    mask[:25] = OTHER  # the atoms at y = 3 Å
    pretend(truth(image))
    atom = of(evaluate_sites(network, [dataclasses.replace(image, mask=mask)], **settings).totals, "atom")
    assert atom[["n_true", "n_predicted", "n_matched"]].tolist() == [20, 25, 20]


def test_judged_sites_are_counted_as_by_score_sites():
    rng = np.random.default_rng(5)
    for n_found, n_true in ((300, 250), (80, 300), (0, 20), (20, 0), (1, 1)):
        found, true = rng.uniform(0, 22, (n_found, 2)), rng.uniform(0, 22, (n_true, 2))
        judged = judge_sites(table({"atom": found}), true, window=WINDOW, max_distance=0.5)
        scores = score_sites(found, true, window=WINDOW, max_distance=0.5)
        assert len(judged.is_true) == len(judged.confidence) == len(judged.sigma) == scores.n_predicted
        assert judged.n_true == scores.n_reference
        assert judged.is_true.sum() == len(judged.errors) == scores.n_matched
        assert judged.squared_distances.sum() == pytest.approx(scores.sum_squared_distance)


def test_errors_belong_to_the_sites_that_have_them():
    found = table({"atom": np.array([[5.0, 5.1], [9.0, 9.0], [12.3, 12.0]])}, sigma=np.array([0.1, 0.2, 0.3]))
    judged = judge_sites(found, np.array([[12.0, 12.0], [5.0, 5.0]]), window=WINDOW, max_distance=0.5)
    assert judged.is_true.tolist() == [True, False, True]
    np.testing.assert_allclose(judged.errors, [[0.0, 0.1], [0.3, 0.0]], atol=1e-12)
    np.testing.assert_allclose(judged.sigma, [0.1, 0.2, 0.3], rtol=1e-6)


def test_ratios_are_nan_where_nothing_was_found(network, settings, pretend):
    image = grid_image()
    pretend(table({"atom": image.atoms[:0], "ring": image.rings[:0]}))
    found = evaluate_sites(network, [image], **settings)
    atom = of(found.totals, "atom")
    assert (atom["recall"], atom["f1"]) == (0, 0)
    names = ["precision", "rmse", "rmse_over_bound", "ring_fraction_error"]
    names += ["calibration_error", "within_1_sigma", "within_2_sigma"]
    assert atom[names].isna().all()
    assert len(found.reliability) == 0


def test_the_error_is_compared_with_the_bound_of_the_same_sites(network, settings, pretend, bound_of):
    # Errors of 0.1 and 0.3 Å along x, in images with 25 and 4 atoms; the third has no bound.
    images = [grid_image(0), grid_image(1, n=2), grid_image(2), grid_image(3)]
    bound_of([0.05, 0.1, math.nan, math.inf])
    shifts = np.array([[0.1, 0.0], [0.3, 0.0], [0.4, 0.0], [0.4, 0.0]])
    pretend(*(table({"atom": image.atoms + shift, "ring": image.rings + shift})
              for image, shift in zip(images, shifts, strict=True)))  # fmt: skip
    found = evaluate_sites(network, images, **settings)
    squares, bound = (25 * 0.01 + 4 * 0.09) / 2, 25 * 0.05**2 + 4 * 0.1**2
    assert of(found.totals, "atom")["rmse_over_bound"] == pytest.approx(math.sqrt(squares / bound))
    assert math.isnan(of(found.totals, "ring")["rmse_over_bound"])  # the bound is that of atoms
    groups = found.groups[(found.groups["condition"] == "bound") & (found.groups["channel"] == "atom")]
    assert groups["value"].tolist() == ["≥ 0.05"]
    assert groups["n_images"].tolist() == [2]
    assert found.images["bound"].isna().tolist() == [False] * 4 + [True] * 4


def test_recipes_without_optics_have_no_bound(network, settings, pretend):
    image = grid_image()
    pretend(truth(image))
    assert evaluate_sites(network, [image], **settings).images["bound"].isna().all()


def test_a_network_at_the_bound_reaches_one(network, settings, pretend, bound_of):
    rng = np.random.default_rng(3)
    images = [grid_image(index, n=12) for index in range(6)]
    limits = rng.uniform(0.02, 0.08, 6)
    bound_of(limits)
    pretend(*(table({"atom": image.atoms + limits[image.index] * rng.normal(size=(144, 2)),
                     "ring": image.rings}) for image in images))  # fmt: skip
    ratio = of(evaluate_sites(network, images, **settings).totals, "atom")["rmse_over_bound"]
    assert ratio == pytest.approx(1, abs=0.06)


def test_other_materials_are_scored_in_units_of_carbon(network, settings, pretend):
    scale = 2.0
    image = grid_image(length_scale=scale)
    pretend(table({"atom": (image.atoms + np.array([0.2, 0.0])) / scale, "ring": image.rings / scale}))
    found = evaluate_sites(network, [image], **settings)
    atom = of(found.totals, "atom")
    assert atom["rmse"] == pytest.approx(0.1)
    assert of(found.images, "atom")[["sampling", "dose_per_area"]].tolist() == [0.1, 8e4]


def test_rings_are_counted_on_their_own_channel(network, settings, pretend, make_image):
    from amorph2d.topology.bonds import delaunay_bonds

    image = make_image(shape=(96, 80))
    image = dataclasses.replace(image, bonds=delaunay_bonds(image.atoms, image.rings, limits=(0.9, 1.8)))
    missed = np.argmin(np.linalg.norm(image.atoms - [8.0, 9.5], axis=1))
    pretend(table({"atom": np.delete(image.atoms, missed, axis=0), "ring": image.rings}))
    totals = evaluate_sites(network, [image], **settings).totals
    ring, atom = of(totals, "ring"), of(totals, "atom")
    assert ring["n_true_6"] > 20
    assert ring[["n_found_6", "n_found_other"]].tolist() == [ring["n_true_6"] - 3, 1]
    assert ring["ring_fraction_error"] == pytest.approx(1 / (ring["n_true_6"] - 2))
    assert atom["n_true_6"] == 0
    assert math.isnan(atom["ring_fraction_error"])


def test_confidence_and_sigma_are_held_against_the_truth(network, settings, pretend):
    rng = np.random.default_rng(0)
    images, tables = [grid_image(index, n=25) for index in range(2)], []
    for image in images:
        sigma = rng.uniform(0.02, 0.1, 625)
        is_true = rng.random(625) < 0.8
        shift = np.where(is_true[:, None], sigma[:, None] * rng.normal(size=(625, 2)), [0.0, 1.4])
        atoms = table({"atom": image.atoms + shift}, 0.8, sigma)
        tables.append(pd.concat([atoms, table({"ring": image.rings}, 0.8)], ignore_index=True))
    pretend(*tables)
    found = evaluate_sites(network, images, **settings)
    atom, ring = of(found.totals, "atom"), of(found.totals, "ring")
    assert atom["calibration_error"] == pytest.approx(0, abs=0.02)
    assert ring["calibration_error"] == pytest.approx(0.2)
    assert atom["within_1_sigma"] == pytest.approx(0.683, abs=0.02)
    assert atom["within_2_sigma"] == pytest.approx(0.954, abs=0.01)
    assert math.isnan(ring["within_1_sigma"])
    reliability = found.reliability.set_index(["channel", "quantity"]).sort_index()
    assert reliability.columns.tolist() == ["predicted", "measured", "n"]
    sigmas = reliability.loc[("atom", "sigma")]
    assert len(sigmas) == 5
    np.testing.assert_allclose(sigmas["measured"], sigmas["predicted"], rtol=0.12)
    assert reliability.loc[[("ring", "confidence")], "n"].tolist() == [8]
    assert ("ring", "sigma") not in reliability.index


def test_an_untrained_network_is_evaluated_with_the_real_search(network, settings, make_image):
    found = evaluate_sites(network, [make_image(shape=(64, 80))], **settings)
    assert list(found.images["channel"]) == ["atom", "ring"]
    assert (found.images["family"] == "honeycomb").all()
    assert (found.images["n_true"] >= 20).all()


def test_the_threshold_with_the_best_f1_is_chosen(network, settings, pretend):
    # False atoms have confidences of 0.3, true ones of 0.4; true rings start at 0.25.
    image = grid_image()
    false = image.atoms[:9] + np.array([1.5, 0.7])
    parts = {"atom": np.concatenate([image.atoms, false]), "ring": image.rings}
    confidence = {"atom": np.repeat([0.4, 0.3], [25, 9]), "ring": np.array([0.25, 0.6, 0.6, 0.6])}
    pretend(table(parts, confidence))
    metadata = calibrate_sites(network, [image], **settings).metadata
    assert metadata["thresholds"] == {"atom": 0.35, "ring": 0.2}
    assert metadata["name"] == "test"
    assert "thresholds" not in network.metadata
    raw, atom = metadata["confidence"]["raw"], metadata["confidence"]["atom"]
    assert np.interp([0.3, 0.4], raw, atom) == pytest.approx([1 / 10, 25 / 26])
    assert json.loads(json.dumps(metadata, allow_nan=False)) == metadata


def test_only_readable_images_choose_the_threshold(network, settings, pretend):
    # Of the readable image five sites have confidences of 0.3; of the other one all are false but two.
    image = grid_image()
    good = table(
        {"atom": image.atoms, "ring": image.rings},
        {"atom": np.repeat([0.3, 0.8], [5, 20]), "ring": np.full(4, 0.8)},
    )
    false = np.concatenate([image.atoms + np.array([1.5, d]) for d in (-0.7, 0.7)])[:40]
    bad = table(
        {"atom": np.concatenate([image.atoms[:2], false]), "ring": image.rings},
        {"atom": np.repeat([0.4, 0.3], [2, 40]), "ring": np.full(4, 0.8)},
    )
    images = [image, grid_image(1), grid_image(2)]
    for readable, threshold in ((0.95, 0.2), (0.0, 0.35)):
        pretend(good, bad, bad)
        evaluation = settings["evaluation"].model_copy(update={"readable": readable})
        metadata = calibrate_sites(network, images, **settings | {"evaluation": evaluation}).metadata
        assert metadata["thresholds"]["atom"] == threshold


def test_calibration_takes_raw_confidences_whatever_the_network_has(network, settings, pretend):
    image = grid_image()
    old = {"thresholds": {"atom": 0.9}, "confidence": {"raw": [0, 1], "atom": [0.1, 0.2], "ring": [0, 1]}}
    calibrated = dataclasses.replace(network, metadata=network.metadata | old)
    calls = pretend(truth(image))
    metadata = calibrate_sites(calibrated, [image], **settings).metadata
    (call,) = calls
    assert "confidence" not in call["network"].metadata
    assert call["parameters"].thresholds == {"atom": 0.2, "ring": 0.2}
    assert metadata["confidence"]["raw"] != [0, 1]
    assert calibrated.metadata["confidence"]["raw"] == [0, 1]


def test_the_position_error_follows_the_confidence(network, settings, pretend):
    rng = np.random.default_rng(0)
    images = [grid_image(index, n=30) for index in range(2)]
    tables = []
    for image in images:
        confidence = rng.uniform(0.5, 0.95, 900)
        shift = rng.normal(size=(900, 2)) * true_error(confidence)[:, None]
        parts = {"atom": image.atoms + shift, "ring": image.rings}
        tables.append(table(parts, {"atom": confidence, "ring": np.full(4, 0.8)}))
    pretend(*tables)
    sigma = calibrate_sites(network, images, **settings).metadata["sigma"]
    confidence, found = np.array(sigma["confidence"]), np.array(sigma["sigma"]["atom"])
    inner = (confidence > 0.53) & (confidence < 0.92)
    assert found[inner] == pytest.approx(true_error(confidence[inner]), rel=0.12)
    assert (np.diff(found) <= 0).all()
    assert sigma["sigma"]["ring"] == [0.0] * len(confidence)


def true_error(confidence: np.ndarray) -> np.ndarray:
    return 0.1 * (1.2 - confidence)


def test_sigmas_are_those_of_sites_above_the_threshold(network, settings, pretend):
    # 40 false peaks make 0.35 the best threshold; the true sites below it are 0.4 Å off.
    image = grid_image()
    false = np.concatenate([image.atoms + np.array([1.5, d]) for d in (-0.7, 0.7)])[:40]
    shifted = image.atoms + np.where(np.arange(25) < 5, 0.4, 0.1)[:, None] * [1.0, 0.0]
    confidence = {"atom": np.concatenate([np.repeat([0.3, 0.8], [5, 20]), np.full(40, 0.3)]),
                  "ring": np.full(4, 0.8)}  # fmt: skip
    pretend(table({"atom": np.concatenate([shifted, false]), "ring": image.rings}, confidence))
    metadata = calibrate_sites(network, [image], **settings).metadata
    assert metadata["thresholds"]["atom"] == 0.35
    assert metadata["sigma"]["sigma"]["atom"] == pytest.approx([0.1 / math.sqrt(2)] * 101)
    assert metadata["confidence"]["atom"][30] == pytest.approx(6 / 46)


def test_what_was_calibrated_is_reliable(network, settings, pretend, monkeypatch):
    """Found sites with any raw confidence, as the calibrated network gives them, keep what it promises."""
    rng = np.random.default_rng(9)

    def drawn(image: SimulatedImage) -> pd.DataFrame:
        raw = rng.uniform(0.36, 0.9, 900)
        is_true = rng.random(900) < raw**2
        shift = np.where(is_true[:, None], rng.normal(size=(900, 2)) * true_error(raw)[:, None], [0.0, 1.4])
        atoms = table({"atom": image.atoms + shift}, {"atom": raw})
        return pd.concat([atoms, table({"ring": image.rings}, 0.8)], ignore_index=True)

    images = [grid_image(index, n=30) for index in range(4)]
    pretend(*map(drawn, images))
    calibrated = calibrate_sites(network, images, **settings)
    maps, sigma = calibrated.metadata["confidence"], calibrated.metadata["sigma"]
    raw, promised = [drawn(image) for image in images], []
    for found in raw:
        is_atom = found["kind"] == "atom"
        found = found.assign(
            sigma=np.interp(found["confidence"], sigma["confidence"], sigma["sigma"]["atom"])
        )
        found.loc[is_atom, "confidence"] = np.interp(
            found.loc[is_atom, "confidence"], maps["raw"], maps["atom"]
        )
        promised.append(found)
    errors = []
    for tables in (raw, promised):
        pretend(*tables)
        totals = evaluate_sites(calibrated, images, **settings).totals
        errors.append(of(totals, "atom")["calibration_error"])
    assert errors[1] < 0.03 < 0.15 < errors[0]
    assert of(totals, "atom")["within_1_sigma"] == pytest.approx(0.683, abs=0.03)


def test_a_network_that_finds_nothing_cannot_be_calibrated(network, settings, pretend):
    image = grid_image()
    pretend(table({"atom": image.atoms, "ring": image.rings[:0]}))
    with pytest.raises(ValueError, match="no site of the kind 'ring' was found"):
        calibrate_sites(network, [image], **settings)


def test_no_images_are_refused(network, settings):
    for run in (evaluate_sites, calibrate_sites):
        with pytest.raises(ValueError, match="at least one image, got none"):
            run(network, [], **settings)
