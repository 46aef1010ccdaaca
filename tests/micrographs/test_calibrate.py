from pathlib import Path

import numpy as np
import pytest

from amorph2d.micrographs.calibrate import (
    check_bond_length,
    check_field,
    check_length_scale,
    check_sampling_parameter,
    contrast_polarity,
    read_sampling_table,
    recorded_dose,
    resolve_sampling,
    typical_spacing,
)
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.read import Micrograph, read_micrograph

# ---------------------------------------------------------------- sampling.csv


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "sampling.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_table(table):
    path = table('\ufefffile,sampling\r\na.tif,0.11\r\n\r\nb, 2e-1\n"c, d.dm3",1\n')
    assert read_sampling_table(path) == {"a.tif": 0.11, "b": 0.2, "c, d.dm3": 1.0}


def test_other_columns_and_order_do_not_matter(table):
    assert read_sampling_table(table("remark,Sampling , file\nfine,0.2,ä.tif\n")) == {"ä.tif": 0.2}


def test_table_without_rows(table):
    assert read_sampling_table(table("file,sampling\n")) == {}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "must begin with the line 'file,sampling'.*got ''"),
        ("a.tif,0.11\n", "must begin with the line.*got 'a.tif,0.11'"),
        ("file;sampling\na.tif;0.11\n", "must begin with the line"),
        (
            "file,sampling\na.tif,0.11\nb.tif,fine\n",
            "line 3: the sampling of 'b.tif' must be a number.*got 'fine'",
        ),
        ("file,sampling\na.tif\n", "line 2: the sampling of 'a.tif' must be a number.*got ''"),
        ("file,sampling\n\n,0.1\n", "line 3: the name of the file is missing"),
        ("file,sampling\na.tif,0\n", "line 2: the sampling of 'a.tif' must be > 0 Å/px, got 0"),
        ("file,sampling\na.tif,-0.1\n", "must be > 0 Å/px, got -0.1"),
        ("file,sampling\na.tif,nan\n", "must be > 0 Å/px, got nan"),
        ("file,sampling\na.tif,inf\n", "must be > 0 Å/px, got inf"),
        ("file,sampling\na.tif,0.1\na.tif,0.2\n", "line 3: 'a.tif' is there twice"),
    ],
)
def test_errors_name_the_row(table, text, match):
    with pytest.raises(MicrographError, match=match):
        read_sampling_table(table(text))


def test_table_in_another_encoding(table):
    with pytest.raises(MicrographError, match=r"sampling\.csv is not text in UTF-8"):
        read_sampling_table(table("file,sampling\nä.tif,0.1\n", encoding="latin-1"))


# ---------------------------------------------------------------- which sampling counts


@pytest.fixture
def micrograph(image):
    return Micrograph("a", Path("folder/a.tif"), image, (0.2, 0.14), "file", "", {})


@pytest.fixture
def uncalibrated(image):
    reason = {"calibration": "its axes have scale 1 and no unit"}
    return Micrograph("a.tif", Path("folder/a.tif"), image, None, None, "", reason)


def test_order_is_parameter_table_file(micrograph):
    table = {"a": 0.3}
    assert resolve_sampling(micrograph, parameter=0.4, table=table) == ((0.4, 0.4), "parameter")
    assert resolve_sampling(micrograph, parameter=None, table=table) == ((0.3, 0.3), "sampling.csv")
    assert resolve_sampling(micrograph, parameter=None, table={"b": 0.3}) == ((0.2, 0.14), "file")
    assert resolve_sampling(micrograph) == ((0.2, 0.14), "file")


def test_name_with_suffix_goes_before_the_one_without(uncalibrated):
    assert resolve_sampling(uncalibrated, table={"a": 0.3, "a.tif": 0.1})[0] == (0.1, 0.1)
    assert resolve_sampling(uncalibrated, table={"a": 0.3})[0] == (0.3, 0.3)


def test_pixels_that_are_not_square(uncalibrated):
    assert resolve_sampling(uncalibrated, table={"a": (0.2, 0.1)})[0] == (0.2, 0.1)


