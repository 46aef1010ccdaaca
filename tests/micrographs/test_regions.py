import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.regions import (
    MaskFile,
    Polygon,
    Rectangle,
    in_region,
    parse_region,
    read_region_table,
    region_mask,
    region_of,
    regions_of,
)

SHAPE, SAMPLING = (30, 50), (0.5, 0.2)
SQUARE = [[2, 3], [8, 3], [8, 12], [2, 12]]


def drawn(value, shape=SHAPE, sampling=SAMPLING):
    return region_mask(parse_region(value), shape, sampling)


def pixels_of(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max(), columns.min(), columns.max()


def inside(corners, points):
    """Whether points lie in a polygon, by the winding of its corners around each."""
    a, b = corners[None] - points[:, None], np.roll(corners, -1, axis=0)[None] - points[:, None]
    turn = np.arctan2(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0], (a * b).sum(axis=2))
    return np.abs(turn.sum(axis=1)) > np.pi


def test_a_rectangle_holds_the_pixels_whose_centres_lie_in_it():
    mask = drawn({"x": [1.0, 3.0], "y": [2.0, 4.4], "unit": "Å"})
    assert pixels_of(mask) == (4, 8, 5, 15)
    assert mask.sum() == 5 * 11
    assert mask.shape == SHAPE


def test_units():
    in_angstrom = drawn({"x": [1.0, 3.0], "y": [2.0, 4.4], "unit": "Å"})
    in_nanometres = drawn({"x": [0.1, 0.3], "y": [0.2, 0.44], "unit": "nm"})
    in_pixels = drawn({"x": [5, 15], "y": [4, 8], "unit": "px"})
    np.testing.assert_array_equal(in_nanometres, in_angstrom)
    np.testing.assert_array_equal(in_pixels, in_angstrom)


def test_a_rectangle_may_leave_out_an_axis_and_reach_beyond_the_image():
    assert pixels_of(drawn({"x": [1.0, 3.0], "unit": "Å"})) == (0, 29, 5, 15)
    assert pixels_of(drawn({"x": [-9, 1], "y": [14, 99], "unit": "Å"})) == (28, 29, 0, 5)


def test_a_rectangular_polygon():
    mask = drawn({"polygon": SQUARE, "unit": "Å"})
    assert pixels_of(mask) == (6, 23, 10, 39)  # lower right sides do not belong to it
    np.testing.assert_array_equal(drawn({"polygon": SQUARE[::-1], "unit": "Å"}), mask)
    np.testing.assert_array_equal(drawn({"polygon": [*SQUARE, SQUARE[0]], "unit": "Å"}), mask)


@pytest.mark.parametrize("seed", range(6))
def test_a_polygon_of_any_shape(seed):
    rng = np.random.default_rng(seed)
    phi = 2 * np.pi * (np.arange(9) + rng.uniform(0, 0.9, 9)) / 9
    star = [5.01, 7.03] + rng.uniform(2, 9, (9, 1)) * np.stack([np.cos(phi), np.sin(phi)], axis=1)
    mask = drawn({"polygon": star.tolist(), "unit": "Å"})
    centres = np.argwhere(np.ones(SHAPE))[:, ::-1] * (0.2, 0.5)
    np.testing.assert_array_equal(mask.ravel(), inside(star, centres))
    assert 0 < mask.sum() < mask.size


def test_a_corner_in_the_middle_of_a_side_changes_nothing():
    more = [SQUARE[0], [5, 3], *SQUARE[1:]]
    np.testing.assert_array_equal(
        drawn({"polygon": more, "unit": "Å"}), drawn({"polygon": SQUARE, "unit": "Å"})
    )


def test_polygons_side_by_side_share_no_pixel_and_leave_none_out():
    corners = np.array([[0.0, 0.0], [10, 0], [10, 15], [0, 15]]) - 0.01
    middle = [4.0, 6.0]  # the centre of a pixel
    parts = [[corners[k], corners[(k + 1) % 4], middle] for k in range(4)]
    masks = [drawn({"polygon": [list(map(float, c)) for c in part], "unit": "Å"}) for part in parts]
    assert (np.sum(masks, axis=0) == 1).all()


@pytest.mark.parametrize(
    "name", ["mask.tif", "mask.png", "colours.png", "opaque.png", "palette.png", "grey.PNG"]
)
def test_masks_from_files(tmp_path, name):
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 5:40] = True
    grey = mask.astype(np.uint8) * 7
    if name == "mask.tif":
        tifffile.imwrite(tmp_path / name, grey.astype(np.uint16))
    elif name == "colours.png":
        Image.fromarray(np.stack([0 * grey, grey, 0 * grey], axis=2)).save(tmp_path / name)
    elif name == "opaque.png":
        Image.fromarray(np.stack([grey, grey, grey, 0 * grey + 255], axis=2)).save(tmp_path / name)
    elif name == "palette.png":
        image = Image.fromarray(1 - mask.astype(np.uint8), mode=None).convert("P")
        image.putpalette([255, 255, 255, 0, 0, 0])
        image.save(tmp_path / name)
    else:
        Image.fromarray(grey).save(tmp_path / name)
    found = region_mask(parse_region(name, folder=tmp_path), SHAPE, SAMPLING)
    np.testing.assert_array_equal(found, mask)
    assert found.dtype == bool
    np.testing.assert_array_equal(region_mask(parse_region({"mask": str(tmp_path / name)}), SHAPE, 1.0), mask)


