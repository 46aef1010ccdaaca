import numpy as np
import pandas as pd
import pytest

from amorph2d.measures import pores as module
from amorph2d.measures.pores import (
    AREA_STATISTICS,
    PORE_COLUMNS,
    PORE_STATISTICS,
    PORE_UNITS,
    PoreParameters,
    area_sums,
    areal_shares,
    image_blocks,
    pore_sums,
    pores_table,
)

ALL = PoreParameters(min_area=0.0)
STEPS = (0.2, 0.3)


def sheet(shape=(100, 120)):
    return np.ones(shape, np.uint8)


def with_ellipse(a, b, turn, n=400, step=0.1):
    """A pore with these half axes, its long axis turned from x towards y."""
    mask = sheet((n, n + 40))
    y, x = np.indices(mask.shape) * step - 20.03
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    mask[((c * x + s * y) / a) ** 2 + ((c * y - s * x) / b) ** 2 < 1] = 0
    return mask


def test_a_rectangular_pore():
    mask = sheet()
    mask[10:30, 40:50] = 0
    table = pores_table(mask, STEPS, ALL, frame=7)
    assert table.dtypes.astype(str).to_dict() == PORE_COLUMNS
    assert list(PORE_UNITS) == list(PORE_COLUMNS)
    (pore,) = table.to_dict("records")
    assert (pore["frame"], pore["pore"], pore["is_cut"], pore["borders_other"]) == (7, 0, False, False)
    assert (pore["x"], pore["y"]) == pytest.approx((44.5 * 0.3, 19.5 * 0.2))
    assert pore["area"] == pytest.approx(200 * 0.06)
    assert pore["equivalent_diameter"] == pytest.approx(np.sqrt(4 * 12 / np.pi))
    assert pore["perimeter"] == pytest.approx(14, rel=0.06)  # corners are cut
    assert pore["circularity"] == pytest.approx(4 * np.pi * 12 / pore["perimeter"] ** 2)
    assert pore["elongation"] == pytest.approx(4 / 3)
    assert abs(pore["orientation"]) == pytest.approx(90)


@pytest.mark.parametrize("turn", [-70.0, -30.0, 0.0, 20.0, 45.0, 90.0])
def test_an_elliptic_pore(turn):
    (pore,) = pores_table(with_ellipse(12.0, 5.0, turn), 0.1, ALL).to_dict("records")
    assert pore["elongation"] == pytest.approx(2.4, rel=0.005)
    assert (pore["orientation"] - turn + 90) % 180 == pytest.approx(90, abs=0.5)
    assert -90 < pore["orientation"] <= 90
    assert pore["area"] == pytest.approx(np.pi * 60, rel=0.005)


def test_a_disc_is_round():
    (pore,) = pores_table(with_ellipse(8.0, 8.0, 0.0), 0.1, ALL).to_dict("records")
    assert pore["circularity"] == pytest.approx(1, abs=0.01)
    assert pore["elongation"] == pytest.approx(1, abs=0.01)
    assert pore["equivalent_diameter"] == pytest.approx(16, rel=0.005)


def test_pores_that_may_go_on_are_cut():
    mask = sheet()
    mask[0:5, 20:30] = mask[40:45, 115:120] = 0  # at two edges
    mask[20:30, 20:30] = 0
    mask[30, 30] = 2  # beside a corner
    mask[60:70, 60:70] = 0  # far from all
    mask[80:85, 10:20], mask[80:85, 20:22] = 0, 2
    table = pores_table(mask, 0.2, ALL)
    assert table["is_cut"].tolist() == [True, True, True, False, True]
    assert table["borders_other"].tolist() == [False, True, False, False, True]
    assert ((table["weight"] > 0) == ~table["is_cut"]).all()


def test_small_pores_are_left_out():
    mask = sheet()
    mask[10, 10:15] = mask[20, 10:14] = 0
    table = pores_table(mask, STEPS, PoreParameters(min_area=5 * 0.06))
    assert table["area"].tolist() == pytest.approx([0.3])
    assert table["pore"].tolist() == [0]


@pytest.mark.parametrize("value", [1, 2])
def test_no_pores(value):
    table = pores_table(np.full((30, 20), value, np.uint8), 0.2, ALL)
    assert table.dtypes.astype(str).to_dict() == PORE_COLUMNS
    assert len(table) == 0


def test_vacuum_alone_is_a_pore_that_is_cut():
    table = pores_table(np.zeros((30, 20), np.uint8), 0.2, ALL)
    assert table["is_cut"].tolist() == [True]
    assert table["weight"].tolist() == [0]


def test_weight_in_a_rectangle():
    mask = sheet((50, 80))
    mask[10:15, 40:48] = 0
    # Of boxes of 7 × 10 pixels, one around each side, there are 44 × 71 places.
    assert pores_table(mask, STEPS, ALL)["weight"].tolist() == pytest.approx([4000 / (44 * 71)])


@pytest.mark.parametrize("most", [100, 700, 10**6])
def test_weight_beside_other(monkeypatch, most):
    # On any grid: the mean of 1/P over the places where the pore counts, times their share, is 1.
    monkeypatch.setattr(module, "_MOST_PIXELS", most)
    debris = sheet((47, 61))
    debris[20:, 50:] = debris[:5, :20] = 2
    corners = np.stack(np.meshgrid(np.arange(-1, 47), np.arange(-1, 61), indexing="ij"), -1).reshape(-1, 2)
    weights = module._weights(np.concatenate([corners, corners + np.array([6, 5])], axis=1), debris)
    assert weights.sum() == pytest.approx((debris != 2).sum(), rel=1e-9)
    if most > debris.size:
        counted = [(debris[r : r + 6, c : c + 5] != 2).sum() == 30 and min(r, c) >= 0 for r, c in corners]
        np.testing.assert_array_equal(weights > 0, counted)


