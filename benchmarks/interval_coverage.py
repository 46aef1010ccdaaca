"""How often intervals of the statistics hold the truth: those of 95 % should in 93 to 97 % of micrographs.

    python benchmarks/interval_coverage.py --true-only             # the intervals alone: a few minutes
    python benchmarks/interval_coverage.py --cache /tmp/coverage --micrographs 200 --out coverage.csv

The population is monolayer amorphous carbon: bond-switched sheets of 420 Å with 55 % hexagons and 0.2 % of
vacancies, all of the same ensemble. Its true statistics are those of all sheets together, from the
bonds that they were made with, without borders. Each micrograph shows 102 Å, turned and anywhere, of one of
them (four of each sheet, so that a sheet is sixteen times as large as what is seen of it), by abTEM under
optics of its own: both polarities, 60 and 80 kV, a dose drawn between 5000 and 50 000 e⁻/Å².

Printed is the share of micrographs whose interval holds the truth of the population, with its binomial
error, first for the true positions in the field, which judges the intervals alone, and then for
the sites that the whole analysis finds. `error` is the mean deviation of the estimate from the truth in units
of the mean half-width: where it is not near 0, the estimate is biased. Sheets and found sites are kept in the
cache; images are not, as they can be made again from the seed. A second run with other intervals takes what
was found from there.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scenes.imaging import Conditions, exposed, extent, margin_pixels, noise_free
from scenes.judge import analysis, localisation, shipped, statistics
from scenes.structures import Structure, cut_out, true_bonds, true_rings

from amorph2d.measures.noise import NoiseParameters

SHEET, PIXELS, SAMPLING = 420.0, 512, 0.2  # [Å], [px], [Å/px]
PER_SHEET = 4
HEXAGONS, VACANCIES = 0.55, 0.002  # share of rings, of atoms
DOSES, ENERGIES, SPHERICAL = (5e3, 5e4), (6e4, 8e4), (-1e5, 1e5)  # [e⁻/Å²], [eV], [Å]
# True positions have no errors.
NO_NOISE = NoiseParameters(
    **dict.fromkeys(NoiseParameters.model_fields, 0.0) | {"length_gain": 1.0, "angle_gain": 1.0}
)
SHOWN = [
    *(f"ring_fraction_{n}" for n in (5, 6, 7, 8, "9_or_more")), "mean_ring_size", "bond_mean",
    "bond_mean_corrected", "bond_std", "bond_std_deconvolved", "angle_mean", "angle_std",
    "angle_std_deconvolved", "coordination_mean", "coordination_fraction_2", "coordination_fraction_3",
    "density",
]  # fmt: skip


@dataclass(frozen=True)
class View:
    """What one micrograph shows: a field with margins, and how it is taken."""

    specimen: Structure
    conditions: Conditions

    @property
    def positions(self) -> np.ndarray:
        """Atoms, x then y from the centre of pixel (0, 0) of the image, (N, 2) [Å]."""
        margin = margin_pixels(self.conditions) * self.conditions.sampling
        return np.asarray(self.specimen.positions[:, :2] - margin)


def make_sheet(number: int, seed: int, folder: Path | None) -> Structure:
    """Return a periodic sheet of the ensemble, from the folder if it is there."""
    from amorph2d.imaging.specimens import ring_fractions
    from amorph2d.structures.bond_switching import bond_switched_network

    path = None if folder is None else folder / f"sheet_{seed}_{number:03}.npz"
    if path is not None and path.exists():
        with np.load(path) as kept:
            return Structure(kept["positions"], np.full(len(kept["positions"]), 6), kept["box"])
    rng = np.random.default_rng([seed, 0, number])
    sheet = bond_switched_network(
        np.full(2, SHEET), ring_fractions=ring_fractions(HEXAGONS), bond_length=1.42, rng=rng
    )
    flat = sheet.positions[rng.random(len(sheet.positions)) >= VACANCIES]
    positions = np.column_stack([flat, np.zeros(len(flat))])
    if path is not None:
        np.savez_compressed(path, positions=positions, box=sheet.box)
    return Structure(positions, np.full(len(positions), 6), sheet.box)


@cache
def _sheet(number: int, seed: int, folder: Path | None) -> Structure:
    return make_sheet(number, seed, folder)


def population_sums(sheet: Structure) -> dict[str, float]:
    """Add up what the true statistics need over a periodic sheet."""
    from amorph2d.measures.angles import bond_angles
    from amorph2d.measures.lengths import bond_lengths

    flat, box = sheet.positions[:, :2] % sheet.box, sheet.box
    bonds = true_bonds(sheet.positions, box)
    rings = _periodic_rings(flat, bonds, box)
    lengths, angles = bond_lengths(flat, bonds, box=box), bond_angles(flat, bonds, box=box)[1]
    ends = np.bincount(bonds.ravel(), minlength=len(flat))
    sizes = {f"rings_{n}": (rings == n).sum() for n in range(3, 9)} | {"rings_9_or_more": (rings >= 9).sum()}
    return sizes | {
        "atoms": len(flat), "area": box.prod(), "bonds": len(bonds), "length": lengths.sum(),
        "length_squared": (lengths**2).sum(), "angles": len(angles), "angle": angles.sum(),
        "angle_squared": (angles**2).sum(), "rings": len(rings), "ring_size": rings.sum(),
        "two": (ends == 2).sum(), "three": (ends == 3).sum(),
    }  # fmt: skip


def _periodic_rings(flat: np.ndarray, bonds: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the sizes of the rings of a periodic sheet."""
    from amorph2d.topology.rings import planar_rings

    return planar_rings(flat, bonds, box=box, max_size=statistics().rings.max_size).sizes


