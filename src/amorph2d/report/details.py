"""What is known of a micrograph beyond the results contract, put into its view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.arrays import FloatArray
from amorph2d.plotting.fields import order_map, orientation_map, strain_map
from amorph2d.plotting.order import order_figure
from amorph2d.plotting.rendering import rendered
from amorph2d.report.maps import ring_polygons
from amorph2d.report.view import MicrographView, of_frame, site_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def add_details(
    view: MicrographView,
    *,
    mask: NDArray[np.uint8],
    twin: bytes | None,
    film: bytes | None,
    warnings: Sequence[str],
    defects: pd.DataFrame,
    ring_order: pd.DataFrame,
    strain: pd.DataFrame,
    scattering: str,
) -> MicrographView:
    """Return a view with masks, defects, values of atoms and rings, and further figures.

    Parameters
    ----------
    view
        The micrograph.
    mask
        Of the shown frame: 0 vacuum, 1 monolayer, 2 other, (rows, columns).
    twin, film
        Pictures as PNG and WebP, if there are any.
    warnings
        What is to be said about the micrograph.
    defects, ring_order, strain
        Tables of all frames, `ring_order` with a row for each ring of the view. Of defects those are shown
        that are complete.
    scattering
        Figure of `draw_scattering`, as SVG.
    """
    return replace(
        view,
        mask=mask,
        twin=twin,
        film=film,
        film_type="image/webp",
        warnings=tuple(warnings),
        defects=defects[defects["complete"].to_numpy(bool)],
        ring_values={
            "psi6": ring_order["psi6"].to_numpy(np.float64),
            "orientation": ring_order["orientation"].to_numpy(np.float64),
        },
        atom_values={"bond_strain": atom_column(view, strain, "bond_strain")},
        figures=[("Structure factor and neighbouring rings", scattering)],
    )


def draw_scattering(structure_factor: pd.DataFrame, ring_adjacency: pd.DataFrame, *, frame: int) -> str:
    """Draw the structure factor and the neighbours of rings of a frame, as SVG to be put into a page."""
    return svg_text(order_figure(of_frame(structure_factor, frame), of_frame(ring_adjacency, frame)))


def atom_column(view: MicrographView, table: pd.DataFrame, name: str) -> FloatArray:
    """Return a column of a table with one row per atom, in the order of the atoms of the view's frame."""
    sites, own = of_frame(view.sites, view.frame), of_frame(table, view.frame)
    atoms = sites[sites["kind"] == "atom"]
    return own[name].to_numpy(np.float64)[site_rows(own, atoms["site"].to_numpy(np.int64))]


def draw_strain_map(view: MicrographView, strain: pd.DataFrame) -> Figure:
    """Draw the strain of the bonds of each atom over the micrograph."""
    sites = of_frame(view.sites, view.frame)
    atoms = sites.loc[sites["kind"] == "atom", ["x", "y"]].to_numpy()
    values = atom_column(view, strain, "bond_strain")
    return strain_map(
        view.image, atoms, values, sampling=view.sampling, label="Bond strain [%]", title=view.stem
    )


def draw_order_map(view: MicrographView, ring_order: pd.DataFrame) -> Figure:
    """Draw the order of the rings around each complete ring over the micrograph."""
    atoms, polygons, keep = ring_polygons(view)
    order = ring_order["psi6"].to_numpy(np.float64)[keep]
    return order_map(view.image, atoms, polygons, order, sampling=view.sampling, title=view.stem)


def draw_orientation_map(
    view: MicrographView, ring_grains: pd.DataFrame, boundary_points: pd.DataFrame
) -> Figure:
    """Draw the orientation of the hexagons and the boundaries between grains over the micrograph."""
    atoms, polygons, keep = ring_polygons(view)
    points = of_frame(boundary_points, view.frame)
    lines = [line[["x", "y"]].to_numpy() for _, line in points.groupby("boundary")]
    orientation = ring_grains["orientation"].to_numpy(np.float64)[keep]
    return orientation_map(
        view.image, atoms, polygons, orientation, sampling=view.sampling, boundaries=lines, title=view.stem
    )


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG to be put into a page."""
    text = rendered(figure, "svg").decode()
    return text[text.index("<svg") :]
