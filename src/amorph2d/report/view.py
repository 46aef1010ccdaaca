"""What the report shows of one micrograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.arrays import Float32Array, FloatArray, IntArray
from amorph2d.units import as_sampling

FILM_TYPES = ("image/gif", "image/webp", "image/png")
_STRIP = 4_000_000  # pixels that are looked at together: a mapped image need not fit into memory

_COLUMNS = {
    "sites": ("frame", "site", "kind", "x", "y", "sigma", "confidence", "analysable"),
    "bonds": ("frame", "atom_i", "atom_j", "length"),
    "angles": ("frame", "atom_i", "vertex", "atom_j", "angle"),
    "rings": ("frame", "ring", "size", "x", "y", "area", "complete"),
    "pdf": ("frame", "r", "g", "g_error"),
}
_DEFECT_COLUMNS = ("frame", "kind", "rings", "x", "y", "complete")


@dataclass(frozen=True, eq=False)
class MicrographView:
    """One micrograph, or one frame of a series, and what was found in it.

    Attributes
    ----------
    stem
        Name of the file without its ending; the rows of the summary and of the calibration carry it too.
    image
        Micrograph, (rows, columns); may be mapped from a file, as it is read in strips.
    sampling
        Pixel size, (y, x) [Å/px].
    sites, bonds, angles, rings, pdf
        Tables of the results contract. They may hold several frames; only `frame` is shown. Sites may have a
        column `is_doubtful`, which is marked on the map.
    ring_members, ring_offsets
        Polygons in the order of `rings`, (M,) and (R + 1,): ring k has, in order around it, the site ids
        ``ring_members[ring_offsets[k]:ring_offsets[k + 1]]``.
    scores
        Scores against a known truth by name, or None.
    frame
        The frame that `image` shows.
    mask
        What each pixel shows, 0 vacuum, 1 monolayer, 2 other, of the whole field, at the pixels of the image
        or coarser, or None.
    warnings
        What is to be said about the whole micrograph, one line each.
    twin, twin_caption
        A figure of the simulated twin as PNG, and the line below it.
    defects
        Columns ``frame``, ``kind``, ``rings``, ``x``, ``y`` [Å], ``complete``, or None.
    ring_values
        Numbers by name, one for each row of `rings`; NaN where undefined.
    atom_values
        Numbers by name, one for each row of `sites` that is an atom of `frame`; NaN where undefined.
    figures
        Further figures: title and SVG text.
    film, film_type
        A moving picture of the series, and its media type.
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
    mask: NDArray[np.uint8] | None = None
    warnings: Sequence[str] = ()
    twin: bytes | None = None
    twin_caption: str = ""
    defects: pd.DataFrame | None = None
    ring_values: Mapping[str, FloatArray] | None = None
    atom_values: Mapping[str, FloatArray] | None = None
    figures: Sequence[tuple[str, str]] = ()
    film: bytes | None = None
    film_type: str = "image/gif"

    def __post_init__(self) -> None:
        _check_image(self.image, self.stem)
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
        self._check_extras()

    def _check_extras(self) -> None:
        """Raise ValueError if an optional part does not fit the others."""
        if self.mask is not None and (
            self.mask.ndim != 2 or not self.mask.size or int(self.mask.max()) > 2 or int(self.mask.min()) < 0
        ):
            raise ValueError(
                f"mask of {self.stem} must be two-dimensional with values 0, 1 or 2, got the shape "
                f"{self.mask.shape}"
            )
        n_atoms = int(((self.sites["frame"] == self.frame) & (self.sites["kind"] == "atom")).sum())
        for what, values, n in (
            ("ring_values", self.ring_values, len(self.rings)),
            ("atom_values", self.atom_values, n_atoms),
        ):
            for name, numbers in (values or {}).items():
                if np.shape(numbers) != (n,):
                    raise ValueError(
                        f"{what} {name} of {self.stem} must have the shape ({n},), got {np.shape(numbers)}"
                    )
        if self.defects is not None:
            missing = [name for name in _DEFECT_COLUMNS if name not in self.defects]
            if missing:
                raise ValueError(f"defects of {self.stem} must have {_DEFECT_COLUMNS}, missing {missing}")
        if self.film_type not in FILM_TYPES:
            raise ValueError(f"film_type must be one of {', '.join(FILM_TYPES)}, got {self.film_type!r}")


def _check_image(image: Float32Array, stem: str) -> None:
    """Raise ValueError unless an image is two-dimensional, not empty and finite."""
    if image.ndim != 2 or image.size == 0:
        raise ValueError(
            f"image of {stem} must be two-dimensional and not empty, got the shape {image.shape}"
        )
    rows = max(1, _STRIP // image.shape[1])
    for start in range(0, image.shape[0], rows):
        if not np.isfinite(image[start : start + rows]).all():
            raise ValueError(f"image of {stem} must be finite, got NaN or infinite pixels below row {start}")


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
