import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from amorph2d.measures.intervals import resample_blocks
from amorph2d.measures.lengths import bond_lengths
from amorph2d.measures.noise import (
    NOISE_STATISTICS,
    NoiseParameters,
    angle_variances,
    length_variances,
    mean_length_biases,
    noise_sums,
    widen,
)
from amorph2d.measures.tables import angles_table, bonds_table
from amorph2d.measures.window import RectangularWindow
from strategies import BOND, honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters()
PLAIN = {
    "length_correlation": 0.0, "angle_correlation": 0.0, "length_gain": 1.0, "angle_gain": 1.0,
    "sigma_uncertainty": 0.0, "length_gain_uncertainty": 0.0, "angle_gain_uncertainty": 0.0,
}  # fmt: skip
# An obtuse, a right and a folded angle; arms of different lengths.
BENT = np.array([[1.5, 0.2], [0, 0], [-0.6, 1.3], [0.2, -1.4], [1.2, 0.5]])
TRIPLES = np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]])
SIGMA = np.array([0.01, 0.02, 0.005, 0.015, 0.012])


def noise(**changes):
    return NoiseParameters(**PLAIN | changes)


def drawn(rng, n=20_000, correlation=0.0):
    """Errors of all atoms of BENT, (n, 5, 2), of which those of each arm are correlated with the vertex."""
    covariance = np.diag(SIGMA**2)
    arms = [0, 2, 3, 4]
    covariance[1, arms] = covariance[arms, 1] = correlation * SIGMA[1] * SIGMA[arms]
    return np.moveaxis(rng.multivariate_normal(np.zeros(5), covariance, size=(n, 2)), 1, 2)


def measured(positions, errors, measure):
    return np.array([measure(positions + error) for error in errors])


@pytest.mark.parametrize("correlation", [0.0, 0.4])
def test_variances_are_those_of_drawn_errors(correlation):
    errors = drawn(np.random.default_rng(1), correlation=correlation)
    bonds = np.array([[0, 1], [1, 2], [1, 3]])
    lengths = measured(BENT, errors[:4000], lambda atoms: bond_lengths(atoms, bonds)).var(axis=0)
    expected = length_variances(BENT, SIGMA, bonds, correlation=correlation)
    assert lengths == pytest.approx(expected, rel=0.1)

    a, b = ((BENT + errors)[:, TRIPLES[:, k]] - (BENT + errors)[:, TRIPLES[:, 1]] for k in (0, 2))
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    angles = np.degrees(np.arctan2(np.abs(cross), (a * b).sum(axis=-1)))
    found = angle_variances(BENT, SIGMA, TRIPLES, correlation=correlation)
    assert found == pytest.approx(angles.var(axis=0), rel=0.04)


def test_closed_forms():
    right = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    assert length_variances(right, [0.3, 0.4, 0], [[0, 1]]) == pytest.approx([0.25])
    assert length_variances(right, [0.3, 0.3, 0], [[0, 1]], correlation=1) == pytest.approx([0])
    # Only the vertex: it turns both arms, by 1/2 and by 1, at right angles to each other.
    assert angle_variances(right, [0, 0.1, 0], [[0, 1, 2]]) == pytest.approx(
        [np.degrees(0.1) ** 2 * (1 / 4 + 1)]
    )
    # Along one line the same error of the vertex turns equal arms by opposite amounts: four times one arm.
    line = np.array([[1.0, 0], [0, 0], [-1.0, 0]])
    assert angle_variances(line, [0, 0.1, 0], [[0, 1, 2]]) == pytest.approx([4 * np.degrees(0.1) ** 2])


def test_errors_of_neighbours_that_are_the_same_move_nothing():
    together = np.full(5, 0.1)
    assert length_variances(BENT, together, [[0, 1]], correlation=1) == pytest.approx([0])
    folded = np.array([[1.0, 0], [0, 0], [1.0, 0.0]])  # both arms turn alike
    assert angle_variances(folded, [0, 0.2, 0], [[0, 1, 2]]) == pytest.approx([0])


def test_lengths_are_too_long_on_average():
    rng = np.random.default_rng(3)
    ends = np.array([[0, 0], [0.8, 1.1]])
    lengths = np.hypot(*(ends[1] - ends[0] + rng.normal(0, 0.12, (400_000, 2))).T)
    true = np.hypot(0.8, 1.1)
    bias = mean_length_biases([true], [0.12**2])[0]
    assert lengths.mean() - true == pytest.approx(bias, rel=0.1)
    assert lengths.mean() - true > 5 * 0.12 / 400_000**0.5


