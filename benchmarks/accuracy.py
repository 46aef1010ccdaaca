"""Accuracy on sheets that the training never saw, imaged in both polarities.

    python benchmarks/accuracy.py ../shared/realdata/coordinates/20000-1488eV.data --hexagons 0.75 0.63 0.47

A file holds box x, box y, angle, energy, then atoms (id x y z), then bonds (id i j): the format of
https://github.com/federicodambrosio/graphene-samples (CC BY 4.0), polycrystalline graphene. ``--hexagons``
adds sheets by the project's own bond switching, of a seed that no set has. Prints F1 and RMSE for each
condition.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from amorph2d.imaging.optics import Optics, matched_defocus
from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import image_sheet
from amorph2d.structures.network import RingedSheet

SHIPPED = Path(__file__).parents[1] / "src" / "amorph2d" / "networks" / "sites"


def read_sheet(path: Path) -> RingedSheet:
    """Read a sheet with its bonds; ring centres are the centroids of its faces."""
    from amorph2d.topology.rings import planar_rings

    lines = path.read_text().splitlines()
    box = np.array([float(lines[0]), float(lines[1])])
    rows = [line.split() for line in lines[4:]]
    atoms = np.array([row[1:4] for row in rows if len(row) == 4], float)[:, :2] % box
    bonds = np.sort(np.array([row[1:3] for row in rows if len(row) == 3], int), axis=1)
    rings = planar_rings(atoms, bonds, box=box, max_size=12)
    return RingedSheet(
        positions=atoms,
        numbers=np.full(len(atoms), 6),
        bonds=bonds,
        ring_centres=rings.centroids % box,
        ring_sizes=rings.sizes,
        box=box,
        ring_members=rings.members,
        ring_offsets=np.concatenate([[0], np.cumsum(rings.sizes)]),
    )


def switched_sheet(hexagons: float) -> RingedSheet:
    """Return a bond-switched sheet of 110 × 110 Å with a share of hexagons."""
    from amorph2d.imaging.specimens import ring_fractions
    from amorph2d.structures.bond_switching import bond_switched_network

    rng = np.random.default_rng(20261122)
    return bond_switched_network((110.0, 110.0), ring_fractions=ring_fractions(hexagons), rng=rng)


def condition(*, energy: float, bright_atoms: bool, dose: float, seed: int, size: int = 500) -> dict:
    """One imaging condition of an ordinary aberration-corrected microscope."""
    optics = {
        "energy": energy, "Cs": -1e5 if bright_atoms else 1e5, "focal_spread": 30.0, "angular_spread": 0.3,
        "semiangle_cutoff": 50.0,
    }  # fmt: skip
    defocus = matched_defocus(Optics(defocus=0.0, **optics), bright_atoms=bright_atoms)
    return plain_recipe(
        **optics, defocus=defocus, noise_seed=seed, rows=size, columns=size, sampling=0.2, dose_per_area=dose,
        vibration=0.1, mtf_floor=0.05, mtf_width=0.5, mtf_exponent=2.5,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("coordinates", type=Path, nargs="*")
    parser.add_argument("--hexagons", type=float, nargs="*", default=[], help="shares of hexagons, 0.42 to 1")
    parser.add_argument("--network", type=Path, help="folder of a network; default: the shipped one")
    parser.add_argument("--doses", type=float, nargs="+", default=[3e3, 1e4, 4e4])
    parser.add_argument("--fields", type=int, default=2, help="fields per condition, each at another place")
    arguments = parser.parse_args()

    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.config import LocalisationParameters
    from amorph2d.localisation.locate import locate_sites
    from amorph2d.localisation.scores import score_sites

    network = load_network(arguments.network or SHIPPED)
    parameters = LocalisationParameters(
        tile_size=1024,
        batch_size=1,
        thresholds={"atom": None, "ring": None},
        min_distance=0.6,
        border=2.0,
        precision="auto",
    )
    sheets = {path.stem: read_sheet(path) for path in arguments.coordinates}
    sheets |= {f"{100 * share:g} % hexagons": switched_sheet(share) for share in arguments.hexagons}
    rows = []
    for (name, sheet), energy, bright, dose in product(
        sheets.items(), (6e4, 8e4), (True, False), arguments.doses
    ):
        totals: dict = {}
        for seed in range(arguments.fields):
            image = image_sheet(sheet, condition(energy=energy, bright_atoms=bright, dose=dose, seed=seed))
            found = locate_sites(image.image, sampling=(0.2, 0.2), network=network, parameters=parameters)
            last = 0.2 * (image.image.shape[0] - 1)
            window = (2.0, 2.0, last - 2.0, last - 2.0)
            for kind, truth in (("atom", image.atoms), ("ring", image.rings)):
                points = found.loc[found.kind == kind, ["x", "y"]].to_numpy()
                score = score_sites(points, truth, max_distance=0.5, window=window)
                totals[kind] = totals[kind] + score if kind in totals else score
        for kind, score in totals.items():
            rows.append(
                {"sheet": name, "kV": energy / 1e3, "atoms": "bright" if bright else "dark", "dose": dose,
                 "kind": kind, "precision": score.precision, "recall": score.recall,
                 "f1": score.f1, "rmse": score.rmse}
            )  # fmt: skip
    print(pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.4f}"))


if __name__ == "__main__":
    main()
