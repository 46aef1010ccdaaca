import json

import numpy as np
import pytest

from amorph2d.report.encode import data_uri, differences, pack, quantise, script_json, unpack


def test_columns_and_header_come_back():
    rng = np.random.default_rng(0)
    columns = {
        "bytes": rng.integers(0, 256, 7).astype(np.uint8),
        "words": rng.integers(0, 2**16, (5, 3)).astype(np.uint16),
        "none": np.empty(0, dtype=np.uint16),
        "long": np.array([0, 1, 2**32 - 1], dtype=np.uint32),
    }
    found, header = unpack(pack(columns, {"box": [0.5, 1], "name": "Å"}))
    assert header == {"box": [0.5, 1], "name": "Å"}
    assert list(found) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name], values.ravel())
        assert found[name].dtype.itemsize == values.itemsize


def test_planes_compress_better_than_numbers():
    slow = np.arange(20000, dtype=np.uint16) // 3
    noise = slow + np.random.default_rng(0).integers(0, 2, 20000).astype(np.uint16)
    assert len(pack({"a": noise}, {})) < 0.5 * 4 / 3 * noise.nbytes


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.int8, bool])
def test_other_types_are_refused(dtype):
    with pytest.raises(ValueError, match="columns must be uint8, uint16 or uint32"):
        pack({"a": np.zeros(3, dtype=dtype)}, {})


def test_a_header_must_be_json():
    with pytest.raises(ValueError, match="JSON"):
        pack({}, {"a": float("nan")})


def test_quantised_numbers_come_back_within_half_a_step():
    values = np.random.default_rng(0).uniform(-3, 5, 1000)
    steps = quantise(values, -3, 5)
    np.testing.assert_allclose(-3 + steps * (8 / 65534), values, atol=0.5 * 8 / 65534 + 1e-12)


def test_numbers_outside_go_to_the_ends_and_unknown_ones_have_their_own():
    steps = quantise([-1.0, 0.0, 1.0, 9.0, np.nan, np.inf], 0.0, 1.0)
    np.testing.assert_array_equal(steps, [0, 0, 65534, 65534, 65535, 65535])
    np.testing.assert_array_equal(quantise([2.0, np.nan], 2.0, 2.0), [0, 65535])


def test_differences_add_up_modulo_16_bits():
    values = np.array([5, 65535, 0, 3, 3])
    np.testing.assert_array_equal(np.cumsum(differences(values), dtype=np.int64) % 65536, values)
    assert len(differences([])) == 0


def test_data_uri():
    assert data_uri(b"\x00\xff", "image/png") == "data:image/png;base64,AP8="


def test_json_cannot_end_its_script():
    value = {"label": "</script><!--&\u2028", "n": [1, 2.5]}
    text = str(script_json(value))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == value


def test_json_refuses_what_json_does_not_know():
    with pytest.raises(ValueError, match="JSON"):
        script_json([float("nan")])
