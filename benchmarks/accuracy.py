"""Accuracy of the networks on structures and images of another making than the project's own.

    python benchmarks/scenes/quench.py /tmp/scenes/md            # once; needs LAMMPS, see there
    python benchmarks/accuracy.py ../shared/realdata/coordinates/*.data --quenched /tmp/scenes/md \\
        --cache /tmp/scenes/cache --csv accuracy.csv

Sheets are polycrystalline graphene from files (https://github.com/federicodambrosio/graphene-samples, CC BY
4.0), amorphous carbon quenched by molecular dynamics, such sheets with pores, and, where `scenes/learnt.py`
was run, buckled ones annealed by a machine-learnt potential; scenes have holes, a turned second layer and
debris as well. They are imaged by abTEM in both polarities, at 60 and 80 kV, three doses and samplings and
under uneven illumination, once more with strong threefold astigmatism and coma (aberrated), and two of them
with one condition at a time far from usual (varied). Images are simulated once and kept in the cache; a run
on another network takes them from there. Prints figures of merit for each condition and pooled: counts are
added up first. Where there is coma, which moves an image as a whole, the displacement that all atoms have in
common is taken off.
`RMSE/bound` is the error per axis over the Cramér–Rao bound, Δ5 the share of found less that of true
pentagons in points (4: and smaller, 8: and larger), `rings` the number of complete rings found over the
true, `light left` what remains of the illumination, root mean square.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from scenes.cache import CachedImage, cached
from scenes.judge import analyse, judge_areas, judge_sites, ratios
from scenes.standard import (
    Scene,
    SiteImage,
    aberrated_images,
    scenes,
    site_images,
    structure_paths,
    varied_images,
)

SHIPPED = Path(__file__).parents[1] / "src" / "amorph2d" / "networks"
TASKS = ("sites", "monolayer", "pores", "illumination")
PARTS = ("sites", "aberrated", "varied", "areas")
LARGEST_BOUND = 0.15  # Cramér–Rao bound per axis up to which an image is good [Å]
SITE_CONDITIONS = ("group", "structure", "atoms", "kV", "dose", "sampling", "gradient")
ABERRATED_CONDITIONS = ("group", "structure", "atoms", "kV", "sampling", "trefoil")
VARIED_CONDITIONS = ("group", "atoms", "structure")
SCENE_CONDITIONS = ("image", "atoms", "kV", "dose")


def part_of(image: CachedImage) -> str:
    """Return which part of the list an image is of."""
    if image.mask is not None:
        return "areas"
    if image.name.startswith("varied-"):
        return "varied"
    return "aberrated" if image.conditions.trefoil else "sites"


def conditions_of(image: CachedImage) -> dict[str, Any]:
    """Return what images are grouped by."""
    conditions = image.conditions
    return {
        "image": image.name, "group": image.group, "structure": image.structure,
        "atoms": "bright" if conditions.bright_atoms else "dark", "kV": round(conditions.energy / 1e3),
        "dose": round(conditions.dose_per_area), "sampling": conditions.sampling,
        "gradient": conditions.gradient, "trefoil": 200 * round(conditions.trefoil / 200), "images": 1,
    }  # fmt: skip


def pooled(rows: pd.DataFrame, conditions: tuple[str, ...]) -> pd.DataFrame:
    """Return the figures of merit for every value of every condition, and of all images."""
    groups = [("all", "", rows)]
    groups += [(name, value, part) for name in conditions for value, part in rows.groupby(name, sort=True)]
    return pd.DataFrame(
        [
            {"condition": name, "value": value} | ratios(part.select_dtypes("number").sum())
            for name, value, part in groups
        ]
    )


def load_networks(folder: Path) -> dict[str, Any]:
    """Return the networks there are in a folder, by task, and say which are missing."""
    from amorph2d.learning.storage import load_network

    found = {task: load_network(folder / task) for task in TASKS if (folder / task).is_dir()}
    missing = [task for task in TASKS if task not in found]
    if missing:
        print(f"No network for {', '.join(missing)} in {folder}: what needs it is left out.")
    return found


def report(name: str, rows: list[dict[str, Any]], conditions: tuple[str, ...], csv: Path | None) -> None:
    """Print the figures of merit, and write counts and figures of merit."""
    table = pd.DataFrame(rows).fillna(0)
    summary = pooled(table, conditions)
    print(f"\n{name}")
    with pd.option_context("display.width", 250, "display.max_columns", 50):
        print(summary.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    if csv is not None:
        csv.parent.mkdir(parents=True, exist_ok=True)
        summary.to_csv(csv.with_name(f"{csv.stem}_{name}.csv"), index=False)
        table.to_csv(csv.with_name(f"{csv.stem}_{name}_images.csv"), index=False)


def judge(image: CachedImage, networks: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return conditions and counts of one image: of what the networks find, or of the whole analysis."""
    found = analyse(image, networks) if whole else None
    if image.mask is None:
        counts = judge_sites(image, networks["sites"], None if found is None else found.sites)
    else:
        counts = judge_areas(image, networks, None if found is None else found.mask)
    return conditions_of(image) | counts