def test_positions_in_a_region():
    region = parse_region({"x": [1.0, 3.0], "y": [2.0, 4.4], "unit": "Å"})
    places = [[1.0, 2.0], [0.95, 1.8], [0.85, 2.0], [3.05, 4.2], [3.15, 4.0], [-50, 3], [2, 99]]
    expected = [True, True, False, True, False, False, False]
    assert in_region(places, region, sampling=SAMPLING, shape=SHAPE).tolist() == expected
    mask = region_mask(region, SHAPE, SAMPLING)
    assert in_region(places, mask, sampling=SAMPLING).tolist() == expected
    assert in_region([], mask, sampling=SAMPLING).shape == (0,)
    with pytest.raises(ValueError, match="shape of the image is needed"):
        in_region(places, region, sampling=SAMPLING)


def test_what_is_parsed():
    assert parse_region({"x": [1, 2], "unit": "px"}) == Rectangle((1, -np.inf), (2, np.inf), "px")
    triangle = parse_region({"polygon": [[0, 0], [1, 0], [0, 1]], "unit": "nm"})
    assert triangle == Polygon(((0, 0), (10, 0), (0, 10)), "Å")
    assert isinstance(parse_region("a/b.tiff"), MaskFile)


BOWTIE = [[0, 0], [4, 4], [4, 0], [0, 4]]
SPIKE = [[0, 0], [8, 0], [4, 0], [4, 5]]
PINCHED = [[0, 0], [8, 0], [8, 8], [4, 0], [0, 8]]
ALONG = [[0, 0], [8, 0], [8, 4], [6, 4], [6, 0], [2, 0], [2, 4], [0, 4]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "a region must be"),
        ({"x": [0, 1], "z": [0, 1], "unit": "Å"}, "a region must be"),
        ({}, "a region must be"),
        ({"x": [0, 1]}, "unit of a region must be a length or 'px', got None"),
        ({"x": [0, 1], "unit": "parsec"}, "unit of a region must be a length or 'px', got 'parsec'"),
        ({"x": [0], "unit": "Å"}, r"x of a rectangle must be \[low, high\], got \[0\]"),
        ({"y": [0, float("nan")], "unit": "Å"}, r"y of a rectangle must be \[low, high\]"),
        ({"x": "01", "unit": "Å"}, r"x of a rectangle must be \[low, high\], got '01'"),
        ({"x": [2, 2], "unit": "Å"}, "low < high"),
        ({"polygon": 5, "unit": "Å"}, "a polygon must be"),
        ({"polygon": [[0, 0], [1, 0], [0, "a"]], "unit": "Å"}, "two finite numbers, got"),
        ({"polygon": [[0, 0], [1, 0]], "unit": "Å"}, "at least three corners, got 2"),
        ({"polygon": [[0, 0], [1, 0], [0, 0]], "unit": "Å"}, "at least three corners, got 2"),
        ({"polygon": [], "unit": "Å"}, "at least three corners, got 0"),
        ({"polygon": BOWTIE, "unit": "Å"}, "must not cross or touch, sides 1 and 3 do"),
        ({"polygon": SPIKE, "unit": "Å"}, "must not cross or touch, sides 1 and 2 do"),
        ({"polygon": PINCHED, "unit": "px"}, "must not cross or touch, sides 1 and 3 do"),
        ({"polygon": ALONG, "unit": "px"}, "must not cross or touch"),
        ({"polygon": [[0, 0], [1, 1], [2, 2]], "unit": "Å"}, "must not cross or touch"),
        ("mask.jpg", "must be one of .tif, .tiff, .png"),
        ({"mask": 3}, "must be the path of an image, got 3"),
        ("", "must be the path of an image, got ''"),
    ],
)
def test_what_is_no_region(value, message):
    with pytest.raises(MicrographError, match=message):
        parse_region(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"x": [40, 50], "y": [0, 9], "unit": "Å"},
            r"x 40 to 50 Å, y 0 to 9 Å holds no pixel .* 9.8 × 14.5 Å",
        ),
        (
            {"polygon": [[0, -9], [5, -9], [0, -2], [-1, -3], [-2, -5]], "unit": "Å"},
            r"\(0, -2\).*, \.\.\. Å hol",
        ),
        ({"polygon": [[0.01, 0.01], [0.05, 0.01], [0.05, 0.05]], "unit": "Å"}, "holds no pixel"),
    ],
)
def test_what_misses_the_image(value, message):
    with pytest.raises(MicrographError, match=message):
        drawn(value)


