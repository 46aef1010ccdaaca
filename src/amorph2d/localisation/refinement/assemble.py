"""The table of sites after a fit of its atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray, Float32Array, FloatArray, IntArray, as_points
from amorph2d.localisation.nearby import nearest_points
from amorph2d.localisation.refinement.config import RefinementParameters
from amorph2d.localisation.refinement.judge import Fitted, is_believed, is_crowded
from amorph2d.localisation.refinement.kernel import Kernel
from amorph2d.localisation.refinement.rounds import LEAST_WEIGHT, Stepper

NETWORK, REFINED, REPAIRED = "network", "refined", "repaired"
_LARGEST_SHARE = 0.5  # of misfits among the atoms that could be fitted
_PROFILE_STEP = 0.05  # [Å]
_NEAR = 1.0  # distance from which on a peak tells how sure a missing atom is [Å]
_UNSUPPORTED = 0.5  # probability of an atom that the image shows and the network does not


@dataclass(frozen=True, eq=False)
class Refinement:
    """Sites after the fit.

    Attributes
    ----------
    sites
        Table of sites with ``origin`` (``network``, ``refined``, ``repaired``) and ``misfit``, the mean
        square of the residual around an atom over that of the noise (about 1; NaN where nothing was fitted).
    radii, profile
        Radial part of the image of an atom, (M,) [Å] and (M,) in grey values; empty if there is none.
    noise
        Standard deviation of the noise of a pixel, without that above the highest frequency [grey values].
    n_rejected, n_found
        Sites that were no atoms, and atoms found again.
    explained
        Share that the atoms explain of the variance of the image at the frequencies of the fit.
    reason
        Why nothing was refined; empty if the fit was made.
    """

    sites: pd.DataFrame
    radii: FloatArray
    profile: FloatArray
    noise: float
    n_rejected: int
    n_found: int
    explained: float
    reason: str = ""


def with_columns(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the columns that the refinement fills in."""
    table = sites.reset_index(drop=True)
    if "origin" not in table:
        table["origin"] = pd.array([NETWORK] * len(table), dtype="str")
    table["misfit"] = np.full(len(table), np.nan, dtype=np.float32)
    return table


def unchanged(sites: pd.DataFrame, reason: str, explained: float = 0.0) -> Refinement:
    """Return the sites as they were."""
    nothing = np.empty(0)
    return Refinement(sites, nothing, nothing, float("nan"), 0, 0, explained, reason)


def atoms_of(weaker: pd.DataFrame | None) -> FloatArray:
    """Return the positions of the weaker peaks of atoms, (M, 2) [Å]."""
    if weaker is None:
        return np.empty((0, 2))
    return as_points(weaker.loc[weaker["kind"] == "atom", ["x", "y"]].to_numpy(), "weaker")


def assembled(
    table: pd.DataFrame,
    atoms: IntArray,
    rejected: IntArray,
    fit: Fitted,
    weaker: pd.DataFrame | None,
    stepper: Stepper,
    explained: float,
    parameters: RefinementParameters,
) -> Refinement:
    """Return the sites with what the fit says of them.

    Of large images this is where most rows are in memory: columns are replaced one after the other.

    Parameters
    ----------
    table
        Table of `with_columns`, which is used up.
    atoms
        Rows of the atoms, (N,).
    rejected
        Which of them are none, (R,).
    fit
        The others, whose numbers count in `atoms`, and the new ones.
    weaker
        Weaker peaks of the network.
    stepper
        With the kernel of the fit.
    explained
        Share of the variance that it explains.
    parameters
        Limits.
    """
    fit = _with_errors(fit, parameters)
    is_old = fit.number >= 0
    rows = atoms[fit.number[is_old]]
    moves = np.zeros(len(fit.number))
    moves[is_old] = np.hypot(
        *(fit.positions[is_old, axis] - table[name].to_numpy()[rows] for axis, name in enumerate(("x", "y")))
    )
    is_good = is_believed(fit, moves, parameters)
    del moves
    is_fitted = fit.weights >= LEAST_WEIGHT
    if np.count_nonzero(is_good & is_fitted) < (1 - _LARGEST_SHARE) * np.count_nonzero(is_fitted):
        return unchanged(table, "the image is no sum of equal images of atoms", explained)
    if len(rejected) > _most_rejected(table["confidence"].to_numpy()[atoms], parameters):
        reason = f"the fit takes {len(rejected)} atoms for none that the network is sure of"
        return unchanged(table, reason, explained)
    is_new = ~is_old & is_good
    new = np.flatnonzero(is_new & ~is_crowded(fit.positions, is_new, parameters))
    sureness = _sureness(table, weaker, fit.positions[new])
    _put(table, "misfit", rows, fit.misfit[is_old])
    moved, is_moved = rows[is_good[is_old]], is_old & is_good
    for axis, name in enumerate(("x", "y")):
        _put(table, name, moved, fit.positions[is_moved, axis])
    _put(table, "sigma", moved, fit.sigma[is_moved])
    is_confirmed = np.zeros(len(table), dtype=np.bool_)
    is_confirmed[moved] = True
    is_confirmed &= (table["origin"] == NETWORK).to_numpy(np.bool_)
    table["origin"] = table["origin"].mask(is_confirmed, REFINED)
    confirmed = np.flatnonzero(is_confirmed)
    _put(table, "confidence", confirmed, _confirmed(table["confidence"].to_numpy()[confirmed], parameters))
    del rows, moved, is_moved, is_confirmed, confirmed
    is_kept = np.ones(len(table), dtype=np.bool_)
    is_kept[atoms[rejected]] = False
    added = _new_rows(table, is_kept, fit, new, sureness)
    radii = np.arange(0, parameters.kernel_reach, _PROFILE_STEP)
    kernel = stepper.kernel
    return Refinement(
        sites=_with_rows(table, is_kept, added),
        radii=radii,
        profile=kernel.profile(radii),
        noise=_noise(kernel),
        n_rejected=len(rejected),
        n_found=len(new),
        explained=explained,
    )


