"""What the viewer in the page needs of one micrograph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import IntArray
from amorph2d.report.encode import encode_array, encode_indices, image_uri
from amorph2d.report.view import MicrographView, of_frame, site_rows

FINEST = 0.08
"""Pixel size below which an embedded image shows nothing more of an atom, 1/18 of a bond [Å/px]."""


def shown_shape(view: MicrographView, *, max_side: int) -> tuple[int, int]:
    """Return rows and columns of the embedded image: no side above `max_side`, no pixel finer than `FINEST`.

    Raises
    ------
    ValueError
        If `max_side` is below 1.
    """
    if max_side < 1:
        raise ValueError(f"max_side must be ≥ 1 px, got {max_side}")
    shares = (min(1.0, step / FINEST, max_side / max(view.image.shape)) for step in view.sampling)
    rows, columns = (max(1, round(n * share)) for n, share in zip(view.image.shape, shares, strict=True))
    return rows, columns


def viewer_payload(view: MicrographView, *, label: str, max_side: int) -> dict[str, Any]:
    """Collect image and overlay of a micrograph.

    Parameters
    ----------
    view
        The micrograph.
    label
        How the page names it.
    max_side
        Longest side of the embedded image [px].

    Returns
    -------
    dict
        JSON-ready: ``image`` (data URI), ``field`` (x, y of the upper left corner, width, height [Å]), and
        ``atoms``, ``centres``, ``bonds``, ``rings`` as encoded arrays; bonds and rings count atoms from 0.

    Raises
    ------
    ValueError
        If a bond or a ring names a site that is no atom of the frame.
    """
    sites = of_frame(view.sites, view.frame)
    atoms, centres = sites[sites["kind"] == "atom"], sites[sites["kind"] == "ring"]
    bonds = of_frame(view.bonds, view.frame)[["atom_i", "atom_j"]].to_numpy(dtype=np.int64)
    (rows, columns), (step_y, step_x) = view.image.shape, view.sampling
    return {
        "label": label,
        "image": image_uri(view.image, shape=shown_shape(view, max_side=max_side)),
        "field": [-0.5 * step_x, -0.5 * step_y, columns * step_x, rows * step_y],
        "atoms": _encode_sites(atoms),
        "centres": _encode_sites(centres),
        "bonds": encode_indices(site_rows(atoms, bonds)),
        "rings": _encode_rings(view, atoms),
    }


def _encode_sites(sites: pd.DataFrame) -> dict[str, Any]:
    """Encode the columns of one kind of site."""
    encoded: dict[str, Any] = {"n": len(sites)}
    for name in ("x", "y", "sigma", "confidence"):
        encoded[name] = encode_array(sites[name].to_numpy(), "f4")
    encoded["analysable"] = encode_array(sites["analysable"].to_numpy(), "u1")
    encoded["site"] = encode_indices(sites["site"].to_numpy())
    return encoded


def _encode_rings(view: MicrographView, atoms: pd.DataFrame) -> dict[str, Any]:
    """Encode polygons, sizes and areas of the rings of the frame."""
    keep = (view.rings["frame"] == view.frame).to_numpy()
    rings = view.rings[keep]
    members, offsets = select_ragged(np.asarray(view.ring_members), np.asarray(view.ring_offsets), keep)
    return {
        "n": len(rings),
        "members": encode_indices(site_rows(atoms, members)),
        "offsets": encode_indices(offsets),
        "size": encode_indices(rings["size"].to_numpy()),
        "area": encode_array(rings["area"].to_numpy(), "f4"),
        "complete": encode_array(rings["complete"].to_numpy(), "u1"),
    }


def select_ragged(flat: IntArray, offsets: IntArray, keep: np.ndarray) -> tuple[IntArray, IntArray]:
    """Return the kept rows of a ragged array: flat values and offsets."""
    lengths = np.diff(offsets)
    chosen = flat[np.repeat(keep, lengths)]
    return chosen.astype(np.int64), np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
