"""Scores of a micrograph whose true sites are known."""

from __future__ import annotations

import pandas as pd

from amorph2d.localisation.scores import Place, score_sites

MAX_DISTANCE = 0.5  # largest distance of a match [Å]


def score_against_truth(sites: pd.DataFrame, truth: pd.DataFrame, *, window: Place) -> dict[str, float]:
    """Score located against true sites, one to one, where sites count.

    Parameters
    ----------
    sites, truth
        Columns `kind` ("atom" or "ring"), `x`, `y` [Å].
    window
        Where sites count, see `localisation.scores.score_sites`.

    Returns
    -------
    dict
        ``<kind>_precision``, ``<kind>_recall``, ``<kind>_f1``, ``<kind>_rmse`` [Å] for atoms and rings; NaN
        where undefined.
    """
    scores: dict[str, float] = {}
    for kind in ("atom", "ring"):
        found, true = (table.loc[table["kind"] == kind, ["x", "y"]].to_numpy() for table in (sites, truth))
        score = score_sites(found, true, max_distance=MAX_DISTANCE, window=window)
        scores |= {f"{kind}_{name}": getattr(score, name) for name in ("precision", "recall", "f1", "rmse")}
    return scores
