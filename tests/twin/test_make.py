import json

import numpy as np
import pandas as pd
import pytest

from amorph2d.twin.make import MADE, NOT_MADE, make_twin


@pytest.fixture(scope="module")
def mask():
    return np.ones((208, 240), np.uint8)


@pytest.fixture(scope="module")
def whole(sheet, as_table, settings, mask):
    image = sheet[0]
    return make_twin(
        image.image, as_table(image.atoms), sampling=(0.2, 0.2), energy=8e4, mask=mask, parameters=settings
    )


def correlation(twin, truth):
    """With the image without noise, where they are compared, both without what varies slowly."""
    from scipy.ndimage import gaussian_filter

    here, there = ((each - gaussian_filter(each, 50.0))[twin.compared] for each in (twin.image, truth.image))
    return np.corrcoef(here, there)[0, 1]


def inner_atom(image):
    middle = np.array(image.image.shape[::-1]) * image.sampling / 2
    return int(np.argmin(np.hypot(*(image.atoms - middle).T)))


def test_the_twin_of_a_clean_sheet_is_its_image_without_noise(sheet, whole):
    (image, truth), twin = sheet, whole
    assert (twin.status, twin.reason) == (MADE, "")
    assert correlation(twin, truth) > 0.99
    assert twin.optics["defocus"] == pytest.approx(-75, abs=20)
    assert twin.correlation == pytest.approx(twin.attainable, abs=0.03)
    assert np.array_equal(twin.residual, image.image - twin.image)
    assert twin.noise_floor == pytest.approx(twin.residual[twin.compared].std(), rel=0.1)
    assert np.nanmedian(twin.misfit) < 2
    assert twin.sites["is_doubtful"].mean() < 0.02
    assert twin.sites["twin_misfit"].dtype == np.float32
    record = twin.record()
    assert record["noise_source"] == "high frequencies"
    assert record["optics_energy"] == 8e4
    json.dumps(record)


def test_an_atom_too_many_or_too_few_raises_the_misfit_there(sheet, as_table, settings, mask, whole):
    image, right = sheet[0], whole
    chosen = inner_atom(image)
    place = image.atoms[chosen]
    ring = image.rings[np.argmin(np.hypot(*(image.rings - place - [8.0, 6.0]).T))]
    wrong = np.vstack([np.delete(image.atoms, chosen, axis=0), ring])
    changed = make_twin(
        image.image, as_table(wrong), sampling=(0.2, 0.2), energy=8e4, mask=mask, parameters=settings
    )
    assert changed.sites["twin_misfit"].iloc[-1] > 10
    assert changed.sites["is_doubtful"].iloc[-1]
    neighbour = np.argmin(np.hypot(*(wrong - place).T))
    before = np.argsort(np.hypot(*(image.atoms - place).T))[1]
    assert changed.sites["twin_misfit"].iloc[neighbour] > 2 * right.sites["twin_misfit"].iloc[before]
    for point in (place, ring):
        row, column = (
            round(value / step) for value, step in zip(point[::-1], right.misfit_sampling, strict=True)
        )
        assert changed.misfit[row, column] > 1.5 * right.misfit[row, column]
    assert changed.correlation < right.correlation


def test_other_matter_raises_the_misfit_and_is_not_compared(sheet, as_table, settings, mask):
    image, _ = sheet
    table = as_table(image.atoms)
    columns = np.arange(240)
    lump = np.random.default_rng(0).normal(0, 150, image.image.shape) * (columns >= 150)
    from scipy.ndimage import gaussian_filter

    covered = image.image + gaussian_filter(lump, 3.0)
    known = mask.copy()
    known[:, 140:] = 2
    common = {"sampling": (0.2, 0.2), "energy": 8e4, "parameters": settings}
    twin = make_twin(covered, table, mask=known, **common)
    place = np.arange(twin.misfit.shape[1]) * twin.misfit_sampling[1]
    is_under, is_clear = (place > 33) & (place < 42), (place > 6) & (place < 20)
    assert np.nanmedian(twin.misfit[:, is_under]) > 5 * np.nanmedian(twin.misfit[:, is_clear])
    assert not twin.compared[:, 112:].any()
    assert not twin.sites.loc[table["x"] > 28, "is_doubtful"].any()
    # Noise of the same strength in each pixel leaves no trace of an atom's size.
    assert np.nanmedian(twin.misfit[:, is_clear]) < 2.5


