"""Compiled energy of a network of Keating springs, and the way to its next minimum."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.sheet import Sheet

HISTORY = 6  # steps from which the minimiser learns the curvature
LONGEST_STEP = 0.2  # of any unknown in one iteration [rest lengths]
LONGEST_FIRST_STEP = 0.07  # where the curvature is not known yet [rest lengths]
SUFFICIENT_DECREASE = 1e-4
TRIGONAL, STRAIGHT = -0.5, -1.0  # cosine of the angle between two of three equal arms, and between two alone
_HALVINGS = 25


class Springs(NamedTuple):
    """Arms of the atoms of a network: every bond once from either end, atom after atom.

    Attributes
    ----------
    starts
        Where the arms of each atom start, and the end, (N + 1,).
    ends
        Atom at the other end of each arm, (2 B,).
    images
        Whole boxes between the atom and that image of the other one which the arm reaches, (2 B, 2).
    rests
        Rest length of each arm, (2 B,) [Å].
    cosines
        Cosine of the rest angle between two arms of each atom, (N,).
    bond_scale
        3 α / 16 [eV/Å²].
    angle_scale
        3 β / 8 [eV/Å²].
    """

    starts: IntArray
    ends: IntArray
    images: FloatArray
    rests: FloatArray
    cosines: FloatArray
    bond_scale: float
    angle_scale: float


def build_springs(
    sheet: Sheet,
    rest_lengths: FloatArray,
    rest_cosines: FloatArray,
    *,
    bond_stiffness: float,
    angle_stiffness: float,
) -> Springs:
    """Return the arms of all atoms for rest lengths of bonds, (B,) [Å], and cosines of atoms, (N,)."""
    first, second = sheet.bonds.T
    straight = sheet.positions[second] - sheet.positions[first]
    images = np.rint((shortest_image(straight, sheet.box) - straight) / sheet.box)
    atoms = np.concatenate([first, second])
    order = np.argsort(atoms, kind="stable")
    counts = np.bincount(atoms, minlength=len(sheet.positions))
    return Springs(
        starts=np.concatenate([[0], np.cumsum(counts)]),
        ends=np.concatenate([second, first])[order],
        images=np.concatenate([images, -images])[order],
        rests=np.concatenate([rest_lengths, rest_lengths])[order],
        cosines=rest_cosines,
        bond_scale=3 * bond_stiffness / 16,
        angle_scale=3 * angle_stiffness / 8,
    )


def spring_energy(
    springs: Springs, positions: FloatArray, box: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the energy [eV] and its gradients for positions (N, 2) [eV/Å] and strain (2,) [eV]."""
    unknowns = np.concatenate([positions.ravel(), [0.0, 0.0]])
    gradient = np.empty_like(unknowns)
    energy = _energy(unknowns, box, 1.0, springs, gradient)
    return energy, gradient[:-2].reshape(-1, 2), gradient[-2:]


def relax_springs(
    springs: Springs,
    positions: FloatArray,
    box: FloatArray,
    *,
    tolerance: float,
    max_iterations: int,
    is_box_free: bool = True,
) -> tuple[FloatArray, FloatArray]:
    """Return the positions (N, 2) and the box (2,) at the next minimum [Å]."""
    # The box is then about as stiff an unknown as one atom, or does not feel any force.
    scale = 2 * float(springs.rests.mean() * np.sqrt(len(positions))) if is_box_free else np.inf
    unknowns = np.concatenate([positions.ravel(), [0.0, 0.0]])
    minimise(unknowns, box, scale, springs, tolerance, max_iterations, HISTORY)
    stretch = 1 + unknowns[-2:] / scale
    return unknowns[:-2].reshape(-1, 2) * stretch, box * stretch


@njit(cache=True)
def _energy(  # pragma: no cover
    unknowns: FloatArray,
    box: FloatArray,
    scale: float,
    springs: Springs,
    gradient: FloatArray,
) -> float:
    """Return the energy of unstretched positions followed by the strain times `scale`; fill the gradient."""
    starts, ends, images, rests = springs.starts, springs.ends, springs.images, springs.rests
    n_atoms = len(starts) - 1
    stretch_x, stretch_y = 1 + unknowns[2 * n_atoms] / scale, 1 + unknowns[2 * n_atoms + 1] / scale
    most = 0
    for i in range(n_atoms):
        most = max(most, starts[i + 1] - starts[i])
    arm, pull = np.empty((most, 2)), np.empty((most, 2))
    gradient[:] = 0.0
    energy, strain_x, strain_y = 0.0, 0.0, 0.0
    for i in range(n_atoms):
        start = starts[i]
        count = starts[i + 1] - start
        x, y = unknowns[2 * i], unknowns[2 * i + 1]
        cosine = springs.cosines[i]
        for a in range(count):
            j, rest = ends[start + a], rests[start + a]
            dx = (unknowns[2 * j] - x + images[start + a, 0] * box[0]) * stretch_x
            dy = (unknowns[2 * j + 1] - y + images[start + a, 1] * box[1]) * stretch_y
            target = rest * rest
            excess = dx * dx + dy * dy - target
            # Half of the bond: the other end takes the other half.
            slope = springs.bond_scale / target * excess
            energy += 0.5 * slope * excess
            arm[a, 0], arm[a, 1] = dx, dy
            pull[a, 0], pull[a, 1] = 2 * slope * dx, 2 * slope * dy
            for b in range(a):
                product = rest * rests[start + b]
                bend = dx * arm[b, 0] + dy * arm[b, 1] - cosine * product
                slope = springs.angle_scale / product * bend
                energy += slope * bend
                pull[a, 0] += 2 * slope * arm[b, 0]
                pull[a, 1] += 2 * slope * arm[b, 1]
                pull[b, 0] += 2 * slope * dx
                pull[b, 1] += 2 * slope * dy
        for a in range(count):
            j = ends[start + a]
            strain_x += pull[a, 0] * arm[a, 0]
            strain_y += pull[a, 1] * arm[a, 1]
            pull_x, pull_y = pull[a, 0] * stretch_x, pull[a, 1] * stretch_y
            gradient[2 * j] += pull_x
            gradient[2 * j + 1] += pull_y
            gradient[2 * i] -= pull_x
            gradient[2 * i + 1] -= pull_y
    gradient[2 * n_atoms] = strain_x / stretch_x / scale
    gradient[2 * n_atoms + 1] = strain_y / stretch_y / scale
    return energy


