from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.simulated import MONOLAYER, OTHER, SimulatedImage
from amorph2d.learning.evaluation.rings import count_rings, ring_fraction_error
from amorph2d.topology.bonds import delaunay_bonds

SHAPE, SAMPLING = (150, 200), 0.2
WINDOW = (2.0, 2.0, 37.8, 27.8)


@pytest.fixture
def honeycomb() -> SimulatedImage:
    """Return graphene: hexagons alone, wider than high."""
    i, j = np.meshgrid(np.arange(-20, 40), np.arange(-5, 25), indexing="ij")
    lattice = np.stack([2.46 * (i + 0.5 * j), 2.46 * np.sqrt(0.75) * j], axis=-1).reshape(-1, 2) + np.array(
        [0.4, 0.9]
    )
    atoms, rings = np.concatenate([lattice, lattice + np.array([0, 1.42])]), lattice + np.array([1.23, 0.71])
    extent = np.array([39.8, 29.8])
    atoms, rings = (points[((points >= 0) & (points <= extent)).all(axis=1)] for points in (atoms, rings))
    bonds = delaunay_bonds(atoms, rings, limits=(1.0, 1.8))
    return SimulatedImage(0, np.ones(SHAPE, np.float32), SAMPLING, atoms, rings, {}, bonds)


def sites(atoms: np.ndarray, rings: np.ndarray) -> pd.DataFrame:
    kinds = np.repeat(["atom", "ring"], [len(atoms), len(rings)])
    x, y = np.concatenate([atoms, rings]).T
    return pd.DataFrame({"kind": kinds, "x": x, "y": y})


def counts(image: SimulatedImage, found: pd.DataFrame) -> tuple[list[int], list[int]]:
    names = ("4", "5", "6", "7", "8", "other")
    counted = count_rings(image, found, window=WINDOW)
    assert len(counted) == 12
    true, seen = ([counted[f"n_{which}_{name}"] for name in names] for which in ("true", "found"))
    return true, seen


def nearest(points: np.ndarray, place: tuple[float, float]) -> int:
    return int(np.argmin(((points - place) ** 2).sum(axis=1)))


def is_inner(points: np.ndarray) -> np.ndarray:
    return ((points >= 2.0) & (points <= [37.8, 27.8])).all(axis=1)


def test_hexagons_whose_atoms_all_lie_in_the_window(honeycomb):
    corners = honeycomb.rings[:, None] + 1.42 * np.stack(
        [np.cos(np.radians(30 + 60 * np.arange(6))), np.sin(np.radians(30 + 60 * np.arange(6)))], axis=1
    )
    expected = int(is_inner(corners.reshape(-1, 2)).reshape(-1, 6).all(axis=1).sum())
    true, found = counts(honeycomb, sites(honeycomb.atoms, honeycomb.rings))
    assert true == found == [0, 0, expected, 0, 0, 0]
    assert 100 < expected < len(honeycomb.rings) - 40


def test_a_missed_atom_joins_three_hexagons_in_what_was_found_alone(honeycomb):
    missed = nearest(honeycomb.atoms, (20.0, 15.0))
    true, found = counts(honeycomb, sites(np.delete(honeycomb.atoms, missed, axis=0), honeycomb.rings))
    assert found == [0, 0, true[2] - 3, 0, 0, 1]
    found = sites(np.delete(honeycomb.atoms, missed, axis=0), honeycomb.rings)
    table = pd.DataFrame([count_rings(honeycomb, found, window=WINDOW)])
    assert ring_fraction_error(table)[0] == pytest.approx(1 / (true[2] - 2))


def test_true_rings_are_those_of_the_true_bonds(honeycomb):
    # Without one bond two hexagons are a ring of ten, whatever lies nearby.
    middles = honeycomb.atoms[honeycomb.bonds].mean(axis=1)
    cut = dataclasses.replace(
        honeycomb, bonds=np.delete(honeycomb.bonds, nearest(middles, (20.0, 15.0)), axis=0)
    )
    true, found = counts(cut, sites(honeycomb.atoms, honeycomb.rings))
    assert true == [0, 0, found[2] - 2, 0, 0, 1]


