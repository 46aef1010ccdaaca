"""What the viewer in the page needs of one micrograph."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import AnyArray, IntArray
from amorph2d.measures.tables import differing_ring_sizes
from amorph2d.plotting.colours import RING_COLOURS, SERIES, SMALLEST_RING, ring_classes
from amorph2d.report.encode import data_uri
from amorph2d.report.pyramid import TILE, Pyramid, build_pyramid
from amorph2d.report.tiles import Found, Grid, cover, cut_into_tiles, ring_density
from amorph2d.report.values import Colouring, choose_colouring
from amorph2d.report.view import MicrographView, of_frame, site_rows

DETAIL = 25_000
"""Atoms that the viewer draws one by one; where more are in sight it shows the cover by ring size."""

_MASK_SIDE = 2048
_DENSITY_CELLS = 320
_MASK_COLOURS = ((64, 134, 196, 110), (0, 0, 0, 0), (196, 90, 24, 110))  # vacuum, monolayer, other; RGBA


@dataclass(frozen=True)
class Payload:
    """What a page carries of one micrograph.

    Attributes
    ----------
    head
        What the viewer needs at once, JSON-ready.
    chunks
        Tiles of the overlay and of the image as text, by the name under which the viewer asks for them.
    """

    head: dict[str, Any]
    chunks: dict[str, str]

    @property
    def n_bytes(self) -> int:
        """Characters of the chunks."""
        return sum(map(len, self.chunks.values()))


def overlay_payload(view: MicrographView, *, label: str) -> Payload:
    """Collect what was found in a micrograph, without its image.

    Parameters
    ----------
    view
        The micrograph.
    label
        How the page names it.

    Returns
    -------
    Payload
        With the head's ``field`` (x, y of the upper left corner, width, height [Å]), ``tiles`` of the
        overlay, ``density``, ``mask``, ``defects`` and the ``colourings`` of atoms and rings.

    Raises
    ------
    ValueError
        If a bond, an angle or a ring names a site that is no atom of the frame.
    """
    (rows, columns), (step_y, step_x) = view.image.shape, view.sampling
    field = (-0.5 * step_x, -0.5 * step_y, columns * step_x, rows * step_y)
    found, ring_colourings, atom_colourings = collect(view)
    tiles = cut_into_tiles(found, cover(field, found.n_atoms))
    classes = ring_classes(found.rings["size"]) - SMALLEST_RING
    is_counted = (found.rings["flags"] & 1).astype(bool)
    counts = np.bincount(classes[is_counted], minlength=len(RING_COLOURS))
    head = {
        "label": label,
        "field": field,
        "tiles": [[*(round(end, 3) for end in tile.box), tile.n_atoms, tile.n_rings] for tile in tiles],
        "counts": {size: int(count) for size, count in zip(RING_COLOURS, counts, strict=True) if count},
        "colourings": {
            "rings": [item.describe() for item in ring_colourings],
            "atoms": [item.describe() for item in atom_colourings],
        },
        "warnings": int(((found.rings["flags"] & 6) > 0).sum() + ((found.atoms["flags"] & 2) > 0).sum()),
        "density": None,
        "mask": None if view.mask is None else mask_uri(view.mask),
        "defects": _defects(view),
    }
    if found.n_atoms > DETAIL:
        grid = Grid(field, max(max(field[2:]) / _DENSITY_CELLS, 1e-9))
        head["density"] = ring_density(found, grid, classes)
    return Payload(head, {f"o{number}": tile.text for number, tile in enumerate(tiles)})


def add_image(payload: Payload, view: MicrographView, shape: tuple[int, int]) -> Payload:
    """Add the image of a micrograph, as a pyramid whose finest level has `shape`."""
    pyramid: Pyramid = build_pyramid(view.image, shape)
    image = {
        "overview": pyramid.overview,
        "rows": shape[0],
        "columns": shape[1],
        "levels": pyramid.n_levels,
        "tile": TILE,
    }
    chunks = payload.chunks | {f"i{name}": text for name, text in pyramid.tiles.items()}
    return Payload(payload.head | {"image": image}, chunks)


def collect(view: MicrographView) -> tuple[Found, list[Colouring], list[Colouring]]:
    """Return what was found in the shown frame as arrays, and the colourings of its rings and atoms.

    Raises
    ------
    ValueError
        If a bond, an angle or a ring names a site that is no atom of the frame.
    """
    sites = of_frame(view.sites, view.frame)
    atoms, centres = sites[sites["kind"] == "atom"], sites[sites["kind"] == "ring"]
    bonds, angles = of_frame(view.bonds, view.frame), of_frame(view.angles, view.frame)
    keep = (view.rings["frame"] == view.frame).to_numpy()
    rings = view.rings[keep]
    members, offsets = select_ragged(np.asarray(view.ring_members), np.asarray(view.ring_offsets), keep)
    of_rings = [choose_colouring("area", rings["area"])]
    of_rings += [
        choose_colouring(name, np.asarray(values)[keep]) for name, values in (view.ring_values or {}).items()
    ]
    of_atoms = [choose_colouring(name, values) for name, values in (view.atom_values or {}).items()]
    found = Found(
        atoms=_site_arrays(atoms),
        centres=_site_arrays(centres),
        pairs=site_rows(atoms, bonds[["atom_i", "atom_j"]].to_numpy(dtype=np.int64)),
        lengths=bonds["length"].to_numpy(dtype=np.float64),
        vertices=site_rows(atoms, angles["vertex"].to_numpy(dtype=np.int64)),
        angles=angles["angle"].to_numpy(dtype=np.float64),
        members=site_rows(atoms, members),
        offsets=offsets,
        rings=_ring_arrays(rings),
        atom_values={item.name: (item.values, *item.stored) for item in of_atoms},
        ring_values={item.name: (item.values, *item.stored) for item in of_rings},
    )
    return found, of_rings, of_atoms


def _site_arrays(sites: pd.DataFrame) -> Mapping[str, AnyArray]:
    """Return the columns of one kind of site."""
    flags = sites["analysable"].to_numpy(dtype=bool).astype(np.uint8)
    if "is_doubtful" in sites:
        flags = flags | (2 * sites["is_doubtful"].fillna(False).to_numpy(dtype=bool).astype(np.uint8))
    columns = {name: sites[name].to_numpy(dtype=np.float64) for name in ("x", "y", "sigma", "confidence")}
    return {**columns, "flags": flags, "site": sites["site"].to_numpy(dtype=np.int64)}


def _ring_arrays(rings: pd.DataFrame) -> Mapping[str, AnyArray]:
    """Return the columns of the rings, with what is to be marked."""
    flags = rings["complete"].to_numpy(dtype=bool).astype(np.uint8)
    flags |= 2 * (rings["ring"].to_numpy() < 0).astype(np.uint8)
    if "delaunay_size" in rings:
        differs = rings.index.isin(differing_ring_sizes(rings).index)
        flags |= 4 * differs.astype(np.uint8)
    columns = {name: rings[name].to_numpy(dtype=np.float64) for name in ("x", "y", "area")}
    return {**columns, "size": rings["size"].to_numpy(dtype=np.int64), "flags": flags}


def select_ragged(flat: IntArray, offsets: IntArray, keep: np.ndarray) -> tuple[IntArray, IntArray]:
    """Return the kept rows of a ragged array: flat values and offsets."""
    lengths = np.diff(offsets)
    chosen = flat[np.repeat(keep, lengths)]
    return chosen.astype(np.int64), np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)


def mask_uri(mask: AnyArray) -> str:
    """Encode a mask as a translucent PNG of at most 2048 px a side: vacuum blue, other orange.

    Parameters
    ----------
    mask
        0 vacuum, 1 monolayer, 2 other, (rows, columns) of the whole field.

    Returns
    -------
    str
        The data URI.
    """
    from PIL import Image

    rows, columns = (np.linspace(0, n - 1, min(n, _MASK_SIDE)).round().astype(int) for n in mask.shape)
    picture = Image.fromarray(np.ascontiguousarray(mask[np.ix_(rows, columns)], dtype=np.uint8))
    picture = picture.convert("P")
    picture.putpalette([part for colour in _MASK_COLOURS for part in colour[:3]])
    buffer = io.BytesIO()
    alpha = bytes(colour[3] for colour in _MASK_COLOURS)
    picture.save(buffer, "PNG", optimize=True, transparency=alpha)
    return data_uri(buffer.getvalue(), "image/png")


def defect_counts(view: MicrographView) -> list[tuple[str, int, int]]:
    """Return the kinds of defects of the shown frame: kind, how many, how many of them complete."""
    if view.defects is None:
        return []
    defects = of_frame(view.defects, view.frame)
    complete = defects["complete"].to_numpy(dtype=bool)
    kinds = defects["kind"].astype(str)
    return [
        (str(kind), int(count), int(complete[(kinds == kind).to_numpy()].sum()))
        for kind, count in kinds.value_counts().items()
    ]


def _defects(view: MicrographView) -> list[dict[str, Any]]:
    """Return the places of the defects, kind by kind, with a colour each."""
    if view.defects is None:
        return []
    defects = of_frame(view.defects, view.frame)
    kinds = defects["kind"].astype(str)
    groups = []
    for number, (kind, _, _) in enumerate(defect_counts(view)):
        own = defects[(kinds == kind).to_numpy()]
        places = own[["x", "y"]].to_numpy(dtype=np.float64).round(2)
        groups.append(
            {
                "kind": kind,
                "colour": SERIES[number % len(SERIES)],
                "shape": number % 4,
                "places": [float(value) for value in places.ravel()],
                "complete": [int(value) for value in own["complete"]],
            }
        )
    return groups