def test_grey_values_do_not_matter_and_the_energy_may_be_unknown(sheet, as_table, settings, mask):
    image, truth = sheet
    scaled = (image.image - image.image.mean()) * 3
    twin = make_twin(
        scaled, as_table(image.atoms), sampling=(0.2, 0.2), energy=None, mask=mask, parameters=settings
    )
    assert twin.reason == "an energy of 80 keV is assumed"
    assert correlation(twin, truth) > 0.98


def test_tiles_and_the_central_part(sheet, as_table, settings, mask, whole):
    image, _ = sheet
    common = {"sampling": (0.2, 0.2), "energy": 8e4, "mask": mask}
    small = settings.model_copy(update={"tile_size": 10})
    tiled = make_twin(image.image, as_table(image.atoms), parameters=small, **common)
    difference = np.abs(whole.image - tiled.image)[whole.compared]
    assert 0 < difference.max() < 0.05 * whole.image[whole.compared].std()
    part = settings.model_copy(update={"max_side": 200})
    central = make_twin(image.image, as_table(image.atoms), parameters=part, **common)
    assert central.window == (slice(4, 204), slice(20, 220))
    assert central.image.shape == (200, 200)
    assert central.reason == "only the 200 px that show most of the sheet are simulated"
    assert (
        np.corrcoef(central.image[50:150, 50:150].ravel(), whole.image[54:154, 70:170].ravel())[0, 1] > 0.98
    )
    is_far = image.atoms[:, 0] < 3
    assert central.sites.loc[is_far, "twin_misfit"].isna().all()


@pytest.mark.parametrize(
    ("shape", "sampling", "n_atoms", "value", "reason"),
    [
        ((100, 300), (0.2, 0.2), 80, 1, "the image is 20 Å wide, and 25 Å are needed"),
        ((100, 100), (0.6, 0.6), 80, 1, "pixels of 0.6 Å are too coarse, 0.5 Å are needed"),
        ((200, 240), (0.2, 0.2), 7, 1, "7 atoms are too few, 50 are needed"),
        ((200, 240), (0.2, 0.2), 80, 2, "the image shows no sheet that could be compared"),
    ],
)
def test_where_there_is_no_twin_the_reason_is_given(
    as_table, settings, shape, sampling, n_atoms, value, reason
):
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, shape)
    atoms = rng.uniform(0, np.array(shape[::-1]) * sampling[0] - 1, (n_atoms, 2))
    twin = make_twin(
        image, as_table(atoms), sampling=sampling, energy=8e4, mask=np.full(shape, value, np.uint8),
        parameters=settings,
    )  # fmt: skip
    assert (twin.status, twin.reason) == (NOT_MADE, reason)
    assert np.isnan(twin.image).all()
    assert twin.sites["twin_misfit"].isna().all()
    assert not twin.sites["is_doubtful"].any()
    assert np.isnan(twin.record()["misfit"])


def test_an_empty_table_and_a_flat_image(settings):
    empty = pd.DataFrame(
        {"kind": pd.Series([], dtype=str), "x": pd.Series([], dtype=float), "y": pd.Series([], dtype=float)}
    )
    common = {
        "sampling": (0.2, 0.2),
        "energy": 8e4,
        "parameters": settings,
        "mask": np.ones((150, 160), np.uint8),
    }
    image = np.random.default_rng(0).normal(100, 5, (150, 160))
    assert make_twin(image, empty, **common).reason.startswith("0 atoms are too few")
    flat = make_twin(np.full((150, 160), 7.0).tolist(), empty, **common)
    assert flat.reason == "the image shows no sheet that could be compared"


def test_what_is_wrong_is_named(as_table, settings):
    table, image = as_table([[1.0, 2.0]]), np.ones((30, 40))
    common = {"sampling": (0.2, 0.2), "parameters": settings}
    with pytest.raises(ValueError, match="image and mask must be of one shape"):
        make_twin(image, table, energy=8e4, mask=np.ones((40, 30), np.uint8), **common)
    with pytest.raises(ValueError, match="energy must be > 0 eV, got -1"):
        make_twin(image, table, energy=-1.0, mask=np.ones((30, 40), np.uint8), **common)
