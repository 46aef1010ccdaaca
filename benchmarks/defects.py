"""Defects and dopants found in simulated images of graphene, against those that were put in.

    python benchmarks/defects.py --images 42 --seed 0 --out defects.csv

Crystalline sheets get defects of every kind that `amorph2d.structures.defects` knows, or foreign atoms, are
relaxed, and imaged at 10⁴ e⁻/Å² with 60 and 80 kV, in both polarities, at several samplings and with errors
of defocus and astigmatism. Each image goes through the whole analysis; then defects are recognised from the
sites found, and from the true positions. A defect is found if one of the same kind lies within 3 Å, one to
one; counted are those whose centre is at least 10 Å inside the image. Counts are added up first. The last
table counts atoms of foreign elements, found within 1 Å.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scenes.judge import analysis, localisation, statistics
from scipy.spatial import KDTree

from amorph2d.analysis.frame import Networks, analyse_frame
from amorph2d.imaging.optics import Optics, matched_defocus
from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import image_sheet
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.imaging.specimens import ring_fractions
from amorph2d.localisation.matching import match_points
from amorph2d.measures.defects import defect_tables
from amorph2d.measures.dopants import dopants_table
from amorph2d.measures.tables import network_tables
from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.structures.defects import insert_defect
from amorph2d.structures.dopants import rest_lengths, substitute
from amorph2d.structures.lattices import CARBON_BOND, honeycomb_sheet
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.relax import relax_network
from amorph2d.topology.ring_neighbours import ring_neighbours

SHIPPED = Path(__file__).parents[1] / "src" / "amorph2d" / "networks"
NAMES = {  # what the simulator inserts, and what it is called when it is found
    "stone_wales": "stone_wales",
    "vacancy": "vacancy",
    "vacancy_59": "vacancy_59",
    "vacancies_2": "divacancy",
    "vacancies_3": "hole",
    "vacancies_4": "hole",
    "vacancies_6": "hole",
    "divacancy_585": "divacancy_585",
    "divacancy_555777": "divacancy_555777",
    "divacancy_5555_6_7777": "divacancy_5555_6_7777",
    "flower": "flower",
    "silicon_4": "fourfold_atom",
}
DIPOLES = ("dipole_1", "dipole_2", "dipole_3", "dipole_4")  # each two dislocations
SUBJECTS = ("defects", "defects", "dislocations", "defects", "defects", "dopants", "defects")  # by turns
AMORPHOUS, HEXAGONS = "dopants in amorphous carbon", 0.55
ELEMENTS = {5: "B", 7: "N", 14: "Si"}
SHARE = 0.008  # of the atoms that one foreign element replaces
FIELD = 96.0  # edge of an image [Å]
ROOM = 12.0  # of the sheet beyond the image [Å]
SPACING, DIPOLE_SPACING = 15.0, 26.0  # between the places of defects, at least [Å]
JITTER = 1.0  # of these places along x and y [Å]
REACH = 7.5  # of the rings of a defect from its centre [Å]
INSIDE = 10.0  # from the edge of the image, for defects that count [Å]
NEAR, NEAR_ATOM = 3.0, 1.0  # of a found one from the true one [Å]
CONDITIONS = tuple(product((6e4, 8e4), (True, False)))  # energy [eV], and whether atoms are bright
SAMPLINGS = (0.2, 0.15, 0.25)


@dataclass(frozen=True)
class Scene:
    """A sheet, and what was put where: kind or element, and x, y in its box [Å]."""

    sheet: RingedSheet
    placed: pd.DataFrame


def make_scene(subject: str, rng: np.random.Generator) -> Scene:
    """Return a relaxed sheet with defects of all kinds, dislocations or foreign atoms."""
    edge = FIELD + ROOM
    if subject == AMORPHOUS:
        sheet = bond_switched_network(
            (edge, edge), ring_fractions=ring_fractions(HEXAGONS), bond_length=CARBON_BOND, rng=rng
        )
    else:
        sheet = honeycomb_sheet((edge, edge), bond_length=CARBON_BOND, rotation=float(rng.uniform(0, 60)))
    if subject in ("dopants", AMORPHOUS):
        sheet, lengths = substitute(
            sheet, fractions=dict.fromkeys(ELEMENTS, SHARE), rng=rng, bond_length=CARBON_BOND
        )
        sheet = relax_network(sheet, tolerance=0.05, bond_lengths=lengths)
        is_foreign = np.isin(sheet.numbers, list(ELEMENTS))
        kinds = [ELEMENTS[number] for number in sheet.numbers[is_foreign].tolist()]
        return Scene(sheet, _table(kinds, sheet.positions[is_foreign]))
    box, spacing = sheet.box, SPACING if subject == "defects" else DIPOLE_SPACING
    placed = []
    points = _places(box, spacing, rng)
    kinds = rng.permutation(_repeated(NAMES if subject == "defects" else DIPOLES, len(points), rng))
    for kind, point in zip(kinds.tolist(), points, strict=True):
        changed = insert_defect(sheet, kind, rng=rng, site=point)
        placed.append((NAMES.get(kind, kind), _middle_of_removed(sheet, changed, point)))
        sheet = changed
    lengths = rest_lengths(sheet, bond_length=CARBON_BOND)
    sheet = relax_network(sheet, tolerance=0.05, bond_lengths=lengths)
    if subject == "dislocations":
        places = _dislocations(sheet)
        return Scene(sheet, _table(["dislocation"] * len(places), places))
    rough = np.array([place for _, place in placed]) * sheet.box / box
    return Scene(sheet, _table([kind for kind, _ in placed], _centred(sheet, rough)))


def _places(box: np.ndarray, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Return points of a square lattice with random displacements."""
    counts = np.maximum(1, box // (spacing + 2 * JITTER)).astype(int)
    points = np.indices(counts).reshape(2, -1).T * (box / counts)
    return points + rng.uniform(0, box) + rng.uniform(-JITTER, JITTER, points.shape)


def _repeated(kinds: Iterable[str], number: int, rng: np.random.Generator) -> list[str]:
    """Return each kind as often as others, and some once more, in random order."""
    names = list(kinds)
    rounds = [rng.permutation(names).tolist() for _ in range(number // len(names) + 1)]
    return [name for names in rounds for name in names][:number]


def _middle_of_removed(before: RingedSheet, after: RingedSheet, point: np.ndarray) -> np.ndarray:
    """Return the mean place of atoms that were removed and nothing else moved, or else the point."""
    distance = KDTree(after.positions, boxsize=after.box).query(before.positions)[0]
    gone = before.positions[distance > 0.01]
    if len(gone) != len(before.positions) - len(after.positions) or len(gone) == 0:
        return point
    return gone[0] + shortest_image(gone - gone[0], before.box).mean(axis=0)


def _table(kinds: list[str], places: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"kind": kinds, "x": places[:, 0], "y": places[:, 1]})


def _dislocations(sheet: RingedSheet) -> np.ndarray:
    """Return the middles of neighbouring rings of five and seven atoms, weighted by these numbers."""
    pairs = ring_neighbours(sheet.ring_members, sheet.ring_sizes).pairs
    sizes = sheet.ring_sizes[pairs]
    pairs, sizes = pairs[(sizes == 6).sum(axis=1) == 0], sizes[(sizes == 6).sum(axis=1) == 0]
    first, second = sheet.ring_centres[pairs].transpose(1, 0, 2)
    return first + shortest_image(second - first, sheet.box) * (sizes[:, 1] / sizes.sum(axis=1))[:, None]


def _centred(sheet: RingedSheet, rough: np.ndarray) -> np.ndarray:
    """Return the mean of the irregular rings around each place, or the place if there are none."""
    is_irregular = sheet.ring_sizes != 6
    centres, sizes = sheet.ring_centres[is_irregular], sheet.ring_sizes[is_irregular]
    places = rough.copy()
    for place in places:
        arms = shortest_image(centres - place, sheet.box)
        is_near = np.hypot(*arms.T) < REACH
        if is_near.any():
            place += np.average(arms[is_near], axis=0, weights=sizes[is_near])
    return places


def make_recipe(index: int, rng: np.random.Generator) -> dict[str, Any]:
    """Return the conditions of an image."""
    energy, is_bright = CONDITIONS[index % len(CONDITIONS)]
    sampling = SAMPLINGS[index % len(SAMPLINGS)]
    lens = {
        "Cs": -1e5 if is_bright else 1e5, "focal_spread": 30.0, "angular_spread": 0.3,
        "semiangle_cutoff": 50.0, "astigmatism": float(rng.uniform(0, 15)),
        "astigmatism_angle": float(rng.uniform(0, 360)),
    }  # fmt: skip
    best = matched_defocus(Optics(energy=energy, defocus=0.0, **lens), bright_atoms=is_bright)
    pixels = round(FIELD / sampling)
    return plain_recipe(
        energy=energy, defocus=best + float(rng.normal(0, 8)), **lens, vibration=0.1, sampling=sampling,
        rows=pixels, columns=pixels, dose_per_area=1e4, gradient=0.1, mtf_floor=0.1, mtf_width=0.7,
        noise_seed=int(rng.integers(2**31)),
    )  # fmt: skip


def in_image(scene: Scene, image: SimulatedImage) -> pd.DataFrame:
    """Return what was put into a sheet at the places where the image shows it, beyond its edges, too."""
    sampling, shape = image.sampling, np.array(image.image.shape)
    pixels = np.rint(scene.sheet.box / sampling)
    stretch = pixels * sampling / scene.sheet.box
    # The first numbers that the seed of the noise gives are the corner of the image in the box.
    corner = np.floor(np.random.default_rng(image.recipe["noise_seed"]).random(2) * pixels[::-1])
    shift = corner[::-1] * sampling

    def shown(points: np.ndarray) -> np.ndarray:
        return (points * stretch - shift) % (pixels * sampling)

    atoms = shown(scene.sheet.positions)
    n_inside = (atoms <= (shape[::-1] - 1) * sampling).all(axis=1).sum()
    farthest = match_points(atoms, image.atoms, max_distance=0.01)
    if not len(farthest.pairs) == len(image.atoms) == n_inside:
        raise RuntimeError("the corner of the image in the sheet is not where it was expected")
    places = shown(scene.placed[["x", "y"]].to_numpy())
    return scene.placed.assign(x=places[:, 0], y=places[:, 1])


def true_sites(image: SimulatedImage) -> pd.DataFrame:
    """Return a table of the true sites of an image."""
    points = np.concatenate([image.atoms, image.rings])
    extent = (np.array(image.image.shape[::-1]) - 1) * image.sampling
    border = localisation().border
    return pd.DataFrame(
        {
            "frame": np.zeros(len(points), np.int32),
            "site": np.arange(len(points)),
            "kind": pd.array(np.repeat(["atom", "ring"], [len(image.atoms), len(image.rings)]), dtype="str"),
            "x": points[:, 0],
            "y": points[:, 1],
            "confidence": np.ones(len(points), np.float32),
            "analysable": ((points >= border) & (points <= extent - border)).all(axis=1),
        }
    )


def find_defects(sites: pd.DataFrame) -> pd.DataFrame:
    """Return the complete clusters of irregular rings."""
    tables = network_tables(sites, statistics())
    found = defect_tables(sites, *tables, statistics().defects).defects
    return found[found["complete"] & (found["n_rings"] > 0)]


def count(found: pd.DataFrame, truth: pd.DataFrame, edge: float, near: float) -> pd.DataFrame:
    """Count found, true and matched ones by kind, of those well inside the image."""
    rows = []
    for kind in sorted({*found["kind"], *truth["kind"]}):
        here, there = (table.loc[table["kind"] == kind, ["x", "y"]].to_numpy() for table in (found, truth))
        pairs = match_points(here, there, max_distance=near).pairs
        is_inside, is_true_inside = (
            ((points >= INSIDE) & (points <= edge - INSIDE)).all(axis=1) for points in (here, there)
        )
        rows.append(
            {
                "kind": kind, "true": is_true_inside.sum(), "found": is_inside.sum(),
                "recalled": is_true_inside[pairs[:, 1]].sum(), "right": is_inside[pairs[:, 0]].sum(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def missed(found: pd.DataFrame, truth: pd.DataFrame, edge: float) -> list[str]:
    """Say what was found in the places of defects that were not recognised."""
    texts = []
    for kind, x, y in truth.itertuples(index=False):
        if not INSIDE <= min(x, y) <= max(x, y) <= edge - INSIDE:
            continue
        near = found[np.hypot(found["x"] - x, found["y"] - y) <= 2 * NEAR]
        if not (near["kind"] == kind).any():
            seen = " + ".join(f"{row.kind} {row.rings}" for row in near.itertuples()) or "nothing"
            texts.append(f"{kind}: {seen}")
    return texts


def report(title: str, counts: list[pd.DataFrame]) -> pd.DataFrame:
    """Print precision and recall of each kind, from the sums of the counts."""
    summed = pd.concat(counts).groupby(["kind"], as_index=False).sum(numeric_only=True)
    summed["precision"] = summed["right"] / summed["found"].where(summed["found"] > 0)
    summed["recall"] = summed["recalled"] / summed["true"].where(summed["true"] > 0)
    print(f"\n{title}")
    print(summed.to_string(index=False, float_format=lambda value: f"{value:.3f}"))
    return summed


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=42, help="one in seven of dislocations, one of dopants")
    parser.add_argument("--amorphous", type=int, default=6, help="images of doped amorphous carbon besides")
    parser.add_argument("--seed", type=int, default=0, help="of structures and noise")
    parser.add_argument("--networks", type=Path, default=SHIPPED, help="folder with the network called sites")
    parser.add_argument("--out", type=Path, help="the tables are written to this file")
    arguments = parser.parse_args()

    from amorph2d.learning.storage import load_network

    networks = Networks(sites=load_network(arguments.networks / "sites"))
    counts: dict[str, list[pd.DataFrame]] = {}
    reasons: Counter[str] = Counter()
    start = time.perf_counter()
    subjects = [SUBJECTS[index % len(SUBJECTS)] for index in range(arguments.images)]
    subjects += [AMORPHOUS] * arguments.amorphous
    for index, subject in enumerate(subjects):
        rng = np.random.default_rng([arguments.seed, index])
        scene = make_scene(subject, rng)
        image = image_sheet(scene.sheet, make_recipe(index, rng))
        truth, edge = in_image(scene, image), (image.image.shape[0] - 1) * image.sampling
        sites = analyse_frame(
            image.image, sampling=(image.sampling, image.sampling), networks=networks,
            localisation=localisation(), parameters=analysis(),
        ).sites  # fmt: skip
        if subject in ("dopants", AMORPHOUS):
            bonds = network_tables(sites, statistics()).bonds
            found = dopants_table(sites, bonds, image.image, image.sampling, statistics().dopants)
            counts.setdefault(subject, []).append(_count_dopants(found, truth, edge))
        else:
            for name, table in (("images", sites), ("true positions", true_sites(image))):
                found = find_defects(table)
                counts.setdefault(f"defects, {name}", []).append(count(found, truth, edge, NEAR))
                if name == "images":
                    reasons.update(missed(found, truth, edge))
    print(f"{len(subjects)} images in {time.perf_counter() - start:.0f} s")
    tables = [report(name, rows).assign(table=name) for name, rows in sorted(counts.items())]
    if reasons:
        print("\nnot recognised, and what was found in the place:")
        for text, number in reasons.most_common():
            print(f"{number:4d}  {text}")
    if arguments.out is not None:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(tables).to_csv(arguments.out, index=False)


def _count_dopants(found: pd.DataFrame, truth: pd.DataFrame, edge: float) -> pd.DataFrame:
    """Count dopants found, by element; and candidates of each kind that are foreign atoms."""
    here, there = found[["x", "y"]].to_numpy(), truth[["x", "y"]].to_numpy()
    pairs = match_points(here, there, max_distance=NEAR_ATOM).pairs
    is_found, is_right = np.zeros(len(truth), bool), np.zeros(len(found), bool)
    is_found[pairs[:, 1]] = is_right[pairs[:, 0]] = True
    is_inside, is_true_inside = (
        ((points >= INSIDE) & (points <= edge - INSIDE)).all(axis=1) for points in (here, there)
    )
    rows = [
        {"kind": kind, "found": (own & is_inside).sum(), "right": (own & is_inside & is_right).sum()}
        for kind in ("heavier", "lighter")
        for own in [(found["kind"] == kind).to_numpy()]
    ]
    rows += [
        {
            "kind": element,
            "true": (own & is_true_inside).sum(),
            "recalled": (own & is_true_inside & is_found).sum(),
        }
        for element in ELEMENTS.values()
        for own in [(truth["kind"] == element).to_numpy()]
    ]
    return pd.DataFrame(rows).fillna(0)


if __name__ == "__main__":
    main()
