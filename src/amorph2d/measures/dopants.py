"""Candidates for foreign atoms: by contrast against the atoms around, and by the lengths of their bonds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from scipy.stats import false_discovery_control

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray
from amorph2d.measures.config import DopantParameters
from amorph2d.measures.statistics import Ratio
from amorph2d.measures.tables import bonds_as_indices, site_positions, split_frames
from amorph2d.measures.window import Blocks
from amorph2d.topology.coordination import coordination_numbers
from amorph2d.units import Sampling, as_sampling, positions_to_pixels

DOPANT_COLUMNS = {
    "frame": "int32",
    "site": "int64",
    "x": "float64",
    "y": "float64",
    "bond_length_mean": "float64",
    "bond_z": "float64",
    "intensity": "float64",
    "intensity_z": "float64",
    "kind": "str",
    "score": "float64",
}
DOPANT_UNITS = dict.fromkeys(DOPANT_COLUMNS, "") | {"x": "Å", "y": "Å", "bond_length_mean": "Å"}
HEAVIER, LIGHTER = "heavier", "lighter"
DOPANT_KINDS = (HEAVIER, LIGHTER)
DOPANT_STATISTICS: dict[str, Ratio] = {
    f"dopant_density_{kind}": Ratio(f"dopants_{kind}", "dopant_area") for kind in DOPANT_KINDS
}

_FEWEST = 30  # atoms from whose scatter the usual scatter is known
_TO_DEVIATION = 1.4826  # median absolute deviation to standard deviation of a normal distribution
REACH = 2.5  # of the weights around an atom, in their widths
_CHUNK = 2**15  # atoms at once: bounds the memory
_LEAST_P = 1e-300
_SAMPLE = 200  # atoms from which the contrast is known
_OUTLIER = 3.0  # standard deviations at which atoms compared with are cut
_WIDE = 2.0  # width of the average over atoms and what is between them, in bonds
_BONDS = 3  # of an ordinary atom


def dopants_table(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    image: AnyArray,
    sampling: Sampling,
    parameters: DopantParameters,
) -> pd.DataFrame:
    """List atoms whose contrast is not that of the atoms around them.

    Tested are analysable atoms with three bonds or more. The intensity of an atom is that of the image around
    it less what a plane through the atoms around gives, in units of the contrast of an ordinary atom: 0 for
    an ordinary one, 1 for twice the contrast, be atoms bright or dark. It, and the mean length of the bonds,
    are divided by their usual scatter over the sheet: disorder widens both and makes fewer atoms stand out.
    Of the two together the chance that an ordinary atom deviates as much is known; candidates are
    those for which it is small enough for a stated share of false ones among them.

    Parameters
    ----------
    sites, bonds
        Tables of one frame.
    image
        The image, (rows, columns); it may be a memory map.
    sampling
        Its sampling, one value or (y, x), > 0 [Å/px].
    parameters
        Widths and limits.

    Returns
    -------
    DataFrame
        One row for each candidate, the most significant first: `frame`, `site`, `x`, `y` [Å],
        `bond_length_mean` [Å], `bond_z`, `intensity`, `intensity_z`, `kind` (``heavier`` for more contrast,
        ``lighter`` for less), `score`, −log₁₀ of the share of false ones among the candidates down to this.

    Raises
    ------
    ValueError
        If a column is missing, a bond names an atom that does not exist, there are several frames, or the
        image is not two-dimensional.

    References
    ----------
    Benjamini and Hochberg, J. R. Stat. Soc. B 57, 289 (1995), doi:10.1111/j.2517-6161.1995.tb02031.x: the
    share of false discoveries.
    """
    if np.ndim(image) != 2:
        raise ValueError(f"image must be two-dimensional, got the shape {np.shape(image)}")
    frames = list(split_frames(sites, bonds))
    if len(frames) > 1:
        raise ValueError(f"sites must be those of one frame, got {len(frames)} frames")
    if not frames:
        return pd.DataFrame(columns=list(DOPANT_COLUMNS)).astype(DOPANT_COLUMNS)
    frame, rows, own_bonds = frames[0]
    found = _measure(rows, own_bonds, image, sampling, parameters)
    reach = parameters.separation * float(own_bonds["length"].median()) if len(own_bonds) else 0.0
    candidates = found.iloc[_stand_out(found, parameters, reach)].sort_values(
        "score", ascending=False, kind="stable"
    )
    return candidates.assign(frame=frame)[list(DOPANT_COLUMNS)].astype(DOPANT_COLUMNS).reset_index(drop=True)


def dopant_sums(grid: Blocks, dopants: pd.DataFrame) -> dict[str, FloatArray]:
    """Add up what `DOPANT_STATISTICS` need, in the blocks of one frame; areas in Å².

    Parameters
    ----------
    grid
        Blocks of the window.
    dopants
        Candidates of one frame.
    """
    block, kind, n = grid.number(site_positions(dopants)), dopants["kind"].to_numpy(), len(grid.areas)
    sums = {
        f"dopants_{name}": np.bincount(block, kind == name, minlength=n).astype(np.float64)
        for name in DOPANT_KINDS
    }
    return sums | {"dopant_area": grid.areas}


def robust_z(values: ArrayLike) -> FloatArray:
    """Return how many standard deviations values lie from their median, (N,).

    The deviation is that of the middle half of the values, which few outliers do not change; NaN where it is
    0 or unknown.
    """
    given = np.asarray(values, dtype=np.float64)
    known = given[np.isfinite(given)]
    if len(known) < _FEWEST:
        return np.full(len(given), np.nan)
    middle = np.median(known)
    deviation = _TO_DEVIATION * np.median(np.abs(known - middle))
    return np.asarray((given - middle) / (deviation if deviation > 0 else np.nan))


def site_intensities(
    image: AnyArray, positions: FloatArray, sampling: Sampling, *, width: float
) -> FloatArray:
    """Average an image around positions with Gaussian weights.

    Parameters
    ----------
    image
        (rows, columns); it may be a memory map.
    positions
        (N, 2), x then y [Å].
    sampling
        One value or (y, x), > 0 [Å/px].
    width
        Standard deviation of the weights, > 0 [Å].

    Returns
    -------
    FloatArray
        Weighted means over the pixels that there are, (N,); NaN where there are none.
    """
    steps = as_sampling(sampling)
    found = np.empty(len(positions))
    average_around(np.asarray(image), positions_to_pixels(positions, steps), np.array(steps) / width, found)
    return found


@njit(cache=True, nogil=True)
def average_around(  # pragma: no cover
    image: AnyArray, pixels: FloatArray, steps: FloatArray, result: FloatArray
) -> None:
    """Fill in the Gaussian mean around each (row, column); pixels are `steps` apart in widths of it."""
    rows, columns = image.shape
    for i in range(len(pixels)):
        row, column = pixels[i]
        total = weights = 0.0
        for y in range(
            max(int(np.ceil(row - REACH / steps[0])), 0), min(int(np.floor(row + REACH / steps[0])) + 1, rows)
        ):
            for x in range(
                max(int(np.ceil(column - REACH / steps[1])), 0),
                min(int(np.floor(column + REACH / steps[1])) + 1, columns),
            ):
                v, u = (y - row) * steps[0], (x - column) * steps[1]
                weight = np.exp(-(v * v + u * u) / 2)
                total += weight * image[y, x]
                weights += weight
        result[i] = total / weights if weights > 0 else np.nan


def _measure(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    image: AnyArray,
    sampling: Sampling,
    parameters: DopantParameters,
) -> pd.DataFrame:
    """Bond lengths, intensities and what they are worth, of the atoms that are tested."""
    atoms = sites[sites["kind"] == "atom"]
    positions, names = site_positions(atoms), atoms["site"].to_numpy()
    pairs = bonds_as_indices(bonds, names)
    n_bonds = coordination_numbers(pairs, len(atoms))
    length = np.tile(bonds["length"].to_numpy(np.float64), 2)
    total = np.bincount(np.concatenate([pairs[:, 0], pairs[:, 1]]), length, minlength=len(atoms))
    is_tested = atoms["analysable"].to_numpy(bool) & (n_bonds >= _BONDS)
    is_usual = is_tested & (n_bonds == _BONDS)
    bond = float(np.median(length)) if len(length) else 1.0
    value = site_intensities(image, positions, sampling, width=parameters.width * bond)
    contrast = _contrast(image, positions[is_usual], value[is_usual], sampling, wide=_WIDE * bond)
    intensity = _above_neighbours(value, positions, is_usual, parameters.n_neighbours) / contrast
    tested = np.flatnonzero(is_tested)
    measured = pd.DataFrame(
        {
            "site": names[tested],
            "x": positions[tested, 0],
            "y": positions[tested, 1],
            "bond_length_mean": total[tested] / n_bonds[tested],
            "intensity": intensity[tested],
        }
    )
    measured["bond_z"] = robust_z(measured["bond_length_mean"])
    measured["intensity_z"] = robust_z(measured["intensity"])
    measured["kind"] = pd.array(np.where(measured["intensity_z"] > 0, HEAVIER, LIGHTER), dtype="str")
    squares = measured["intensity_z"].to_numpy() ** 2 + np.nan_to_num(measured["bond_z"].to_numpy()) ** 2
    chance = np.exp(-squares / 2)  # of two normal deviates with at least this sum of squares
    is_known = np.isfinite(chance)
    adjusted = np.full(len(chance), np.nan)
    if is_known.any():
        adjusted[is_known] = false_discovery_control(chance[is_known])
    measured["score"] = -np.log10(np.maximum(adjusted, _LEAST_P))
    return measured


def _contrast(
    image: AnyArray, positions: FloatArray, values: FloatArray, sampling: Sampling, *, wide: float
) -> float:
    """Median intensity of atoms above the mean around them, < 0 where atoms are dark."""
    if len(positions) == 0:
        return np.nan
    chosen = np.unique(np.linspace(0, len(positions) - 1, _SAMPLE).astype(np.int64))
    around = site_intensities(image, positions[chosen], sampling, width=wide)
    contrast = float(np.median(values[chosen] - around))
    return contrast if contrast != 0 else np.nan


def _above_neighbours(
    values: FloatArray, positions: FloatArray, is_usual: BoolArray, n_neighbours: int
) -> FloatArray:
    """Values less what a plane through those of the nearest usual atoms gives, the atom left out, (N,)."""
    usual = np.flatnonzero(is_usual)
    if len(usual) <= _BONDS:
        return np.full(len(values), np.nan)
    tree, n = KDTree(positions[usual]), min(n_neighbours + 1, len(usual))
    limit = _OUTLIER * _TO_DEVIATION * float(np.median(np.abs(values[usual] - np.median(values[usual]))))
    left = [np.empty(0)]
    for start in range(0, len(values), _CHUNK):
        own = np.arange(start, min(start + _CHUNK, len(values)))
        nearest = usual[tree.query(positions[own], k=n)[1]]
        expected = _plane(
            positions[nearest] - positions[own, None], values[nearest], nearest != own[:, None], limit
        )
        left.append(values[own] - expected)
    return np.concatenate(left)


def _plane(offsets: FloatArray, values: FloatArray, is_other: BoolArray, limit: float) -> FloatArray:
    """Value in the middle of planes through points, (N, K, 2), of which outliers are moved to the limit."""
    middle = np.nanmedian(np.where(is_other, values, np.nan), axis=1)[:, None]
    values = np.clip(values, middle - limit, middle + limit)
    columns = np.concatenate([np.ones((*values.shape, 1)), offsets], axis=2) * is_other[..., None]
    normal = np.einsum("nki,nkj->nij", columns, columns)
    # Points on a line leave the slope across it open: it is then 0.
    normal += 1e-6 * np.diag([0.0, 1.0, 1.0]) * np.trace(normal, axis1=1, axis2=2)[:, None, None]
    right = np.einsum("nki,nk->ni", columns, values)
    return np.asarray(np.linalg.solve(normal, right[..., None])[:, 0, 0])


def _stand_out(found: pd.DataFrame, parameters: DopantParameters, reach: float) -> IntArray:
    """Rows of the candidates; of those close to each other the most significant."""
    is_significant = found["score"].to_numpy() >= -np.log10(parameters.level)
    is_different = np.abs(found["intensity_z"].to_numpy()) >= parameters.min_intensity_z
    rows = np.flatnonzero(is_significant & is_different)
    squares = (found[["intensity_z", "bond_z"]].fillna(0).to_numpy() ** 2).sum(axis=1)
    rows = rows[np.argsort(-squares[rows], kind="stable")]
    places = found[["x", "y"]].to_numpy()[rows]
    if len(rows) < 2 or reach == 0:
        return rows
    is_kept = np.ones(len(rows), bool)
    for k, near in enumerate(KDTree(places).query_ball_point(places, reach)):
        if is_kept[k]:
            is_kept[[other for other in near if other > k]] = False
    return rows[is_kept]