def test_masks_that_do_not_fit(tmp_path):
    Image.fromarray(np.ones((5, 6), np.uint8)).save(tmp_path / "other.png")
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "empty.png")
    (tmp_path / "broken.tif").write_bytes(b"nonsense")
    for name, message in {
        "other.png": r"other.png must have the shape of the image, \(30, 50\), got \(5, 6\)",
        "empty.png": "the region empty.png holds no pixel",
        "broken.tif": "the mask broken.tif cannot be read",
        "absent.tif": "absent.tif does not exist",
    }.items():
        with pytest.raises(MicrographError, match=message):
            region_mask(parse_region(name, folder=tmp_path), SHAPE, SAMPLING)


def test_regions_with_names(tmp_path):
    left, right = {"x": [0, 4], "unit": "px"}, {"x": [4, 9], "y": [1, 3], "unit": "px"}
    value = {"regions": {"left": left, "right": right}}
    parts = regions_of(tmp_path / "a.tif", value, shape=SHAPE, sampling=SAMPLING)
    assert list(parts) == ["left", "right"]
    np.testing.assert_array_equal(parts["left"], drawn(left))
    np.testing.assert_array_equal(parts["right"], drawn(right))
    np.testing.assert_array_equal(drawn(value), parts["left"] | parts["right"])
    assert regions_of(tmp_path / "a.tif", left, shape=SHAPE, sampling=SAMPLING) == {}
    assert regions_of(tmp_path / "a.tif", None, shape=SHAPE, sampling=SAMPLING) == {}
    (tmp_path / "regions.json").write_text(json.dumps({"b": value}))
    assert list(regions_of(tmp_path / "b.tif", None, shape=SHAPE, sampling=SAMPLING)) == ["left", "right"]
    whole = region_of(tmp_path / "b.tif", None, shape=SHAPE, sampling=SAMPLING)
    np.testing.assert_array_equal(whole, drawn(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"regions": {}}, "regions must be given by name, got {}"),
        ({"regions": [1]}, r"regions must be given by name, got \[1\]"),
        ({"regions": {"a": {"x": [1, 0], "unit": "px"}}}, "region 'a': "),
        ({"regions": {"a": {"regions": {"b": "m.tif"}}}}, "region 'a' must be one region, got several"),
        ({"regions": {"a": {"x": [90, 99], "unit": "px"}}}, "region 'a': .* holds no pixel of the image"),
    ],
)
def test_named_regions_that_are_wrong(value, message):
    with pytest.raises(MicrographError, match=message):
        drawn(value)


def test_the_table_of_a_folder(tmp_path):
    path = tmp_path / "regions.json"
    tifffile.imwrite(tmp_path / "m.tif", np.ones(SHAPE, np.uint8))
    table = {"a.tif": {"x": [0, 2], "unit": "px"}, "b": "m.tif"}
    path.write_text("\ufeff" + json.dumps(table), encoding="utf-8")
    assert read_region_table(path) == {
        "a.tif": Rectangle((0, -np.inf), (2, np.inf), "px"),
        "b": MaskFile(tmp_path / "m.tif"),
    }
    given = {"y": [0, 1], "unit": "px"}
    place = {"shape": SHAPE, "sampling": SAMPLING}
    assert pixels_of(region_of(tmp_path / "a.tif", given, **place)) == (0, 29, 0, 2)
    assert region_of(tmp_path / "b.dm3", given, **place).all()
    assert pixels_of(region_of(tmp_path / "c.tif", given, **place)) == (0, 1, 0, 49)
    assert region_of(tmp_path / "c.tif", None, **place) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "regions.json is not JSON in UTF-8"),
        ("[1]", "regions.json must hold regions by name of file, got list"),
        ('{"a": {"x": [0, 1], "unit": "px"}, "a": "m.tif"}', "regions.json: 'a' is there twice"),
        ('{"a.tif": {"x": [1, 0], "unit": "px"}}', "regions.json, 'a.tif': x of a rectangle"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, message):
    (tmp_path / "regions.json").write_text(text, encoding="utf-8")
    with pytest.raises(MicrographError, match=message):
        read_region_table(tmp_path / "regions.json")


def test_errors_say_where_a_region_is_from(tmp_path):
    place = {"shape": SHAPE, "sampling": SAMPLING}
    far = {"x": [900, 950], "unit": "px"}
    with pytest.raises(MicrographError, match=r"^the parameter region: the region x 900"):
        region_of(tmp_path / "a.tif", far, **place)
    (tmp_path / "regions.json").write_text(json.dumps({"a": far}))
    with pytest.raises(MicrographError, match=r"^regions.json, 'a': the region x 900"):
        region_of(tmp_path / "a.tif", None, **place)
