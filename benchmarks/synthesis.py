"""Speed of making a simulated set, against a plain script and against the optics alone, in one run.

    python benchmarks/synthesis.py --images 40

Ways to images of 512 × 512 px with labels, from the base parameters of the project:

plain    one after another: SciPy's PoissonDisk and Voronoi, abTEM with its defaults and shot noise, heat maps
         drawn atom by atom
project  the recipes of `conf/base`, all families, layers, debris and camera effects, made by two processes
         and written as shards; heat maps drawn as in training
abTEM    the optics alone of the project's images by abTEM's functions, by two processes: exit wave of each
         specimen, contrast transfer and shot noise of each image; structures come ready-made, no labels
optics   the same by the project's own functions

Imports and compilation are paid before the clock starts, in all of them. Prints images/s, the ratios, bytes
for each image on disk, and the peak memory of a process.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
SIDE = 512
SAMPLING = 0.2
LABEL_SIGMA = 0.4


def plain_image(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What a plain script does for one image, labels included."""
    import abtem
    from ase import Atoms
    from scipy.spatial import Voronoi
    from scipy.stats.qmc import PoissonDisk

    rng = np.random.default_rng(seed)
    edge = SIDE * SAMPLING
    radius = 1.91 / (edge + 20)
    seeds = PoissonDisk(d=2, radius=radius, rng=rng).fill_space() * (edge + 20) - 10
    corners = Voronoi(seeds).vertices
    atoms = corners[((corners > 0) & (corners < edge)).all(axis=1)]
    cell = Atoms(
        numbers=np.full(len(atoms), 6),
        positions=np.column_stack([atoms, np.full(len(atoms), 1.0)]),
        cell=[edge, edge, 2.0],
        pbc=True,
    )
    potential = abtem.Potential(cell, sampling=SAMPLING)
    wave = abtem.PlaneWave(energy=8e4).multislice(potential)
    image = wave.apply_ctf(
        abtem.CTF(Cs=-1e5, defocus=-60.0, focal_spread=30.0, semiangle_cutoff=60.0)
    ).intensity()
    noisy = image.poisson_noise(dose_per_area=1e4).compute(progress_bar=False).array.T
    grid = np.arange(SIDE) * SAMPLING
    labels = np.zeros((2, SIDE, SIDE), dtype=np.float32)
    centres = seeds[((seeds > 0) & (seeds < edge)).all(axis=1)]
    for label, points in zip(labels, (atoms, centres), strict=True):
        for x, y in points:
            spot = np.exp(-((grid[:, None] - y) ** 2 + (grid[None] - x) ** 2) / (2 * LABEL_SIGMA**2))
            np.maximum(label, spot, out=label)
    return noisy, labels


def base_recipes(n_images: int) -> list[dict[str, Any]]:
    """The first recipes of the project's base set."""
    import yaml

    from amorph2d.imaging.config import SynthesisParameters
    from amorph2d.imaging.recipes import draw_recipe

    text = (ROOT / "conf" / "base" / "parameters_synthesis.yml").read_text(encoding="utf-8")
    parameters = SynthesisParameters(**yaml.safe_load(text)["synthesis"])
    return [draw_recipe(parameters, index) for index in range(n_images)]


