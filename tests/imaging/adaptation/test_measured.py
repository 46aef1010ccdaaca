import numpy as np

from amorph2d.imaging.adaptation.config import ComparisonParameters
from amorph2d.imaging.adaptation.measured import comparable_families, measure_micrograph, mostly_crystalline

HOW = ComparisonParameters(window=6.0, band=(0.1, 2.0), n_images=4)


def test_crystals_have_bragg_peaks_and_amorphous_sheets_have_none(micrograph):
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(0)
    noise = rng.normal(size=(240, 300))
    ring = gaussian_filter(noise, 1.9) - gaussian_filter(noise, 2.6)
    amorphous = rng.poisson(800 * (1 + 0.05 * ring / ring.std()))
    found = [measure_micrograph(item, sampling=0.2, comparison=HOW) for item in (micrograph(), amorphous)]
    assert [item.is_crystal for item in found] == [True, False]


def test_clean_appearance_is_without_the_debris(micrograph, debris):
    from amorph2d.imaging.adaptation.compare import spectrum_distance

    clean = measure_micrograph(micrograph(), sampling=0.2, comparison=HOW)
    dirty = measure_micrograph(micrograph(add=debris((240, 300), 0.2)), sampling=0.2, comparison=HOW)
    assert spectrum_distance(clean.clean, dirty.clean) < 0.6 * spectrum_distance(clean.whole, dirty.whole)
    assert dirty.conditions.clean_share < 0.8
    assert spectrum_distance(*clean.halves) < 0.3


def test_depth_and_energy_are_passed_on(micrograph):
    found = measure_micrograph(micrograph(), sampling=0.2, comparison=HOW, depth=8, energy=6e4).conditions
    assert (found.bits, found.energy, found.is_proportional) == (8, 6e4, False)


def test_sets_are_compared_by_what_they_share(micrograph):
    crystal = measure_micrograph(micrograph(), sampling=0.2, comparison=HOW)
    noise = measure_micrograph(micrograph(contrast=0.0), sampling=0.2, comparison=HOW)
    assert mostly_crystalline([crystal, crystal, noise])
    assert not mostly_crystalline([crystal, noise])
    families = {"graphene": 0.2, "boron_nitride": 0.0, "relaxed": 0.5, "switched": 0.3}
    assert comparable_families(families, is_crystal=True) == {"graphene": 0.2}
    assert comparable_families(families, is_crystal=False) == {"relaxed": 0.5, "switched": 0.3}
    assert comparable_families({"relaxed": 1.0}, is_crystal=True) == {"relaxed": 1.0}
