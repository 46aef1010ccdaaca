"""A planar network whose bonds can be turned, made and cut while its rings stay known."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.network import RingedSheet, bond_vectors, moved
from amorph2d.structures.periodic import shortest_image

LARGEST_NEW_RING = 10  # a larger face that an edit makes is a hole: a vacancy's, without a ring centre
_Face = tuple[int, ...]


class PlanarMap:
    """The neighbours of every atom in counter-clockwise order (for y up), which define all faces.

    Edits change neighbours and move the edited atoms roughly into place; atoms keep their indices until
    `to_sheet` leaves out those removed. Nothing is relaxed.

    Parameters
    ----------
    sheet
        Network drawn without crossing bonds.

    Attributes
    ----------
    neighbours
        Neighbours of each atom; none for an atom that was removed.
    positions
        Atoms, (N, 2), not wrapped [Å].
    numbers
        Atomic numbers, (N,).
    box
        Edge lengths along x and y, (2,) [Å].

    References
    ----------
    Mohar and Thomassen, Graphs on Surfaces (2001), chapter 3: rotation systems and face tracing.
    """

    def __init__(self, sheet: RingedSheet) -> None:
        self._sheet = sheet
        self.positions: FloatArray = sheet.positions.copy()
        self.numbers: IntArray = sheet.numbers.copy()
        self.box = sheet.box
        self.neighbours = _ordered_neighbours(sheet)
        self._before: dict[int, list[int]] = {}  # neighbours of the edited atoms as they were

    def face(self, first: int, second: int) -> list[int]:
        """Return the atoms around the face to the left of the way from one atom to its neighbour."""
        neighbours, atoms, here, ahead = self.neighbours, [first], first, second
        while True:
            around = neighbours[ahead]
            here, ahead = ahead, around[around.index(here) - 1]
            if here == first and ahead == second:
                return atoms
            atoms.append(here)

    def faces_around(self, atoms: Iterable[int]) -> set[_Face]:
        """Return the faces that touch any of the atoms, each from its lowest atom on."""
        return {_from_lowest(self.face(atom, other)) for atom in atoms for other in self.neighbours[atom]}

    def within(self, atoms: Iterable[int], n_bonds: int) -> set[int]:
        """Return the atoms at most `n_bonds` bonds away from any of the given ones."""
        reached = set(atoms)
        shell = reached
        for _ in range(n_bonds):
            shell = {other for atom in shell for other in self.neighbours[atom]} - reached
            reached = reached | shell
        return reached

    def is_crystalline(self, atoms: Iterable[int]) -> bool:
        """Say whether all of the atoms have three bonds and touch hexagons only."""
        return all(
            len(self.neighbours[atom]) == 3
            and all(len(self.face(atom, other)) == 6 for other in self.neighbours[atom])
            for atom in atoms
        )

    def turn(self, first: int, second: int) -> None:
        """Turn a bond of two three-coordinated atoms by 90°.

        The rings on its sides lose an atom, those at its ends gain one.
        """
        left, right = self._from(first, second)[1:]
        far_right, far_left = self._from(second, first)[1:]
        self._edited(first)[:] = [second, right, far_right]
        self._edited(second)[:] = [first, far_left, left]
        self._replace(left, first, second)
        self._replace(far_right, second, first)
        half = shortest_image(self.positions[second] - self.positions[first], self.box) / 2
        middle, across = self.positions[first] + half, np.array([-half[1], half[0]])
        self.positions[first], self.positions[second] = middle - across, middle + across

    def remove(self, atom: int) -> None:
        """Take away an atom; the faces around it become one."""
        for other in self.neighbours[atom]:
            self._edited(other).remove(atom)
        self._edited(atom).clear()

    def bond(self, first: int, second: int, face: list[int]) -> None:
        """Bond two atoms across a face of theirs, on which each lies once."""
        for atom, other in ((first, second), (second, first)):
            around = self._edited(atom)
            around.insert(around.index(face[face.index(atom) - 1]), other)

    def insert(self, first: int, second: int) -> int:
        """Put a new atom, of the first one's element, into a bond, and return its index."""
        new = len(self.neighbours)
        half = shortest_image(self.positions[second] - self.positions[first], self.box) / 2
        self.positions = np.concatenate([self.positions, self.positions[[first]] + half])
        self.numbers = np.append(self.numbers, self.numbers[first])
        self._replace(first, second, new)
        self._replace(second, first, new)
        self.neighbours.append([first, second])
        self._before[new] = []
        return new

    def dissolve(self, atom: int) -> None:
        """Take away an atom with two bonds and bond its neighbours, the opposite of `insert`."""
        first, second = self.neighbours[atom]
        self._replace(first, atom, second)
        self._replace(second, atom, first)
        self._edited(atom).clear()

    def cut(self, first: int, second: int) -> None:
        """Take away the bond of two atoms; the faces on its sides become one."""
        self._edited(first).remove(second)
        self._edited(second).remove(first)

    def contract(self, kept: int, removed: int) -> None:
        """Merge two bonded atoms into the first, in the middle, with the bonds of both."""
        others = self._from(removed, kept)[1:]
        own = self._from(kept, removed)[1:]
        half = shortest_image(self.positions[removed] - self.positions[kept], self.box) / 2
        self.positions[kept] += half
        self._edited(kept)[:] = own + others
        self._edited(removed).clear()
        for other in others:
            self._replace(other, removed, kept)

    def swap_ends(self, pairs: list[tuple[int, int]]) -> None:
        """Hand bonds on around a circle: of bonds (inner, outer), each outer atom goes to the next inner."""
        following = pairs[1:] + pairs[:1]
        slots = [self.neighbours[inner].index(outer) for inner, outer in following]
        for (old, outer), (new, _), slot in zip(pairs, following, slots, strict=True):
            self._edited(new)[slot] = outer
            self._replace(outer, old, new)

    def turn_about(self, centre: FloatArray, atoms: list[int], angle: float) -> None:
        """Turn the positions of atoms about a point, from x towards y [rad]."""
        arms = shortest_image(self.positions[atoms] - centre, self.box)
        cos, sin = np.cos(angle), np.sin(angle)
        self.positions[atoms] = centre + arms @ np.array([[cos, sin], [-sin, cos]])

    def to_sheet(self) -> RingedSheet:
        """Return the sheet of what is left.

        Faces that no edit has touched are rings if they were; others if they have at most ten atoms.
        """
        old, edited = self._sheet, sorted(self._before)
        is_edited = np.zeros(len(self.neighbours), dtype=bool)
        is_edited[edited] = True
        ring = np.repeat(np.arange(len(old.ring_sizes)), old.ring_sizes)
        is_touched = np.bincount(ring[is_edited[old.ring_members]], minlength=len(old.ring_sizes)) > 0
        touched = {_from_lowest(_ring(old, k)) for k in np.flatnonzero(is_touched).tolist()}
        faces = [
            face
            for face in sorted(self.faces_around(edited))
            if (face in touched if self._is_old(face) else len(face) <= LARGEST_NEW_RING)
        ]
        pairs = {(min(a, b), max(a, b)) for a in edited for b in self.neighbours[a]}
        bonds = np.concatenate(
            [
                old.bonds[~is_edited[old.bonds].any(axis=1)],
                np.array(list(pairs), dtype=np.int64).reshape(-1, 2),
            ]
        )
        members = [atom for face in faces for atom in face]
        sizes = np.concatenate([old.ring_sizes[~is_touched], np.array([len(face) for face in faces], int)])
        is_kept = ~is_edited
        is_kept[edited] = [len(self.neighbours[atom]) > 0 for atom in edited]
        index = np.cumsum(is_kept) - 1
        sheet = RingedSheet(
            positions=self.positions[is_kept],
            numbers=self.numbers[is_kept],
            bonds=index[bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]],
            ring_centres=np.zeros((len(sizes), 2)),
            ring_sizes=sizes,
            box=self.box,
            ring_members=index[
                np.concatenate([old.ring_members[~is_touched[ring]], np.array(members, dtype=np.int64)])
            ],
            ring_offsets=np.concatenate([[0], np.cumsum(sizes)]),
        )
        return moved(sheet, sheet.positions, self.box)

    def _edited(self, atom: int) -> list[int]:
        """Return the neighbours of an atom for a change."""
        around = self.neighbours[atom]
        self._before.setdefault(atom, around.copy())
        return around

    def _is_old(self, face: _Face) -> bool:
        """Say whether a face goes around its atoms as it did before all edits."""
        return all(
            before in around and around[around.index(before) - 1] == after
            for before, around, after in zip(
                face[-1:] + face[:-1],
                [self._before.get(atom, self.neighbours[atom]) for atom in face],
                face[1:] + face[:1],
                strict=True,
            )
        )

    def _from(self, atom: int, other: int) -> list[int]:
        """Return the neighbours of an atom, counter-clockwise from one of them on."""
        around = self.neighbours[atom]
        start = around.index(other)
        return around[start:] + around[:start]

    def _replace(self, atom: int, old: int, new: int) -> None:
        around = self._edited(atom)
        around[around.index(old)] = new


def _ring(sheet: RingedSheet, ring: int) -> list[int]:
    """Return the atoms around one ring."""
    members: list[int] = sheet.ring_members[sheet.ring_offsets[ring] : sheet.ring_offsets[ring + 1]].tolist()
    return members


def _from_lowest(face: list[int]) -> _Face:
    """Return a closed walk from its lowest atom on."""
    start = face.index(min(face))
    return tuple(face[start:] + face[:start])


def _ordered_neighbours(sheet: RingedSheet) -> list[list[int]]:
    """Return the neighbours of every atom in counter-clockwise order."""
    vectors = bond_vectors(sheet)
    vectors = np.concatenate([vectors, -vectors])
    atom, other = np.concatenate([sheet.bonds, sheet.bonds[:, ::-1]]).T
    order = np.lexsort((np.arctan2(vectors[:, 1], vectors[:, 0]), atom))
    ends = np.cumsum(np.bincount(atom, minlength=len(sheet.positions))).tolist()
    others = other[order].tolist()
    return [others[start:end] for start, end in zip([0, *ends], ends, strict=False)]
