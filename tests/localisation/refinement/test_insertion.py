from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.spatial import KDTree

from amorph2d.localisation.refinement.grid import Grid
from amorph2d.localisation.refinement.insertion import with_inserted
from amorph2d.localisation.refinement.rounds import Atoms, Stepper, band_limit, estimate_kernel
from amorph2d.localisation.refinement.window import Window


def window_of(image: np.ndarray, sheet: Any, parameters: Any) -> Window:
    limit = band_limit(sheet.sampling, parameters)
    grid = Grid(sheet.shape, sheet.sampling, room=parameters.kernel_reach, max_frequency=limit)
    weight = np.ones(sheet.shape, np.float32)
    return Window(image, weight, grid, background=parameters.background)


@pytest.fixture
def rims(sheet_of: Callable[..., Any], refinement_of: Callable[..., Any], drawn: Any) -> Any:
    """Atoms with two short bonds, far from each other, in a sheet whose kernel is known.

    Where one is missed its neighbours are 1.84 Å apart, with it in the middle.
    """
    sheet, parameters = sheet_of(noise=0.2), refinement_of()
    kernel, _ = estimate_kernel([window_of(sheet.image, sheet, parameters)], [sheet.atoms], parameters)
    tree, chosen = KDTree(sheet.atoms), []
    for number in np.flatnonzero(sheet.inner(5.0)):
        near = tree.query(sheet.atoms[number], k=4)[1]
        if all(np.hypot(*(sheet.atoms[number] - sheet.atoms[each[0]])) > 8 for each in chosen):
            chosen.append(near)
    middle, first, second, third = np.array(chosen).T
    atoms, missed = sheet.atoms.copy(), sheet.atoms.copy()
    across = atoms[second] - atoms[first]
    across /= np.hypot(*across.T)[:, None]
    for ends, sign in ((first, -1), (second, 1)):
        arm = atoms[ends] - atoms[middle]
        atoms[ends] = atoms[middle] + 1.27 * arm / np.hypot(*arm.T)[:, None]
        missed[ends] = atoms[middle] + 0.92 * sign * across
    true = np.delete(atoms, third, axis=0)
    image = sheet.image + 10 * (
        drawn(true, sheet.shape, sheet.sampling) - drawn(sheet.atoms, sheet.shape, sheet.sampling)
    )
    window = window_of(image.astype(np.float32), sheet, parameters)
    found = np.delete(missed, [*middle, *third], axis=0)
    return SimpleNamespace(
        window=window, kernel=kernel, found=found, true=true, middles=atoms[middle],
        ends=np.concatenate([atoms[first], atoms[second]]),
    )  # fmt: skip


def inserted(rims: Any, found: np.ndarray, parameters: Any) -> tuple[Atoms, int]:
    stepper, spectra = Stepper(rims.kernel, parameters), rims.window.grid.spectra(rims.kernel)
    return with_inserted(
        rims.window, Atoms.at(found), stepper=stepper, spectra=spectra, parameters=parameters
    )


def test_an_atom_between_two_that_were_moved_together_is_put_back(rims, refinement_of):
    atoms, n_new = inserted(rims, rims.found, refinement_of())
    assert n_new >= 0.7 * len(rims.middles) > 5
    assert len(atoms.positions) == len(rims.found) + n_new
    assert atoms.is_loose.sum() == n_new
    new = atoms.positions[-n_new:]
    assert KDTree(rims.middles).query(new)[0].max() < 0.3
    assert np.median(KDTree(atoms.positions).query(rims.ends)[0]) < 0.15
    # What lies elsewhere is what it was, but for one round.
    far = KDTree(rims.middles).query(rims.found)[0] > 5
    np.testing.assert_allclose(atoms.positions[: len(far)][far], rims.found[far], atol=0.16)


def test_how_much_better_it_must_be_is_a_parameter(rims, refinement_of):
    atoms, n_new = inserted(rims, rims.found, refinement_of(insertion_gain=np.inf))
    assert n_new == 0
    np.testing.assert_array_equal(atoms.positions, rims.found)


def test_nothing_is_put_between_atoms_where_there_is_none(rims, refinement_of):
    # The atoms between are taken from the image: their neighbours are far apart and alone.
    gone = KDTree(rims.true).query(rims.middles)[1]
    left = np.delete(rims.true, gone, axis=0)
    empty = SimpleNamespace(**vars(rims))
    rng = np.random.default_rng(3)
    pixels = rims.window.values.shape
    empty.window = Window(
        rng.normal(0, 2, pixels).astype(np.float32), rims.window.weight, rims.window.grid, background=5.0
    )
    _, n_new = inserted(empty, left, refinement_of(insertion_lengths=(1.7, 2.4)))
    assert n_new == 0


def test_pairs_outside_the_lengths_are_not_looked_at(rims, refinement_of):
    for lengths in ((1.2, 1.3), (1.95, 2.0)):
        _, n_new = inserted(rims, rims.found, refinement_of(insertion_lengths=lengths))
        assert n_new == 0
