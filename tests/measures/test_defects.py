from functools import cache

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from amorph2d.measures.config import DefectParameters
from amorph2d.measures.defects import (
    DEFECT_ATOM_COLUMNS,
    DEFECT_COLUMNS,
    DEFECT_KINDS,
    DEFECT_RING_COLUMNS,
    DEFECT_STATISTICS,
    DEFECT_UNITS,
    defect_boxes,
    defect_sums,
    defect_tables,
    defects_table,
)
from amorph2d.measures.tables import network_tables
from amorph2d.measures.window import RectangularWindow
from amorph2d.structures.defects import DEFECTS, insert_defect
from amorph2d.structures.dopants import rest_lengths
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.relax import GRAPHENE, relax_network
from ring_sheets import triangular, two_grains, voronoi_tables
from strategies import honeycomb, make_sites, rotate, statistics_parameters

# What each kind that the simulator inserts is: its name, the sizes of its rings, and atoms missing.
EXPECTED = {
    "stone_wales": ("stone_wales", "5-5-7-7", 0),
    "dipole_1": ("dislocation", "5-7", np.nan),
    "dipole_2": ("dislocation", "5-7", np.nan),
    "dipole_3": ("dislocation", "5-7", np.nan),
    "dipole_4": ("dislocation", "5-7", np.nan),
    "vacancy": ("vacancy", "12", 1),
    "vacancy_59": ("vacancy_59", "5-9", 1),
    "vacancies_2": ("divacancy", "14", 2),
    "vacancies_3": ("hole", "16", 3),
    "vacancies_4": ("hole", "18", 4),
    "vacancies_6": ("hole", "18", 6),
    "divacancy_585": ("divacancy_585", "5-5-8", 2),
    "divacancy_555777": ("divacancy_555777", "5-5-5-7-7-7", 2),
    "divacancy_5555_6_7777": ("divacancy_5555_6_7777", "5-5-5-5-7-7-7-7", 2),
    "flower": ("flower", "5-5-5-5-5-5-7-7-7-7-7-7", 0),
    "silicon_4": ("fourfold_atom", "5-5", 1),
}
CELL = 27.0  # around each defect [Å]


def parameters(**changes):
    usual = {
        "largest_hole": 40, "longest_bond": 1.55, "crowded": 0.84, "largest_ring": 10,
        "min_boundary_rings": 7, "max_boundary_neighbours": 2.25, "min_elongation": 2.5,
        "min_amorphous_rings": 30,
    }  # fmt: skip
    return DefectParameters(**usual | changes)


@cache
def crystal(*kinds, rotation=11.0, seed=0):
    """Positions and ring centres of a relaxed sheet with a row of defects, and where these are."""
    box = (CELL * len(kinds), CELL)
    sheet = honeycomb_sheet(box, bond_length=1.42, rotation=rotation)
    places = (np.arange(len(kinds)) + 0.5)[:, None] * [sheet.box[0] / len(kinds), 0] + [0, sheet.box[1] / 2]
    rng = np.random.default_rng(seed)
    before = sheet.box
    for kind, place in zip(kinds, places, strict=True):
        sheet = insert_defect(sheet, kind, rng=rng, site=place)
    sheet = relax_network(
        sheet, potential=GRAPHENE, tolerance=0.05, bond_lengths=rest_lengths(sheet, bond_length=1.42)
    )
    return sheet.positions, sheet.ring_centres, places * sheet.box / before


def tables_of(atoms, centres, analysable=True):
    sites = make_sites(atoms, centres, analysable=analysable)
    return sites, *network_tables(sites, statistics_parameters())


def find(atoms, centres, analysable=True, **changes):
    return defect_tables(*tables_of(atoms, centres, analysable), parameters(**changes))


def clusters(tables):
    """Complete clusters of rings."""
    defects = tables.defects
    return defects[defects["complete"] & (defects["n_rings"] > 0)]


def test_every_kind_that_can_be_inserted_is_expected():
    assert EXPECTED.keys() == DEFECTS.keys()


