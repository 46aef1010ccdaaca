"""Atoms and ring centres made consistent: what contradicts itself goes, what is missing is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.spatial import cKDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.topology.bonds import delaunay_bonds

NETWORK, REPAIRED = "network", "repaired"
_COLUMNS = ("frame", "site", "kind", "x", "y", "confidence", "analysable")
_PASSES = 2  # an atom that was missing may be the second neighbour of another one
_SURROUNDINGS = 4.2  # radius, in bond lengths: the atoms of about four rings across
_MOST_RING_PEAKS = 2  # around an atom with two neighbours; chosen on simulated images


class MissingAtomParameters(BaseModel):
    """Where an atom is missing; lengths of carbon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bond_length: float = Field(gt=0, description="Mean bond length [Å].")
    bond_tolerance: float = Field(
        gt=0, lt=1, description="How far bonds to a missing atom may differ from the mean, relative to it."
    )
    bond_limits: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = Field(
        description="Shortest and longest bond of the located network [Å]."
    )
    angle_tolerance: float = Field(
        gt=0,
        le=120,
        description="How far angles at a missing atom and its neighbours may differ from 120 [°].",
    )
    surroundings: float = Field(
        ge=0, le=1, description="Least median confidence of the atoms around a missing one."
    )
    enclosed: float = Field(
        ge=0, le=1, description="Least confidence of a missing atom between three; less is a vacancy."
    )

    @model_validator(mode="after")
    def _check_limits(self) -> MissingAtomParameters:
        if not self.bond_limits[0] < self.bond_limits[1]:
            raise ValueError(f"bond_limits must be shortest < longest, got {self.bond_limits} Å")
        if self.bond_limits[1] < self.bond_length * (1 + self.bond_tolerance):
            raise ValueError(
                f"bond_limits must reach to the longest bond of a missing atom, "
                f"{self.bond_length * (1 + self.bond_tolerance):.3g} Å, got {self.bond_limits[1]} Å"
            )
        return self


