"""Scores of a micrograph whose true sites are known."""

from __future__ import annotations

import pandas as pd

from amorph2d.localisation.scores import score_sites

MAX_DISTANCE = 0.5  # largest distance of a match [Å]


def score_against_truth(
    sites: pd.DataFrame, truth: pd.DataFrame, *, extent: tuple[float, float], border: float
) -> dict[str, float]:
    """Score located against true sites, one to one, away from the border.

    Parameters
    ----------
    sites, truth
        Columns `kind` ("atom" or "ring"), `x`, `y` [Å].
    extent
        Largest x and y in the image [Å].
    border
        Sites closer to the edge are not counted [Å].

    Returns
    -------
    dict
        ``<kind>_precision``, ``<kind>_recall``, ``<kind>_f1``, ``<kind>_rmse`` [Å] for atoms and rings; NaN
        where undefined.
    """
    window = (border, border, extent[0] - border, extent[1] - border)
    scores: dict[str, float] = {}
    for kind in ("atom", "ring"):
        found, true = (table.loc[table["kind"] == kind, ["x", "y"]].to_numpy() for table in (sites, truth))
        score = score_sites(found, true, max_distance=MAX_DISTANCE, window=window)
        scores |= {f"{kind}_{name}": getattr(score, name) for name in ("precision", "recall", "f1", "rmse")}
    return scores