def test_ring_centres_keep_bonds_from_crossing_rings(honeycomb):
    # A square of 1.3 Å: its diagonal of 1.84 Å would be a bond without the centre.
    square = np.array([[0.0, 0.0], [1.3, 0.0], [1.3, 1.3], [0.0, 1.3]]) + 10.0
    image = dataclasses.replace(
        honeycomb, atoms=square, rings=square[:1] + 0.65, bonds=np.array([[0, 1], [1, 2], [2, 3], [0, 3]])
    )
    assert counts(image, sites(square, image.rings))[1] == [1, 0, 0, 0, 0, 0]
    assert counts(image, sites(square, image.rings[:0]))[1] == [0, 0, 0, 0, 0, 2]


def with_overlay(image: SimulatedImage, place: tuple[float, float], radius: float) -> SimulatedImage:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] * SAMPLING
    mask = np.where(np.hypot(x - place[0], y - place[1]) <= radius, OTHER, MONOLAYER).astype(np.uint8)
    return dataclasses.replace(image, mask=mask)


def test_rings_that_touch_something_lying_on_the_sheet_are_left_out_of_both(honeycomb):
    centre = honeycomb.rings[nearest(honeycomb.rings, (20.0, 15.0))]
    covered = with_overlay(honeycomb, tuple(centre), 0.5)
    full, _ = counts(honeycomb, sites(honeycomb.atoms, honeycomb.rings))
    true, found = counts(covered, sites(honeycomb.atoms, honeycomb.rings))
    assert true == found == [0, 0, full[2] - 1, 0, 0, 0]
    # Two atoms of the covered hexagon are not found: the face of 14 atoms that four hexagons become reaches
    # the overlay and is left out; it is not a ring of the sheet.
    first = nearest(honeycomb.atoms, tuple(centre))
    second = honeycomb.bonds[(honeycomb.bonds == first).any(axis=1)].ravel()
    second = next(k for k in second if k != first and np.linalg.norm(honeycomb.atoms[k] - centre) < 1.5)
    seen = sites(np.delete(honeycomb.atoms, [first, second], axis=0), honeycomb.rings)
    assert counts(honeycomb, seen)[1] == [0, 0, full[2] - 4, 0, 0, 1]
    true, found = counts(covered, seen)
    assert true == [0, 0, full[2] - 1, 0, 0, 0]
    assert found == [0, 0, full[2] - 4, 0, 0, 0]


def test_a_mask_without_anything_on_the_sheet_changes_nothing(honeycomb):
    found = sites(honeycomb.atoms, honeycomb.rings)
    bare = dataclasses.replace(honeycomb, mask=np.full(SHAPE, MONOLAYER, np.uint8))
    assert counts(bare, found) == counts(honeycomb, found)


def test_nothing_found_and_unknown_bonds(honeycomb):
    true, found = counts(honeycomb, sites(honeycomb.atoms[:0], honeycomb.rings[:0]))
    assert sum(true) > 100
    assert sum(found) == 0
    unknown = dataclasses.replace(honeycomb, bonds=honeycomb.bonds[:0])
    assert counts(unknown, sites(honeycomb.atoms, honeycomb.rings)) == ([0] * 6, [0] * 6)
    covered = with_overlay(honeycomb, (5.0, 5.0), 1.0)
    assert sum(counts(covered, sites(honeycomb.atoms[:1], honeycomb.rings[:0]))[1]) == 0


def test_fractions_are_formed_from_summed_counts():
    names = [f"n_{which}_{size}" for which in ("true", "found") for size in (4, 5, 6, 7, 8, "other")]
    table = pd.DataFrame(0, index=[5, 2, 9], columns=names)
    table.loc[5, ["n_true_5", "n_true_6", "n_found_6", "n_found_other"]] = [2, 8, 4, 1]
    table.loc[2, ["n_true_6"]] = 3
    error = ring_fraction_error(table)
    assert error[5] == pytest.approx(0.2)
    assert error[[2, 9]].isna().all()
