from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from amorph2d.learning.config import FinetuningParameters
from amorph2d.learning.finetuning import average_weights, further_training, rehearsed
from amorph2d.learning.network import ResidualUNet
from amorph2d.learning.storage import build_network

FINETUNING = {
    "command": "kedro run",
    "rehearsal": 0.5,
    "share": 0.5,
    "epochs": 5,
    "steps_per_epoch": 7,
    "learning_rate": 1e-4,
    "warmup": 0.3,
    "averaging": 0.5,
    "seed": 8,
}


def make_network(config, seed):
    torch.manual_seed(seed)
    return build_network(config, ResidualUNet(config).state_dict(), {"seed": seed})


def test_the_fit_is_that_of_training_but_for_what_is_named(make_parameters, make_config):
    training = make_parameters(crop=64, batch_size=3, patience=2)
    own = make_config(widths=(4, 6), sampling=0.3)
    further = further_training(own, training, FinetuningParameters(**FINETUNING))
    assert further.network == own
    assert further.evaluation == training.evaluation
    assert (further.fit.epochs, further.fit.steps_per_epoch, further.fit.seed) == (5, 7, 8)
    assert (further.fit.learning_rate, further.fit.warmup, further.fit.averaging) == (1e-4, 0.3, 0.5)
    assert (further.fit.crop, further.fit.batch_size, further.fit.patience) == (64, 3, None)


def test_crops_must_fit_the_network_that_it_starts_from(make_parameters, make_config):
    deep = make_config(widths=(4, 4, 4, 4, 4, 4))
    with pytest.raises(ValidationError, match="multiple of the network's stride of 64 px, got 48"):
        further_training(deep, make_parameters(), FinetuningParameters(**FINETUNING))


@pytest.mark.parametrize(
    ("n_matched", "n_general", "share", "expected"),
    [
        (30, 90, 0.5, 30),
        (30, 90, 0.75, 90),
        (30, 90, 0.0, 0),
        (30, 12, 0.5, 12),
        (30, 0, 0.5, 0),
        (0, 9, 0.5, 0),
    ],
)
def test_general_images_make_up_their_share_as_far_as_there_are_enough(n_matched, n_general, share, expected):
    places = rehearsed(n_matched, n_general, share, np.random.default_rng(0))
    assert len(places) == expected
    assert len(set(places)) == expected
    assert (np.diff(places) > 0).all()
    assert ((places >= 0) & (places < n_general)).all()


def test_rehearsal_is_drawn_from_the_whole_general_set_by_its_seed():
    one, same, other = (rehearsed(20, 400, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()
    assert one.min() < 100 < 300 < one.max()
    with pytest.raises(ValueError, match=r"share must be >= 0 and < 1, got 1.0"):
        rehearsed(20, 400, 1.0, np.random.default_rng(0))


def test_averaged_weights_lie_between_both(make_config):
    first, second = (make_network(make_config(), seed) for seed in (1, 2))
    quarter = average_weights(first, second, 0.25)
    a, b, c = (network.module.state_dict()["stem.weight"] for network in (first, second, quarter))
    assert torch.allclose(c, 0.75 * a + 0.25 * b)
    assert quarter.metadata == {"seed": 2}
    assert average_weights(first, second, 0.0).sha256 == first.sha256
    assert average_weights(first, second, 1.0).sha256 == second.sha256


def test_only_networks_that_are_alike_are_averaged(make_config):
    first, other = make_network(make_config(), 1), make_network(make_config(widths=(8, 16)), 1)
    with pytest.raises(ValueError, match="only networks of one architecture"):
        average_weights(first, other, 0.5)
    with pytest.raises(ValueError, match=r"share must be within 0 … 1, got 1.5"):
        average_weights(first, first, 1.5)