def test_nothing_to_measure():
    assert length_variances(np.empty((0, 2)), [], np.empty((0, 2))).shape == (0,)
    assert angle_variances(np.empty((0, 2)), [], np.empty((0, 3))).shape == (0,)


def test_unknown_sigmas_stay_unknown():
    sigma = np.array([0.1, np.nan, 0.1])
    found = length_variances(BENT[:3], sigma, [[0, 1], [0, 2]])
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("sigma", "triples", "correlation", "message"),
    [
        (SIGMA[:2], TRIPLES, 0.0, r"sigma must have the shape \(5,\)"),
        (-SIGMA, TRIPLES, 0.0, "sigma must be ≥ 0 Å"),
        (SIGMA, TRIPLES, 1.5, "correlation must be from -1 to 1"),
        (SIGMA, TRIPLES[:, :2], 0.0, r"triples must have the shape \(A, 3\)"),
        (SIGMA, TRIPLES + 2, 0.0, "triples must name atoms 0 to 4"),
    ],
)
def test_bad_input(sigma, triples, correlation, message):
    with pytest.raises(ValueError, match=message):
        angle_variances(BENT, sigma, triples, correlation=correlation)


def sheet(spread, error, seed=0, claimed=None):
    """A sheet of truly displaced atoms seen with errors, and its window."""
    atoms, centres, box = honeycomb(24, 14)
    rng = np.random.default_rng(seed)
    seen = atoms + rng.normal(0, spread, atoms.shape)
    true = make_sites(seen, centres)
    found = make_sites(seen + rng.normal(0, error, atoms.shape), centres)
    window = RectangularWindow(4.0, 4.0, *(box - 4.0).tolist())
    tables = [each.assign(analysable=window.contains(each[["x", "y"]].to_numpy())) for each in (true, found)]
    return *(each.assign(sigma=np.float32(error if claimed is None else claimed)) for each in tables), window


def summed(sites, window, parameters, block=12.0):
    bonds = bonds_table(sites, PARAMETERS)
    return noise_sums(
        window.blocks(block), sites, bonds, angles_table(sites, bonds), parameters=parameters
    ), bonds


def evaluated(sums, name):
    return float(NOISE_STATISTICS[name]({key: value.sum() for key, value in sums.items()}))


def test_widths_without_noise_are_the_true_ones():
    true, found, window = sheet(spread=0.04, error=0.05)
    sums, _ = summed(found, window, noise())
    truth, _ = summed(true.assign(sigma=0.0), window, noise())
    for name in ("bond_std", "angle_std"):
        expected, floor = evaluated(truth, f"{name}_deconvolved"), evaluated(sums, f"{name}_noise")
        assert evaluated(sums, f"{name}_deconvolved") == pytest.approx(expected, rel=0.06)
        blind, _ = summed(found.assign(sigma=0.0), window, noise())
        uncorrected = evaluated(blind, f"{name}_deconvolved")
        assert uncorrected > 1.4 * expected
        assert uncorrected == pytest.approx(np.hypot(expected, floor), rel=0.05)
    assert evaluated(sums, "bond_std_noise") == pytest.approx(0.05 * 2**0.5)
    mean, measured_mean = (evaluated(each, "bond_mean_corrected") for each in (sums, blind))
    assert measured_mean - mean == pytest.approx(0.05**2 / BOND, rel=0.01)


def test_gains_are_divided_out_of_value_and_noise():
    _, found, window = sheet(spread=0.04, error=0.05)
    plain, _ = summed(found, window, noise())
    scaled, _ = summed(found, window, noise(length_gain=1.25, angle_gain=0.8))
    for name, gain in (("bond_std", 1.25), ("angle_std", 0.8)):
        for part in ("deconvolved", "noise"):
            assert evaluated(scaled, f"{name}_{part}") * gain == pytest.approx(
                evaluated(plain, f"{name}_{part}")
            )
    assert evaluated(scaled, "bond_mean_corrected") == evaluated(plain, "bond_mean_corrected")


def test_correlations_lower_the_noise():
    _, found, window = sheet(spread=0.04, error=0.05)
    plain, _ = summed(found, window, noise())
    together, _ = summed(found, window, noise(length_correlation=0.5, angle_correlation=0.5))
    assert evaluated(together, "bond_std_noise") ** 2 == pytest.approx(
        evaluated(plain, "bond_std_noise") ** 2 / 2
    )
    assert evaluated(together, "angle_std_noise") < 0.7 * evaluated(plain, "angle_std_noise")
    assert evaluated(together, "bond_std_deconvolved") > evaluated(plain, "bond_std_deconvolved")


