"""How far sigmas and confidences can be trusted after the fit, on validation images of carbon.

    kedro run --env reference --pipelines synthesis
    python benchmarks/calibration.py data/05_model_input/simulated_reference --images 120

`sigma`: shares of the errors per axis within one and two sigmas (normal: 0.683, 0.954), for fitted atoms and
for those left where the network found them. `confidence`: atoms in classes of what the network says of them,
how many of them are false, and how many it expects; below, the doubt that is best of the form

    1 − confidence = scale (1 − confidence of the network)^power

for fitted atoms, by likelihood, and atoms missed for each that is expected to be false. That is how
`analysis.refinement.doubt_scale`, `doubt_power` and `statistics.detection.missed_per_false` were chosen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scenes.judge import analysis, localisation, shipped

MATCHED = 0.5  # Å
OTHER_MATERIALS = ("boron_nitride", "silica", "polymer")
CLASSES = [0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0]


def judged(image: Any, number: int) -> tuple[pd.DataFrame, int, int]:
    """Return the analysable atoms of an image with what is true of them, and how many are true and missed."""
    from scipy.spatial import KDTree

    from amorph2d.analysis.frame import analyse_frame
    from amorph2d.analysis.regions import in_region
    from amorph2d.localisation.matching import match_points

    plain = analysis()
    refinement = plain.refinement.model_copy(update={"doubt_scale": 1.0, "doubt_power": 1.0})
    found = analyse_frame(
        image.image,
        sampling=(image.sampling,) * 2,
        networks=shipped(),
        localisation=localisation(),
        parameters=plain.model_copy(update={"refinement": refinement}),
    )
    atoms = found.sites[(found.sites["kind"] == "atom") & found.sites["analysable"]].reset_index(drop=True)
    places = atoms[["x", "y"]].to_numpy()
    true_sites = pd.DataFrame(image.atoms, columns=["x", "y"])
    true = image.atoms[in_region(true_sites, found.counts, image.sampling)]
    if len(places) == 0 or len(true) == 0:
        return atoms.assign(is_true=False, error=np.nan, number=number), len(true), len(true)
    pairs = match_points(places, image.atoms, max_distance=MATCHED).pairs
    error = np.full((len(atoms), 2), np.nan)
    # Slow distortions are no errors of the sites: a parabola of each axis is taken off.
    apart = places[pairs[:, 0]] - image.atoms[pairs[:, 1]]
    at = (image.atoms[pairs[:, 1]] - true.mean(axis=0)) / np.ptp(true, axis=0).clip(1)
    slow = np.column_stack([np.ones(len(at)), at, at**2, at[:, :1] * at[:, 1:]])
    error[pairs[:, 0]] = apart - slow @ np.linalg.lstsq(slow, apart, rcond=None)[0]
    n_missed = int((KDTree(places).query(true)[0] > MATCHED).sum())
    table = atoms.assign(is_true=np.isfinite(error[:, 0]), dx=error[:, 0], dy=error[:, 1], number=number)
    return table, len(true), n_missed


def best_doubt(doubt: np.ndarray, is_true: np.ndarray) -> tuple[float, float]:
    """Return the scale and power of the likeliest doubt."""
    best = (-np.inf, 1.0, 1.0)
    for power in np.arange(0.5, 3.01, 0.1):
        for scale in np.geomspace(0.02, 2, 60):
            p = np.clip(scale * doubt**power, 1e-9, 1 - 1e-9)
            likelihood = np.log(np.where(is_true, 1 - p, p)).sum()
            best = max(best, (float(likelihood), float(scale), float(power)))
    return best[1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of a simulated set")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--split", default="validation")
    parser.add_argument("--out", type=Path, help="the table of all atoms is written here, as Parquet")
    arguments = parser.parse_args()

    from amorph2d.datasets.shards import SimulatedSetDataset

    images = SimulatedSetDataset(filepath=str(arguments.folder)).load().split(arguments.split)
    tables, rows = [], []
    for number in range(min(len(images), arguments.images)):
        if images[number].recipe["family"] not in OTHER_MATERIALS:
            table, n_true, n_missed = judged(images[number], number)
            tables.append(table)
            rows.append({"number": number, "n_true": n_true, "n_missed": n_missed})
    counts = pd.DataFrame(rows).set_index("number")
    atoms = pd.concat(tables, ignore_index=True)
    if arguments.out is not None:
        atoms.to_parquet(arguments.out)
    is_fitted = atoms["origin"] == "refined"
    n_false = int((~atoms["is_true"]).sum())
    n_true, n_missed = counts[["n_true", "n_missed"]].sum()
    print(f"{len(tables)} images, {n_true} atoms; found {len(atoms)}, false {n_false}, missed {n_missed}")
    print("\nsigma")
    for name, part in (("fitted", atoms[is_fitted]), ("as the network found them", atoms[~is_fitted])):
        score = np.abs(part[["dx", "dy"]].to_numpy() / part[["sigma"]].to_numpy())
        score = score[np.isfinite(score)]
        shares = [(score < limit).mean() if len(score) else np.nan for limit in (1, 2)]
        print(f"  {name}: {shares[0]:.3f} within one, {shares[1]:.3f} within two; {len(part)} atoms")
    print("\nconfidence of the network, fitted atoms")
    part = atoms[is_fitted]
    classes = part.groupby(pd.cut(part["confidence"], CLASSES), observed=True)
    table = classes.agg(
        n=("is_true", "size"), false=("is_true", lambda each: (~each).sum()),
        expected=("confidence", lambda each: (1 - each).sum()),
    )  # fmt: skip
    print(table.to_string())
    scale, power = best_doubt(1 - part["confidence"].to_numpy(float), part["is_true"].to_numpy())
    print(f"\ndoubt_scale {scale:.2f}, doubt_power {power:.1f}")
    # Of images that the fit could not be made of, the network's own confidences are all there is.
    doubt = (1 - atoms["confidence"]).where(~is_fitted, scale * (1 - atoms["confidence"]) ** power)
    of_image = pd.DataFrame({"expected": doubt, "false": ~atoms["is_true"], "fitted": is_fitted})
    of_image = of_image.groupby(atoms["number"]).sum().join(counts, how="right").fillna(0)
    for name, part in of_image.groupby(of_image["fitted"] > 0):
        total = part[["false", "expected", "n_missed"]].sum()
        print(
            f"images {'with' if name else 'without'} a fit: false {total['false']:.0f}, "
            f"expected {total['expected']:.1f}, missed {total['n_missed']:.0f}, "
            f"{total['n_missed'] / total['expected']:.2f} for each expected"
        )


if __name__ == "__main__":
    main()
