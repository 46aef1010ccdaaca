import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from amorph2d.measures.config import DopantParameters
from amorph2d.measures.dopants import (
    DOPANT_COLUMNS,
    DOPANT_STATISTICS,
    DOPANT_UNITS,
    dopant_sums,
    dopants_table,
    robust_z,
    site_intensities,
)
from amorph2d.measures.tables import bonds_table
from amorph2d.measures.window import RectangularWindow
from strategies import honeycomb, make_sites, statistics_parameters

SHAPE, STEPS = (210, 260), (0.2, 0.25)  # rows and columns, and their sampling, along y and x
FOREIGN = {"first": (20.0, 18.0), "second": (45.0, 30.0)}


def parameters(**changes):
    usual = {"width": 0.32, "n_neighbours": 20, "level": 0.01, "min_intensity_z": 3.0, "separation": 1.4}
    return DopantParameters(**usual | changes)


def scene(amplitudes=(), *, sign=1.0, noise=0.05, slope=0.0, seed=0, displaced=0.03):
    """Sites, bonds and image of graphene whose atoms next to some places have other amplitudes."""
    rng = np.random.default_rng(seed)
    atoms, centres, _ = honeycomb(26, 10)
    atoms = atoms - 2
    y, x = (np.arange(n) * step for n, step in zip(SHAPE, STEPS, strict=True))
    height = np.ones(len(atoms))
    chosen = [int(np.hypot(*(atoms - place).T).argmin()) for place, _ in amplitudes]
    height[chosen] = [amplitude for _, amplitude in amplitudes]
    seen = atoms + rng.normal(0, displaced, atoms.shape)
    profile = [np.exp(-((atoms[:, [k]] - axis) ** 2) / (2 * 0.45**2)) for k, axis in enumerate((x, y))]
    image = 5 + sign * (height[:, None] * profile[1]).T @ profile[0]
    image = image * (1 + slope * (x - x.mean()) / np.ptp(x)) + rng.normal(0, noise, image.shape)
    is_counted = ((seen > 2) & (seen < np.array([x[-1], y[-1]]) - 2)).all(axis=1)
    sites = make_sites(seen, centres - 2, analysable=np.append(is_counted, np.ones(len(centres), bool)))
    return sites, bonds_table(sites, statistics_parameters()), image, chosen


@pytest.mark.parametrize("sign", [1, -1])
def test_heavier_and_lighter_atoms_are_told_apart_in_either_contrast(sign):
    sites, bonds, image, chosen = scene([(FOREIGN["first"], 1.6), (FOREIGN["second"], 0.5)], sign=sign)
    found = dopants_table(sites, bonds, image, STEPS, parameters())
    assert dict(found.dtypes.astype(str)) == DOPANT_COLUMNS
    assert DOPANT_UNITS.keys() == DOPANT_COLUMNS.keys()
    assert dict(zip(found["site"], found["kind"], strict=True)) == {
        chosen[0]: "heavier",
        chosen[1]: "lighter",
    }
    assert found["score"].is_monotonic_decreasing
    assert (found["score"] > -np.log10(0.01)).all()
    heavier, lighter = (found[found["kind"] == kind].iloc[0] for kind in ("heavier", "lighter"))
    assert heavier["intensity"] > 0 > lighter["intensity"]
    assert heavier["intensity_z"] > 3
    assert heavier["intensity"] / -lighter["intensity"] == pytest.approx(0.6 / 0.5, rel=0.2)
    assert heavier["bond_length_mean"] == pytest.approx(1.42, abs=0.1)


def test_atoms_are_compared_with_those_around():
    sites, bonds, image, chosen = scene([(FOREIGN["first"], 1.6)], slope=0.6)
    found = dopants_table(sites, bonds, image, STEPS, parameters())
    assert found["site"].iloc[0] == chosen[0]
    assert len(found) <= 2
    # Compared with all others, the atom is lost in the illumination.
    raw = robust_z(site_intensities(image, sites[["x", "y"]].to_numpy(), STEPS, width=0.45))
    assert abs(raw[chosen[0]]) < np.nanquantile(np.abs(raw), 0.99)


def test_sheets_without_foreign_atoms_give_few_candidates():
    counts = [len(dopants_table(*scene(seed=seed)[:3], STEPS, parameters(level=0.05))) for seed in range(4)]
    assert sum(count > 0 for count in counts) <= 1
    careless = [
        len(dopants_table(*scene(seed=seed)[:3], STEPS, parameters(level=0.999))) for seed in range(2)
    ]
    assert sum(careless) > sum(counts[:2])


def test_bond_lengths_help_but_do_not_decide():
    sites, bonds, image, chosen = scene([(FOREIGN["first"], 1.1)], noise=0.12)
    touches = bonds[["atom_i", "atom_j"]].isin(chosen).any(axis=1)
    longer = bonds.assign(length=bonds["length"] + 0.3 * touches)
    wanted = parameters(min_intensity_z=1.0)
    alone = dopants_table(sites, bonds, image, STEPS, wanted)
    assert chosen[0] not in alone["site"].tolist()
    both = dopants_table(sites, longer, image, STEPS, wanted)
    assert both["site"].tolist()[:1] == chosen
    assert both["bond_z"].iloc[0] > 5
    assert (
        chosen[0]
        not in dopants_table(sites, longer, image, STEPS, parameters(min_intensity_z=9))["site"].tolist()
    )


