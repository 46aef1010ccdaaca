"""Quenched sheets annealed and relaxed in three dimensions by a machine-learnt potential.

    python -m venv learnt && learnt/bin/pip install chgnet ase
    learnt/bin/python benchmarks/scenes/learnt.py FOLDER [--only NAME …]

FOLDER is what `quench.py` filled. Small sheets that it kept flat are buckled a little, held at 1000 K for
40 fs and relaxed, box and all, by CHGNet (B. Deng et al., Nature Machine Intelligence 5, 1031 (2023)), whose
weights come with its package. Stores ``learnt-NAME.extxyz``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

SHEETS = ("small-12", "small-random")
HEIGHT = 16.0  # of the box [Å]
BUCKLED = 0.1  # standard deviation of the heights at the start [Å]
HOT, STEP, HELD = 1000.0, 1.0, 40  # [K], [fs], steps
FORCE, MOST_STEPS = 0.05, 60  # largest force at the end [eV/Å]
SEED = 41


def relax(path: Path, seed: int) -> None:
    """Anneal and relax the sheet in a file, and store it beside it."""
    from ase.filters import FrechetCellFilter
    from ase.io import read, write
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
    from ase.optimize import FIRE
    from ase.units import fs
    from chgnet.model.dynamics import CHGNetCalculator

    rng = np.random.default_rng(seed)
    sheet = read(path)
    sheet.set_cell(np.diag([*np.diag(sheet.cell.array)[:2], HEIGHT]))
    sheet.positions[:, 2] = HEIGHT / 2 + rng.normal(0, BUCKLED, len(sheet))
    sheet.pbc = True
    sheet.calc = CHGNetCalculator(use_device="cpu")
    MaxwellBoltzmannDistribution(sheet, temperature_K=HOT, rng=rng)
    start = time.perf_counter()
    Langevin(sheet, STEP * fs, temperature_K=HOT, friction=0.02 / fs, rng=rng).run(HELD)
    print(f"{path.stem}: {len(sheet)} atoms annealed in {time.perf_counter() - start:.0f} s", flush=True)
    in_plane = FrechetCellFilter(sheet, mask=[1, 1, 0, 0, 0, 0])
    FIRE(in_plane, logfile="-").run(fmax=FORCE, steps=MOST_STEPS)
    sheet.positions[:, 2] -= sheet.positions[:, 2].mean()
    sheet.calc = None
    sheet.set_momenta(np.zeros((len(sheet), 3)))
    write(path.with_name(f"learnt-{path.name}"), sheet, columns=["symbols", "positions"])
    spread = sheet.positions[:, 2].std()
    print(f"{path.stem}: {time.perf_counter() - start:.0f} s, heights ± {spread:.2f} Å", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=SHEETS, default=SHEETS)
    arguments = parser.parse_args()
    for name in arguments.only:
        relax(arguments.folder / f"{name}.extxyz", SEED + SHEETS.index(name))


if __name__ == "__main__":
    main()
