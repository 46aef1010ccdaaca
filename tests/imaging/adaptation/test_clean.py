import numpy as np
import pytest

from amorph2d.imaging.adaptation.clean import find_clean_area, ring_strength
from amorph2d.imaging.adaptation.spectra import radial_spectrum


@pytest.mark.parametrize("dose", [3e3, 1e5])
def test_a_clean_sheet_is_clean(micrograph, dose):
    area = find_clean_area(micrograph(dose=dose, light=np.linspace(0.8, 1.2, 300)), 0.2)
    assert area.share == 1
    assert area.vacuum_share == 0
    assert (area.weights(0.2) == 1).all()


def test_debris_is_not_clean(micrograph, debris):
    add = debris((240, 300), 0.2)
    area = find_clean_area(micrograph(add=add), 0.2)
    assert area.share == pytest.approx(2 / 3, abs=0.07)
    assert area.is_clean[:, :180].mean() > 0.97
    assert area.is_clean[:, 220:].mean() < 0.05
    weights = area.weights(0.2)
    assert weights[:, 230:].max() == 0
    assert weights[100, 50] == pytest.approx(1)


def test_vacuum_is_neither_clean_nor_dirty(micrograph):
    sheet = micrograph(contrast=0.06)
    vacuum = micrograph(contrast=0.0, seed=1)
    image = np.where(np.arange(300) < 120, vacuum, sheet)
    area = find_clean_area(image, 0.2)
    assert area.vacuum_share == pytest.approx(0.4, abs=0.07)
    assert area.share == 1
    assert area.is_clean[:, 150:].all()


def test_noise_alone_and_nothing_at_all():
    noise = np.random.default_rng(0).poisson(100, (64, 90))
    assert find_clean_area(noise, 0.2).share == 1
    assert find_clean_area(np.ones((64, 90)), 0.2).share == 1


def test_dirt_everywhere_leaves_all_pixels_to_count(micrograph):
    area = find_clean_area(micrograph(), 0.2)
    nothing = type(area)(np.zeros((40, 50), bool), np.zeros((40, 50), bool))
    assert nothing.share == 0
    assert (nothing.weights(0.2) == 1).all()
    vacuum = type(area)(np.zeros((40, 50), bool), np.ones((40, 50), bool))
    assert np.isnan(vacuum.share)


def test_ring_strength(micrograph):
    assert ring_strength(radial_spectrum(micrograph(), 0.2)) > 10
    assert ring_strength(radial_spectrum(micrograph(contrast=0.0), 0.2)) < 1.25


def test_contamination_of_real_micrographs(realdata):
    """Share of hand-drawn contamination, and how well the areas agree."""
    from amorph2d.micrographs.read import read_micrograph

    folder = realdata / "ncem"
    for name, sampling in (
        ("2014_0601_Gr_FS_038_layer_0024", 0.3177),
        ("2013_0611_GrGB_TS_001_layer_0003", 0.2999),
        ("2013_1213_Gr_TS_001_layer_0011", 0.3022),
    ):
        label = (
            read_micrograph(folder / f"{name}_LABEL.png").image > 127
            if "TS_001_layer_0011" not in name
            else None
        )
        area = find_clean_area(read_micrograph(folder / f"{name}.png").image, sampling)
        if label is None:
            assert area.share == 1
            continue
        assert 1 - area.share == pytest.approx(label.mean(), abs=0.06)
        assert 2 * (label & ~area.is_clean).sum() / (label.sum() + (~area.is_clean).sum()) > 0.8
