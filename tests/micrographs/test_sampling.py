import math

import numpy as np
import pandas as pd
import pytest

from amorph2d.micrographs import sampling as module
from amorph2d.micrographs.crops import clean_part
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.sampling import SamplingEstimate, check_sampling, estimate_sampling
from drawn_honeycomb import honeycomb


def network_of(drawn, sampling, *, reach=0.3, draws=0.0):
    """Locate the sites of a drawn image as a network does: only near the right sampling.

    With `draws`, it moves the sites so that their spacings come closer to those of the right sampling.
    """
    calls = []

    def locate(part, step):
        calls.append((part.shape, step))
        deviation = math.log(step / sampling)
        if abs(deviation) > reach:
            return pd.DataFrame({"kind": [], "x": [], "y": []})
        scale = step * math.exp(-draws * deviation)
        points = scale * np.concatenate([drawn.atoms, drawn.rings])
        kind = ["atom"] * len(drawn.atoms) + ["ring"] * len(drawn.rings)
        return pd.DataFrame({"kind": kind, "x": points[:, 0], "y": points[:, 1]})

    locate.calls = calls
    return locate


def nothing(part, step):
    return pd.DataFrame({"kind": [], "x": [], "y": []})


@pytest.mark.parametrize(("sampling", "shape"), [(0.12, (300, 256)), (0.3, (130, 171))])
def test_a_crystal(sampling, shape):
    drawn = honeycomb(sampling, shape=shape)
    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=network_of(drawn, sampling))
    assert estimate.sampling == pytest.approx(sampling, rel=3e-3)
    assert 0 < estimate.error < 0.01 * sampling
    assert estimate.confidence > 0.9
    assert estimate.candidates[0] == pytest.approx((sampling, 0.9), rel=0.15)
    assert estimate.method == "located network and reciprocal lattice"


def test_inverted_contrast_is_the_same():
    drawn = honeycomb(0.25, shape=(180, 200))
    locate = network_of(drawn, 0.25)
    bright, dark = (
        estimate_sampling(sign * drawn.image, bond_length=1.42, locate=locate) for sign in (1, -1)
    )
    assert dark.sampling == pytest.approx(bright.sampling, rel=1e-5)


def test_another_material():
    drawn = honeycomb(2.0, shape=(180, 200), bond=12.0)
    estimate = estimate_sampling(drawn.image, bond_length=12.0, locate=network_of(drawn, 2.0))
    assert estimate.sampling == pytest.approx(2.0, rel=5e-3)


def test_without_a_lattice_the_bonds_decide(monkeypatch):
    monkeypatch.setattr(module, "fit_lattice", lambda *_, **__: None)
    drawn = honeycomb(0.25, shape=(180, 200))
    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=network_of(drawn, 0.25))
    assert estimate.sampling == pytest.approx(0.25, rel=1e-3)
    assert estimate.error >= 0.01 * estimate.sampling
    assert estimate.method == "located network"


def test_a_lattice_that_contradicts_the_network_does_not_count(monkeypatch):
    wrong = module.Lattice(0.28, 0.0003, 6, 1.0)
    monkeypatch.setattr(module, "fit_lattice", lambda *_, **__: wrong)
    drawn = honeycomb(0.25, shape=(180, 200))
    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=network_of(drawn, 0.25))
    assert estimate.sampling == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize(("n_peaks", "share"), [(2, 1.0), (3, 0.4)])
def test_a_part_of_a_lattice_does_not_count(monkeypatch, n_peaks, share):
    monkeypatch.setattr(module, "fit_lattice", lambda *_, **__: module.Lattice(0.254, 0.0001, n_peaks, share))
    drawn = honeycomb(0.25, shape=(180, 200))
    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=network_of(drawn, 0.25))
    assert estimate.sampling == pytest.approx(0.25, rel=1e-3)


@pytest.mark.parametrize("bond_length", [1.42, 1.49, 1.36])
def test_a_network_that_draws_sites_to_its_own_spacings(monkeypatch, bond_length):
    # The image's bonds are 1.42 Å where its sampling is 0.25; in units of another bond it is another one.
    monkeypatch.setattr(module, "fit_lattice", lambda *_, **__: None)
    drawn, right = honeycomb(0.25, shape=(180, 200)), 0.25 * bond_length / 1.42
    locate = network_of(drawn, 0.25, draws=0.6)
    measured = estimate_sampling(drawn.image, bond_length=bond_length, locate=locate).sampling
    # Its bonds then differ by only 0.4 of what the sampling does.
    expected = 0.25 * (bond_length / 1.42) ** (1 / 0.4)
    monkeypatch.setattr(module, "_settled", lambda *given: given[1])
    early = estimate_sampling(drawn.image, bond_length=bond_length, locate=locate).sampling
    assert measured == pytest.approx(expected, rel=2e-3)
    if bond_length != 1.42:
        assert abs(early / expected - 1) > 2 * abs(measured / expected - 1)
        assert (measured - 0.25) * (right - 0.25) > 0