@pytest.mark.parametrize(
    "kinds",
    [
        ("stone_wales", "vacancy", "vacancy_59", "divacancy_585"),
        ("vacancies_2", "vacancies_3", "vacancies_4", "vacancies_6"),
        ("divacancy_555777", "divacancy_5555_6_7777", "flower", "silicon_4"),
        ("dipole_1", "dipole_2", "dipole_3"),
    ],
)
@pytest.mark.parametrize(("rotation", "seed"), [(0.0, 1), (23.0, 2)])
def test_all_kinds_are_recognised_from_true_positions(kinds, rotation, seed):
    atoms, centres, places = crystal(*kinds, rotation=rotation, seed=seed)
    found = clusters(find(atoms, centres))
    n_expected = sum(2 if kind.startswith("dipole") else 1 for kind in kinds)
    assert len(found) == n_expected
    for kind, place in zip(kinds, places, strict=True):
        distance = np.hypot(found["x"] - place[0], found["y"] - place[1])
        if kind.startswith("dipole"):
            own = found[distance < CELL / 2]
            assert len(own) == 2
        else:
            own = found[distance < 2.6]
            assert len(own) == 1
        name, rings, missing = EXPECTED[kind]
        assert (own["kind"] == name).all()
        assert (own["rings"] == rings).all()
        assert own["n_missing_atoms"].to_numpy() == pytest.approx(np.full(len(own), missing), nan_ok=True)
        assert (own["n_rings"] == len(rings.split("-"))).all()


def test_names_do_not_depend_on_direction_or_numbering():
    atoms, centres, _ = crystal("stone_wales", "vacancy_59", "flower", "dipole_2")
    usual = clusters(find(atoms, centres))
    rng = np.random.default_rng(0)
    turned = clusters(find(rng.permutation(rotate(atoms, 200)), rng.permutation(rotate(centres, 200))))
    for column in ("kind", "rings", "n_missing_atoms"):
        assert sorted(map(str, turned[column])) == sorted(map(str, usual[column]))
    mirrored = clusters(find(atoms * [1, -1], centres * [1, -1]))
    assert sorted(mirrored["kind"]) == sorted(usual["kind"])
    assert sorted(turned["area"]) == pytest.approx(sorted(usual["area"]))


@pytest.mark.parametrize("kind", ["dipole_1", "dipole_2", "dipole_3"])
def test_the_two_dislocations_of_a_dipole_have_opposite_burgers_vectors(kind):
    atoms, centres, _ = crystal(kind, rotation=17.0, seed=3)
    tables = find(atoms, centres)
    first, second = clusters(tables).itertuples()
    turned = (first.orientation - second.orientation) % 360
    assert turned == pytest.approx(180, abs=3)
    # It is at a right angle to the way from the pentagon to the heptagon.
    rings = tables_of(atoms, centres)[2]
    for defect in (first, second):
        rows = tables.defect_rings.loc[tables.defect_rings["defect"] == defect.defect, "row"]
        own = rings.iloc[rows].sort_values("size")
        assert own["size"].tolist() == [5, 7]
        dx, dy = np.diff(own[["x", "y"]].to_numpy(), axis=0)[0]
        across = np.degrees(np.arctan2(dy, dx)) - defect.orientation
        assert np.cos(np.radians(across)) == pytest.approx(0, abs=0.06)


def test_burgers_vector_turns_with_the_sheet():
    atoms, centres, _ = crystal("dipole_2")
    usual = clusters(find(atoms, centres)).sort_values("x")["orientation"].to_numpy()
    turned = clusters(find(rotate(atoms, 70), rotate(centres, 70)))["orientation"].to_numpy()
    off = (turned[:, None] - usual - 70 + 180) % 360 - 180
    assert np.abs(off).min(axis=1) == pytest.approx([0, 0], abs=1e-6)


def test_a_perfect_crystal_has_no_defects():
    atoms, centres, _ = honeycomb(8, 5)
    tables = find(atoms, centres)
    assert not (tables.defects["n_rings"] > 0).any()
    edge = tables.defects["kind"].value_counts()
    assert set(edge.index) <= {"dangling", "two_coordinated"}
    inner = ((atoms > 3) & (atoms < atoms.max(axis=0) - 3)).all(axis=1)
    kept = find(atoms, centres, analysable=np.append(inner, np.ones(len(centres), bool)))
    assert not kept.defects["complete"].any()