def test_of_close_candidates_the_most_significant_is_kept():
    beside = (FOREIGN["first"][0] + 1.3, FOREIGN["first"][1] + 0.7)
    sites, bonds, image, chosen = scene([(FOREIGN["first"], 2.5), (beside, 1.8)])
    assert len(set(chosen)) == 2
    apart = np.hypot(*np.diff(sites.iloc[chosen][["x", "y"]].to_numpy(), axis=0)[0])
    assert 1.2 < apart < 1.7
    one = dopants_table(sites, bonds, image, STEPS, parameters())
    assert one["site"].tolist()[0] == chosen[0]
    assert chosen[1] not in one["site"].tolist()
    both = dopants_table(sites, bonds, image, STEPS, parameters(separation=0.0))
    assert set(chosen) <= set(both["site"])


def test_only_counted_atoms_with_three_bonds_are_tested():
    sites, bonds, image, chosen = scene([(FOREIGN["first"], 2.0)])
    fewer = bonds[~(bonds["atom_i"] == chosen[0])]
    fewer = fewer.drop(fewer.index[fewer["atom_j"] == chosen[0]][:2])
    assert chosen[0] not in dopants_table(sites, fewer, image, STEPS, parameters())["site"].tolist()
    assert chosen[0] in dopants_table(sites, bonds, image, STEPS, parameters())["site"].tolist()
    sites.loc[chosen[0], "analysable"] = False
    assert chosen[0] not in dopants_table(sites, bonds, image, STEPS, parameters())["site"].tolist()


def test_empty_and_small_inputs():
    image = np.zeros((20, 30))
    for atoms in (np.empty((0, 2)), [[2, 2]], honeycomb(2, 2)[0]):
        sites = make_sites(atoms)
        found = dopants_table(sites, bonds_table(sites, statistics_parameters()), image, 0.3, parameters())
        assert len(found) == 0
        assert dict(found.dtypes.astype(str)) == DOPANT_COLUMNS
    flat = scene()
    assert len(dopants_table(flat[0], flat[1], np.ones(SHAPE), STEPS, parameters())) == 0


def test_wrong_input_is_refused():
    sites, bonds, image, _ = scene()
    with pytest.raises(ValueError, match="two-dimensional"):
        dopants_table(sites, bonds, image[0], STEPS, parameters())
    two = pd.concat([sites, sites.assign(frame=1)])
    with pytest.raises(ValueError, match="got 2 frames"):
        dopants_table(two, bonds, image, STEPS, parameters())
    with pytest.raises(ValidationError):
        parameters(level=1.0)


def test_intensity_is_the_weighted_mean_around_a_place():
    y, x = np.mgrid[0:40, 0:60]
    plane = 2.0 + 0.1 * x - 0.05 * y
    places = np.array([[6.0, 5.0], [10.3, 4.4]])
    found = site_intensities(plane, places, (0.25, 0.3), width=0.6)
    expected = 2 + 0.1 * places[:, 0] / 0.3 - 0.05 * places[:, 1] / 0.25
    assert found == pytest.approx(expected, abs=0.01)
    spot = np.zeros((21, 21))
    spot[10, 10] = 1
    near, far, outside = site_intensities(spot, np.array([[2, 2], [2.4, 2], [90, 90]]), 0.2, width=0.4)
    assert far / near == pytest.approx(np.exp(-0.5), rel=0.02)
    assert np.isnan(outside)
    assert site_intensities(spot, np.empty((0, 2)), 0.2, width=0.4).shape == (0,)


def test_robust_z_is_not_moved_by_outliers():
    rng = np.random.default_rng(0)
    values = np.append(rng.normal(3, 2, 4000), [1e6] * 40)
    z = robust_z(values)
    assert z[:4000].std() == pytest.approx(1, abs=0.05)
    assert z[:4000].mean() == pytest.approx(0, abs=0.05)
    assert np.isnan(robust_z([1.0, 2, 3])).all()
    assert np.isnan(robust_z(np.ones(50))).all()


def test_sums_give_densities():
    grid = RectangularWindow(0, 0, 40, 20).blocks(20)
    found = pd.DataFrame({"x": [5.0, 30, 31], "y": [5.0, 5, 9], "kind": ["heavier", "heavier", "lighter"]})
    sums = dopant_sums(grid, found)
    assert sums["dopants_heavier"].tolist() == [1, 1]
    total = {name: np.float64(value.sum()) for name, value in sums.items()}
    assert float(DOPANT_STATISTICS["dopant_density_heavier"](total)) == pytest.approx(2 / 800)
    assert float(DOPANT_STATISTICS["dopant_density_lighter"](total)) == pytest.approx(1 / 800)
