"""Amorphous networks by bond switching: from crystalline to strongly disordered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.bond_flips import Graph, Rules, build_graph, ring_corners, switch_at_random
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import RingedSheet, coordination_numbers
from amorph2d.structures.periodic import as_box, wrap
from amorph2d.structures.relax import GRAPHENE, KeatingPotential, relax_network
from amorph2d.structures.springs import TRIGONAL, Springs, relax_springs

SMALLEST_RING, LARGEST_RING = 4, 9

_SMALLEST_BOX = 15.0  # [bond lengths]: the atoms that one switch moves are then no neighbours of their images
_FARTHEST_FRACTION = 0.02  # that consistent statistics may be from those asked for
_MARGIN = 1.01  # by which the crystal is wider than the box that is asked for
_MELTING_TEMPERATURE, _MELTING_TRIALS = 5.0, 1.5  # [eV], per atom
_DISORDERED = 0.4  # share of rings other than hexagons from which on the crystal is quite forgotten
# Stages of equal length, between which the whole sheet settles. The statistics move from those at the start
# to those wanted while it is hot; then it cools. Energies are those for springs of graphene.
_PROGRESS = np.minimum(np.arange(1, 11) / 8, 1.0)
_TEMPERATURES = np.array([0.6] * 8 + [0.35, 0.1])  # [eV]
_STIFFNESS = 300.0  # of the ring statistics: where a fraction is off by 0.01, a ring costs 3 eV [eV]
_SETTLING = 10  # iterations
_ROUGH, _AT_REST = 0.2, 0.05  # forces [eV/Å]


def bond_switched_network(
    box: ArrayLike,
    *,
    rng: Generator,
    ring_fractions: Mapping[int, float] | None = None,
    temperature: float | None = None,
    bond_length: float = GRAPHENE.bond_length,
    n_trials: float = 20.0,
    melting: float | None = None,
    rotation: float = 0.0,
) -> RingedSheet:
    """Draw a network of three-coordinated carbon by switching bonds of a crystal, as `switch_bonds` does.

    Parameters
    ----------
    box
        Edge lengths along x and y that the sheet should have, at least 15 bonds each, (2,) [Å].
    rng
        Source of random numbers.
    ring_fractions, temperature, n_trials
        As for `switch_bonds`.
    bond_length
        Length of an undisturbed bond, > 0 [Å].
    melting
        Trials per atom, ≥ 0, at 5 eV, where order is lost, before the wanted disorder is approached: after
        1.5 hardly any is left, without them the crystal's orientation is kept between the defects. If not
        given, 1.5 where at most 60 % of the rings are to be hexagons, less the more there are,
        and 0 with `temperature`.
    rotation
        Angle from the x axis to a zigzag row of the crystal's atoms [°].

    Returns
    -------
    RingedSheet
        2 R carbon atoms, 3 R bonds and R rings in their relaxed box: that of a crystal at least 1 % wider
        than `box` both ways, strained by some tenths of a percent.

    Raises
    ------
    ValueError
        As `switch_bonds`, or if `bond_length` or `melting` is out of its bounds.
    """
    edges = as_box(box)
    potential = replace(GRAPHENE, bond_length=bond_length)
    aim = _checked(edges, ring_fractions, temperature, potential=potential, n_trials=n_trials)
    if melting is None:
        disorder = 0.0 if isinstance(aim, float) else 1.0 - aim[6]
        melting = _MELTING_TRIALS * min(1.0, disorder / _DISORDERED)
    if not (np.isfinite(melting) and melting >= 0):
        raise ValueError(f"melting must be ≥ 0 trials per atom, got {melting}")
    crystal = honeycomb_sheet(_MARGIN * edges, bond_length=bond_length, rotation=rotation)
    graph, weights = build_graph(crystal), np.ones(len(crystal.positions))
    stages = [
        *[(_rules(potential, aim, temperature=_MELTING_TEMPERATURE * _unit(potential)), melting / 2)] * 2,
        *_stages(graph.sizes, aim, potential=potential, n_trials=n_trials),
    ]
    return _switched(crystal, graph, stages, potential=potential, weights=weights, rng=rng)


def switch_bonds(
    sheet: RingedSheet,
    *,
    rng: Generator,
    ring_fractions: Mapping[int, float] | None = None,
    temperature: float | None = None,
    potential: KeatingPotential = GRAPHENE,
    n_trials: float = 20.0,
    weights: ArrayLike | None = None,
) -> RingedSheet:
    """Switch bonds of a network until it has the wanted ring statistics, or for a time at a temperature.

    A trial turns a random bond by 90°, so that the rings beside it lose an atom and those at its ends gain
    one, and relaxes the atoms around it. The Keating energy and a temperature decide whether it stays. Wanted
    statistics add an energy of their own, and the sheet is cooled at the end: of all networks with these
    statistics it becomes one of little strain. A polycrystal becomes crystallites in a disordered matrix, a
    random network small ones in no preferred orientation.

    Parameters
    ----------
    sheet
        Network to start from, all atoms with three bonds and three rings, at least 15 bonds wide.
    rng
        Source of random numbers.
    ring_fractions
        Wanted fraction of rings of each size, 4 to 9. They should add up to 1 with a mean ring size of 6, as
        those of any such network do; the nearest fractions of the same sizes that do so are taken (least
        squares), if they are within 0.02. Other sizes only remain from the start, if at all.
    temperature
        Instead of ring fractions: kT of the Metropolis criterion, > 0 [eV]. Graphene stays as it is for a
        long time at 1 eV, and has lost half of its hexagons after 20 trials per atom at 2 eV.
    potential
        Springs; those of graphene if not given.
    n_trials
        Trials per atom, ≥ 0: the more, the less strain; 20 reach the wanted statistics.
    weights
        Probability that a trial at an atom is made at all, (N,), 0 to 1: less where crystals are to stay.

    Returns
    -------
    RingedSheet
        As many atoms, bonds and rings, at rest in their relaxed box; rings centred at their centroids.

    Raises
    ------
    ValueError
        If not exactly one of `ring_fractions` and `temperature` is given, the mean ring size is not 6, the
        sheet is too small or not closed, or another argument is out of its bounds.

    References
    ----------
    Wooten, Winer and Weaire, Phys. Rev. Lett. 54, 1392 (1985), doi:10.1103/PhysRevLett.54.1392: the move.
    Barkema and Mousseau, Phys. Rev. B 62, 4985 (2000), doi:10.1103/PhysRevB.62.4985: the threshold energy
    drawn first, local relaxation, and its early end where the threshold is out of reach.
    """
    aim = _checked(sheet.box, ring_fractions, temperature, potential=potential, n_trials=n_trials)
    if (coordination_numbers(sheet) != 3).any() or len(sheet.ring_members) != 3 * len(sheet.positions):
        raise ValueError("every atom of the sheet must have three bonds and three rings")
    chances = np.ones(len(sheet.positions)) if weights is None else np.array(weights, dtype=np.float64)
    if chances.shape != (len(sheet.positions),) or not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError(f"weights must be ({len(sheet.positions)},) from 0 to 1, got {weights!r}")
    start = relax_network(sheet, potential=potential, tolerance=_ROUGH)
    graph = build_graph(start)
    stages = _stages(graph.sizes, aim, potential=potential, n_trials=n_trials)
    return _switched(start, graph, stages, potential=potential, weights=chances, rng=rng)


def consistent_fractions(ring_fractions: Mapping[int, float]) -> FloatArray:
    """Return the fractions of rings nearest to those given that a three-coordinated network can have.

    Parameters
    ----------
    ring_fractions
        Wanted fraction, ≥ 0, of rings of each size, 4 to 9.

    Returns
    -------
    FloatArray
        Fractions of the rings of 0 to 9 atoms, which add up to 1 with a mean of 6 atoms, (10,). Sizes that
        are not given, or given as 0, have none.

    Raises
    ------
    ValueError
        If a size or fraction is out of its bounds, or a nearest one is more than 0.02 from that given.
    """
    given = np.zeros(LARGEST_RING + 1)
    for size, fraction in ring_fractions.items():
        if size not in range(SMALLEST_RING, LARGEST_RING + 1):
            raise ValueError(f"ring sizes must be {SMALLEST_RING} to {LARGEST_RING}, got {size}")
        if not (np.isfinite(fraction) and fraction >= 0):
            raise ValueError(f"ring_fractions must be ≥ 0, got {fraction} for rings of {size}")
        given[size] = fraction
    nearest, sizes = np.zeros(len(given)), np.flatnonzero(given)
    while len(sizes):
        # Where the plane of consistent fractions is nearest; a size that would become negative is given up.
        conditions = np.stack([np.ones(len(sizes)), sizes - 6.0])
        missing = np.array([1.0, 0.0]) - conditions @ given[sizes]
        fractions = given[sizes] + np.linalg.pinv(conditions) @ missing
        if fractions.min() >= 0:
            nearest[sizes] = fractions
            break
        sizes = np.delete(sizes, fractions.argmin())
    is_consistent = np.allclose([nearest.sum(), nearest @ np.arange(len(given))], [1, 6], atol=1e-9)
    if not is_consistent or np.abs(nearest - given).max() > _FARTHEST_FRACTION:
        mean = given @ np.arange(len(given)) / given.sum() if given.any() else np.nan
        raise ValueError(
            "ring_fractions must add up to 1 with a mean ring size of 6, or be within "
            f"{_FARTHEST_FRACTION:g} of such, got a sum of {given.sum():.4g} and a mean of {mean:.4g}"
        )
    return nearest


_Aim = FloatArray | float  # wanted fractions of rings, or a temperature
_Stage = tuple[Rules, float]  # rules, and trials per atom


def _checked(
    box: FloatArray,
    ring_fractions: Mapping[int, float] | None,
    temperature: float | None,
    *,
    potential: KeatingPotential,
    n_trials: float,
) -> _Aim:
    """Return what is aimed at, once all arguments are in their bounds."""
    least = _SMALLEST_BOX * potential.bond_length
    if (box < least).any():
        raise ValueError(
            f"box must be at least {_SMALLEST_BOX:g} bonds wide, {least:.4g} Å, got {box.tolist()} Å"
        )
    if not (np.isfinite(n_trials) and n_trials >= 0):
        raise ValueError(f"n_trials must be ≥ 0 per atom, got {n_trials}")
    if ring_fractions is not None and temperature is None:
        return consistent_fractions(ring_fractions)
    if temperature is None or ring_fractions is not None:
        raise ValueError(
            f"give either ring_fractions or temperature, got {ring_fractions!r} and {temperature!r}"
        )
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be > 0 eV, got {temperature}")
    return float(temperature)


def _stages(sizes: IntArray, aim: _Aim, *, potential: KeatingPotential, n_trials: float) -> list[_Stage]:
    """Return how a network with rings of given sizes is led to the wanted statistics, or kept hot."""
    n = n_trials / len(_PROGRESS)
    if isinstance(aim, float):
        return [(_rules(potential, aim, temperature=aim), n)] * len(_PROGRESS)
    length = max(len(aim), int(sizes.max()) + 1)
    unit = _unit(potential)
    start, end = np.bincount(sizes, minlength=length) / len(sizes), np.pad(aim, (0, length - len(aim)))
    stages: list[_Stage] = []
    for progress, temperature in zip(_PROGRESS, _TEMPERATURES, strict=True):
        rules = _rules(potential, aim, temperature=float(temperature) * unit)
        wanted = start + progress * (end - start)
        stages.append((rules._replace(stiffness=_STIFFNESS * unit, wanted=wanted), n))
    return stages


def _unit(potential: KeatingPotential) -> float:
    """Return the energy of the springs where that of graphene's is one."""
    energies = [one.bond_stiffness * one.bond_length**2 for one in (potential, GRAPHENE)]
    return energies[0] / energies[1]


