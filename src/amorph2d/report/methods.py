"""The methods paragraph: what was done, with the parameters that were used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PIPELINE_REFERENCE = (
    "C. Leist, M. He, X. Liu, U. Kaiser, H. Qi, Deep learning pipeline for statistical quantification of "
    "amorphous two-dimensional materials, ACS Nano 16, 20488–20496 (2022)."
)


def flatten(parameters: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters as one level with dotted names; a sequence stays one value."""
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def interval_level(parameters: Mapping[str, Any]) -> str:
    """Return what the intervals are called: `95 %` unless the parameters have another ``intervals.level``."""
    flat = flatten(parameters)
    values = [flat[key] for key in flat if f".{key}".endswith(".intervals.level")]
    return f"{100 * float(values[0]):g} %" if values else "95 %"


def methods_text(parameters: Mapping[str, Any], *, version: str, networks: Sequence[str]) -> str:
    """Write the methods paragraph.

    Parameters
    ----------
    parameters
        Nested parameters of the run; a sentence whose parameters are missing is left out.
    version
        Version of amorph2d.
    networks
        Names and versions of the networks that located the sites.

    Returns
    -------
    str
        Plain text, to be escaped by whoever puts it into a page.
    """
    flat = flatten(parameters)
    used = f" ({'; '.join(networks)})" if networks else ""
    sentences = [
        f"Micrographs were analysed with amorph2d {version}, which follows the approach of Leist et al.",
        f"A residual U-Net{used} trained on simulated micrographs gave one heat map of atoms and one of ring "
        "centres; the maxima of the heat maps, refined to a fraction of a pixel, are the sites.",
        _sentence(flat, "Maxima below a confidence of {} (atoms) were dropped.", "thresholds.atom"),
        _sentence(flat, "Sites of one kind closer than {} Å were merged.", "min_distance"),
        _sentence(flat, "Sites within {} Å of the edge of the micrograph were not counted.", "border"),
        _sentence(
            flat,
            "Bonds are the edges of {} to {} Å between atoms in the Delaunay triangulation of atoms and ring "
            "centres together.",
            "bonds.limits",
        ),
        _sentence(
            flat,
            "Rings are the faces of the bond graph with at most {} atoms; only rings whose atoms are all "
            "analysable (complete rings) are counted.",
            "rings.max_size",
        ),
        _sentence(
            flat,
            "The pair distribution function g(r) was computed up to {} Å in bins of {} Å, with translation "
            "correction at the edges of the analysed window.",
            "pdf.r_max",
            "pdf.bin_width",
        ),
        _sentence(
            flat,
            "Intervals ({} %) come from a spatial bootstrap with blocks of {} Å and {} resamples.",
            "intervals.level",
            "intervals.block",
            "intervals.n_resamples",
        ),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _sentence(flat: Mapping[str, Any], template: str, *names: str) -> str:
    """Fill a sentence, or return nothing if a parameter is missing or is not a plain value."""
    values: list[Any] = []
    for name in names:
        key = next((key for key in flat if key == name or key.endswith(f".{name}")), None)
        value = None if key is None else flat[key]
        if value is None or isinstance(value, str):
            return ""
        if name == "intervals.level":
            value = 100 * value
        values += list(value) if isinstance(value, (list, tuple)) else [value]
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return template.format(*shown)
