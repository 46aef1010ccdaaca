"""What the report shows of one micrograph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from amorph2d.arrays import Float32Array, FloatArray, IntArray, as_image
from amorph2d.units import as_sampling

_COLUMNS = {
    "sites": ("frame", "site", "kind", "x", "y", "sigma", "confidence", "analysable"),
    "bonds": ("frame", "atom_i", "atom_j", "length"),
    "angles": ("frame", "atom_i", "vertex", "atom_j", "angle"),
    "rings": ("frame", "ring", "size", "x", "y", "area", "complete"),
    "pdf": ("frame", "r", "g", "g_error"),
}


@dataclass(frozen=True, eq=False)
class MicrographView:
    """One micrograph, or one frame of a series, and what was found in it.

    Attributes
    ----------
    stem
        Name of the file without its ending; the rows of the summary and of the calibration carry it too.
    image
        Micrograph, (rows, columns).
    sampling
        Pixel size, (y, x) [Å/px].
    sites, bonds, angles, rings, pdf
        Tables of the results contract. They may hold several frames; only `frame` is shown.
    ring_members, ring_offsets
        Polygons in the order of `rings`, (M,) and (R + 1,): ring k has, in order around it, the site ids
        ``ring_members[ring_offsets[k]:ring_offsets[k + 1]]``.
    scores
        Scores against a known truth by name, or None.
    frame
        The frame that `image` shows.
    """

    stem: str
    image: Float32Array
    sampling: tuple[float, float]
    sites: pd.DataFrame
    bonds: pd.DataFrame
    angles: pd.DataFrame
    rings: pd.DataFrame
    pdf: pd.DataFrame
    ring_members: IntArray
    ring_offsets: IntArray
    scores: Mapping[str, float] | None = None
    frame: int = 0

    def __post_init__(self) -> None:
        as_image(self.image)
        as_sampling(self.sampling)
        for name, columns in _COLUMNS.items():
            missing = [column for column in columns if column not in getattr(self, name)]
            if missing:
                raise ValueError(f"{name} of {self.stem} must have the columns {columns}, missing {missing}")
        n_rings, n_members, offsets = len(self.rings), len(self.ring_members), np.asarray(self.ring_offsets)
        if len(offsets) != n_rings + 1 or (np.diff(offsets) < 0).any() or offsets[-1] != n_members:
            raise ValueError(
                f"ring_offsets of {self.stem} must be {n_rings + 1} ascending numbers up to {n_members}, "
                f"got {len(offsets)} up to {offsets[-1:]}"
            )


def of_frame(table: pd.DataFrame, frame: int) -> pd.DataFrame:
    """Return the rows of one frame."""
    return table[table["frame"] == frame]


def site_rows(sites: pd.DataFrame, ids: IntArray) -> IntArray:
    """Return the row of each site id in `sites`, in the shape of `ids`.

    Raises
    ------
    ValueError
        If an id does not occur in the table.
    """
    known = sites["site"].to_numpy(dtype=np.int64)
    order = np.argsort(known, kind="stable")
    place = np.searchsorted(known, ids, sorter=order)
    rows = order[np.minimum(place, max(len(known) - 1, 0))] if len(known) else np.zeros_like(ids)
    if ids.size and (not len(known) or (known[rows] != ids).any()):
        raise ValueError("bonds, angles and rings must refer to sites of the same frame, got an unknown site")
    return rows.astype(np.int64)


def counted_lengths(view: MicrographView) -> FloatArray:
    """Return the lengths of the bonds whose atoms are both analysable, (B,) [Å]."""
    bonds = of_frame(view.bonds, view.frame)
    keep = _analysable(view, bonds, "atom_i") & _analysable(view, bonds, "atom_j")
    return bonds["length"].to_numpy(dtype=np.float64)[keep]


def counted_angles(view: MicrographView) -> FloatArray:
    """Return the angles at analysable atoms, (A,) [°]."""
    angles = of_frame(view.angles, view.frame)
    return angles["angle"].to_numpy(dtype=np.float64)[_analysable(view, angles, "vertex")]


def counted_sizes(view: MicrographView) -> IntArray:
    """Return the sizes of the complete rings, (R,)."""
    rings = of_frame(view.rings, view.frame)
    return rings["size"].to_numpy(dtype=np.int64)[rings["complete"].to_numpy(dtype=bool)]


def _analysable(view: MicrographView, table: pd.DataFrame, column: str) -> np.ndarray:
    """Say of each row of `table` whether the site in `column` counts."""
    sites = of_frame(view.sites, view.frame)
    rows = site_rows(sites, table[column].to_numpy(dtype=np.int64))
    return sites["analysable"].to_numpy(dtype=bool)[rows]
