from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from amorph2d.learning.network import ResidualBlock, ResidualUNet

ARCHITECTURES = [
    {"stem": stem, "skips": skips, "decoder": decoder, "widths": widths, "blocks": blocks}
    for stem, skips, decoder in itertools.product(
        ["plain", "unshuffle"], ["add", "concat"], ["symmetric", "light"]
    )
    for widths, blocks in [((4, 6, 8), 1), ((4, 6), 2)]
]


def identify(architecture: dict) -> str:
    return "-".join(str(value) for value in architecture.values())


def randomise(network: ResidualUNet) -> ResidualUNet:
    """Give every weight a value, so that nothing is the identity."""
    generator = torch.Generator().manual_seed(5)
    for weight in network.parameters():
        nn.init.normal_(weight, std=0.3, generator=generator)
    return network.requires_grad_(False)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=identify)
def test_output_has_the_size_of_the_image(make_config, architecture):
    config = make_config(**architecture, channels=("atom", "ring"))
    shape = (3 * config.stride, 5 * config.stride)
    logits = ResidualUNet(config)(torch.randn(2, 1, *shape))
    assert logits.shape == (2, 2, *shape)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=identify)
def test_receptive_field_is_as_stated(make_config, architecture):
    config = make_config(**architecture)
    network = randomise(ResidualUNet(config))
    for weight in network.parameters():  # positive throughout, so that only pooling hides pixels
        weight.abs_().div_(weight[0].numel())
    side = 2 * (config.receptive_field // config.stride + 2) * config.stride
    reached = 0
    for seed in range(4):
        image = torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(seed)).requires_grad_()
        logits = network(image)
        for pixel in range(side // 2, side // 2 + config.stride):
            (gradient,) = torch.autograd.grad(logits[0, :, pixel].sum(), image, retain_graph=True)
            touched = gradient[0, 0].abs().sum(dim=1).nonzero()[:, 0]
            reached = max(reached, int((touched - pixel).abs().max()))
    assert reached <= config.receptive_field
    assert reached >= config.receptive_field - 1


def test_shapes_that_do_not_fit_are_refused(make_config):
    network = ResidualUNet(make_config(widths=(4, 4, 4)))
    for shape in [(1, 1, 12, 16), (1, 2, 16, 16), (16, 16)]:
        with pytest.raises(ValueError, match=r"multiples of 8, got"):
            network(torch.zeros(shape))


def test_shifting_the_image_by_a_stride_shifts_the_maps(make_config):
    config = make_config(widths=(4, 6))
    network, step = randomise(ResidualUNet(config)), config.stride
    image = torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(0))
    margin = config.receptive_field + 2 * step
    inner = slice(margin, 96 - margin)
    moved = network(image.roll((step, 2 * step), (2, 3))).roll((-step, -2 * step), (2, 3))
    assert torch.allclose(moved[..., inner, inner], network(image)[..., inner, inner], atol=1e-4)


def test_a_new_block_is_the_identity_and_can_learn():
    block, x = ResidualBlock(4), torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        block.second.bias.zero_()
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.second.weight.grad.abs().max() > 0


def test_the_head_stays_in_float32_under_autocast(make_config):
    # In bfloat16 there are 128 values between 1 and 2: neighbouring pixels of a smooth map would tie.
    network = randomise(ResidualUNet(make_config()))
    image = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(image)
    assert logits.dtype == torch.float32
    assert (logits != logits.bfloat16().float()).float().mean() > 0.9


def test_skips_carry_what_pooling_loses(make_config):
    # With only the coarse level a 4 x 4 block of the map could not tell its pixels' values apart.
    network = randomise(ResidualUNet(make_config(stem="plain", widths=(4, 6, 8))))
    image = torch.zeros(1, 1, 32, 32)
    image[0, 0, 16, 16] = 1.0
    change = (network(image) - network(torch.zeros_like(image)))[0, 0, 16:20, 16:20]
    assert change.std() > 0
