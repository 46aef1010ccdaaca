"""The ring map of a view, for results that are kept as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.plotting.maps import ring_map
from amorph2d.report.payload import select_ragged
from amorph2d.report.view import MicrographView, of_frame, site_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class Polygons:
    """Rings as indices into the drawn atoms."""

    members: IntArray
    offsets: IntArray
    sizes: IntArray


def draw_ring_map(view: MicrographView) -> Figure:
    """Draw a view with atoms, bonds and its complete rings coloured by size.

    Raises
    ------
    ValueError
        If a bond or a ring names a site that is no atom of the frame.
    """
    sites = of_frame(view.sites, view.frame)
    bonds = of_frame(view.bonds, view.frame)[["atom_i", "atom_j"]].to_numpy(dtype=np.int64)
    positions, polygons, _ = ring_polygons(view)
    pairs = site_rows(sites[sites["kind"] == "atom"], bonds)
    return ring_map(view.image, positions, pairs, polygons, sampling=view.sampling, title=view.stem)


def ring_polygons(view: MicrographView) -> tuple[FloatArray, Polygons, BoolArray]:
    """Return the atoms of the view's frame, (N, 2) [Å], its complete rings, and which rows these are.

    Raises
    ------
    ValueError
        If a ring names a site that is no atom of the frame.
    """
    sites = of_frame(view.sites, view.frame)
    atoms = sites[sites["kind"] == "atom"]
    keep = ((view.rings["frame"] == view.frame) & view.rings["complete"]).to_numpy(dtype=bool)
    members, offsets = select_ragged(np.asarray(view.ring_members), np.asarray(view.ring_offsets), keep)
    sizes = view.rings["size"].to_numpy(dtype=np.int64)[keep]
    return atoms[["x", "y"]].to_numpy(), Polygons(site_rows(atoms, members), offsets, sizes), keep