def report_images(rows: list[dict[str, Any]]) -> None:
    """Print the worst and the median image of those that can be located well."""
    table = pd.DataFrame(rows).fillna(0)
    images = pd.DataFrame([ratios(row) for _, row in table.select_dtypes("number").iterrows()])
    images["bound"] = (table["bound_squares"] / table["bounded"].clip(lower=1)) ** 0.5
    good = images[(images["bound"] <= LARGEST_BOUND) & (table["bounded"] > 0)]
    shown = ["atom F1", "ring F1", "atom RMSE", "bound", "RMSE/bound", *(f"Δ{k}" for k in range(4, 9))]
    print(f"\nsingle images: {len(good)} of {len(images)} with a bound of at most {LARGEST_BOUND} Å")
    print(
        good[shown].describe().loc[["min", "50%", "max"]].to_string(float_format=lambda value: f"{value:.3f}")
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("coordinates", type=Path, nargs="*", help="files of polycrystalline graphene")
    parser.add_argument("--quenched", type=Path, help="folder that scenes/quench.py filled")
    parser.add_argument("--cache", type=Path, required=True, help="folder of the simulated images")
    parser.add_argument("--network", type=Path, help="folder of a network for sites, instead of the other")
    parser.add_argument("--networks", type=Path, default=SHIPPED, help=f"folder with {', '.join(TASKS)}")
    parser.add_argument("--csv", "--out", type=Path, help="tables are written beside this name")
    parser.add_argument(
        "--whole", action="store_true", help="judge the whole analysis, refinement included, not the networks"
    )
    parser.add_argument("--quick", action="store_true", help="a sixth of the site images and two scenes")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="which images to look at")
    parser.add_argument("--simulate-only", action="store_true", help="fill the cache and stop")
    arguments = parser.parse_args()

    paths = structure_paths(arguments.coordinates, arguments.quenched)
    listed: list[SiteImage | Scene] = []
    if "sites" in arguments.parts:
        listed += site_images(paths)
    if "aberrated" in arguments.parts:
        listed += aberrated_images(paths)
    if "varied" in arguments.parts:
        listed += varied_images(paths)
    if "areas" in arguments.parts:
        listed += scenes(paths)
    if not listed:
        parser.error("give coordinates or a folder of quenched sheets: nothing can be imaged")
    if arguments.quick:
        bare = [image for image in listed if not isinstance(image, Scene)]
        listed = [*bare[::7], *(image for image in listed if isinstance(image, Scene))][: len(bare[::7]) + 2]
    networks = {} if arguments.simulate_only else load_networks(arguments.networks)
    if arguments.network and not arguments.simulate_only:
        from amorph2d.learning.storage import load_network

        networks["sites"] = load_network(arguments.network)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in PARTS}
    for image in listed:
        start = time.perf_counter()
        seen = cached(image, paths, arguments.cache)
        if arguments.simulate_only:
            print(f"{seen.name}: {time.perf_counter() - start:.0f} s", flush=True)
            continue
        name = part_of(seen)
        if networks.keys() - {"sites"} if name == "areas" else "sites" in networks:
            rows[name].append(judge(seen, networks, whole=arguments.whole))
    for name, conditions in zip(
        PARTS, (SITE_CONDITIONS, ABERRATED_CONDITIONS, VARIED_CONDITIONS, SCENE_CONDITIONS), strict=True
    ):
        if rows[name]:
            report(name, rows[name], conditions, arguments.csv)
            if name != "areas":
                report_images(rows[name])


if __name__ == "__main__":
    main()
