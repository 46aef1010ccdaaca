"""From files to report: 29 micrographs of 20.5 nm, the amount of Leist et al. (ACS Nano 16, 20488, 2022).

    python benchmarks/batch.py FOLDER            # simulates them once, then times `kedro run`

Micrographs of 1024 × 1024 px at 0.2 Å/px: bond-switched sheets of amorphous carbon with pores, partial second
layers and debris, both polarities, 60 and 80 kV, 5·10³ to 4·10⁴ e⁻/Å², light falling off. Their truth lies
beside them, without the sites below other matter. Prints the time of the command, interpreter and all, what
was measured, F1 and the shares of rings. They come from the project's own generator: how good the analysis is
on images of another making, `accuracy.py` says.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

ROOT = Path(__file__).parents[1]
N_MICROGRAPHS, SIDE, SAMPLING = 29, 1024, 0.2
LAYERS, DEBRIS = ("none", "none", "amorphous", "twisted"), ("none", "carbon", "none", "hydrocarbon", "none")


def simulate(folder: Path, seed: int) -> None:
    """Write the micrographs that are not there yet, with their truth."""
    from amorph2d.imaging.optics import Optics, matched_defocus
    from amorph2d.imaging.recipes import plain_recipe
    from amorph2d.imaging.simulate import simulate_image
    from amorph2d.imaging.simulated import MONOLAYER
    from amorph2d.units import positions_to_pixels

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(N_MICROGRAPHS):
        path = folder / f"micrograph-{number:02d}.tif"
        if path.is_file():
            continue
        rng = np.random.default_rng([seed, number])
        energy, Cs = (6e4, 8e4)[number % 2], float(rng.uniform(-1.5e5, 1.5e5))
        optics = Optics(
            energy=energy, defocus=0.0, Cs=Cs, focal_spread=30.0, angular_spread=0.2, semiangle_cutoff=55.0
        )
        recipe = plain_recipe(
            family="switched", hexagons=float(rng.uniform(0.5, 0.8)), rows=SIDE, columns=SIDE,
            sampling=SAMPLING, structure_seed=seed + number, noise_seed=seed + number, energy=energy, Cs=Cs,
            defocus=matched_defocus(optics, bright_atoms=number % 4 < 2, band=(0.35, 0.9)),
            focal_spread=30.0, angular_spread=0.2, semiangle_cutoff=55.0,
            dose_per_area=float(np.exp(rng.uniform(*np.log([5e3, 4e4])))),
            gradient=float(rng.uniform(0, 0.4)),
            pores=int(rng.integers(0, 4)), pore_radius=float(rng.uniform(4, 20)), pore_roughness=0.2,
            layer=LAYERS[number % 4], layer_share=0.2, debris=DEBRIS[number % 5], debris_coverage=0.15,
            mtf_floor=0.05, mtf_width=0.5, mtf_exponent=2.5,
        )  # fmt: skip
        image = simulate_image(recipe)
        tables = []
        for kind, points in (("atom", image.atoms), ("ring", image.rings)):
            pixels = np.clip(np.rint(positions_to_pixels(points, SAMPLING)).astype(int), 0, SIDE - 1)
            shown = points[image.mask[tuple(pixels.T)] == MONOLAYER]
            tables.append(pd.DataFrame({"kind": kind, "x": shown[:, 0], "y": shown[:, 1]}))
        pd.concat(tables).to_parquet(folder / f"{path.stem}.truth.parquet")
        tifffile.imwrite(path, image.image.astype(np.float32))
    (folder / "sampling.csv").write_text(
        "file,sampling\n" + "".join(f"micrograph-{k:02d},{SAMPLING}\n" for k in range(N_MICROGRAPHS))
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--params", default="", help="further parameters, as for kedro run")
    arguments = parser.parse_args()
    micrographs, results = arguments.folder / "micrographs", arguments.folder / f"results-{time.time():.0f}"
    simulate(micrographs, arguments.seed)
    given = f"micrographs={micrographs.resolve()},results={results.resolve()}"
    given += f",{arguments.params}" if arguments.params else ""
    command = [str(Path(sys.executable).with_name("kedro")), "run", "--params", given]
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    calibration = pd.read_parquet(results / "calibration.parquet")
    pooled = pd.read_parquet(results / "summary.parquet").iloc[-1]
    print(f"{len(calibration)} micrographs in {seconds:.0f} s: {pooled['n_bonds']:.0f} bonds, ", end="")
    print(f"{pooled['n_angles']:.0f} angles, {pooled['n_complete_rings']:.0f} rings")
    scores = calibration[["atom_f1", "atom_rmse", "ring_f1"]]
    print(scores.describe().loc[["min", "50%", "max"]].to_string(float_format=lambda value: f"{value:.4f}"))
    for size in (5, 6, 7, 8):
        name = f"ring_fraction_{size}"
        print(f"{name} {pooled[name]:.4f} ({pooled[name + '_low']:.4f} … {pooled[name + '_high']:.4f})")


if __name__ == "__main__":
    main()