def population(sums: list[dict[str, float]]) -> dict[str, float]:
    """Return the true statistics of all sheets together."""
    total = pd.DataFrame(sums).sum()
    bond_mean, angle_mean = total["length"] / total["bonds"], total["angle"] / total["angles"]
    bond_std = (total["length_squared"] / total["bonds"] - bond_mean**2) ** 0.5
    angle_std = (total["angle_squared"] / total["angles"] - angle_mean**2) ** 0.5
    return {f"ring_fraction_{n}": total[f"rings_{n}"] / total["rings"] for n in (5, 6, 7, 8, "9_or_more")} | {
        "mean_ring_size": total["ring_size"] / total["rings"],
        "bond_mean": bond_mean, "bond_mean_corrected": bond_mean,
        "bond_std": bond_std, "bond_std_deconvolved": bond_std,
        "angle_mean": angle_mean, "angle_std": angle_std, "angle_std_deconvolved": angle_std,
        "coordination_mean": 2 * total["bonds"] / total["atoms"],
        "coordination_fraction_2": total["two"] / total["atoms"],
        "coordination_fraction_3": total["three"] / total["atoms"],
        "density": total["atoms"] / total["area"],
    }  # fmt: skip


def make_view(number: int, seed: int, folder: Path | None) -> View:
    """Return what a micrograph shows."""
    rng = np.random.default_rng([seed, 1, number])
    conditions = Conditions(
        energy=ENERGIES[number % 2], Cs=SPHERICAL[number // 2 % 2], size=PIXELS, sampling=SAMPLING,
        dose_per_area=float(np.exp(rng.uniform(*np.log(DOSES)))), seed=int(rng.integers(2**31)),
        defocus_error=float(rng.uniform(-20, 20)), astigmatism=float(rng.uniform(0, 10)),
    )  # fmt: skip
    sheet = _sheet(number // PER_SHEET, seed, folder)
    return View(cut_out(sheet, (extent(conditions), extent(conditions)), rng), conditions)


def true_sites(view: View) -> pd.DataFrame:
    """Return the table of the true sites of a field and its margins, without any error."""
    atoms = view.positions
    centres = true_rings(atoms, true_bonds(atoms), max_size=statistics().rings.max_size).centroids
    places = np.concatenate([atoms, centres])
    low, high = _bounds()
    return pd.DataFrame(
        {
            "frame": np.zeros(len(places), np.int32),
            "site": np.arange(len(places)),
            "kind": np.repeat(["atom", "ring"], [len(atoms), len(centres)]),
            "x": places[:, 0],
            "y": places[:, 1],
            "sigma": np.zeros(len(places), np.float32),
            "confidence": np.ones(len(places), np.float32),
            "analysable": ((places >= low) & (places <= high)).all(axis=1),
        }
    )


def _bounds() -> tuple[float, float]:
    """Return the lowest and highest coordinate that counts, along both axes [Å]."""
    border = localisation().border
    return border - SAMPLING / 2, (PIXELS - 0.5) * SAMPLING - border


def make_image(view: View) -> np.ndarray:
    """Simulate a micrograph."""
    return exposed(noise_free(view.specimen, view.conditions, oversampling=1), view.conditions)[0]


def find_sites(view: View) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Image a field and return the sites found, where they count, and all candidates."""
    from amorph2d.analysis.frame import analyse_frame
    from amorph2d.localisation.locate import locate_candidates

    image, sampling = make_image(view), (SAMPLING, SAMPLING)
    found = analyse_frame(
        image, sampling=sampling, networks=shipped(), localisation=localisation(), parameters=analysis()
    )
    candidates = locate_candidates(
        image, sampling=sampling, network=shipped().sites, parameters=localisation(),
        least=analysis().candidates,
    ).candidates  # fmt: skip
    return found.sites, found.counts, candidates


def cached_sites(number: int, seed: int, folder: Path) -> tuple[View, pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Return a micrograph, and its sites, counted pixels and candidates, from the folder if it has them."""
    view = make_view(number, seed, folder)
    stem = folder / f"micrograph_{seed}_{number:04}"
    files = [stem.with_name(f"{stem.name}_{part}") for part in ("candidates.parquet", "counts.npz")]
    last = stem.with_name(f"{stem.name}_sites.parquet")
    if not last.exists():
        sites, counts, candidates = find_sites(view)
        candidates.to_parquet(files[0])
        np.savez_compressed(files[1], counts=counts)
        sites.to_parquet(last)  # last, so that what was cut short is done again
    with np.load(files[1]) as kept:
        counts = kept["counts"]
    return view, pd.read_parquet(last), counts, pd.read_parquet(files[0])


def summarise(sites: pd.DataFrame, counts: np.ndarray | None, rng: np.random.Generator) -> dict[str, float]:
    """Return every statistic of a table of sites with its interval, as the project does."""
    from amorph2d.analysis.regions import COUNTED
    from amorph2d.measures.counting import FrameTables, count_frame
    from amorph2d.measures.detection import detection_table
    from amorph2d.measures.mask_window import observed_window
    from amorph2d.measures.summary import summarise_blocks
    from amorph2d.measures.tables import angles_table, network_tables
    from amorph2d.measures.window import RectangularWindow, Window

    if counts is None:
        low, high = _bounds()
        windows: tuple[Window, Window] = (RectangularWindow(low, low, high, high),) * 2
    else:
        windows = tuple(observed_window(part, SAMPLING) for part in (counts == COUNTED, counts > 0))
    parameters = statistics()
    bonds, rings, ring_atoms = network_tables(sites, parameters)
    tables = FrameTables(sites, bonds, angles_table(sites, bonds), rings, ring_atoms, *windows)
    noise = NO_NOISE if counts is None else parameters.intervals.noise
    intervals = parameters.intervals.model_copy(update={"noise": noise})
    blocks = count_frame(tables, parameters.model_copy(update={"intervals": intervals}))
    first, second = rng.spawn(2)
    detection = detection_table(sites, windows[0].area, statistics=parameters, rng=first)
    return summarise_blocks(blocks, intervals, second, detection=detection)


def judge(number: int, *, seed: int, folder: Path | None, true_only: bool) -> list[dict[str, Any]]:
    """Return the statistics of the true positions in a field, and of those found."""
    rng = np.random.default_rng([seed, 2, number])
    if true_only or folder is None:
        view = make_view(number, seed, folder)
        return [{"number": number, "of": "true positions"} | summarise(true_sites(view), None, rng)]
    view, sites, counts, _ = cached_sites(number, seed, folder)
    name = {"number": number, "dose": view.conditions.dose_per_area}
    return [
        name | {"of": "true positions"} | summarise(true_sites(view), None, rng),
        name | {"of": "found"} | summarise(sites, counts, rng),
    ]


def coverage(rows: pd.DataFrame, truth: dict[str, float]) -> pd.DataFrame:
    """Return the share of intervals that hold the truth, by statistic and by what they are of."""
    found = []
    for (of,), part in rows.groupby(["of"], sort=False):
        for name in (name for name in SHOWN if name in part):
            value, low, high = (part[f"{name}{end}"] for end in ("", "_low", "_high"))
            known = np.isfinite(value) & np.isfinite(low)
            n, share = known.sum(), ((low <= truth[name]) & (truth[name] <= high))[known].mean()
            half = (high - low).mean() / 2
            found.append(
                {
                    "of": of, "statistic": name, "truth": truth[name], "mean": value.mean(),
                    "scatter": value.std(), "half-width": half, "n": n, "covered": share,
                    "±": (share * (1 - share) / n) ** 0.5 if n else np.nan,
                    "error": (value.mean() - truth[name]) / half if half else np.nan,
                }
            )  # fmt: skip
    return pd.DataFrame(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--micrographs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--true-only", action="store_true", help="no images: true positions alone")
    parser.add_argument("--cache", type=Path, help="folder of sheets and found sites; needed for images")
    parser.add_argument("--out", type=Path, help="tables are written here, and beside it for each micrograph")
    arguments = parser.parse_args()
    if arguments.cache is None and not arguments.true_only:
        parser.error("give --cache FOLDER for what is found in images, or --true-only")
    if arguments.cache is not None:
        arguments.cache.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    n_sheets = -(-arguments.micrographs // PER_SHEET)
    make = partial(_truth_of, seed=arguments.seed, folder=arguments.cache)
    job = partial(judge, seed=arguments.seed, folder=arguments.cache, true_only=arguments.true_only)
    if arguments.processes > 1:
        with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
            sums = pool.map(make, range(n_sheets), chunksize=1)
            rows = pool.map(job, range(arguments.micrographs), chunksize=PER_SHEET)
    else:
        sums = [make(number) for number in range(n_sheets)]
        rows = [job(number) for number in range(arguments.micrographs)]
    table = pd.DataFrame([row for each in rows for row in each])
    report = coverage(table, population(sums))
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(report.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(f"{arguments.micrographs} micrographs, {time.perf_counter() - start:.0f} s")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        report.to_csv(arguments.out, index=False)
        table.to_csv(arguments.out.with_name(f"{arguments.out.stem}_micrographs.csv"), index=False)


def _truth_of(number: int, *, seed: int, folder: Path | None) -> dict[str, float]:
    """Return the sums of one sheet."""
    return population_sums(_sheet(number, seed, folder))


if __name__ == "__main__":
    main()
