"""What missed and false atoms do to statistics: how many there are, and how far they move each number.

How many follows from the confidences, each the probability that a site is true. What they do is found by
making more of them: atoms are taken away, or false ones put in, at one half, one and two times the rate at
which that has happened already; bonds and rings are made again each time; and what the statistics do is
followed back to where nothing is missed and nothing false.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.measures.config import DetectionParameters, StatisticsParameters
from amorph2d.measures.statistics import STATISTICS
from amorph2d.measures.summary import count_in_blocks
from amorph2d.measures.tables import network_tables, site_positions
from amorph2d.measures.window import RectangularWindow

# Those that a missed atom changes: counts of rings and bonds, and how many atoms there are.
DETECTION_STATISTICS = tuple(
    name for name in STATISTICS if name.startswith(("ring_fraction", "mean_ring", "coordination", "density"))
)

_NO_ANGLES = pd.DataFrame(
    {"frame": np.empty(0, np.int32), "vertex": np.empty(0, np.int64), "angle": np.empty(0)}
)


@dataclass(frozen=True)
class Detection:
    """How many sites are expected to be missed and false.

    Attributes
    ----------
    n_found
        Sites found.
    n_false, n_missed
        Expected numbers of false sites among them, and of true ones that are not.
    n_false_error, n_missed_error
        Their standard deviations.
    """

    n_found: int
    n_false: float
    n_missed: float
    n_false_error: float
    n_missed_error: float

    @property
    def precision(self) -> float:
        """Expected share of true sites among those found; NaN if none was."""
        return 1 - self.n_false / self.n_found if self.n_found else np.nan

    @property
    def recall(self) -> float:
        """Expected share of true sites that were found; NaN if none is expected."""
        n_true = self.n_found - self.n_false
        return n_true / (n_true + self.n_missed) if n_true + self.n_missed > 0 else np.nan

    @property
    def precision_error(self) -> float:
        """Standard deviation of the precision."""
        return self.n_false_error / self.n_found if self.n_found else np.nan

    @property
    def recall_error(self) -> float:
        """Standard deviation of the recall, to first order."""
        n_true = self.n_found - self.n_false
        if not n_true + self.n_missed > 0:
            return np.nan
        parts = np.hypot(self.n_missed * self.n_false_error, n_true * self.n_missed_error)
        return float(parts / (n_true + self.n_missed) ** 2)

    @property
    def missed_share(self) -> float:
        """Expected number of missed sites for each that is found; NaN if none was."""
        return self.n_missed / self.n_found if self.n_found else np.nan

    @property
    def false_share(self) -> float:
        """Expected share of false sites among those found; NaN if none was."""
        return self.n_false / self.n_found if self.n_found else np.nan


def expected_detection(confidence_kept: ArrayLike, confidence_dropped: ArrayLike) -> Detection:
    """Return how many sites are missed and false, from calibrated confidences.

    Each site is true with the probability of its confidence, by itself: the number of false ones is
    Poisson-binomial, with the mean Σ (1 − c) and the variance Σ c (1 − c). True ones among those dropped, of
    which there are Σ c, are missed. What is not even a candidate is not known of.

    Parameters
    ----------
    confidence_kept, confidence_dropped
        Confidences, 0 to 1, of the sites that are kept, (N,), and of candidates that are not, (M,). A second
        candidate of a site that is kept must not be among the latter.

    Raises
    ------
    ValueError
        If a confidence is not from 0 to 1.

    References
    ----------
    Le Cam, Pacific J. Math. 10, 1181 (1960): sums of independent trials with unequal probabilities.
    """
    kept, dropped = (_as_confidence(values) for values in (confidence_kept, confidence_dropped))
    errors = [float(np.sqrt((values * (1 - values)).sum())) for values in (kept, dropped)]
    return Detection(len(kept), float((1 - kept).sum()), float(dropped.sum()), errors[0], errors[1])


def dropped_candidates(sites: pd.DataFrame, candidates: pd.DataFrame, *, distance: float) -> pd.DataFrame:
    """Return the candidates for atoms that are none: those farther than `distance` [Å] from every atom kept.

    Parameters
    ----------
    sites, candidates
        Tables of one frame, with `kind`, `x` and `y` [Å].
    distance
        Within which a candidate is another mark of the same atom, ≥ 0 [Å].

    Raises
    ------
    ValueError
        If the distance is negative.
    """
    if not distance >= 0:
        raise ValueError(f"distance must be ≥ 0 Å, got {distance}")
    others = candidates[candidates["kind"] == "atom"]
    kept = site_positions(sites[sites["kind"] == "atom"])
    if len(kept) == 0 or len(others) == 0:
        return others
    is_far: BoolArray = np.asarray(KDTree(kept).query(site_positions(others))[0]) > distance
    return others.loc[is_far]


def detection_shift(
    sites: pd.DataFrame,
    *,
    area: float,
    missed_share: float,
    false_share: float,
    false_places: ArrayLike,
    statistics: StatisticsParameters,
    parameters: DetectionParameters,
    rng: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """Estimate how far missed and false atoms have moved the statistics of a frame: what is to be added.

    Simulation and extrapolation: λ times as many atoms as are missed already are taken away, which leaves
    what would be found if 1 + λ times as many were missed. A parabola through the statistics at all λ, and
    through the one at λ = 0 exactly, gives what there would be at λ = −1, without any missed. False atoms
    likewise. Atoms of little confidence are taken away first: they stand where others are missed. The bond
    network and rings are made again from the atoms and the ring centres, which stay.

    Parameters
    ----------
    sites
        Table of one frame.
    area
        Of the window in which its sites are analysable, > 0 [Å²].
    missed_share, false_share
        Missed and false atoms for each that is found, 0 to 1: see `expected_detection`.
    false_places
        Where false atoms may stand, such as rejected candidates, (P, 2), x then y [Å]; none: the centres of
        rings.
    statistics
        `bonds` and `rings` are used.
    parameters
        Scales λ, replicates and size.
    rng
        Source of randomness.

    Returns
    -------
    dict
        For each of `DETECTION_STATISTICS` the shift that takes the errors away, and its standard deviation:
        that between replicates, for the atoms that are truly missed are only one case.

    Raises
    ------
    ValueError
        If the area is not positive or a share is not from 0 to 1.

    References
    ----------
    Cook and Stefanski, J. Am. Stat. Assoc. 89, 1314 (1994), https://doi.org/10.1080/01621459.1994.10476871:
    simulation and extrapolation, with the parabola.
    """
    if not area > 0:
        raise ValueError(f"area must be > 0 Å², got {area}")
    for name, share in (("missed_share", missed_share), ("false_share", false_share)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    part, share_of_area = _part(sites, parameters.max_atoms)
    places = as_points(false_places, "false_places")
    if len(places) == 0:
        places = site_positions(part[part["kind"] == "ring"])
    study = _Study(part, area * share_of_area, statistics)
    shifts = np.zeros((2, parameters.n_replicates, len(DETECTION_STATISTICS)))
    for number, child in enumerate(rng.spawn(parameters.n_replicates)):
        if missed_share > 0:
            order = _order_of_loss(part, child)
            rounds = [study.without(order, scale * missed_share) for scale in parameters.scales]
            shifts[0, number] = study.extrapolated(rounds, parameters.scales)
        if false_share > 0 and len(places) and len(study.atoms):
            order = child.permutation(len(places))
            rounds = [study.with_false(places[order], scale * false_share) for scale in parameters.scales]
            shifts[1, number] = study.extrapolated(rounds, parameters.scales)
    total = shifts.sum(axis=0)
    # A part scatters more than the whole, by as much as it is smaller.
    errors = total.std(axis=0, ddof=1) * np.sqrt(share_of_area)
    return {
        name: (float(shift), float(error))
        for name, shift, error in zip(DETECTION_STATISTICS, total.mean(axis=0), errors, strict=True)
    }


def extrapolate(values: ArrayLike, scales: ArrayLike) -> FloatArray:
    """Return what differences from scale 0 are at scale −1, on a parabola through 0; a line for one scale.

    Parameters
    ----------
    values
        Differences at each scale, (S,) or (S, K).
    scales
        Scales, > 0, (S,).
    """
    steps = np.asarray(scales, dtype=np.float64)
    powers = np.arange(1, min(len(np.unique(steps)), 2) + 1)
    fitted = np.linalg.lstsq(steps[:, None] ** powers, np.asarray(values, dtype=np.float64), rcond=None)[0]
    return np.asarray((-1.0) ** powers @ fitted)


class _Study:
    """Statistics of a frame, and of the same with fewer or more atoms."""

    def __init__(self, sites: pd.DataFrame, area: float, statistics: StatisticsParameters) -> None:
        self.sites = sites.assign(frame=np.int32(0)).reset_index(drop=True)
        self.area, self.statistics = area, statistics
        self.atoms = np.flatnonzero(self.sites["kind"] == "atom")
        self.tree = KDTree(site_positions(self.sites.iloc[self.atoms]))
        self.given = self.evaluate(self.sites)

    def evaluate(self, sites: pd.DataFrame) -> FloatArray:
        """Return the statistics of a table of sites."""
        bonds, rings, _ = network_tables(sites, self.statistics)
        window = RectangularWindow(0.0, 0.0, self.area, 1.0)  # one block, in which everything lies
        counts = count_in_blocks(sites, bonds, _NO_ANGLES, rings, window=window, block=np.inf)
        total = {str(name): np.float64(value) for name, value in counts.sum().items()}
        return np.array([float(STATISTICS[name](total)) for name in DETECTION_STATISTICS])

    def without(self, order: IntArray, share: float) -> FloatArray:
        """Return the statistics when the first atoms in an order are missed."""
        n = round(share * len(self.atoms))
        return self.evaluate(self.sites.drop(index=self.atoms[order[:n]].tolist()))

    def with_false(self, places: FloatArray, share: float) -> FloatArray:
        """Return the statistics with atoms at the first places besides."""
        n = round(share * len(self.atoms))
        # Each is a copy of the nearest atom, which tells whether it counts.
        nearest = self.tree.query(places[:n])[1] if n else np.empty(0, np.int64)
        added = self.sites.iloc[self.atoms[nearest]].copy()
        added[["x", "y"]] = places[: len(added)]
        added["site"] = self.sites["site"].max() + 1 + np.arange(len(added))
        return self.evaluate(pd.concat([self.sites, added], ignore_index=True))

    def extrapolated(self, rounds: list[FloatArray], scales: tuple[float, ...]) -> FloatArray:
        """Return what is to be added to the statistics; 0 where they are not known."""
        return np.nan_to_num(extrapolate(np.nan_to_num(np.array(rounds) - self.given), scales))


def _order_of_loss(sites: pd.DataFrame, rng: np.random.Generator) -> IntArray:
    """Return atoms in a random order, in which those of little confidence come early.

    One is lost first with a probability proportional to what its confidence lacks of 1, and a hundredth.
    """
    confidence = sites.loc[sites["kind"] == "atom", "confidence"].to_numpy(np.float64)
    return np.argsort(rng.exponential(size=len(confidence)) / (1.01 - np.clip(confidence, 0, 1)))


def _part(sites: pd.DataFrame, max_atoms: int) -> tuple[pd.DataFrame, float]:
    """Return the sites in a square around the middle with so many atoms, and the share that counts there."""
    atoms = sites[sites["kind"] == "atom"]
    if len(atoms) <= max_atoms:
        return sites, 1.0
    points = site_positions(atoms[atoms["analysable"].to_numpy(bool)])
    if len(points) == 0:
        return sites.iloc[:0], 1.0
    middle = np.median(points, axis=0)
    reach = np.abs(site_positions(sites) - middle).max(axis=1)
    limit = np.sort(reach[(sites["kind"] == "atom").to_numpy()])[max_atoms - 1]
    part = sites[reach <= limit]
    n_counted = int((part["analysable"] & (part["kind"] == "atom")).sum())
    return part, n_counted / len(points)


def _as_confidence(values: ArrayLike) -> FloatArray:
    """Return confidences once they are in their bounds."""
    confidence = np.asarray(values, dtype=np.float64).ravel()
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError(f"confidence must be from 0 to 1, got {confidence.min()} to {confidence.max()}")
    return confidence