def test_density_of_pores_is_right_only_if_weighted():
    # Squares of two sizes thrown on a plane, seen through a window without a quarter; pores may overlap
    # only rarely.
    rng = np.random.default_rng(0)
    weighted, plain, expected = 0.0, 0, 0.0
    for _ in range(150):
        mask = sheet((80, 80))
        for size, n in ((20, 0.4), (2, 2.0)):
            for row, column in rng.integers(-20, 81, (rng.poisson(n), 2)):
                mask[max(row, 0) : max(row + size, 0), max(column, 0) : max(column + size, 0)] = 0
        expected += (0.4 + 2.0) / 101**2 * 4800
        mask[:40, 40:] = 2
        table = pores_table(mask, 1.0, ALL)
        is_large = table["area"] > 100
        weighted += table["weight"][is_large].sum()
        plain += (is_large & ~table["is_cut"]).sum()
    expected *= 0.4 / 2.4
    error = 3 * np.sqrt(plain) * weighted / plain
    assert abs(weighted - expected) < error
    assert plain < 0.7 * expected


def test_shares_of_the_classes():
    mask = sheet((4, 5))
    mask[0], mask[1, :3] = 0, 2
    assert areal_shares(mask) == {"vacuum": 0.25, "monolayer": 0.6, "other": 0.15}
    region = np.zeros((4, 5), bool)
    assert np.isnan(list(areal_shares(mask, region).values())).all()
    region[:2, 1:3] = True
    assert areal_shares(mask, region) == {"vacuum": 0.5, "monolayer": 0.0, "other": 0.5}


def test_block_sums_are_areas():
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (97, 150)).astype(np.uint8)
    region = rng.uniform(size=mask.shape) < 0.7
    grid = image_blocks(mask.shape, STEPS, block=7.0)
    assert grid.shape == (6, 3)
    sums = area_sums(grid, mask, STEPS, region)
    assert set(sums) == {"area_vacuum", "area_monolayer", "area_other", "area_shown"}
    rows, columns = np.nonzero(region & (mask == 2))
    number = grid.number(np.stack([columns * 0.3, rows * 0.2], axis=1))
    np.testing.assert_allclose(sums["area_other"], np.bincount(number, minlength=18) * 0.0006)
    total = {name: each.sum() for name, each in sums.items()}
    shares = areal_shares(mask, region)
    for name, statistic in AREA_STATISTICS.items():
        assert statistic(total) == pytest.approx(shares[name.removeprefix("areal_share_")])
    np.testing.assert_allclose(area_sums(grid, mask, STEPS)["area_shown"] * 100, grid.areas, rtol=0.1)


def test_pore_sums_give_density_and_mean_area():
    mask = sheet((200, 300))
    mask[20:30, 30:40] = mask[100:120, 200:210] = mask[0:30, 100:110] = 0  # the last is cut
    mask[150:, :50] = 2
    table = pores_table(mask, STEPS, ALL)
    grid = image_blocks(mask.shape, STEPS, block=20.0)
    sums = pore_sums(grid, table, mask, STEPS)
    assert sums["pores"].sum() == 2
    assert sums["pores"][grid.number(np.array([[34.5 * 0.3, 24.5 * 0.2]]))] == 1
    total = {name: each.sum() for name, each in sums.items()}
    weight = table["weight"].to_numpy()
    seen = (mask != 2).sum() * 0.06 / 100
    assert total["pore_window"] == pytest.approx(seen)
    assert PORE_STATISTICS["pore_density"](total) == pytest.approx(weight.sum() / seen)
    mean = (weight * table["area"]).sum() / weight.sum()
    assert PORE_STATISTICS["pore_area_mean"](total) == pytest.approx(mean)
    used = {name for each in (AREA_STATISTICS | PORE_STATISTICS).values() for name in vars(each).values()}
    assert used - {None} <= set(sums) | set(area_sums(grid, mask, STEPS))


def test_pore_sums_without_pores():
    mask = sheet()
    grid = image_blocks(mask.shape, STEPS, block=10.0)
    none = pd.DataFrame({name: [] for name in PORE_COLUMNS}).astype(PORE_COLUMNS)
    total = {name: each.sum() for name, each in pore_sums(grid, none, mask, STEPS).items()}
    assert PORE_STATISTICS["pore_density"](total) == 0
    assert np.isnan(PORE_STATISTICS["pore_area_mean"](total))


def test_refuses_bad_input():
    with pytest.raises(ValueError, match="mask must be two-dimensional, of uint8"):
        pores_table(np.ones((3, 4)), 0.1, ALL)
    with pytest.raises(ValueError, match=r"mask must be 0 \(vacuum\), 1 \(monolayer\) or 2 \(other\), got 3"):
        areal_shares(np.full((3, 4), 3, np.uint8))
    with pytest.raises(ValueError, match="region must be boolean with the shape"):
        areal_shares(sheet(), np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="block must be > 0 Å, got 0"):
        image_blocks((3, 4), 0.1, block=0.0)
