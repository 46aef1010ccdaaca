"""Speed and memory of the analysis: against AtomAI's predict, and with the size of the image.

    python -m venv peer && peer/bin/pip install atomai six
    python benchmarks/inference.py --peer-python peer/bin/python     # 1024 x 1024 px, one run, same threads
    python benchmarks/inference.py --sides 2048 4096 8192 16384      # time per area and peak memory

The first compares, on one simulated image, AtomAI's `Segmentor.predict` (Ziatdinov et al., Nature Machine
Intelligence 4, 1101 (2022); one network, peaks included) with the networks of atoms, monolayer, pores and
illumination and all peaks, then with consistency and refinement as well. The second analyses images put
together from that one, each in a process of its own that reads a memory map; the peak is that of the whole
process, interpreter and libraries included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

ROOT = Path(__file__).parents[1]
PEER = Path(__file__).parent / "peers" / "atomai_inference.py"
SAMPLING = 0.2  # [Å/px]
SIDE = 1024
SEED = 74
TASKS = ("sites", "monolayer", "pores", "illumination")


def simulate() -> np.ndarray:
    """Return an image of amorphous carbon with a gradient, (1024, 1024)."""
    from amorph2d.imaging.recipes import plain_recipe
    from amorph2d.imaging.simulate import simulate_image

    recipe = plain_recipe(
        family="switched", hexagons=0.6, rows=SIDE, columns=SIDE, sampling=SAMPLING, structure_seed=SEED,
        noise_seed=SEED, defocus=-50.0, Cs=-1e5, focal_spread=30.0, dose_per_area=2e4, gradient=0.2,
    )  # fmt: skip
    return np.asarray(simulate_image(recipe).image)


def settings(*, whole: bool) -> dict[str, Any]:
    """Return networks and parameters; without consistency, refinement and twin unless `whole`."""
    from amorph2d.analysis.config import AnalysisParameters
    from amorph2d.analysis.frame import Networks
    from amorph2d.learning.storage import load_network
    from amorph2d.localisation.config import LocalisationParameters

    folder = ROOT / "src" / "amorph2d" / "networks"
    given = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "base" / "parameters_inference.yml"))
    analysis = AnalysisParameters(**given["analysis"]).model_copy(update={"twin": None})
    if not whole:
        analysis = analysis.model_copy(update={"consistency": None, "refinement": None})
    return {
        "networks": Networks(**{task: load_network(folder / task) for task in TASKS}),
        "localisation": LocalisationParameters(**given["localisation"]),
        "parameters": analysis,
        "sampling": (SAMPLING, SAMPLING),
    }


def timed(image: np.ndarray, *, whole: bool, repeats: int) -> tuple[float, float, int]:
    """Return the least clock and processor time of an analysis [s], and the atoms found."""
    from amorph2d.analysis.frame import analyse_frame

    given = settings(whole=whole)
    times = []
    for _ in range(repeats + 1):
        before = time.perf_counter(), time.process_time()
        found = analyse_frame(image, **given)
        times.append((time.perf_counter() - before[0], time.process_time() - before[1]))
    clock, processor = np.array(times[1:]).min(axis=0)
    return clock, processor, int((found.sites["kind"] == "atom").sum())


def time_peer(image: np.ndarray, arguments: argparse.Namespace) -> tuple[float, float, str]:
    """Return the least clock and processor time of AtomAI's predict [s], and what it is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        low, high = image.min(), image.max()
        np.save(folder / "image.npy", (image - low) / (high - low))
        command = [arguments.peer_python, PEER, folder, "--threads", arguments.threads]
        command += ["--repeats", arguments.repeats]
        environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
        subprocess.run([str(part) for part in command], check=True, env=environment, stdout=sys.stderr)
        result = json.loads((folder / "result.json").read_text())
    clock, processor = np.array(result["times"]).min(axis=0)
    return clock, processor, f"{result['versions']}, {result['weights'] / 1e6:.2f} M weights"


def compare(arguments: argparse.Namespace) -> None:
    """Print the times of both packages."""
    image = simulate()
    clock, processor, what = time_peer(image, arguments)
    print(f"{'':44s} {'clock [s]':>10s} {'processor [s]':>14s} {'of AtomAI':>10s}")
    print(f"{'AtomAI predict: one network, peaks':44s} {clock:10.2f} {processor:14.2f} {1:10.2f}   {what}")
    for whole, name in ((False, "four networks, masks, peaks"), (True, "… consistent, refined")):
        own, own_processor, n_atoms = timed(image, whole=whole, repeats=arguments.repeats)
        print(
            f"{'amorph2d: ' + name:44s} {own:10.2f} {own_processor:14.2f} {own / clock:10.2f}   "
            f"{n_atoms} atoms"
        )


def scale(arguments: argparse.Namespace) -> None:
    """Print time and peak memory for each size."""
    print(f"{'side [px]':>10s} {'time [s]':>10s} {'s per Mpx':>10s} {'peak [GiB]':>11s} {'atoms':>10s}")
    with tempfile.TemporaryDirectory() as name:
        part = simulate()
        for side in arguments.sides:
            path = Path(name) / f"{side}.npy"
            large = np.lib.format.open_memmap(path, "w+", np.float32, (side, side))
            for row in range(0, side, SIDE):
                large[row : row + SIDE] = np.tile(part, (1, side // SIDE + 1))[: side - row, :side]
            large.flush()
            del large
            command = [sys.executable, __file__, "--one", path, "--threads", arguments.threads]
            if arguments.networks_only:
                command.append("--networks-only")
            done = subprocess.run([str(each) for each in command], check=True, capture_output=True, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{side:10d} {row['seconds']:10.1f} {row['seconds'] / side**2 * 2**20:10.2f} "
                f"{row['peak'] / 2**20:11.2f} {row['atoms']:10d}",
                flush=True,
            )
            path.unlink()


def analyse_one(arguments: argparse.Namespace) -> None:
    """Analyse one memory map and print time, peak memory [KiB] and atoms."""
    from amorph2d.analysis.frame import analyse_frame

    image = np.load(arguments.one, mmap_mode="r")
    given = settings(whole=not arguments.networks_only)
    start = time.perf_counter()
    found = analyse_frame(image, **given)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    atoms = int((found.sites["kind"] == "atom").sum())
    print(json.dumps({"seconds": seconds, "peak": peak, "atoms": atoms}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", type=Path, help="interpreter that has AtomAI")
    parser.add_argument("--sides", type=int, nargs="*", default=[], help="sides of larger images [px]")
    parser.add_argument("--networks-only", action="store_true", help="of larger images, do not refine")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    if arguments.one:
        analyse_one(arguments)
        return
    if arguments.peer_python:
        compare(arguments)
    if arguments.sides:
        scale(arguments)


if __name__ == "__main__":
    main()