def test_columns_and_empty_tables():
    atoms, centres, _ = crystal("stone_wales", "vacancy")
    for tables in (find(atoms, centres), find(np.empty((0, 2)), []), find([[0, 0]], [[9, 9]])):
        for table, columns in zip(
            tables, (DEFECT_COLUMNS, DEFECT_RING_COLUMNS, DEFECT_ATOM_COLUMNS), strict=True
        ):
            assert dict(table.dtypes.astype(str)) == columns
    assert DEFECT_UNITS.keys() == DEFECT_COLUMNS.keys()
    assert len(find([[0, 0]], [[9, 9]]).defects) == 0


def test_frames_are_kept_apart():
    atoms, centres, _ = crystal("stone_wales", "vacancy")
    parts = [make_sites(atoms, centres, frame=2), make_sites(*honeycomb(5, 4)[:2], frame=5)]
    sites = pd.concat([*parts, make_sites(rotate(atoms, 90), rotate(centres, 90), frame=7)])
    tables = network_tables(sites, statistics_parameters())
    found = defects_table(sites, *tables, parameters())
    whole = found[found["complete"] & (found["n_rings"] > 0)]
    assert whole.groupby("frame")["kind"].apply(sorted).to_dict() == {
        2: ["stone_wales", "vacancy"],
        7: ["stone_wales", "vacancy"],
    }
    assert found.groupby("frame")["defect"].min().unique().tolist() == [0]


def test_rings_and_atoms_of_a_defect():
    atoms, centres, _ = crystal("stone_wales", "vacancy")
    sites, _, rings, ring_atoms = tables_of(atoms, centres)
    tables = find(atoms, centres)
    for defect, n_atoms in (("stone_wales", 16), ("vacancy", 12)):
        number = tables.defects.loc[tables.defects["kind"] == defect, "defect"].item()
        rows = tables.defect_rings.loc[tables.defect_rings["defect"] == number, "row"]
        own = tables.defect_atoms.loc[tables.defect_atoms["defect"] == number, "atom"]
        assert len(own) == n_atoms
        assert set(own) == set(ring_atoms.loc[ring_atoms["row"].isin(rows), "atom"])
        row = tables.defects[tables.defects["kind"] == defect].iloc[0]
        assert row["area"] == pytest.approx(rings["area"].iloc[rows].sum())
    within = tables.defects.loc[tables.defects["within"] == number]
    assert within["kind"].tolist() == ["two_coordinated"] * 3
    boxes = defect_boxes(tables.defect_atoms, tables.defects, sites)
    assert boxes.shape == (len(tables.defects), 4)
    place = tables.defects[["x", "y"]].to_numpy()
    assert (boxes[:, :2] <= place).all()
    assert (boxes[:, 2:] >= place).all()
    positions = sites.set_index("site").loc[own, ["x", "y"]].to_numpy()
    assert boxes[number] == pytest.approx([*positions.min(axis=0), *positions.max(axis=0)])


def test_holes_that_are_no_rings_of_the_table_are_found():
    atoms, centres, _ = crystal("vacancies_6")
    tables = find(atoms, centres)
    hole = clusters(tables).iloc[0]
    assert (hole["kind"], hole["rings"], hole["n_missing_atoms"]) == ("hole", "18", 6)
    assert not (tables.defect_rings["defect"] == hole["defect"]).any()
    assert (tables.defect_atoms["defect"] == hole["defect"]).sum() == 18
    assert len(clusters(find(atoms, centres, largest_hole=17))) == 0


def test_confidence_is_the_product_of_that_of_the_atoms():
    atoms, centres, _ = crystal("stone_wales")
    sites, *tables = tables_of(atoms, centres)
    rng = np.random.default_rng(0)
    sites["confidence"] = rng.uniform(0.5, 1, len(sites)).astype(np.float32)
    found = defect_tables(sites, *tables, parameters())
    row = clusters(found).iloc[0]
    own = found.defect_atoms.loc[found.defect_atoms["defect"] == row["defect"], "atom"]
    assert row["confidence"] == pytest.approx(sites.set_index("site").loc[own, "confidence"].prod(), rel=1e-6)
    without = defect_tables(sites.drop(columns="confidence"), *tables, parameters())
    assert clusters(without)["confidence"].tolist() == [1]


def test_a_defect_with_an_atom_that_does_not_count_is_not_complete():
    atoms, centres, places = crystal("stone_wales")
    is_counted = np.ones(len(atoms) + len(centres), bool)
    is_counted[np.hypot(*(atoms - places[0]).T).argmin()] = False
    found = find(atoms, centres, analysable=is_counted).defects
    row = found[found["kind"] == "stone_wales"].iloc[0]
    assert not row["complete"]


