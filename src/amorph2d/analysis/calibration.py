"""What is known of a micrograph before its sites are looked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.arrays import AnyArray
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.micrographs.calibrate import (
    AUTO,
    check_field,
    has_sampling,
    recorded_dose,
    resolve_sampling,
)
from amorph2d.micrographs.sampling import SamplingEstimate, estimate_sampling

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork
    from amorph2d.micrographs.read import Micrograph
    from amorph2d.units import Sampling


def calibrate_micrograph(
    micrograph: Micrograph,
    *,
    parameter: float | Literal["auto"] | None,
    table: Mapping[str, Sampling],
    length_scale: float,
    network: TrainedNetwork,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
) -> dict[str, Any]:
    """Find the sampling of a micrograph and estimate its dose.

    Parameters
    ----------
    micrograph
        The micrograph; of a series the first frame is looked at.
    parameter
        Sampling of all micrographs [Å/px], ``auto`` to estimate it from the image, or None.
    table
        Samplings by name of file [Å/px].
    length_scale
        Lengths of the material over those of carbon, > 0.
    network, localisation, parameters
        The network of sites and how it is used, for an estimate.

    Returns
    -------
    dict
        ``rows``, ``columns``, ``n_frames``, ``sampling_y``, ``sampling_x``, ``sampling_source``,
        ``sampling_error`` [Å/px], ``length_scale``, ``energy`` [eV], ``dose_per_area`` [e⁻/Å²] and
        ``warnings``.

    Raises
    ------
    MicrographError
        If there is no sampling, it cannot be estimated, or the field is too small.
    """
    image = micrograph.frame(0)
    record: dict[str, Any] = dict(zip(("rows", "columns"), image.shape, strict=True))
    record |= {"n_frames": micrograph.n_frames, "length_scale": length_scale, "warnings": ""}
    if parameter == AUTO:

        def locate(part: AnyArray, sampling: float) -> pd.DataFrame:
            from amorph2d.localisation.locate import locate_sites

            scaled = sampling / length_scale
            sites = locate_sites(part, sampling=(scaled, scaled), network=network, parameters=localisation)
            return sites.assign(x=sites["x"] * length_scale, y=sites["y"] * length_scale)

        estimate = estimate_sampling(image, bond_length=parameters.bond_length * length_scale, locate=locate)
        steps, source = (estimate.sampling, estimate.sampling), "image"
        record["sampling_error"] = estimate.error
        if has_sampling(micrograph, table):
            stated = resolve_sampling(micrograph, table=table)
            record["warnings"] = _disagreement(stated, estimate)
    else:
        steps, source = resolve_sampling(micrograph, parameter=parameter, table=table)
    scaled = (steps[0] / length_scale, steps[1] / length_scale)
    check_field(micrograph, scaled, border=localisation.border)
    return record | {
        "sampling_y": steps[0],
        "sampling_x": steps[1],
        "sampling_source": source,
        "energy": micrograph.metadata.get("energy"),
        "dose_per_area": recorded_dose(micrograph, steps),
    }


def _disagreement(stated: tuple[tuple[float, float], str], estimate: SamplingEstimate) -> str:
    """Say that a stated sampling contradicts the image, if it does."""
    from amorph2d.micrographs.sampling import check_sampling

    sampling, source = stated
    warning = check_sampling(sampling, estimate)
    return f"{warning} (stated by {source})" if warning else ""
