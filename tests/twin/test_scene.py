import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.simulated import MONOLAYER, OTHER
from amorph2d.twin.scene import as_scene, clearest, eroded, richest


@pytest.mark.parametrize("value", [MONOLAYER, OTHER])
def test_where_all_is_alike_the_middle_is_taken(value):
    assert clearest(np.full((100, 61), value, np.uint8), 60) == (slice(20, 80), slice(0, 60))
    assert clearest(np.full((10, 61), value, np.uint8), 60) == (slice(0, 10), slice(0, 60))


@pytest.mark.parametrize(("top", "left"), [(0, 0), (40, 3), (21, 50), (70, 130)])
def test_the_window_that_shows_most_of_the_sheet(top, left):
    mask = np.full((130, 190), OTHER, np.uint8)
    mask[top : top + 60, left : left + 60] = MONOLAYER
    rows, columns = clearest(mask, 60)
    assert rows.stop - rows.start == columns.stop - columns.start == 60
    assert abs(rows.start - top) <= 4
    assert abs(columns.start - left) <= 4
    starts = [(i, j) for i in [*range(0, 71, 7), 35] for j in [*range(0, 131, 7), 65, 130]]
    shown = max(np.count_nonzero(mask[i : i + 60, j : j + 60] == MONOLAYER) for i, j in starts)
    assert np.count_nonzero(mask[rows, columns] == MONOLAYER) == shown


def test_erosion_is_in_angstrom_and_the_edges_are_given():
    there = np.ones((40, 60), dtype=bool)
    inner = eroded(there, 2.0, (0.5, 0.25))
    assert np.array_equal(np.argwhere(inner)[[0, -1]], [[4, 8], [35, 51]])
    assert eroded(there, 2.0, (0.5, 0.25), beyond=True).all()


def scene_of(settings, table, mask, **changes):
    image = np.random.default_rng(0).normal(100, 1, mask.shape)
    parameters = settings.model_copy(update=changes)
    return as_scene(image, table, mask, sampling=(0.4, 0.2), parameters=parameters)


def test_atoms_count_in_the_sheet_and_from_the_window(settings, as_table):
    mask = np.ones((100, 200), np.uint8)
    mask[:, :130] = 2
    table = as_table([[30.0, 20.0], [25.0, 20.0], [32.0, 10.0]])
    table.loc[2, "kind"] = "ring"
    scene = scene_of(settings, table, mask, max_side=90)
    assert scene.image.shape == (90, 90)
    assert np.allclose(scene.atoms, [[30 - 110 * 0.2, 20 - 5 * 0.4]])
    assert np.allclose(scene.points[2], [10 / 0.4 - 5, 32 / 0.2 - 110])
    # The mask's other matter ends at column 20 of the window, and the border takes 30 columns or 15 rows.
    assert np.array_equal(np.argwhere(scene.is_compared)[[0, -1]], [[15, 50], [74, 59]])


def test_the_richest_window_is_found(settings, as_table):
    mask = np.ones((160, 400), np.uint8)
    rng = np.random.default_rng(0)
    atoms = np.concatenate([rng.uniform((60, 30), (76, 46), (80, 2)), rng.uniform((0, 0), (80, 64), (20, 2))])
    scene = scene_of(settings, as_table(atoms), mask)
    rows, columns = richest(scene, 24.0)
    assert (rows.stop - rows.start) * 0.4 == 24
    assert columns.start * 0.2 <= 62
    assert columns.stop * 0.2 >= 74
    assert richest(scene, 1000.0) == (slice(0, 160), slice(0, 400))


def test_the_weight_ends_softly_at_other_matter(settings):
    mask = np.ones((150, 300), np.uint8)
    mask[:, 200:] = 2
    empty = pd.DataFrame(
        {"kind": pd.Series([], dtype=str), "x": pd.Series([], dtype=float), "y": pd.Series([], dtype=float)}
    )
    scene = scene_of(settings, empty, mask)
    weight = scene.soft_weight((slice(0, 150), slice(0, 300)))
    assert weight[75, 90] > 0.99
    assert weight[:, 200:].max() == 0
    assert weight[0].max() < 0.02
    assert np.abs(np.diff(weight, axis=1)).max() < 0.05
