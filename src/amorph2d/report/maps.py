"""The ring map of a view, for results that are kept as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amorph2d.arrays import IntArray
from amorph2d.plotting.maps import ring_map
from amorph2d.report.payload import select_ragged
from amorph2d.report.view import MicrographView, of_frame, site_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class _Polygons:
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
    atoms = sites[sites["kind"] == "atom"]
    bonds = of_frame(view.bonds, view.frame)[["atom_i", "atom_j"]].to_numpy(dtype=np.int64)
    keep = ((view.rings["frame"] == view.frame) & view.rings["complete"]).to_numpy(dtype=bool)
    members, offsets = select_ragged(np.asarray(view.ring_members), np.asarray(view.ring_offsets), keep)
    sizes = view.rings["size"].to_numpy(dtype=np.int64)[keep]
    return ring_map(
        view.image,
        atoms[["x", "y"]].to_numpy(),
        site_rows(atoms, bonds),
        _Polygons(site_rows(atoms, members), offsets, sizes),
        sampling=view.sampling,
        title=view.stem,
    )