def groups_of(recipes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Recipes by specimen."""
    specimens: dict[int, list[dict[str, Any]]] = {}
    for recipe in recipes:
        specimens.setdefault(recipe["specimen"], []).append(recipe)
    return list(specimens.values())


def warm_up(recipes: list[dict[str, Any]]) -> None:
    """Import and compile everything in a worker."""
    from threadpoolctl import threadpool_limits

    from amorph2d.imaging.simulate import simulate_image

    threadpool_limits(limits=1)
    import torch  # noqa: F401

    for recipe in recipes:
        simulate_image(recipe)


def make_shard(task: tuple[list[dict[str, Any]], str]) -> int:
    """Simulate the images of a specimen, write them, and draw their heat maps; return the bytes on disk."""
    from amorph2d.datasets.shards import write_shard
    from amorph2d.pipelines.synthesis.scheduling import simulate_shard

    recipes, path = task
    write_shard(Path(path), simulate_shard(recipes), "benchmark")
    draw_labels(Path(path))
    return Path(path).stat().st_size


def prepare_specimens(recipes: list[dict[str, Any]]) -> list[Any]:
    """Build the specimens of some recipes."""
    from amorph2d.imaging.simulate import build_specimen

    return [build_specimen(group[0]) for group in groups_of(recipes)]


def run_abtem(task: tuple[list[dict[str, Any]], Any]) -> int:
    """Do the optics of a specimen's images by abTEM's functions: one exit wave, an image of each recipe."""
    import abtem
    from ase import Atoms

    recipes, specimen = task
    box, scale = specimen.sheet.box, recipes[0]["length_scale"]
    z = specimen.positions[:, 2]
    lifted = specimen.positions - [0, 0, z.min() - 1]
    atoms = Atoms(specimen.numbers, lifted, cell=[*box, np.ptp(z) + 2], pbc=True)
    # Measured plans of FFTW take half a second for each new shape; numpy's FFT needs none.
    with abtem.config.set({"fft": "numpy"}):
        potential = abtem.Potential(atoms, sampling=0.2 * scale, slice_thickness=3.0)
        wave = abtem.PlaneWave(energy=recipes[0]["energy"]).multislice(potential, lazy=False)
        for recipe in recipes:
            names = ("defocus", "Cs", "focal_spread", "angular_spread", "semiangle_cutoff")
            image = wave.apply_ctf(abtem.CTF(**{name: recipe[name] for name in names})).intensity()
            image.poisson_noise(dose_per_area=recipe["dose_per_area"]).array.sum()
    return len(recipes)


def run_optics(task: tuple[list[dict[str, Any]], Any]) -> int:
    """The same by the project's functions: exit wave, image and shot noise, and nothing else."""
    from amorph2d.imaging.detector import shot_noise
    from amorph2d.imaging.optics import Optics
    from amorph2d.imaging.simulate import OPTICS_COLUMNS, specimen_wave
    from amorph2d.imaging.waves import form_image

    recipes, specimen = task
    wave = specimen_wave(specimen, recipes[0])
    for recipe in recipes:
        intensity = form_image(wave, Optics(**{name: recipe[name] for name in OPTICS_COLUMNS}))
        rng = np.random.default_rng(recipe["noise_seed"])
        shot_noise(np.maximum(intensity, 0) * recipe["dose_per_area"] * recipe["sampling"] ** 2, rng)
    return len(recipes)


def draw_labels(path: Path) -> None:
    """Draw the heat maps of a shard, as training does."""
    import torch

    from amorph2d.datasets.shards import Shard
    from amorph2d.imaging.simulated import in_units_of_carbon
    from amorph2d.learning.targets import draw_heatmaps

    torch.set_num_threads(1)
    for image in map(in_units_of_carbon, Shard(path)):
        sites, shape = [image.atoms, image.rings], (SIDE, SIDE)
        draw_heatmaps(sites, shape, sampling=image.sampling, sigma=LABEL_SIGMA)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=40, help="images of the project and of the optics")
    parser.add_argument("--plain", type=int, default=3, help="images of the plain script")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()

    plain_image(0)
    start = time.perf_counter()
    for seed in range(1, arguments.plain + 1):
        plain_image(seed)
    plain = arguments.plain / (time.perf_counter() - start)

    recipes = base_recipes(arguments.images)
    groups = groups_of(recipes)
    with ProcessPoolExecutor(arguments.processes) as pool, tempfile.TemporaryDirectory() as folder:
        list(pool.map(warm_up, [[group[0] for group in groups[:8]]] * arguments.processes))
        start = time.perf_counter()
        tasks = [(group, f"{folder}/{k}.safetensors") for k, group in enumerate(groups)]
        n_bytes = sum(pool.map(make_shard, tasks))
        project = len(recipes) / (time.perf_counter() - start)
        specimens = [specimen for built in pool.map(prepare_specimens, groups) for specimen in built]
        tasks_of_optics = list(zip(groups, specimens, strict=True))
        rates = {}
        for name, function in (("abTEM", run_abtem), ("optics", run_optics)):
            list(pool.map(function, tasks_of_optics[: arguments.processes]))
            start = time.perf_counter()
            sum(pool.map(function, tasks_of_optics))
            rates[name] = len(recipes) / (time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (
        2**20 if sys.platform != "darwin" else 2**30
    )
    print(f"plain script  {plain:7.2f} images/s")
    print(f"project       {project:7.2f} images/s   {project / plain:5.1f} times the plain script")
    for name, label in (("abTEM", "abTEM, optics"), ("optics", "own optics")):
        ratio = rates[name] / project
        print(f"{label:13s} {rates[name]:7.2f} images/s   the project takes {ratio:4.2f} times as long")
    print(f"on disk {n_bytes / len(recipes) / 1e3:.0f} kB an image; peak memory of a process {peak:.2f} GiB")


if __name__ == "__main__":
    main()
