"""What missed and false atoms do to statistics: how many there are, and how far they move each number.

How many follows from the confidences, each the probability that an atom is true. What they do is found by
making more of them: atoms are taken away, or false ones put in, at one half, one and two times the rate at
which that has happened already; bonds and rings are made again each time; and what the statistics do is
followed back to where nothing is missed and nothing false.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
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


DETECTION_COLUMNS = {
    "frame": "int32",
    "statistic": "str",
    "n_atoms": "int64",
    "n_false": "float64",
    "n_missed": "float64",
    "shift": "float64",
    "shift_error": "float64",
}


def expected_false(confidence: ArrayLike) -> float:
    """Return how many of some sites are false, from their calibrated confidences: Σ (1 − c).

    Parameters
    ----------
    confidence
        Probability of each that it is true, 0 to 1, (N,).

    Raises
    ------
    ValueError
        If a confidence is not from 0 to 1.

    References
    ----------
    Le Cam, Pacific J. Math. 10, 1181 (1960): sums of independent trials with unequal probabilities.
    """
    values = np.asarray(confidence, dtype=np.float64).ravel()
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"confidence must be from 0 to 1, got {values.min()} to {values.max()}")
    return float((1 - values).sum())


def detection_table(
    sites: pd.DataFrame,
    area: float,
    *,
    statistics: StatisticsParameters,
    rng: np.random.Generator,
    frame: int = 0,
) -> pd.DataFrame:
    """Say how many atoms of a frame are false and missed, and what that does to its statistics.

    Atoms are missed where others are doubtful: `missed_per_false` of them for each that is false.

    Parameters
    ----------
    sites
        Table of the frame.
    area
        Of the window in which its sites are analysable, ≥ 0 [Å²].
    statistics
        `bonds`, `rings` and `detection` are used.
    rng
        Source of randomness.
    frame
        Its number.

    Returns
    -------
    DataFrame
        `DETECTION_COLUMNS`, a row for each of `DETECTION_STATISTICS`: what is to be added to it so that
        nothing is missed and nothing false, and the standard deviation of that; 0 without any atom.
    """
    parameters = statistics.detection
    atoms = sites[(sites["kind"] == "atom") & sites["analysable"]]
    n_false = expected_false(atoms["confidence"])
    n_missed = parameters.missed_per_false * n_false
    shifts = dict.fromkeys(DETECTION_STATISTICS, (0.0, 0.0))
    if len(atoms) and area > 0:
        shifts = detection_shift(
            sites,
            area=area,
            missed_share=min(1.0, n_missed / len(atoms)),
            false_share=min(1.0, n_false / len(atoms)),
            statistics=statistics,
            parameters=parameters,
            rng=rng,
        )
    table = pd.DataFrame(
        [(name, *shift) for name, shift in shifts.items()], columns=["statistic", "shift", "shift_error"]
    )
    numbers = {"frame": frame, "n_atoms": len(atoms), "n_false": n_false, "n_missed": n_missed}
    return table.assign(**numbers)[list(DETECTION_COLUMNS)].astype(DETECTION_COLUMNS)


def detection_shift(
    sites: pd.DataFrame,
    *,
    area: float,
    missed_share: float,
    false_share: float,
    statistics: StatisticsParameters,
    parameters: DetectionParameters,
    rng: np.random.Generator,
) -> dict[str, tuple[float, float]]:
    """Estimate how far missed and false atoms have moved the statistics of a frame: what is to be added.

    Simulation and extrapolation: λ times as many atoms as are missed already are taken away, which leaves
    what would be found if 1 + λ times as many were missed. A parabola through the statistics at all λ, and
    through the one at λ = 0 exactly, gives what there would be at λ = −1, without any missed. False atoms
    likewise: these stand beside the true place of one, as far as `displacement`. Where that is less than
    `least_share` of the atoms, λ is raised until it is as many. Atoms of little confidence go first: they
    stand where others are missed. The bond network and rings are made again from the atoms and the ring
    centres, which stay.

    Parameters
    ----------
    sites
        Table of one frame.
    area
        Of the window in which its sites are analysable, > 0 [Å²].
    missed_share, false_share
        Missed and false atoms for each that is found, 0 to 1.
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
    study = _Study(part, area * share_of_area, statistics)
    shifts = np.zeros((2, parameters.n_replicates, len(DETECTION_STATISTICS)))
    for number, child in enumerate(rng.spawn(parameters.n_replicates)):
        if missed_share > 0:
            order, scales = _order_of_loss(part, child), _scales(missed_share, parameters)
            rounds = [study.without(order, scale * missed_share) for scale in scales]
            shifts[0, number] = study.extrapolated(rounds, scales)
        if false_share > 0:
            order, scales = _order_of_loss(part, child), _scales(false_share, parameters)
            angle = child.uniform(0, 2 * np.pi, len(order))
            moves = parameters.displacement * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            rounds = [study.displaced(order, scale * false_share, moves) for scale in scales]
            shifts[1, number] = study.extrapolated(rounds, scales)
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


def _scales(share: float, parameters: DetectionParameters) -> FloatArray:
    """Return how many times what is missed or false is added: so many that it is seen."""
    scales = np.asarray(parameters.scales, dtype=np.float64)
    return np.asarray(scales * max(1.0, parameters.least_share / (scales.min() * share)))


class _Study:
    """Statistics of a frame, and of the same with fewer or more atoms."""

    def __init__(self, sites: pd.DataFrame, area: float, statistics: StatisticsParameters) -> None:
        self.sites = sites.assign(frame=np.int32(0)).reset_index(drop=True)
        self.area, self.statistics = area, statistics
        self.atoms = np.flatnonzero(self.sites["kind"] == "atom")
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

    def displaced(self, order: IntArray, share: float, moves: FloatArray) -> FloatArray:
        """Return the statistics when the first atoms in an order stand elsewhere."""
        n = round(share * len(self.atoms))
        rows = self.atoms[order[:n]]
        places = site_positions(self.sites).copy()
        places[rows] += moves[:n]
        return self.evaluate(self.sites.assign(x=places[:, 0], y=places[:, 1]))

    def extrapolated(self, rounds: list[FloatArray], scales: FloatArray) -> FloatArray:
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
