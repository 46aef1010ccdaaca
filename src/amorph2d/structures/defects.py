"""Point defects and dislocations of honeycomb crystals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, as_points
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.periodic import shortest_image, wrap
from amorph2d.structures.planar_map import PlanarMap

SILICON = 14
_TRIES = 60  # sites tried for one defect before it is left out
_Insert = Callable[[PlanarMap, list[int], Generator], None]


@dataclass(frozen=True)
class Defect:
    """How a defect is put into a crystal, and what it does to the rings.

    Attributes
    ----------
    insert
        Edits a network at a site.
    site
        What it is centred on: one atom, the two of a bond, or the six of a ring.
    n_bonds
        How many bonds around the site the crystal must be perfect.
    ring_change
        Rings more or fewer, by size. Where the numbers do not balance a hole has opened.
    """

    insert: _Insert
    site: Literal["atom", "bond", "ring"]
    n_bonds: int
    ring_change: Mapping[int, int]


def insert_defect(
    sheet: RingedSheet, kind: str, *, rng: Generator, site: ArrayLike | None = None
) -> RingedSheet:
    """Put one defect into a crystalline part of a sheet.

    Bonds and rings are exact. Positions are rough, with bonds up to a bond length too long: relax the sheet
    next. Atoms keep their atomic number, wherever they go. A hole, as a vacancy leaves it, is no ring: it has
    more than ten atoms, some with two bonds only.

    Parameters
    ----------
    sheet
        Three-coordinated network with hexagons around the place of the defect.
    kind
        Name in `DEFECTS`:

        - ``stone_wales``: 55-77, a bond turned by 90°;
        - ``dipole_1`` … ``dipole_4``: the two 5-7 dislocations of a Stone–Wales defect, glided apart by so
          many further bond turns;
        - ``vacancy``, ``vacancies_2``, ``vacancies_3``, ``vacancies_4``, ``vacancies_6``: so many connected
          atoms removed, the six being those of a ring; the rest does not bond anew;
        - ``vacancy_59``: a vacancy with a new bond, 5-9;
        - ``divacancy_585``, ``divacancy_555777`` and ``divacancy_5555_6_7777``: two atoms removed, two new
          bonds made, and none, one or two bonds turned;
        - ``flower``: the closed loop of six 5-7 pairs around a core of 24 atoms turned by 30°;
        - ``silicon_4``: a four-coordinated silicon atom in the place of two carbon atoms.
    rng
        Source of random numbers, for the place and the orientation.
    site
        Where, (2,) [Å]; a random crystalline place if None.

    Raises
    ------
    ValueError
        If there is no such kind, or no crystalline place, or the given one is not.

    References
    ----------
    Banhart, Kotakoski and Krasheninnikov, ACS Nano 5, 26 (2011), doi:10.1021/nn102598m: Stone–Wales defects,
    vacancies and reconstructed divacancies. Cockayne et al., Phys. Rev. B 83, 195425 (2011),
    doi:10.1103/PhysRevB.83.195425: the flower and other closed grain boundary loops.
    """
    _check_kinds([kind])
    network = PlanarMap(sheet)
    if site is None:
        place = _random_site(network, DEFECTS[kind], rng)
        if place is None:
            raise ValueError(f"sheet must have a crystalline place for {kind}, got none in {_TRIES} tries")
    else:
        point = as_points(np.atleast_2d(site), "site")
        place = _nearest_site(network, DEFECTS[kind], point[0])
        if not _fits(network, DEFECTS[kind], place):
            raise ValueError(
                f"site must lie in a crystal for {kind}, got {point[0].tolist()} Å without one around"
            )
    DEFECTS[kind].insert(network, place, rng)
    return network.to_sheet()


def insert_defects(
    sheet: RingedSheet, counts: Mapping[str, int], *, rng: Generator, spacing: float
) -> tuple[RingedSheet, pd.DataFrame]:
    """Put several defects at random into the crystalline parts of a sheet.

    The largest go first. One for which none of 60 random places does is left out.

    Parameters
    ----------
    sheet
        Network, crystalline at least in part.
    counts
        How many of each kind; the kinds are those of `insert_defect`.
    rng
        Source of random numbers.
    spacing
        Least distance of two defects' centres, ≥ 0 [Å].

    Returns
    -------
    sheet
        Sheet with the defects, not relaxed.
    placed
        One row for each defect that is in it, as many as could be placed: kind, x and y [Å].

    Raises
    ------
    ValueError
        If there is no such kind, or a count or the spacing is negative.
    """
    _check_kinds(counts)
    if min(counts.values(), default=0) < 0:
        raise ValueError(f"counts must be ≥ 0, got {dict(counts)}")
    if not spacing >= 0:
        raise ValueError(f"spacing must be ≥ 0 Å, got {spacing}")
    network = PlanarMap(sheet)
    wanted = [kind for kind, count in counts.items() for _ in range(count)]
    wanted.sort(key=lambda kind: -DEFECTS[kind].n_bonds)
    kinds: list[str] = []
    centres = np.empty((0, 2))
    for kind in wanted:
        place = _random_site(network, DEFECTS[kind], rng, centres, spacing)
        if place is not None:
            kinds.append(kind)
            centres = np.concatenate([centres, wrap(_centre(network, place), network.box)[None]])
            DEFECTS[kind].insert(network, place, rng)
    placed = pd.DataFrame({"kind": kinds, "x": centres[:, 0], "y": centres[:, 1]})
    return network.to_sheet(), placed


def _check_kinds(kinds: Mapping[str, int] | list[str]) -> None:
    for kind in kinds:
        if kind not in DEFECTS:
            raise ValueError(f"kind must be one of {', '.join(DEFECTS)}, got {kind!r}")


def _random_site(
    network: PlanarMap,
    defect: Defect,
    rng: Generator,
    centres: FloatArray | None = None,
    spacing: float = 0.0,
) -> list[int] | None:
    """Return a random place for a defect, at least `spacing` from all `centres`, or None."""
    for atom in rng.integers(len(network.neighbours), size=_TRIES).tolist():
        around = network.neighbours[atom]
        if len(around) != 3:
            continue
        place = _site(network, defect, atom, around[rng.integers(3)])
        if centres is not None and len(centres):
            distances = np.hypot(*shortest_image(centres - _centre(network, place), network.box).T)
            if distances.min() < spacing:
                continue
        if _fits(network, defect, place):
            return place
    return None


def _nearest_site(network: PlanarMap, defect: Defect, point: FloatArray) -> list[int]:
    """Return the place for a defect whose centre is nearest to a point."""
    atom = int(np.hypot(*shortest_image(network.positions - point, network.box).T).argmin())
    places = [_site(network, defect, atom, other) for other in network.neighbours[atom]]
    vectors = np.array([_centre(network, place) - point for place in places])
    return places[int(np.hypot(*shortest_image(vectors, network.box).T).argmin())]


def _site(network: PlanarMap, defect: Defect, atom: int, other: int) -> list[int]:
    """Return the atoms of the place given by an atom and one of its neighbours."""
    if defect.site == "ring":
        return network.face(atom, other)
    return [atom, other] if defect.site == "bond" else [atom]


def _centre(network: PlanarMap, atoms: list[int]) -> FloatArray:
    """Return the mean position of neighbouring atoms, (2,), not wrapped [Å]."""
    first = network.positions[atoms[0]]
    centre: FloatArray = first + shortest_image(network.positions[atoms] - first, network.box).mean(axis=0)
    return centre


def _fits(network: PlanarMap, defect: Defect, place: list[int]) -> bool:
    """Say whether the network is a perfect crystal around a place."""
    return network.is_crystalline(network.within(place, defect.n_bonds))


def _turn_bond(network: PlanarMap, place: list[int], _: Generator) -> None:
    network.turn(*place)


def _dipole(network: PlanarMap, place: list[int], rng: Generator, *, n_glides: int) -> None:
    """Turn a bond, then let one of the two 5-7 dislocations glide away."""
    network.turn(*place)
    other, end = rng.permutation(place).tolist()
    # The pentagon lies at the end of the turned bond, the heptagon beside it; they share the bond end–corner.
    corner = _others(network, end, [other])[int(rng.integers(2))]
    for _ in range(n_glides):
        seven = _face_through(network, other, end, corner)
        following = _after(seven, end, corner)
        inner = _others(network, corner, [end, following])[0]
        outer = _others(network, following, [corner, *seven])[0]
        network.turn(corner, following)
        end = _common(network, inner, outer, [corner, following])
        other = following if end == corner else corner
        corner = outer


def _vacancy(network: PlanarMap, place: list[int], rng: Generator, *, n_atoms: int) -> None:
    """Remove the atoms of a place, and neighbours of those removed until there are enough."""
    rim: set[int] = set()
    for k in range(n_atoms):
        atom = place[k] if k < len(place) else int(rng.choice(sorted(rim)))
        rim = (rim | set(network.neighbours[atom])) - {atom}
        network.remove(atom)


def _vacancy_59(network: PlanarMap, place: list[int], rng: Generator) -> None:
    """Remove an atom and bond two of its neighbours."""
    (atom,) = place
    first, second, third = rng.permutation(network.neighbours[atom]).tolist()
    network.remove(atom)
    hole = network.face(*_edge_of_hole(network, third))
    network.bond(first, second, hole)


def _divacancy(network: PlanarMap, place: list[int], rng: Generator, *, n_turns: int) -> None:
    """Remove two bonded atoms, bond their neighbours in pairs, and turn bonds of the largest rings."""
    first, second = place
    pairs = [_others(network, first, [second]), _others(network, second, [first])]
    network.remove(first)
    network.remove(second)
    for pair in pairs:
        network.bond(pair[0], pair[1], network.face(*_edge_of_hole(network, pair[0])))
    atoms = {atom for pair in pairs for atom in pair}
    for _ in range(n_turns):
        atoms = network.within(atoms, 1)
        start, end = _bond_to_turn(network, atoms, rng)
        network.turn(start, end)
        atoms |= {start, end}


def _bond_to_turn(network: PlanarMap, atoms: set[int], rng: Generator) -> tuple[int, int]:
    """Return a random bond of the largest rings that has a hexagon beside it and at both its ends."""
    faces = network.faces_around(atoms)
    largest = max(len(face) for face in faces)
    bonds = []
    for face in sorted(faces):
        for before, start, end, after in zip(
            face, face[1:] + face[:1], face[2:] + face[:2], face[3:] + face[:3], strict=True
        ):
            # Seen from outside of the ring, faces lie to the left of its bonds walked backwards.
            beside = [network.face(b, a) for a, b in ((before, start), (start, end), (end, after))]
            if len(face) == largest and all(len(other) == 6 for other in beside):
                bonds.append((start, end))
    return bonds[int(rng.integers(len(bonds)))]


def _flower(network: PlanarMap, place: list[int], rng: Generator) -> None:
    """Turn the 24 atoms of a hexagon and its six neighbours by 30°."""
    centre = _centre(network, place)
    core = sorted({atom for face in network.faces_around(place) for atom in face})
    links = [(atom, other) for atom in core for other in network.neighbours[atom] if other not in core]
    arms = shortest_image(network.positions[[inner for inner, _ in links]] - centre, network.box)
    links = [links[k] for k in np.argsort(np.arctan2(arms[:, 1], arms[:, 0]))]
    is_clockwise = bool(rng.integers(2))
    network.swap_ends(links if is_clockwise else links[::-1])
    network.turn_about(centre, core, -np.pi / 6 if is_clockwise else np.pi / 6)


def _silicon(network: PlanarMap, place: list[int], _: Generator) -> None:
    """Merge two bonded atoms into one of silicon."""
    kept, removed = place
    network.contract(kept, removed)
    network.numbers[kept] = SILICON


def _others(network: PlanarMap, atom: int, known: list[int]) -> list[int]:
    return [other for other in network.neighbours[atom] if other not in known]


def _common(network: PlanarMap, first: int, second: int, choices: list[int]) -> int:
    """Return the one of two atoms that is bonded to both given ones."""
    return next(atom for atom in choices if {first, second} <= set(network.neighbours[atom]))


def _face_through(network: PlanarMap, first: int, second: int, third: int) -> list[int]:
    """Return the face on which three atoms follow one another, in either direction."""
    face = network.face(first, second)
    return face if third in face else network.face(second, first)


def _after(face: list[int], before: int, atom: int) -> int:
    """Return the neighbour of an atom on a face that is not the one before it."""
    k = face.index(atom)
    ahead = face[(k + 1) % len(face)]
    return face[k - 1] if ahead == before else ahead


def _edge_of_hole(network: PlanarMap, atom: int) -> tuple[int, int]:
    """Return the bond of a two-coordinated atom with the larger face to its left."""
    one, other = network.neighbours[atom]
    return max([(atom, one), (atom, other)], key=lambda bond: len(network.face(*bond)))


_PAIRS = {5: 2, 6: -4, 7: 2}
DEFECTS: Mapping[str, Defect] = {
    "stone_wales": Defect(_turn_bond, "bond", 2, _PAIRS),
    "dipole_1": Defect(partial(_dipole, n_glides=1), "bond", 4, _PAIRS),
    "dipole_2": Defect(partial(_dipole, n_glides=2), "bond", 6, _PAIRS),
    "dipole_3": Defect(partial(_dipole, n_glides=3), "bond", 8, _PAIRS),
    "dipole_4": Defect(partial(_dipole, n_glides=4), "bond", 10, _PAIRS),
    "vacancy": Defect(partial(_vacancy, n_atoms=1), "atom", 2, {6: -3}),
    "vacancy_59": Defect(_vacancy_59, "atom", 2, {5: 1, 6: -3, 9: 1}),
    "vacancies_2": Defect(partial(_vacancy, n_atoms=2), "bond", 3, {6: -4}),
    "vacancies_3": Defect(partial(_vacancy, n_atoms=3), "atom", 4, {6: -5}),
    "vacancies_4": Defect(partial(_vacancy, n_atoms=4), "atom", 5, {6: -6}),
    "vacancies_6": Defect(partial(_vacancy, n_atoms=6), "ring", 3, {6: -7}),
    "divacancy_585": Defect(partial(_divacancy, n_turns=0), "bond", 3, {5: 2, 6: -4, 8: 1}),
    "divacancy_555777": Defect(partial(_divacancy, n_turns=1), "bond", 4, {5: 3, 6: -7, 7: 3}),
    "divacancy_5555_6_7777": Defect(partial(_divacancy, n_turns=2), "bond", 5, {5: 4, 6: -9, 7: 4}),
    "flower": Defect(_flower, "ring", 5, {5: 6, 6: -12, 7: 6}),
    "silicon_4": Defect(_silicon, "bond", 2, {5: 2, 6: -2}),
}