def test_no_sampling_names_the_file_and_three_ways(uncalibrated):
    with pytest.raises(MicrographError) as caught:
        resolve_sampling(uncalibrated, parameter=None, table={"b.tif": 0.1})
    text = str(caught.value)
    for part in (
        "a.tif",
        "scale 1 and no unit",
        "--params sampling=",
        "sampling.csv",
        "file,sampling",
        "in the file itself",
    ):
        assert part in text


@pytest.mark.parametrize("value", [0, -0.1, np.nan, np.inf])
def test_parameter_must_be_positive(micrograph, value):
    with pytest.raises(MicrographError, match="parameter sampling must be > 0 Å/px, got"):
        resolve_sampling(micrograph, parameter=value)


@pytest.mark.parametrize("value", ["0.1", "auto", True, [0.1, "x"]])
def test_parameter_must_be_a_number(micrograph, value):
    with pytest.raises(MicrographError, match="parameter sampling must be a number in Å/px, got"):
        resolve_sampling(micrograph, parameter=value)


def test_table_value_must_be_positive(uncalibrated):
    with pytest.raises(MicrographError, match=r"the sampling of 'a' in sampling\.csv must be > 0"):
        resolve_sampling(uncalibrated, table={"a": (0.1, -0.1)})
    with pytest.raises(MicrographError, match=r"must be a number in Å/px, got \(0\.1, 0\.1, 0\.1\)"):
        resolve_sampling(uncalibrated, table={"a": (0.1, 0.1, 0.1)})


def test_real_file_without_a_calibration(realdata):
    micrograph = read_micrograph(realdata / "ulm" / "graphene_defect_raw.dm3")
    with pytest.raises(MicrographError, match=r"graphene_defect_raw\.dm3 has no calibration"):
        resolve_sampling(micrograph)
    assert resolve_sampling(micrograph, parameter=0.109)[0] == (0.109, 0.109)


# ---------------------------------------------------------------- bond length


@pytest.mark.parametrize("bond", [1.42, 1.42 * 1.14, 1.42 / 1.14, np.nan, 0.0])
def test_small_deviations_and_missing_bonds_pass(bond):
    assert check_bond_length(0.2, bond) is None


def test_warning_has_both_samplings():
    """With 0.25 Å/px stated for 0.2 Å/px, a bond of 1.42 Å seems 1.775 Å long."""
    text = check_bond_length(0.25, 1.42 * 0.25 / 0.2)
    assert "0.25 Å/px contradicts" in text
    assert "would mean 0.2 Å/px (-20 %)" in text


def test_pixels_that_are_not_square_count_by_their_area():
    assert "sampling of 0.2 Å/px" in check_bond_length((0.1, 0.4), 1.0)


def test_expected_length_is_a_parameter():
    assert check_bond_length(0.2, 1.45, expected=1.45) is None
    assert check_bond_length(0.2, 1.45, expected=2.5) is not None
    with pytest.raises(ValueError, match="expected must be > 0 Å, got 0"):
        check_bond_length(0.2, 1.42, expected=0)


# ---------------------------------------------------------------- polarity


def scene(rng, sampling=(0.2, 0.3), n=200):
    """Atoms, ring centres and an image with bright spots on the atoms."""
    shape = (150, 120)
    y, x = np.arange(shape[0])[:, None] * sampling[0], np.arange(shape[1])[None, :] * sampling[1]
    image = 1 + 0.1 * np.cos(np.pi * x / 1.2) * np.cos(np.pi * y / 1.2)
    grid = np.stack(np.meshgrid(np.arange(0, 35, 1.2), np.arange(0, 29, 1.2)), -1).reshape(-1, 2)
    even = (np.round(grid / 1.2).sum(axis=1) % 2) == 0
    return image + rng.normal(0, 0.02, shape), grid[even], grid[~even]


@pytest.mark.parametrize("sign", [1, -1])
def test_polarity(rng, sign):
    image, atoms, rings = scene(rng)
    expected = "bright atoms" if sign > 0 else "dark atoms"
    assert contrast_polarity(5 + sign * image, atoms, rings, (0.2, 0.3)) == expected


