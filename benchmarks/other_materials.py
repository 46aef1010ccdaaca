"""Other materials by the network of carbon: silica and two-dimensional polymers through `length_scale`.

    kedro run --env reference --pipelines synthesis
    python benchmarks/other_materials.py data/05_model_input/simulated_reference

Test images of the set whose nodes lie farther apart than carbon's (bilayer silica 3.1 Å, the polymer 26 Å)
are analysed at their own sampling with their `length_scale`, as a user would. Sites are matched one to one
within 0.5 Å times that scale; rings are those of the found and of the true network where sites count. Counts
of all images are added up before they are divided; with `--each` images stand for themselves.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scenes.judge import analysis, localisation, shipped, statistics

MATCHED = 0.5  # Å at the scale of carbon
SIZES = range(4, 10)


def judge(image: Any) -> dict[str, Any]:
    """Return what was found, true and matched in an image, and rings of each size."""
    from amorph2d.analysis.frame import analyse_frame
    from amorph2d.analysis.regions import in_region
    from amorph2d.localisation.matching import match_points
    from amorph2d.measures.config import scaled
    from amorph2d.measures.tables import network_tables
    from amorph2d.topology.rings import planar_rings

    scale = image.length_scale
    found = analyse_frame(
        image.image,
        sampling=(image.sampling,) * 2,
        networks=shipped(),
        localisation=localisation(),
        parameters=analysis(),
        length_scale=scale,
    )

    def counts(points: np.ndarray) -> np.ndarray:
        return in_region(pd.DataFrame(points, columns=["x", "y"]), found.counts, image.sampling)

    row: dict[str, Any] = {
        "family": image.recipe["family"],
        "images": 1,
        "dose_per_area": image.recipe["dose_per_area"],
    }
    for kind, truth in (("atom", image.atoms), ("ring", image.rings)):
        sites = found.sites[found.sites["kind"] == kind]
        places = sites[["x", "y"]].to_numpy()
        pairs = match_points(places, truth, max_distance=MATCHED * scale).pairs
        is_found, is_true = sites["analysable"].to_numpy(bool), counts(truth)
        row[f"{kind}_found"], row[f"{kind}_true"] = is_found.sum(), is_true.sum()
        row[f"{kind}_right"] = is_found[pairs[:, 0]].sum()
        row[f"{kind}_seen"] = is_true[pairs[:, 1]].sum()
    rings = network_tables(found.sites, scaled(statistics(), scale))[1]
    sizes = rings.loc[rings["complete"], "size"].to_numpy()
    true = planar_rings(image.atoms, image.bonds, max_size=max(SIZES))
    is_counted = np.logical_and.reduceat(counts(image.atoms)[true.members], true.offsets[:-1])
    for size in SIZES:
        row[f"rings_found_{size}"] = (sizes == size).sum()
        row[f"rings_true_{size}"] = (true.sizes[is_counted] == size).sum()
    return row


def report(rows: pd.DataFrame) -> pd.DataFrame:
    """Return F1 of both kinds of sites and the differences of ring fractions, by material."""
    total = rows.groupby("family").sum()
    shown = {"images": total["images"], "nodes": total["atom_true"]}
    for kind in ("atom", "ring"):
        precision = total[f"{kind}_right"] / total[f"{kind}_found"]
        recall = total[f"{kind}_seen"] / total[f"{kind}_true"]
        shown[f"{kind} F1"] = 2 * precision * recall / (precision + recall)
    shares = []
    for which in ("found", "true"):
        each = total[[f"rings_{which}_{n}" for n in SIZES]].to_numpy(float)
        shares.append(100 * each / each.sum(axis=1, keepdims=True))
    for k, size in enumerate(SIZES):
        pairs = zip(shares[0][:, k], shares[1][:, k], strict=True)
        shown[f"rings of {size} [%]"] = [f"{found:.1f} / {true:.1f}" for found, true in pairs]
    return pd.DataFrame(shown)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of a simulated set")
    parser.add_argument("--split", default="test")
    parser.add_argument("--each", action="store_true", help="a column for each image")
    arguments = parser.parse_args()

    from amorph2d.datasets.shards import SimulatedSetDataset

    images = SimulatedSetDataset(filepath=str(arguments.folder)).load().split(arguments.split)
    rows = [judge(image) for image in images if image.length_scale != 1]
    if not rows:
        parser.error(f"the {arguments.split} images of {arguments.folder} are all of carbon")
    table = pd.DataFrame(rows)
    if arguments.each:
        dose = table["dose_per_area"].round().astype(int).astype(str)
        table["family"] += " " + table.index.astype(str) + ", " + dose + " e/Å²"
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(report(table.drop(columns="dose_per_area")).round(3).T.to_string())


if __name__ == "__main__":
    main()
