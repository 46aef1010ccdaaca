import dataclasses
import math

import numpy as np
import pytest
from pydantic import ValidationError

from amorph2d.imaging.adaptation.conditions import measure_conditions
from amorph2d.imaging.adaptation.config import AdaptationParameters
from amorph2d.imaging.adaptation.narrow import narrow_ranges
from amorph2d.imaging.optics import Optics, contrast_transfer, wavelength


@pytest.fixture(scope="module")
def adaptation(parameters_of):
    base = parameters_of("local")["adaptation"]

    def make(**changes):
        return AdaptationParameters(**(base | changes))

    return make


@pytest.fixture(scope="module")
def conditions(micrograph):
    return measure_conditions(micrograph(), sampling=0.2)


NAN = math.nan


def test_what_was_measured_decides(conditions, synthesis, adaptation):
    found = narrow_ranges(synthesis(), [conditions], adaptation=adaptation())
    detector = found.parameters.detector
    assert detector.sampling[0] <= 0.2 <= detector.sampling[1]
    lowest, highest = detector.sampling[0] * detector.zoom[0], detector.sampling[1] * detector.zoom[1]
    assert 0.19 < lowest < 0.2 < highest < 0.21
    assert detector.dose_per_area[0] < 2e4 < detector.dose_per_area[1]
    assert detector.dose_per_area[1] / detector.dose_per_area[0] == pytest.approx(1.5**2)
    assert detector.mtf_width[0] < 0.5 < detector.mtf_width[1]
    assert detector.mtf_exponent[0] < 2.5 < detector.mtf_exponent[1]
    assert detector.gradient[1] < 0.02
    assert detector.bits == {0: 1.0}
    assert detector.faulty == 0
    assert found.parameters.overlays.debris == pytest.approx(0.25)
    assert found.parameters.n_images == adaptation().n_images
    assert set(found.parameters.structures.families) == set(adaptation().families)


def test_what_was_not_measured_keeps_its_range(conditions, synthesis, adaptation):
    nothing = {field.name: NAN for field in dataclasses.fields(conditions) if field.type == "float"} | {
        "sampling": 0.2,
        "polarity": "unknown",
        "is_proportional": False,
    }
    base = synthesis()
    found = narrow_ranges(
        base, [dataclasses.replace(conditions, **nothing)], adaptation=adaptation(families=None)
    )
    changed = set(found.table["parameter"])
    assert changed == {"detector.sampling", "detector.zoom", "detector.bits"}
    for name in ("structures", "defects", "pores", "overlays", "optics"):
        assert getattr(found.parameters, name) == getattr(base, name)
    assert found.parameters.seed == base.seed


def test_several_micrographs_span_the_ranges(conditions, synthesis, adaptation):
    other = dataclasses.replace(
        conditions, outliers=20.0, sampling=0.25, dose_per_area=1e5, bits=8, clean_share=0.8
    )
    found = narrow_ranges(synthesis(), [conditions, other], adaptation=adaptation())
    assert found.parameters.detector.sampling == pytest.approx((0.2, 0.26))
    assert found.parameters.detector.dose_per_area[1] == pytest.approx(1.5e5)
    assert found.parameters.detector.bits == {0: 0.5, 8: 0.5}
    assert found.parameters.overlays.debris == pytest.approx(0.5)
    assert found.parameters.detector.faulty == pytest.approx(0.5)
    assert found.parameters.overlays.coverage == pytest.approx((0.2 / 1.3, 0.2 * 1.3))


@pytest.mark.parametrize("polarity", ["bright atoms", "dark atoms"])
def test_polarity_decides_the_sign_of_the_defocus(conditions, synthesis, adaptation, polarity):
    found = narrow_ranges(
        synthesis(), [dataclasses.replace(conditions, polarity=polarity)], adaptation=adaptation(energy=8e4)
    )
    optics = found.parameters.optics
    assert optics.matched == 0
    rng = np.random.default_rng(0)
    transfers = []
    for _ in range(300):
        drawn = Optics(
            energy=8e4,
            defocus=rng.uniform(*optics.defocus),
            Cs=rng.uniform(*optics.Cs),
            C5=rng.uniform(*optics.C5),
            focal_spread=rng.uniform(*optics.focal_spread),
            angular_spread=0.3,
            semiangle_cutoff=60.0,
        )
        transfers.append(contrast_transfer(1 / 2.13, drawn))
    share = np.mean(np.array(transfers) > 0)
    assert share > 0.97 if polarity == "bright atoms" else share < 0.03
    mixed = [dataclasses.replace(conditions, polarity=name) for name in ("bright atoms", "dark atoms")]
    both = narrow_ranges(synthesis(), mixed, adaptation=adaptation()).parameters.optics
    assert both.matched == synthesis().optics.matched
    assert both.defocus == synthesis().optics.defocus