def _put(table: pd.DataFrame, name: str, rows: IntArray, values: FloatArray | Float32Array) -> None:
    """Replace some values of a column, in its type."""
    column = table[name].to_numpy(copy=True)
    column[rows] = values
    table[name] = pd.Series(column, index=table.index, copy=False)


def _most_rejected(confidence: FloatArray | Float32Array, parameters: RefinementParameters) -> float:
    """Return how many atoms may go: some times what the network expects to be false, with its scatter."""
    doubt = float((1 - np.asarray(confidence, dtype=np.float64)).clip(0, 1).sum())
    return parameters.largest_rejection * (doubt + np.sqrt(doubt) + 1)


def _with_errors(fit: Fitted, parameters: RefinementParameters) -> Fitted:
    """Return the fit with calibrated errors."""
    sigma = np.hypot(parameters.sigma_scale * fit.sigma, parameters.sigma_floor)
    return Fitted(fit.number, fit.positions, sigma, fit.amplitudes, fit.misfit, fit.weights)


def _confirmed(confidence: FloatArray | Float32Array, parameters: RefinementParameters) -> Float32Array:
    """Return the probability that atoms are true that the image confirms, from what the network says of them.

    What contradicts the image is removed by now: of those left fewer are false.
    """
    doubt = (1 - np.asarray(confidence, dtype=np.float64)).clip(0, 1)
    return np.asarray(1 - parameters.doubt_scale * doubt**parameters.doubt_power, dtype=np.float32)


def _noise(kernel: Kernel) -> float:
    """Return the standard deviation of the noise up to the highest frequency of the kernel."""
    q = np.linspace(0, kernel.max_frequency, 256)
    return float(np.sqrt(np.trapezoid(2 * np.pi * q * kernel.noise_at(q), q)))


def _sureness(table: pd.DataFrame, weaker: pd.DataFrame | None, places: FloatArray) -> FloatArray:
    """Return how sure new atoms are, (M,): as the nearest atom or weaker peak that the network saw there."""
    result, least = np.full(len(places), _UNSUPPORTED), np.full(len(places), _NEAR)
    for seen in (table, weaker):
        if seen is None or not len(places):
            continue
        is_atom = (seen["kind"] == "atom").to_numpy(np.bool_)
        distance, number = nearest_points(seen["x"].to_numpy(), seen["y"].to_numpy(), places, among=is_atom)
        nearer = distance < least
        result[nearer] = np.maximum(seen["confidence"].to_numpy()[number[nearer]], 0)
        least[nearer] = distance[nearer]
    return result


def _new_rows(
    table: pd.DataFrame, is_kept: BoolArray, fit: Fitted, new: IntArray, sureness: FloatArray
) -> pd.DataFrame:
    """Return rows of atoms that were missing, in the columns of the table."""
    if len(new) == 0:
        return table.iloc[:0]
    places = fit.positions[new]
    rows = pd.DataFrame({"x": places[:, 0], "y": places[:, 1]})
    nearest = nearest_points(table["x"].to_numpy(), table["y"].to_numpy(), places, among=is_kept)[1]
    for name in ("frame", "analysable"):
        rows[name] = table[name].to_numpy()[nearest]
    rows["site"] = int(table["site"].max()) + 1 + np.arange(len(new))
    rows["kind"] = pd.array(["atom"] * len(new), dtype="str")
    rows["origin"] = pd.array([REPAIRED] * len(new), dtype="str")
    rows["sigma"], rows["misfit"] = fit.sigma[new], fit.misfit[new]
    rows["confidence"] = sureness
    return rows.reindex(columns=table.columns).astype(table.dtypes.to_dict())


def _with_rows(table: pd.DataFrame, is_kept: BoolArray, added: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that are kept and those that are added; the table is used up, column by column."""
    if is_kept.all() and not len(added):
        return table
    columns = {}
    for name in map(str, table.columns):
        parts = [table.pop(name)[is_kept], added[name]]
        columns[name] = pd.concat(parts[: 1 + bool(len(added))], ignore_index=True)
    return pd.DataFrame(columns, copy=False)
