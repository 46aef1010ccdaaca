from __future__ import annotations

import math

import pytest
import torch

from amorph2d.learning.losses import LOSSES, area_loss, background_loss, heatmap_loss

LN2 = math.log(2)


def test_a_perfect_heat_map_costs_nothing():
    targets = torch.linspace(0.01, 0.99, 12).view(1, 1, 3, 4)
    assert heatmap_loss(torch.logit(targets), targets, 3.0).item() == pytest.approx(0, abs=1e-6)
    assert heatmap_loss(torch.zeros_like(targets), torch.ones_like(targets), 0.0).item() == pytest.approx(LN2)


def test_the_foreground_weighs_more():
    logits, targets = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])
    background, foreground = math.log(1 + math.exp(2)), LN2
    for loss in (heatmap_loss, area_loss):
        assert loss(logits, targets, 0.0).item() == pytest.approx((background + foreground) / 2)
        assert loss(logits, targets, 4.0).item() == pytest.approx((background + 5 * foreground) / 6)


def test_what_is_unknown_costs_nothing():
    nan = float("nan")
    logits = torch.tensor([5.0, 0.0], requires_grad=True)
    for loss in (area_loss, background_loss):
        logits.grad = None
        value = loss(logits, torch.tensor([nan, 0.0]), 0.0)
        value.backward()
        assert value.item() == pytest.approx(LN2 if loss is area_loss else 0.0)
        assert logits.grad[0] == 0
        assert loss(logits, torch.tensor([nan, nan]), 0.0).item() == 0


def test_the_background_loss_is_square_then_linear():
    zero = torch.zeros(1)
    assert background_loss(torch.tensor([0.2]), zero, 0.0).item() == pytest.approx(0.02)
    assert background_loss(torch.tensor([3.0]), zero, 0.0).item() == pytest.approx(0.5 * (3.0 - 0.25))


def test_every_output_has_a_loss():
    assert set(LOSSES) == {"sites", "areas", "background"}