def test_a_defect_that_the_edge_cuts_is_not_complete():
    atoms, centres, places = crystal("flower")
    is_kept, is_centre_kept = (points[:, 0] < places[0, 0] + 1 for points in (atoms, centres))
    found = find(atoms[is_kept], centres[is_centre_kept])
    assert len(clusters(found)) == 0
    assert (found.defects["n_rings"] > 0).any()


def test_a_foreign_atom_seen_beside_its_place_is_found():
    atoms, centres, places = crystal("silicon_4")
    moved = atoms.copy()
    atom = np.hypot(*(atoms - places[0]).T).argmin()
    moved[atom] += [0.32, 0.3]
    assert clusters(find(moved, centres))["kind"].tolist() == ["fourfold_atom"]
    assert clusters(find(moved, centres, longest_bond=1.0))["kind"].tolist() != ["fourfold_atom"]


def test_an_atom_seen_in_a_vacancy_is_left_out():
    atoms, centres, _ = crystal("vacancy_59", seed=4)
    tables = find(atoms, centres)
    defect = clusters(tables)["defect"].item()
    own = tables.defect_atoms.loc[tables.defect_atoms["defect"] == defect, "atom"].to_numpy()
    # Between the two atoms of the new bond and the one that lacks a bond, nearer to the first.
    pair = _new_bond(tables_of(atoms, centres), own)
    lone = tables.defects.loc[tables.defects["within"] == defect, ["x", "y"]].to_numpy()[0]
    middle = atoms[pair].mean(axis=0)
    apart = (atoms[pair] - middle) * 1.25 + middle  # and pushes them away
    seen = atoms.copy()
    seen[pair] = apart
    towards = (lone - middle) / np.hypot(*(lone - middle))
    false = middle + 0.45 * towards
    with_false = np.concatenate([seen, false[None]])
    assert clusters(find(with_false, centres))["kind"].tolist() == ["vacancy_59"]
    assert clusters(find(with_false, centres, crowded=0.0))["kind"].tolist() != ["vacancy_59"]


def _new_bond(tables, own):
    """Atoms of the bond of a reconstructed vacancy that its pentagon and its ring of nine share."""
    _, _, rings, ring_atoms = tables
    shared = [
        set(ring_atoms.loc[ring_atoms["row"] == row, "atom"]) for row in np.flatnonzero(rings["size"] != 6)
    ]
    shared = [atoms for atoms in shared if atoms <= set(own)]
    return np.array(sorted(set.intersection(*shared)))


def test_other_clusters_are_named_by_their_rings():
    # A bond cut, and two next to each other.
    atoms, centres, _ = honeycomb(9, 6)
    sites, bonds, _, _ = tables_of(atoms, centres)
    middle = np.hypot(*(atoms - atoms.mean(axis=0)).T).argsort()
    a = middle[0]
    partners = list(middle[1:4])

    def without(*pairs):
        is_cut = [{i, j} in pairs for i, j in zip(bonds["atom_i"], bonds["atom_j"], strict=True)]
        kept = bonds[~np.array(is_cut)]
        from amorph2d.measures.tables import ring_atoms_table, rings_table

        rest = [table(sites, kept, statistics_parameters()) for table in (rings_table, ring_atoms_table)]
        found = defects_table(sites, kept, *rest, parameters(longest_bond=0.9))
        return found[found["complete"] & (found["n_rings"] > 0)]

    one = without({a, partners[0]})
    assert one[["kind", "rings", "n_missing_atoms"]].to_numpy().tolist() == [["broken_bond", "10", 0]]
    two = without({a, partners[0]}, {a, partners[1]})
    assert two["kind"].tolist() == ["vacancy"]  # the dangling atom is no part of the ring
    assert two["n_missing_atoms"].tolist() == [1]


