"""The methods paragraph: what was done, with the parameters that were used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

PIPELINE_REFERENCE = (
    "C. Leist, M. He, X. Liu, U. Kaiser, H. Qi, Deep learning pipeline for statistical quantification of "
    "amorphous two-dimensional materials, ACS Nano 16, 20488–20496 (2022)."
)

PIPELINE_DOI = "10.1021/acsnano.2c06807"


def bibtex(version: str, year: int) -> str:
    """Return BibTeX entries of amorph2d and of the paper whose approach it follows."""
    return f"""@software{{amorph2d,
  title   = {{amorph2d: atoms, bonds, rings and their statistics from HRTEM micrographs}},
  version = {{{version}}},
  year    = {{{year}}}
}}

@article{{leist2022deep,
  author  = {{Leist, C. and He, M. and Liu, X. and Kaiser, U. and Qi, H.}},
  title   = {{Deep learning pipeline for statistical quantification of amorphous two-dimensional materials}},
  journal = {{ACS Nano}},
  volume  = {{16}},
  pages   = {{20488--20496}},
  year    = {{2022}},
  doi     = {{{PIPELINE_DOI}}}
}}"""


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
        *(_optional(flat, *parts) for parts in _BEFORE),
        f"A residual U-Net{used} trained on simulated micrographs gave one heat map of atoms and one of ring "
        "centres; the maxima of the heat maps, refined to a fraction of a pixel, are the sites.",
        *(_optional(flat, *parts) for parts in _AFTER),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


# Sentences with the parameters that they name; one that starts with "?" has to be true, and is not written.
_BEFORE: Sequence[tuple[str, ...]] = (
    (
        "All lengths below are for a material with a mean bond length of {} Å.",
        "analysis.bond_length",
    ),
    ("Uneven illumination was divided out of the images first.", "?analysis.flatten"),
    (
        "Second layers, contamination and vacuum were told from the monolayer by networks at a coarser "
        "sampling; "
        "faces of the located network with more than {} atoms are vacuum, spots of less than {} Å² were "
        "taken for contamination only where they are plain, and nothing within {} Å of second layers and "
        "contamination was counted.",
        "masks.largest_ring",
        "masks.smallest_spot",
        "masks.margin",
        "?masks.use",
    ),
)
_AFTER: Sequence[tuple[str, ...]] = (
    ("Maxima below a confidence of {} (atoms) were dropped.", "thresholds.atom"),
    ("Sites of one kind closer than {} Å were merged.", "min_distance"),
    (
        "Of two atoms closer than {} Å and of two ring centres closer than {} Å the weaker was dropped, as "
        "was a "
        "ring centre closer than {} Å to an atom.",
        "consistency.atom_distance",
        "consistency.ring_distance",
        "consistency.ring_to_atom",
    ),
    (
        "Positions were then fitted to the image in {} rounds, with the image of a single atom taken from "
        "the "
        "micrograph itself (reach {} Å) and a prior of {} Å per axis around the position from the network; "
        "atoms "
        "with less than {} of the usual amplitude were rejected.",
        "refinement.n_rounds",
        "refinement.kernel_reach",
        "refinement.position_prior",
        "refinement.least_amplitude",
    ),
    (
        "The micrograph was simulated again from the sites by the multislice method (electron energy {} eV "
        "where "
        "the file did not say); sites with more than {} times the usual misfit are marked as doubtful.",
        "twin.energy",
        "twin.doubtful",
    ),
    (
        "Frames of a series were aligned by cross-correlation with at most {} Å from frame to frame, and "
        "sites "
        "within {} Å were linked over at most {} missing frames.",
        "drift.max_step",
        "linking.max_step",
        "linking.memory",
    ),
    ("Sites within {} Å of the edge of the micrograph were not counted.", "localisation.border"),
    (
        "Bonds are the edges of {} to {} Å between atoms in the Delaunay triangulation of atoms and ring "
        "centres together.",
        "bonds.limits",
    ),
    ("Atoms with more than {} bonds are marked as over-coordinated.", "bonds.max_coordination"),
    (
        "Rings are the faces of the bond graph with at most {} atoms; only rings whose atoms are all "
        "analysable (complete rings) are counted.",
        "rings.max_size",
    ),
    (
        "The pair distribution function g(r) was computed up to {} Å in bins of {} Å, with translation "
        "correction at the edges of the analysed window.",
        "pdf.r_max",
        "pdf.bin_width",
    ),
    (
        "Intervals ({} %) come from a spatial bootstrap with blocks of {} Å and {} resamples.",
        "intervals.level",
        "intervals.block",
        "intervals.n_resamples",
    ),
)


def _optional(flat: Mapping[str, Any], template: str, *names: str) -> str:
    """Fill a sentence, or return nothing if a condition is not met."""
    for name in names:
        if name.startswith("?") and _find(flat, name[1:]) is not True:
            return ""
    return _sentence(flat, template, *(name for name in names if not name.startswith("?")))


def _find(flat: Mapping[str, Any], name: str) -> Any:
    """Return the value of the first parameter whose dotted name ends in `name`, or None."""
    key = next((key for key in flat if key == name or key.endswith(f".{name}")), None)
    return None if key is None else flat[key]


def _sentence(flat: Mapping[str, Any], template: str, *names: str) -> str:
    """Fill a sentence, or return nothing if a parameter is missing or is not a plain value."""
    values: list[Any] = []
    for name in names:
        value = _find(flat, name)
        if value is None or isinstance(value, str):
            return ""
        if name == "intervals.level":
            value = 100 * value
        values += list(value) if isinstance(value, (list, tuple)) else [value]
    shown = [f"{value:g}" if isinstance(value, float) else str(value) for value in values]
    return template.format(*shown)
