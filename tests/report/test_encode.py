import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from amorph2d.report.encode import encode_array, encode_indices, image_uri, script_json


def decode(encoded, kind):
    return np.frombuffer(base64.b64decode(encoded["data"]), dtype=kind)


@pytest.mark.parametrize(("kind", "dtype"), [("f4", "<f4"), ("u1", "u1"), ("u2", "<u2"), ("u4", "<u4")])
def test_arrays_come_back(kind, dtype):
    values = np.array([[0, 1, 2], [3, 100, 255]])
    encoded = encode_array(values, kind)
    assert encoded["type"] == kind
    np.testing.assert_array_equal(decode(encoded, dtype), values.ravel())


def test_what_is_not_a_number_stays_so():
    np.testing.assert_array_equal(decode(encode_array([1.5, np.nan], "f4"), "<f4"), [1.5, np.nan])


@pytest.mark.parametrize(
    ("largest", "kind"),
    [(0, "u1"), (255, "u1"), (256, "u2"), (65535, "u2"), (65536, "u4"), (2**32 - 1, "u4")],
)
def test_indices_take_the_smallest_type_that_holds_them(largest, kind):
    encoded = encode_indices([0, largest])
    assert encoded["type"] == kind
    assert decode(encoded, f"<{kind}")[1] == largest


@pytest.mark.parametrize("values", [[-1], [2**32]])
def test_indices_out_of_range_are_refused(values):
    with pytest.raises(ValueError, match="indices must lie within 0"):
        encode_indices(values)


def test_no_indices():
    assert encode_indices([]) == {"type": "u1", "data": ""}


def read_jpeg(uri):
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_image_is_shown_with_its_own_pixels():
    image = np.tile(np.linspace(0, 1, 90), (40, 1))
    shown = read_jpeg(image_uri(image, shape=(40, 90)))
    assert shown.shape == (40, 90)
    np.testing.assert_allclose(shown, np.clip(255 * (image - 0.005) / 0.99, 0, 255), atol=6)


def test_larger_images_are_averaged_over_the_same_field():
    image = np.random.default_rng(0).normal(size=(200, 300)) + np.linspace(0, 8, 300)
    shown = read_jpeg(image_uri(image, shape=(50, 75))).astype(float)
    assert shown.shape == (50, 75)
    averaged = image.reshape(50, 4, 75, 4).mean(axis=(1, 3))
    assert np.corrcoef(shown.ravel(), averaged.ravel())[0, 1] > 0.99


def test_json_cannot_end_its_script():
    value = {"label": "</script><!--&\u2028", "n": [1, 2.5]}
    text = str(script_json(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_json_refuses_what_json_does_not_know():
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])
