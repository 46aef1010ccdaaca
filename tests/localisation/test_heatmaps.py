"""Running a network: any shape, any batch, the same heat maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from amorph2d.localisation import heatmaps
from amorph2d.localisation.heatmaps import pad_to_stride, run_network


def test_is_the_sigmoid_of_the_network(rng, network):
    image = rng.normal(size=(24, 40)).astype(np.float32)
    with torch.inference_mode():
        logits = network.module(torch.from_numpy(image)[None, None])[0].numpy()
    maps = run_network(network, image, precision="float32")
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (7, 3), (8, 16), (29, 50)])
def test_any_shape(rng, network_of, shape):
    network = network_of(pooled=0.3)
    image = rng.normal(size=shape).astype(np.float32)
    maps = run_network(network, image, precision="float32")
    assert maps.shape == (2, *shape)
    padded = np.pad(image, [(0, -size % 8) for size in shape], mode="reflect")
    np.testing.assert_allclose(
        maps, run_network(network, padded, precision="float32")[:, : shape[0], : shape[1]], rtol=1e-6
    )


def test_a_batch_equals_its_images(rng, network):
    images = rng.normal(size=(3, 19, 26)).astype(np.float32)
    maps = run_network(network, images, precision="float32")
    assert maps.shape == (3, 2, 19, 26)
    for image, each in zip(images, maps, strict=True):
        np.testing.assert_allclose(each, run_network(network, image, precision="float32"), rtol=1e-5)
    assert run_network(network, images[:0]).shape == (0, 2, 19, 26)


def test_bf16_is_close_and_float32_is_not_bf16(rng, network):
    image = rng.normal(size=(32, 48)).astype(np.float32)
    exact, short = (run_network(network, image, precision=precision) for precision in ("float32", "bf16"))
    assert short.dtype == np.float32
    assert 0 < np.abs(short - exact).max() < 0.05


@pytest.mark.parametrize("is_fast", [True, False])
def test_auto_takes_bf16_where_it_is_computed_in(rng, network, monkeypatch, is_fast):
    monkeypatch.setattr(heatmaps, "_computes_bf16", lambda _: is_fast)
    image = rng.normal(size=(32, 48)).astype(np.float32)
    expected = run_network(network, image, precision="bf16" if is_fast else "float32")
    np.testing.assert_array_equal(run_network(network, image), expected)


def test_a_gpu_is_used_if_there_is_one(network_of, monkeypatch):
    network = network_of()
    assert heatmaps._settle(network.module).type == "cpu"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("meta"))
    assert heatmaps._settle(network.module).type == "meta"
    assert network.module.kernel.device.type == "meta"


@pytest.mark.parametrize("is_supported", [True, False])
def test_gpus_are_asked_for_bf16(monkeypatch, is_supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: is_supported)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": not is_supported})
    assert heatmaps._computes_bf16(torch.device("cuda")) is is_supported
    assert heatmaps._computes_bf16(torch.device("cpu")) is not is_supported
    assert not heatmaps._computes_bf16(torch.device("mps"))


def test_gradients_are_not_kept(network):
    weight = torch.nn.Parameter(torch.ones(1))
    network.module.register_parameter("unused", weight)
    run_network(network, np.zeros((8, 8)))
    assert weight.grad is None
    del network.module._parameters["unused"]


def test_padding_mirrors_and_only_where_needed(rng):
    image = rng.normal(size=(5, 8)).astype(np.float32)
    assert pad_to_stride(image, 1) is image
    padded = pad_to_stride(image, 4)
    assert padded.shape == (8, 8)
    np.testing.assert_array_equal(padded[5:], image[[3, 2, 1]])


@pytest.mark.parametrize("shape", [(4,), (0, 8), (2, 3, 0), (1, 2, 3, 4)])
def test_wrong_shape(network, shape):
    with pytest.raises(ValueError, match="image must be"):
        run_network(network, np.zeros(shape))


def test_wrong_precision(network):
    with pytest.raises(ValueError, match="precision must be 'auto', 'bf16' or 'float32', got 'int8'"):
        run_network(network, np.zeros((8, 8)), precision="int8")
