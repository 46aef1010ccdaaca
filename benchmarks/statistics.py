"""Speed of the statistics: sites to bonds, rings, angles, g(r) and intervals, against one Delaunay call.

    python benchmarks/statistics.py --sites 1000000
    python benchmarks/statistics.py --sites 100000 1000000 10000000      # linear in N, memory

Sites are the atoms and ring centres of a bond-switched network of amorphous carbon, repeated and displaced by
0.05 Å per axis. The limit that they are held against is `scipy.spatial.Delaunay` of the same points, in the
same run; `freud` counts the pairs to 10 Å where it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

if __name__ == "statistics":  # a script beside this one meant the standard library's
    spec = importlib.util.spec_from_file_location(
        __name__, Path(sysconfig.get_path("stdlib"), "statistics.py")
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules[__name__] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[__name__])

ROOT = Path(__file__).parents[1]
PATCH = 100.0  # edge of the network that is repeated [Å]
NOISE = 0.05  # [Å]


def located_sites(n_sites: int, seed: int) -> tuple[pd.DataFrame, tuple[float, float]]:
    """Return a table of about `n_sites` sites, and the extent of their sheet [Å]."""
    from amorph2d.imaging.specimens import ring_fractions
    from amorph2d.structures.bond_switching import bond_switched_network

    rng = np.random.default_rng(seed)
    sheet = bond_switched_network(
        np.array([PATCH, PATCH]), ring_fractions=ring_fractions(0.6), bond_length=1.42, rng=rng
    )
    own = np.concatenate([sheet.positions, sheet.ring_centres])
    kinds = np.repeat(["atom", "ring"], [len(sheet.positions), len(sheet.ring_centres)])
    n = max(1, round((n_sites / len(own)) ** 0.5))
    shifts = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 1, 2) * sheet.box
    places = (own + shifts).reshape(-1, 2)
    places += rng.normal(0, NOISE, places.shape)
    extent = n * sheet.box
    sites = pd.DataFrame(
        {
            "frame": np.zeros(len(places), np.int32),
            "site": np.arange(len(places)),
            "kind": pd.array(["atom", "ring"], dtype="str").take(np.tile(kinds == "ring", n * n).astype(int)),
            "x": places[:, 0],
            "y": places[:, 1],
            "analysable": ((places > 2) & (places < extent - 2)).all(axis=1),
        }
    )
    return sites, (float(extent[0]), float(extent[1]))


def measure(sites: pd.DataFrame, extent: tuple[float, float]) -> dict[str, float]:
    """Return the time of each part of the statistics [s]."""
    from amorph2d.measures.config import StatisticsParameters
    from amorph2d.measures.summary import count_in_blocks, summary_table
    from amorph2d.measures.tables import angles_table, network_tables, pdf_table
    from amorph2d.measures.window import RectangularWindow

    given = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / "base" / "parameters_statistics.yml"))
    parameters = StatisticsParameters(**given["statistics"])
    window = RectangularWindow(2.0, 2.0, extent[0] - 2, extent[1] - 2)
    times: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        start = time.perf_counter()
        result = function(*arguments, **named)
        times[name] = time.perf_counter() - start
        return result

    bonds, rings, _ = timed("bonds and rings", network_tables, sites, parameters)
    angles = timed("angles", angles_table, sites, bonds)
    timed("g(r)", pdf_table, sites, window, parameters)
    block = parameters.intervals.block
    counts = timed("counts", count_in_blocks, sites, bonds, angles, rings, window=window, block=block)
    rng = np.random.default_rng(parameters.intervals.seed)
    timed("intervals", summary_table, {"sheet": counts}, parameters.intervals, rng)
    return times


def limits(sites: pd.DataFrame) -> dict[str, float]:
    """Return the time of one Delaunay call, and of freud's g(r) to 10 Å where it is installed [s]."""
    from scipy.spatial import Delaunay

    points = sites[["x", "y"]].to_numpy()
    start = time.perf_counter()
    Delaunay(points)
    times = {"Delaunay": time.perf_counter() - start}
    if importlib.util.find_spec("freud"):
        import freud

        atoms = sites.loc[sites["kind"] == "atom", ["x", "y"]].to_numpy()
        sides = np.ptp(atoms, axis=0) + 1.0
        box = freud.box.Box(*sides, is2D=True)
        flat = box.wrap(np.column_stack([atoms - atoms.min(axis=0) - sides / 2, np.zeros(len(atoms))]))
        start = time.perf_counter()
        freud.density.RDF(bins=200, r_max=10.0).compute((box, flat))
        times["g(r) by freud"] = time.perf_counter() - start
    return times


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--without-limit", action="store_true", help="do not call scipy's Delaunay")
    arguments = parser.parse_args()
    measure(*located_sites(2000, arguments.seed))  # compiles what is compiled
    for n_sites in arguments.sites:
        sites, extent = located_sites(n_sites, arguments.seed)
        limit = {} if arguments.without_limit else limits(sites)
        times = measure(sites, extent)
        total = sum(times.values())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        said = ", ".join(f"{name} {seconds:.2f}" for name, seconds in (limit | times).items())
        ratio = f", {total / limit['Delaunay']:.2f} Delaunay calls" if limit else ""
        print(f"{len(sites)} sites: {total:.2f} s{ratio}; {said} s; peak {peak:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