@njit(cache=True)
def inner_product(left: FloatArray, right: FloatArray) -> float:  # pragma: no cover
    """Return the inner product, summed in four strands so that they overlap."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    n = len(left) // 4 * 4
    for i in range(0, n, 4):
        a += left[i] * right[i]
        b += left[i + 1] * right[i + 1]
        c += left[i + 2] * right[i + 2]
        d += left[i + 3] * right[i + 3]
    for i in range(n, len(left)):
        a += left[i] * right[i]
    return a + b + (c + d)


@njit(cache=True)
def minimise(  # pragma: no cover
    unknowns: FloatArray,
    box: FloatArray,
    scale: float,
    springs: Springs,
    tolerance: float,
    max_iterations: int,
    n_history: int,
) -> int:
    """Move the unknowns to the next minimum by limited-memory BFGS; return the number of energies taken."""
    n = len(unknowns)
    gradient, direction, trial, trial_gradient = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    steps, changes = np.empty((n_history, n)), np.empty((n_history, n))
    curvatures, weights = np.empty(n_history), np.empty(n_history)
    energy = _energy(unknowns, box, scale, springs, gradient)
    rest = springs.rests.mean()
    n_energies, n_known, newest = 1, 0, 0
    for _ in range(max_iterations):
        if np.abs(gradient).max() <= tolerance:
            break
        descend(gradient, direction, steps, changes, curvatures, weights, newest, n_known)
        slope = inner_product(gradient, direction)
        longest = rest * (LONGEST_STEP if n_known else LONGEST_FIRST_STEP)
        length = min(1.0, longest / np.abs(direction).max())
        is_lower = False
        for _ in range(_HALVINGS):
            for i in range(n):
                trial[i] = unknowns[i] + length * direction[i]
            trial_energy = _energy(trial, box, scale, springs, trial_gradient)
            n_energies += 1
            if trial_energy <= energy + SUFFICIENT_DECREASE * length * slope:
                is_lower = True
                break
            length *= 0.5
        if is_lower:
            newest, n_known = remember(
                unknowns, trial, gradient, trial_gradient, steps, changes, curvatures, newest, n_known
            )
            energy = trial_energy
        elif n_known == 0:
            break
        else:
            n_known = 0
    return n_energies


@njit(cache=True)
def descend(  # pragma: no cover
    gradient: FloatArray,
    direction: FloatArray,
    steps: FloatArray,
    changes: FloatArray,
    curvatures: FloatArray,
    weights: FloatArray,
    newest: int,
    n_known: int,
) -> None:
    """Fill `direction` with the step of limited-memory BFGS; against the gradient where nothing is known."""
    n_history, n = steps.shape
    for i in range(n):
        direction[i] = -gradient[i]
    for k in range(n_known):
        h = (newest - k) % n_history
        weights[h] = inner_product(steps[h], direction) / curvatures[h]
        for i in range(n):
            direction[i] -= weights[h] * changes[h, i]
    if n_known > 0:
        direction *= curvatures[newest] / inner_product(changes[newest], changes[newest])
    for k in range(n_known - 1, -1, -1):
        h = (newest - k) % n_history
        weight = weights[h] - inner_product(changes[h], direction) / curvatures[h]
        for i in range(n):
            direction[i] += weight * steps[h, i]


@njit(cache=True)
def remember(  # pragma: no cover
    unknowns: FloatArray,
    trial: FloatArray,
    gradient: FloatArray,
    trial_gradient: FloatArray,
    steps: FloatArray,
    changes: FloatArray,
    curvatures: FloatArray,
    newest: int,
    n_known: int,
) -> tuple[int, int]:
    """Take the trial over into unknowns, gradient and, unless the energy bends downwards, the history."""
    n_history, n = steps.shape
    following = (newest + 1) % n_history
    for i in range(n):
        steps[following, i] = trial[i] - unknowns[i]
        changes[following, i] = trial_gradient[i] - gradient[i]
        unknowns[i] = trial[i]
        gradient[i] = trial_gradient[i]
    curvatures[following] = inner_product(steps[following], changes[following])
    if curvatures[following] > 1e-10 * inner_product(changes[following], changes[following]):
        return following, min(n_known + 1, n_history)
    # The oldest step has just been overwritten.
    return newest, min(n_known, n_history - 1)
