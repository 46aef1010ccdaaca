"""Located atoms and rings in the formats of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import as_records
from amorph2d.measures.tables import find_sites

if TYPE_CHECKING:
    from ase import Atoms

CARBON = 6
_PROPERTIES = ("frame", "ring", "size", "area", "complete")
VACUUM_HEIGHT = 15.0  # of the cell across the sheet [Å]


def sites_to_atoms(
    sites: pd.DataFrame, *, extent: tuple[float, float], number: int = CARBON, frame: int = 0
) -> Atoms:
    """Return the atoms of a frame as a structure for simulation codes.

    The sheet lies in the middle of a cell that is not periodic. Coordinates are those of the tables, x to the
    right and y down the image: seen along z the structure is the mirror image of the micrograph.

    Parameters
    ----------
    sites
        Table of sites.
    extent
        Width and height of the image, x then y [Å].
    number
        Atomic number of all atoms.
    frame
        Which frame of a series.

    Returns
    -------
    Atoms
        With the arrays ``site``, ``sigma`` [Å], ``confidence`` and ``analysable``.

    Raises
    ------
    ValueError
        If a column is missing or the extent is not positive.
    """
    from ase import Atoms

    if min(extent) <= 0:
        raise ValueError(f"extent must be > 0 Å, got {extent}")
    missing = [name for name in ("frame", "kind", "site", "x", "y") if name not in sites]
    if missing:
        raise ValueError(f"sites must have the columns frame, kind, site, x, y, missing {', '.join(missing)}")
    atoms = sites[(sites["kind"] == "atom") & (sites["frame"] == frame)]
    heights = np.full(len(atoms), VACUUM_HEIGHT / 2)
    structure = Atoms(
        numbers=np.full(len(atoms), number),
        positions=np.column_stack([atoms["x"], atoms["y"], heights]),
        cell=[*extent, VACUUM_HEIGHT],
        pbc=False,
    )
    for name in ("site", "sigma", "confidence", "analysable"):
        if name in atoms:
            structure.set_array(name, atoms[name].to_numpy())
    return structure


def rings_to_geojson(rings: pd.DataFrame, ring_atoms: pd.DataFrame, sites: pd.DataFrame) -> dict[str, Any]:
    """Return the rings as polygons in GeoJSON.

    Parameters
    ----------
    rings
        Table of rings.
    ring_atoms
        Atoms around each ring: ``frame``, ``row`` (of the ring in its frame's rows) and ``atom``.
    sites
        Table of sites.

    Returns
    -------
    dict
        A ``FeatureCollection``: each ring a ``Polygon`` with closed corners, x then y [Å], not degrees of
        longitude and latitude, and the properties ``frame``, ``ring``, ``size``, ``area`` [Å²] and
        ``complete``.

    Raises
    ------
    ValueError
        If the tables do not belong together.

    References
    ----------
    Butler et al., RFC 7946 (2016), doi:10.17487/RFC7946.
    """
    features = []
    for frame, own in rings.groupby("frame"):
        corners = ring_atoms.loc[ring_atoms["frame"] == frame, "atom"].to_numpy()
        if len(corners) != own["size"].sum():
            raise ValueError(
                f"ring_atoms must have {own['size'].sum()} rows for frame {frame}, got {len(corners)}"
            )
        located = sites[sites["frame"] == frame].sort_values("site")
        places = located[["x", "y"]].to_numpy().round(4)
        points = places[find_sites(corners, located["site"].to_numpy(), "rings", "atoms")].tolist()
        start = 0
        for row in as_records(own):
            polygon = points[start : start + row["size"]]
            start += row["size"]
            row["area"] = round(row["area"], 4)
            features.append(
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": [[*polygon, polygon[0]]]},
                    "properties": {name: row[name] for name in _PROPERTIES},
                }
            )
    return {"type": "FeatureCollection", "unit": "Å", "features": features}