def test_polarity_under_uneven_light(rng):
    """A gradient far stronger than the contrast does not matter, as neighbours are compared."""
    image, atoms, rings = scene(rng)
    image = image + np.linspace(0, 3, image.shape[0])[:, None]
    assert contrast_polarity(image, atoms, rings, (0.2, 0.3)) == "bright atoms"
    # Found only in the dark half, atoms are still brighter than what is beside them.
    assert contrast_polarity(image, atoms[:150], rings, (0.2, 0.3)) == "bright atoms"


def test_sites_outside_do_not_count(rng):
    image, atoms, rings = scene(rng)
    outside = np.array([[-5.0, 3.0], [3.0, 1e4]])
    assert contrast_polarity(image, np.vstack([atoms, outside]), rings, (0.2, 0.3)) == "bright atoms"
    assert contrast_polarity(image, atoms - 1e3, rings, (0.2, 0.3)) == "unknown"


def test_atoms_far_from_all_rings_say_nothing(rng):
    image, atoms, rings = scene(rng)
    left, right = atoms[atoms[:, 0] < 10], rings[rings[:, 0] > 15]
    assert min(len(left), len(right)) > 50
    assert contrast_polarity(image, left, right, (0.2, 0.3)) == "unknown"


def test_polarity_is_unknown_with_few_sites_or_noise_alone(rng):
    image, atoms, rings = scene(rng)
    assert contrast_polarity(image, atoms, rings[:9], (0.2, 0.3)) == "unknown"
    assert contrast_polarity(image, np.empty((0, 2)), np.empty((0, 2)), (0.2, 0.3)) == "unknown"
    assert contrast_polarity(np.ones((150, 120)), atoms, rings, (0.2, 0.3)) == "unknown"


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(("given", "expected"), [(None, None), (0.2, 0.2), (1, 1.0), ("auto", "auto")])
def test_sampling_parameter_is_a_number_or_nothing(given, expected):
    assert check_sampling_parameter(given) == expected


@pytest.mark.parametrize("given", ["automatic", "0.2 nm", 0.0, -1, float("nan"), True])
def test_other_sampling_parameters_are_refused(given):
    with pytest.raises(MicrographError, match="the parameter sampling must be"):
        check_sampling_parameter(given)


def test_field_must_hold_a_ring_without_its_border(tmp_path):
    micrograph = Micrograph("a", tmp_path / "a.tif", np.zeros((90, 100), np.float32), None, None, "")
    check_field(micrograph, 0.1, border=2.0)
    with pytest.raises(MicrographError, match=r"a\.tif shows 9 × 8\.1 Å; at least 9 Å a side"):
        check_field(micrograph, 0.09, border=2.0)
    with pytest.raises(MicrographError, match="at least 10 Å"):
        check_field(micrograph, 0.1, border=2.5)


def test_typical_spacing_of_a_lattice_and_of_nothing():
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(4)), axis=-1).reshape(-1, 2) * 1.4
    assert typical_spacing(grid) == pytest.approx(1.4)
    assert np.isnan(typical_spacing(grid[:1]))
    assert np.isnan(typical_spacing([]))


def test_pictures_for_display_have_no_dose(tmp_path):
    counts = np.random.default_rng(0).poisson(100, (256, 256)).astype(np.float32)
    doses = [
        recorded_dose(Micrograph("a", tmp_path, counts, None, None, "", {"dtype": dtype}), 0.1)
        for dtype in ("uint16", "uint8")
    ]
    assert doses[0] == pytest.approx(100 / 0.01, rel=0.3)
    assert np.isnan(doses[1])


@pytest.mark.parametrize("given", [1, 31.7])
def test_length_scale_is_a_positive_number(given):
    assert check_length_scale(given) == given


@pytest.mark.parametrize("given", [0, -1.0, "1", None, True, float("inf")])
def test_another_length_scale_is_refused(given):
    with pytest.raises(MicrographError, match="length_scale must be a number > 0"):
        check_length_scale(given)