def test_a_wider_network_of_second_reflections_does_not_win():
    """Sites at the spacings of the second reflections look as good as the right ones."""
    drawn = honeycomb(0.25, shape=(200, 220))
    wider = honeycomb(0.25, shape=(200, 220), bond=1.42 / math.sqrt(3), turn=0.2 + math.pi / 6)
    right, wrong = network_of(drawn, 0.25, reach=0.2), network_of(wider, 0.25 * math.sqrt(3), reach=0.2)

    def locate(part, step):
        return pd.concat([right(part, step), wrong(part, step)], ignore_index=True)

    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=locate)
    assert estimate.sampling == pytest.approx(0.25, rel=3e-3)
    with pytest.raises(MicrographError, match="at none of the spectrum's candidates"):
        estimate_sampling(drawn.image, bond_length=1.42, locate=wrong, limits=(0.35, 0.75))


def test_a_crystal_in_which_nothing_is_located():
    drawn = honeycomb(0.25, noise=0.02)
    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=nothing)
    assert estimate.sampling == pytest.approx(0.25, rel=3e-3)
    assert estimate.error > 0.01 * 0.25
    assert estimate.confidence == 0.7
    assert estimate.method == "reciprocal lattice"


def test_nothing_convincing_is_an_error_that_helps():
    drawn = honeycomb(0.25, noise=10.0)
    with pytest.raises(MicrographError) as error:
        estimate_sampling(drawn.image, bond_length=1.42, locate=nothing)
    message = str(error.value)
    assert "candidates (0.247, 0.143 Å/px)" in message
    assert "scores 0.00 of at least 0.3" in message
    assert "tried 0.03 to 0.75 Å/px" in message
    assert "parameter sampling" in message
    assert "sampling.csv" in message


def test_noise_is_an_error(rng):
    with pytest.raises(MicrographError, match="no rings or peaks of a network"):
        estimate_sampling(rng.normal(size=(256, 256)), bond_length=1.42, locate=nothing)


def test_the_network_sees_no_more_than_it_needs():
    image = honeycomb(0.4, shape=(400, 512)).image
    seen = []

    def locate(part, step):
        seen.append((part.shape, step))
        return nothing(part, step)

    estimate_sampling(image, bond_length=1.42, locate=locate)
    assert len(seen) > 1
    assert all(max(shape) * step < 45 * 1.42 for shape, step in seen)


@pytest.mark.parametrize(
    ("stated", "warns"), [(0.2, False), (0.225, False), (0.24, True), (0.17, True), ((0.1, 0.4), False)]
)
def test_check_sampling(stated, warns):
    estimate = SamplingEstimate(0.2, 0.002, 0.95, ((0.2, 0.9),), "located network")
    message = check_sampling(stated, estimate)
    assert (message is not None) == warns
    if warns:
        assert f"{stated} Å/px" in message
        assert "0.2 ± 0.002 Å/px" in message


def test_check_sampling_refuses_nonsense():
    with pytest.raises(ValueError, match="sampling must be > 0"):
        check_sampling(0.0, SamplingEstimate(0.2, 0.002, 0.9, (), "located network"))


@pytest.fixture(scope="module")
def shipped(project):
    """The shipped network, for carbon."""
    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.config import LocalisationParameters
    from amorph2d.localisation.locate import locate_sites

    network = load_network(project / "src" / "amorph2d" / "networks" / "sites")
    parameters = LocalisationParameters(
        tile_size=1024, batch_size=1, thresholds={}, min_distance=0.6, border=2.0, precision="float32"
    )
    return lambda part, step: locate_sites(
        part, sampling=(step, step), network=network, parameters=parameters
    )


def test_the_shipped_network_on_a_drawn_sheet(shipped):
    drawn = honeycomb(0.2, shape=(200, 230), noise=0.5)
    estimate = estimate_sampling(drawn.image, bond_length=1.42, locate=shipped)
    assert estimate.sampling == pytest.approx(0.2, rel=0.01)
    assert estimate.confidence > 0.8


def test_a_real_micrograph(realdata, shipped):
    from amorph2d.micrographs.read import read_micrograph

    image = read_micrograph(realdata / "ulm" / "graphene_defect_raw.dm3").image
    estimate = estimate_sampling(image, bond_length=1.42, locate=shipped)
    assert estimate.sampling == pytest.approx(0.109, rel=0.02)
    assert clean_part(image, estimate.sampling, 1.42).shape == image.shape