def test_chains_are_grain_boundaries_and_large_clusters_amorphous():
    # Voronoi edges can be of any length: no bond is corrected.
    as_drawn = {"longest_bond": 0.01, "crowded": 0.0}
    grains = voronoi_tables(two_grains(70, 60, (-15, 15)), window=(60, 50))
    found = defects_table(grains[0], _bonds(grains), *grains[1:], parameters(**as_drawn))
    large = found[found["n_rings"] >= 7]
    assert len(large) >= 1
    assert (large["kind"] == "grain_boundary").all()
    assert large["x"].abs().max() < 4
    strict = parameters(min_boundary_rings=1000, **as_drawn)
    found = defects_table(grains[0], _bonds(grains), *grains[1:], strict)
    assert not (found["kind"] == "grain_boundary").any()
    rng = np.random.default_rng(1)
    lattice = triangular(70, 60, 5)
    noise = rng.normal(0, 0.6, lattice.shape) * (np.hypot(*lattice.T) < 14)[:, None]
    disordered = voronoi_tables(lattice + noise, window=(60, 50))
    found = defects_table(disordered[0], _bonds(disordered), *disordered[1:], parameters(**as_drawn))
    largest = found.loc[found["n_rings"].idxmax()]
    assert largest["kind"] == "amorphous"
    assert np.hypot(largest["x"], largest["y"]) < 6
    assert np.isnan(largest["n_missing_atoms"])
    patient = parameters(min_amorphous_rings=1000, largest_ring=30, **as_drawn)
    found = defects_table(disordered[0], _bonds(disordered), *disordered[1:], patient)
    assert found.loc[found["n_rings"].idxmax(), "kind"] != "amorphous"


def _bonds(tables):
    """Table of the bonds on which rings lie."""
    sites, rings, ring_atoms = tables
    sizes = rings["size"].to_numpy()
    atom = ring_atoms["atom"].to_numpy()
    following = np.arange(1, len(atom) + 1)
    following[np.cumsum(sizes) - 1] = np.cumsum(sizes) - sizes
    pairs = np.unique(np.sort(np.stack([atom, atom[following]], axis=1), axis=1), axis=0)
    place = sites.set_index("site")[["x", "y"]]
    apart = place.loc[pairs[:, 0]].to_numpy() - place.loc[pairs[:, 1]].to_numpy()
    return pd.DataFrame(
        {"frame": 0, "atom_i": pairs[:, 0], "atom_j": pairs[:, 1], "length": np.hypot(*apart.T)}
    )


def test_sums_give_densities():
    window = RectangularWindow(0, 0, 40, 20)
    grid = window.blocks(20)
    defects = pd.DataFrame(
        {
            "kind": ["vacancy", "vacancy", "flower", "vacancy", "dangling"],
            "x": [5.0, 25, 30, 10, 11],
            "y": [5.0, 5, 15, 10, 12],
            "complete": [True, True, True, False, True],
        }
    )
    sums = defect_sums(grid, defects)
    assert sums["defects_vacancy"].tolist() == [1, 1]
    assert sums["defects_flower"].tolist() == [0, 1]
    total = {name: np.float64(value.sum()) for name, value in sums.items()}
    densities = {name: float(statistic(total)) for name, statistic in DEFECT_STATISTICS.items()}
    assert densities["defect_density_vacancy"] == pytest.approx(2 / 800)
    assert densities["defect_density_dangling"] == pytest.approx(1 / 800)
    assert densities["defect_density_other"] == 0
    assert len(densities) == len(DEFECT_KINDS)
    weighted = defect_sums(grid, defects.assign(weight=[1.5, 2, 1, 9, 1]))
    assert weighted["defects_vacancy"].tolist() == [1.5, 2]
    assert defect_sums(grid, defects.iloc[:0])["defects_vacancy"].tolist() == [0, 0]


def test_tables_that_do_not_belong_together_are_refused():
    atoms, centres, _ = honeycomb(5, 4)
    sites, bonds, rings, ring_atoms = tables_of(atoms, centres)
    with pytest.raises(ValueError, match="ring_atoms must have"):
        defects_table(sites, bonds, rings, ring_atoms.iloc[:-1], parameters())
    with pytest.raises(ValueError, match="must name atoms"):
        defects_table(sites, bonds, rings, ring_atoms.assign(atom=10**6), parameters())


@pytest.mark.parametrize(
    "changes", [{"largest_hole": 3}, {"longest_bond": 0}, {"min_elongation": 0.5}, {"x": 1}]
)
def test_parameters_are_checked(changes):
    with pytest.raises(ValidationError):
        parameters(**changes)