class ConsistencyParameters(BaseModel):
    """When atoms and ring centres contradict each other, and when an atom is missing; lengths of carbon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    atom_distance: float = Field(ge=0, description="Of two atoms closer than this the weaker goes [Å].")
    ring_distance: float = Field(
        ge=0, description="Of two ring centres closer than this the weaker goes [Å]."
    )
    ring_to_atom: float = Field(ge=0, description="A ring centre closer than this to an atom goes [Å].")
    missing: MissingAtomParameters | None = Field(
        description="Where missing atoms are looked for among weaker peaks; null: nowhere."
    )


def make_consistent(
    sites: pd.DataFrame, candidates: pd.DataFrame, *, parameters: ConsistencyParameters
) -> pd.DataFrame:
    """Drop sites that contradict each other, and take in atoms that were missed.

    Of two atoms much closer than a bond, and of two ring centres that cannot be two rings, the one of less
    confidence goes. A ring centre on an atom always goes: there it is wrong more often than the atom,
    whatever their confidences.

    If `missing` is given, an atom is taken in where a weaker peak of the image stands at bond distance from
    two or three atoms that have a bond to spare and from no other atom, all angles are about 120°, a ring
    centre lies beside it, and the atoms around are surely seen. Between three atoms the peak must be strong,
    too, or vacancies would be filled. Nothing is taken in without a peak; but of the atoms taken in, only 37
    of 62 were true on simulated images that had no part in the choice of these rules, and fewer where hardly
    any are missed. It is for images in which atoms are missed though those around are sure.

    Parameters
    ----------
    sites
        Accepted sites of one frame: `frame`, `site`, `kind` ("atom" or "ring"), `x`, `y` [Å], `confidence`,
        `analysable`; if there is an `origin`, it is kept.
    candidates
        All peaks above a lower threshold, the same columns; accepted sites may be among them. Those that are
        not analysable are left alone: near the border neighbours are out of sight.
    parameters
        Distances, angles and confidences.

    Returns
    -------
    DataFrame
        The sites that are left, in their order and with their numbers; then the new ones, numbered on, with
        the origin "repaired". The others are "network" where they had no origin.

    Raises
    ------
    ValueError
        If a column is missing or there is more than one frame.
    """
    for name, table in (("sites", sites), ("candidates", candidates)):
        missing = [column for column in _COLUMNS if column not in table]
        if missing:
            raise ValueError(f"{name} must have the columns {', '.join(_COLUMNS)}, got no {missing[0]}")
    frames = set(sites["frame"]) | set(candidates["frame"])
    if len(frames) > 1:
        raise ValueError(f"sites must be those of one frame, got the frames {sorted(frames)}")
    kept = drop_contradictions(sites, parameters)
    if "origin" not in kept:
        kept = kept.assign(origin=NETWORK)
    if parameters.missing is None:
        return kept
    found = candidates.iloc[find_missing_atoms(kept, candidates, parameters.missing)]
    if len(found) == 0:
        return kept
    first = 1 + int(sites["site"].max())
    numbers = np.arange(first, first + len(found), dtype=np.int64)
    new = found.assign(site=numbers, origin=REPAIRED)
    return pd.concat([kept, new[[name for name in kept if name in new]]], ignore_index=True)


def drop_contradictions(sites: pd.DataFrame, parameters: ConsistencyParameters) -> pd.DataFrame:
    """Return the sites, in their order, without those that cannot stand beside another one.

    Raises
    ------
    ValueError
        If a position is not finite.
    """
    is_atom, positions = (sites["kind"] == "atom").to_numpy(), _positions(sites)
    confidence = sites["confidence"].to_numpy(np.float64)
    is_kept = np.ones(len(sites), dtype=bool)
    atoms, rings = np.flatnonzero(is_atom), np.flatnonzero(~is_atom)
    is_kept[atoms] = _strongest(positions[atoms], confidence[atoms], parameters.atom_distance)
    atoms = atoms[is_kept[atoms]]
    if len(atoms):
        nearest = cKDTree(positions[atoms]).query(positions[rings])[0]
        is_kept[rings] = np.asarray(nearest) >= parameters.ring_to_atom
    rings = rings[is_kept[rings]]
    is_kept[rings] = _strongest(positions[rings], confidence[rings], parameters.ring_distance)
    return sites[is_kept].reset_index(drop=True)


def find_missing_atoms(
    sites: pd.DataFrame, candidates: pd.DataFrame, parameters: MissingAtomParameters
) -> IntArray:
    """Return which candidates, by their rows, are atoms that the sites lack, (K,) in ascending order.

    Raises
    ------
    ValueError
        If a position is not finite.
    """
    is_atom, is_candidate = ((table["kind"] == "atom").to_numpy() for table in (sites, candidates))
    peaks = _positions(candidates)
    rows = np.flatnonzero(is_candidate & candidates["analysable"].to_numpy(bool))
    confidence = candidates["confidence"].to_numpy(np.float64)
    positions = _positions(sites)
    atoms = positions[is_atom]
    if len(atoms):
        nearest = cKDTree(atoms).query(peaks[rows])[0]
        rows = rows[nearest >= parameters.bond_length * (1 - parameters.bond_tolerance)]
    net = _Net(
        atoms=atoms,
        confidence=sites["confidence"].to_numpy(np.float64)[is_atom],
        rings=positions[~is_atom],
        ring_peaks=peaks[~is_candidate],
        bonds=delaunay_bonds(atoms, positions[~is_atom], limits=parameters.bond_limits),
    )
    taken: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for _ in range(_PASSES):
        fits = rows[net.lacks(peaks[rows], confidence[rows], parameters)]
        apart = _strongest(peaks[fits], confidence[fits], parameters.bond_length)
        if len(fits) == 0:
            break
        taken.append(fits[apart])
        net = net.with_atoms(peaks[fits[apart]], confidence[fits[apart]], parameters.bond_limits)
    return np.sort(np.concatenate(taken))


@dataclass(frozen=True, eq=False)
class _Net:
    """Atoms with their confidence and bonds, ring centres, and all peaks that may be ring centres."""

    atoms: FloatArray
    confidence: FloatArray
    rings: FloatArray
    ring_peaks: FloatArray
    bonds: IntArray

    def with_atoms(self, atoms: FloatArray, confidence: FloatArray, limits: tuple[float, float]) -> _Net:
        """Return the network with more atoms, bonded to all within the limits."""
        first, second, _ = _within(atoms, self.atoms, limits[1])
        return _Net(
            np.concatenate([self.atoms, atoms]),
            np.concatenate([self.confidence, confidence]),
            self.rings,
            self.ring_peaks,
            np.concatenate([self.bonds, np.column_stack([second, first + len(self.atoms)])]),
        )

    def lacks(self, places: FloatArray, strength: FloatArray, parameters: MissingAtomParameters) -> BoolArray:
        """Say at which places, (N, 2), with peaks of some strength, (N,), an atom is missing."""
        n, reach = len(places), parameters.bond_limits[1]
        place, atom, distance = _within(places, self.atoms, reach)
        n_bonds = np.bincount(self.bonds.ravel(), minlength=len(self.atoms))
        deviation = np.abs(distance / parameters.bond_length - 1)
        n_near = np.bincount(place, minlength=n)
        n_wrong = np.bincount(
            place, (deviation > parameters.bond_tolerance) | (n_bonds[atom] > 2), minlength=n
        )
        fits = (n_wrong == 0) & ((n_near == 2) | ((n_near == 3) & (strength >= parameters.enclosed)))
        fits &= _count(places, self.rings, reach) > 0
        fits &= (n_near == 3) | (_count(places, self.ring_peaks, reach) <= _MOST_RING_PEAKS)
        open_ = fits[place]
        place, atom = place[open_], atom[open_]
        fits &= ~self._has_strange_angle(places, place, atom, parameters.angle_tolerance)
        left = np.flatnonzero(fits)
        radius = _SURROUNDINGS * parameters.bond_length
        fits[left] = self._median_confidence(places[left], radius) >= parameters.surroundings
        return fits

    def _has_strange_angle(
        self, places: FloatArray, place: IntArray, atom: IntArray, tolerance: float
    ) -> BoolArray:
        """Say at which places a new atom, bonded in pairs to its neighbours, makes an angle far from 120°."""
        half = np.concatenate([self.bonds, self.bonds[:, ::-1]])
        half = half[np.argsort(half[:, 0], kind="stable")]
        starts = np.searchsorted(half[:, 0], np.arange(len(self.atoms) + 1))
        pair, edge = _expand(starts[atom], starts[atom + 1])
        corner, second = self.atoms[atom[pair]], self.atoms[half[edge, 1]]
        at_neighbours = _angles(corner, places[place[pair]], second)
        # Pairs of neighbours of one place: all others in its run, each pair twice.
        runs = np.searchsorted(place, np.arange(len(places) + 1))
        one, other = _expand(runs[place], runs[place + 1])
        one, other = one[one != other], other[one != other]
        at_place = _angles(places[place[one]], self.atoms[atom[one]], self.atoms[atom[other]])
        angles = np.concatenate([at_neighbours, at_place])
        owner = np.concatenate([place[pair], place[one]])
        return np.bincount(owner, np.abs(angles - 120) > tolerance, minlength=len(places)) > 0

    def _median_confidence(self, places: FloatArray, radius: float) -> FloatArray:
        """Return the median confidence of the atoms around each place, (N,); each has at least one."""
        place, atom, _ = _within(places, self.atoms, radius)
        order = np.lexsort((self.confidence[atom], place))
        sorted_, starts = self.confidence[atom][order], np.searchsorted(place[order], np.arange(len(places)))
        n = np.bincount(place, minlength=len(places))
        return (sorted_[starts + (n - 1) // 2] + sorted_[starts + n // 2]) / 2


def _positions(table: pd.DataFrame) -> FloatArray:
    """Return the positions of sites, (N, 2), x then y [Å]."""
    return as_points(table[["x", "y"]].to_numpy(np.float64), "positions")


def _strongest(points: FloatArray, confidence: FloatArray, distance: float) -> BoolArray:
    """Keep, from the strongest to the weakest, points that are not closer than that to a kept one."""
    is_kept = np.ones(len(points), dtype=bool)
    if len(points) < 2 or distance == 0:
        return is_kept
    pairs = cKDTree(points).query_pairs(distance * (1 - 1e-12), output_type="ndarray")
    rank = np.empty(len(points), dtype=np.int64)
    rank[np.argsort(-confidence, kind="stable")] = np.arange(len(points))
    pairs = np.where((rank[pairs[:, 0]] < rank[pairs[:, 1]])[:, None], pairs, pairs[:, ::-1])
    for strong, weak in pairs[np.argsort(rank[pairs[:, 0]], kind="stable")].tolist():
        if is_kept[strong]:
            is_kept[weak] = False
    return is_kept


def _within(points: FloatArray, others: FloatArray, reach: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Return pairs of a point and another no farther than that, by point, and their distances."""
    if not (len(points) and len(others)):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
    near = cKDTree(points).sparse_distance_matrix(cKDTree(others), reach, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"]))]
    return near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"]


def _count(points: FloatArray, others: FloatArray, reach: float) -> IntArray:
    """Count the others no farther than that from each point, (N,)."""
    return np.bincount(_within(points, others, reach)[0], minlength=len(points)).astype(np.int64)


def _expand(starts: IntArray, stops: IntArray) -> tuple[IntArray, IntArray]:
    """Return, for each of several ranges, its number beside each index in it."""
    sizes = stops - starts
    number = np.repeat(np.arange(len(starts)), sizes)
    return number, np.arange(len(number)) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)


def _angles(corners: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Angles at corners between first and second points, all (N, 2), (N,) [°]."""
    a, b = first - corners, second - corners
    cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return np.abs(np.degrees(np.arctan2(cross, (a * b).sum(axis=1))))
