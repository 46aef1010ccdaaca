"""What counts in a part of a micrograph."""

from __future__ import annotations

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray
from amorph2d.measures.tables import find_sites


def restrict(
    sites: pd.DataFrame, rings: pd.DataFrame, ring_atoms: pd.DataFrame, is_inside: BoolArray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the sites and rings of one frame of which only those in a region count.

    Parameters
    ----------
    sites, rings, ring_atoms
        Tables of one frame.
    is_inside
        Which sites lie in the region, (N,).

    Returns
    -------
    sites, rings
        Tables with the same rows; sites outside are not `analysable`, rings with an atom that is not are not
        `complete`.

    Raises
    ------
    ValueError
        If a shape is wrong or a ring has an atom that does not exist.
    """
    if is_inside.shape != (len(sites),):
        raise ValueError(f"is_inside must have the shape ({len(sites)},), got {is_inside.shape}")
    counts = sites["analysable"].to_numpy(bool) & is_inside
    names = sites["site"].to_numpy()
    order = np.argsort(names, kind="stable")
    place = order[find_sites(ring_atoms["atom"].to_numpy(), names[order], "rings", "atoms")]
    n_outside = np.bincount(ring_atoms["row"].to_numpy(), ~counts[place], minlength=len(rings))
    complete = rings["complete"].to_numpy(bool) & (n_outside == 0)
    return sites.assign(analysable=counts), rings.assign(complete=complete)