def _rules(potential: KeatingPotential, aim: _Aim, *, temperature: float) -> Rules:
    """Return the rules for rings of the sizes aimed at, without an energy of their statistics."""
    sizes = np.array([SMALLEST_RING, LARGEST_RING]) if isinstance(aim, float) else np.flatnonzero(aim)
    square = potential.bond_length**2
    return Rules(
        temperature=temperature,
        wanted=np.zeros(LARGEST_RING + 1),
        stiffness=0.0,
        smallest=int(sizes.min()),
        largest=int(sizes.max()),
        rest=potential.bond_length,
        bond_scale=3 * potential.bond_stiffness / (16 * square),
        angle_scale=3 * potential.angle_stiffness / (8 * square),
    )


def _switched(
    sheet: RingedSheet,
    graph: Graph,
    stages: list[_Stage],
    *,
    potential: KeatingPotential,
    weights: FloatArray,
    rng: Generator,
) -> RingedSheet:
    """Return the sheet after all stages, at rest."""
    for rules, n_trials in stages:
        switch_at_random(graph, sheet.box, rules, weights, round(n_trials * len(weights)), rng)
        _settle(graph, sheet.box, potential)
    bonds = np.column_stack([np.repeat(np.arange(len(weights)), 3), graph.neighbours.ravel()])
    bonds = bonds[bonds[:, 0] < bonds[:, 1]]
    switched = replace(
        sheet,
        positions=graph.positions,
        bonds=bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))],
        ring_sizes=graph.sizes,
        ring_members=ring_corners(graph),
        ring_offsets=np.concatenate([[0], np.cumsum(graph.sizes)]),
    )
    return relax_network(switched, potential=potential, tolerance=_AT_REST)


def _settle(graph: Graph, box: FloatArray, potential: KeatingPotential) -> None:
    """Let the strain that local relaxation leaves spread over the sheet.

    The box stays: free, it would flow with the switches, while this way they make up for its strain.
    """
    ends = graph.neighbours.ravel()
    straight = graph.positions[ends] - np.repeat(graph.positions, 3, axis=0)
    springs = Springs(
        starts=3 * np.arange(len(graph.positions) + 1),
        ends=ends,
        images=-np.rint(straight / box),
        rests=np.full(len(ends), potential.bond_length),
        cosines=np.full(len(graph.positions), TRIGONAL),
        bond_scale=3 * potential.bond_stiffness / 16,
        angle_scale=3 * potential.angle_stiffness / 8,
    )
    positions, _ = relax_springs(
        springs,
        graph.positions,
        box,
        tolerance=_AT_REST * _unit(potential) / potential.bond_length,
        max_iterations=_SETTLING,
        is_box_free=False,
    )
    graph.positions[:] = wrap(positions, box)