def interval(sums, name, parameters):
    table = pd.DataFrame(sums)
    samples = resample_blocks(table, n_resamples=500, rng=np.random.default_rng(0))
    drawn_sums = dict(zip(table.columns, samples.T, strict=True))
    total = {key: value.sum() for key, value in sums.items()}
    return NOISE_STATISTICS[name].interval(
        total, drawn_sums, level=0.95, n_blocks=len(table), parameters=parameters
    )


def test_interval_holds_the_width_and_widens_with_what_is_not_known():
    _, found, window = sheet(spread=0.04, error=0.05)
    sums, _ = summed(found, window, noise())
    for name, gain in (("bond_std", "length_gain"), ("angle_std", "angle_gain")):
        value = evaluated(sums, f"{name}_deconvolved")
        low, high = interval(sums, f"{name}_deconvolved", noise())
        assert 0 < low < value < high
        for uncertain in ({"sigma_uncertainty": 0.1}, {f"{gain}_uncertainty": 0.1}):
            lower, higher = interval(sums, f"{name}_deconvolved", noise(**uncertain))
            assert lower < low
            assert higher > high
    # σ off by 10 % moves the variance by 20 % of the noise.
    wide = interval(sums, "bond_std_deconvolved", noise(sigma_uncertainty=10.0))
    floor, width = evaluated(sums, "bond_std_noise"), evaluated(sums, "bond_std_deconvolved")
    assert wide[0] == 0
    assert wide[1] == pytest.approx(np.sqrt(width**2 + 1.96 * 20 * floor**2), rel=0.01)


def test_a_width_that_noise_explains_is_0_with_an_interval_from_0():
    _, found, window = sheet(spread=0.0, error=0.05, claimed=0.06)
    sums, _ = summed(found, window, noise())
    assert evaluated(sums, "bond_std_deconvolved") == 0
    low, high = interval(sums, "bond_std_deconvolved", noise(sigma_uncertainty=0.3))
    assert low == 0
    assert 0 < high < 0.1


def test_only_what_counts_is_added_up():
    _, found, window = sheet(spread=0.04, error=0.05)
    unknown = found.assign(sigma=found["sigma"].where(found["x"] > 20))
    sums, bonds = summed(unknown, window, noise())
    counts = found["analysable"].to_numpy() & (found["x"] > 20).to_numpy()
    both = counts[bonds["atom_i"]] & counts[bonds["atom_j"]]
    assert sums["noisy_bonds"].sum() == both.sum()
    assert sums["noisy_length"].sum() == pytest.approx(bonds.loc[both, "length"].sum())
    nothing, _ = summed(found.assign(sigma=np.float32(np.nan)), window, noise())
    assert np.isnan(evaluated(nothing, "bond_std_deconvolved"))
    assert np.isnan(evaluated(nothing, "bond_std_noise"))


def test_empty_frame():
    window = RectangularWindow(0, 0, 10, 5)
    sums, _ = summed(make_sites(np.empty((0, 2))), window, noise())
    assert all((value == 0).all() for value in sums.values())
    assert np.isnan(evaluated(sums, "angle_std_deconvolved"))


def test_order_of_the_rows_changes_nothing():
    _, found, window = sheet(spread=0.04, error=0.05)
    rng = np.random.default_rng(2)
    varied = found.assign(sigma=rng.uniform(0.02, 0.08, len(found)))
    sums, bonds = summed(varied, window, noise())
    angles = angles_table(varied, bonds)
    shuffled = varied.sample(frac=1, random_state=1)
    again = noise_sums(window.blocks(12.0), shuffled, bonds, angles, parameters=noise())
    for name, values in sums.items():
        assert again[name] == pytest.approx(values), name


def test_widen():
    assert widen(1.0, 6.0, 4.0, 4.0) == pytest.approx((-1.0, 4 + 20**0.5))
    assert widen(1.0, 6.0, 4.0, 0.0) == pytest.approx((1.0, 6.0))


def test_parameters_are_checked():
    for name, value in (
        ("length_gain", 0),
        ("sigma_uncertainty", -1),
        ("angle_correlation", 1),
        ("other", 1),
    ):
        with pytest.raises(ValidationError):
            noise(**{name: value})