def test_information_limit_bounds_coherence_and_aperture(conditions, synthesis, adaptation):
    base = synthesis()
    sharp, dull = (
        narrow_ranges(
            base,
            [dataclasses.replace(conditions, information_limit=limit, polarity="unknown")],
            adaptation=adaptation(energy=8e4),
        ).parameters.optics
        for limit in (1.2, 0.5)
    )
    # exp(−(½πλΔq²)²) = e⁻³
    assert sharp.focal_spread[1] == pytest.approx(2 * math.sqrt(3) / (math.pi * wavelength(8e4) * 1.2**2))
    assert sharp.aperture == (1.2, base.optics.aperture[1])
    assert sharp.vibration[1] < base.optics.vibration[1]
    assert (dull.focal_spread, dull.aperture) == (base.optics.focal_spread, base.optics.aperture)


def test_energy_comes_from_the_parameter_the_file_or_nowhere(conditions, synthesis, adaptation):
    stated = [dataclasses.replace(conditions, energy=energy) for energy in (6e4, 6e4, NAN, 8e4)]
    base = synthesis()
    assert narrow_ranges(base, stated, adaptation=adaptation()).parameters.optics.energies == pytest.approx(
        {6e4: 2 / 3, 8e4: 1 / 3}
    )
    given = narrow_ranges(base, stated, adaptation=adaptation(energy=3e5)).parameters
    assert given.optics.energies == {3e5: 1.0}
    nowhere = narrow_ranges(base, [conditions], adaptation=adaptation()).parameters
    assert nowhere.optics.energies == base.optics.energies


def test_dose_of_pictures_comes_from_noise_over_signal(conditions, synthesis, adaptation):
    picture = dataclasses.replace(
        conditions, dose_per_area=NAN, contrast=NAN, is_proportional=False, bits=8, noise_density=0.02
    )
    found = narrow_ranges(synthesis(), [picture], adaptation=adaptation())
    assert found.parameters.detector.dose_per_area == pytest.approx(
        (1 / (0.02 * 0.07**2), 1 / (0.02 * 0.015**2))
    )
    assert found.parameters.detector.gradient == synthesis().detector.gradient
    known = dataclasses.replace(picture, gradient_per_signal=2.0, illumination_error=0.1)
    lit = narrow_ranges(synthesis(), [known], adaptation=adaptation(), contrast=0.05)
    assert lit.parameters.detector.gradient == pytest.approx((0, 0.05 * (1.3 * 2 + 0.2)))


def test_a_search_is_cut_to_the_conditions_unless_it_contradicts_them(conditions, synthesis, adaptation):
    found = narrow_ranges(
        synthesis(), [conditions], adaptation=adaptation(), found={"optics.focal_spread": (12.0, 14.0)}
    )
    assert found.parameters.optics.focal_spread == (12.0, 14.0)
    row = found.table.set_index("parameter").loc["optics.focal_spread"]
    assert (row["matched"], row["source"]) == ("12 … 14", "search among simulated candidates")
    measured = narrow_ranges(synthesis(), [conditions], adaptation=adaptation()).parameters.detector
    for searched, expected in (((1e3, 2e4), (measured.dose_per_area[0], 2e4)), ((1.0, 2.0), (1.0, 2.0))):
        cut = narrow_ranges(
            synthesis(), [conditions], adaptation=adaptation(), found={"detector.dose_per_area": searched}
        )
        assert cut.parameters.detector.dose_per_area == pytest.approx(expected)


@pytest.mark.parametrize("sampling", [0.03, 0.109, 0.37, 0.9])
def test_any_sampling_gives_parameters_that_hold_together(conditions, synthesis, adaptation, sampling):
    strange = dataclasses.replace(
        conditions,
        sampling=sampling,
        information_limit=min(1.5, 0.5 / sampling),
        gradient_per_signal=500.0,
        vignetting_per_signal=-100.0,
        unevenness_per_signal=100.0,
        clean_share=0.001,
        mtf_floor=1.0,
    )
    found = narrow_ranges(synthesis(), [strange], adaptation=adaptation()).parameters
    assert found.optics.aperture[1] <= 0.5 / found.detector.sampling[1]
    assert found.pores.radius[1] <= found.detector.sampling[1] * 256
    assert found.detector.gradient[1] < 1
    assert found.overlays.coverage[1] <= 1


def test_table_names_what_changed(conditions, synthesis, adaptation):
    table = narrow_ranges(synthesis(), [conditions], adaptation=adaptation()).table
    assert list(table.columns) == ["parameter", "base", "matched", "source"]
    assert table["parameter"].is_unique
    row = table.set_index("parameter").loc["detector.sampling"]
    assert row["base"] == "0.1 … 0.28"
    assert row["source"] == "sampling"
    assert "graphene: 0.23" in table.set_index("parameter").loc["structures.families", "matched"]


def test_no_conditions_are_refused(synthesis, adaptation):
    with pytest.raises(ValueError, match="at least one"):
        narrow_ranges(synthesis(), [], adaptation=adaptation())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"families": {"graphene": 0.0}}, "positive sum"),
        ({"families": {"diamond": 1.0}}, "families"),
        ({"energies": 8e4}, "energies"),
        ({"comparison": {"window": 6.0, "band": [2.0, 0.1], "n_images": 3}}, "two frequencies"),
    ],
)
def test_wrong_parameters_are_refused(adaptation, changes, message):
    with pytest.raises(ValidationError, match=message):
        adaptation(**changes)
