import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.imaging.recipes import LENGTH_SCALES, draw_recipe, plain_recipe
from amorph2d.imaging.specimens import build_specimen, displace, ring_fractions, tilted
from amorph2d.structures.network import bond_vectors, moved
from amorph2d.structures.specimen import Cloud, Specimen, flat_specimen

FAMILIES = (
    "voronoi", "relaxed", "switched", "polycrystal", "graphene", "boron_nitride", "silica", "polymer",
)  # fmt: skip


def recipe_of(family, **changes):
    scale = LENGTH_SCALES.get(family, 1.0)
    given = {"family": family, "length_scale": scale, "rows": 120, "columns": 160, "sampling": 0.2 * scale}
    given |= {"hexagons": 0.7, "structure_seed": 4, "grains": 3 if family == "polycrystal" else 0}
    return plain_recipe(**(given | changes))


@pytest.mark.parametrize("family", FAMILIES)
def test_sheet_of_each_family_covers_the_field(family):
    recipe = recipe_of(family)
    specimen = build_specimen(recipe)
    sheet = specimen.sheet
    assert (sheet.box >= np.array([160, 120]) * recipe["sampling"]).all()
    assert (sheet.box <= np.array([260, 220]) * recipe["sampling"]).all()
    assert (np.bincount(sheet.bonds.ravel()) == 3).all()
    assert sheet.ring_sizes.mean() == pytest.approx(6)
    lengths = np.hypot(*bond_vectors(sheet).T)
    assert lengths.mean() == pytest.approx(
        1.42 * recipe["length_scale"], rel=0.1 if family == "voronoi" else 0.03
    )
    assert len(specimen.layer.positions) >= len(sheet.positions)


@pytest.mark.parametrize("family", FAMILIES)
def test_recipe_alone_decides_the_specimen(family):
    first, second = build_specimen(recipe_of(family)), build_specimen(recipe_of(family))
    assert np.array_equal(first.positions, second.positions)
    if family not in ("graphene", "boron_nitride"):
        other = build_specimen(recipe_of(family, structure_seed=5))
        assert not np.array_equal(first.sheet.positions, other.sheet.positions)


def test_granular_sheet_has_the_wanted_rings():
    sheet = build_specimen(recipe_of("switched", hexagons=0.75, grains=3, rows=200, columns=220)).sheet
    shares = np.bincount(sheet.ring_sizes, minlength=9) / len(sheet.ring_sizes)
    assert shares[[5, 6, 7, 8]] == pytest.approx([ring_fractions(0.75)[n] for n in (5, 6, 7, 8)], abs=0.03)


def test_elements_are_those_of_the_material():
    assert set(build_specimen(recipe_of("boron_nitride")).numbers) == {5, 7}
    assert set(build_specimen(recipe_of("silica")).numbers) == {8, 14}
    assert {6, 7} <= set(build_specimen(recipe_of("polymer")).numbers)
    assert set(build_specimen(recipe_of("switched")).numbers) == {6}


def test_defects_dopants_and_pores_are_those_of_the_recipe():
    perfect = build_specimen(recipe_of("graphene")).sheet
    defective = build_specimen(recipe_of("graphene", defect="stone_wales", defect_density=0.3)).sheet
    assert set(perfect.ring_sizes) == {6}
    sizes = np.bincount(defective.ring_sizes, minlength=9)
    assert sizes[5] == sizes[7] > 0
    doped = build_specimen(recipe_of("switched", dopant=14, dopant_share=0.05)).sheet
    assert (doped.numbers == 14).mean() == pytest.approx(0.05, abs=0.01)
    porous = build_specimen(recipe_of("graphene", pores=2, pore_radius=4.0)).sheet
    assert len(porous.positions) < len(perfect.positions) - 20
    vacancy = build_specimen(recipe_of("graphene", pores=1, pore_radius=0.1)).sheet
    assert len(vacancy.positions) == len(perfect.positions) - 1
    half = build_specimen(recipe_of("graphene", open_edge=True)).sheet
    assert len(half.positions) == pytest.approx(0.7 * len(perfect.positions), rel=0.05)


def test_dopants_make_longer_bonds_where_they_are_larger():
    sheet = build_specimen(recipe_of("switched", dopant=14, dopant_share=0.03)).sheet
    lengths = np.hypot(*bond_vectors(sheet).T)
    has_silicon = (sheet.numbers[sheet.bonds] == 14).any(axis=1)
    assert lengths[has_silicon].mean() > lengths[~has_silicon].mean() + 0.1


def test_overlays_are_those_of_the_recipe():
    specimen = build_specimen(
        recipe_of(
            "graphene", layer="twisted", layer_share=1.0, layer_gap=-3.35, layer_rotation=20.0,
            debris="hydrocarbon", debris_coverage=0.2, debris_thickness=8.0, adatom=79, adatom_density=0.1,
        )
    )  # fmt: skip
    layer, debris, gold = specimen.overlays
    assert [cloud.kind for cloud in specimen.overlays] == ["layer", "debris", "adatoms"]
    assert layer.positions[:, 2] == pytest.approx(-3.35)
    assert len(layer.positions) == pytest.approx(len(specimen.sheet.positions), rel=0.05)
    assert set(debris.numbers) == {1, 6}
    assert set(gold.numbers) == {79}
    assert len(specimen.numbers) == len(specimen.positions)


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_partial_layer_covers_its_share(share):
    recipe = recipe_of("graphene", layer="amorphous", layer_share=share, layer_gap=3.0)
    specimen = build_specimen(recipe)
    covered = len(specimen.overlays[0].positions) / len(specimen.sheet.positions)
    assert covered == pytest.approx(share, abs=0.07)


def test_ripples_have_their_height_and_leave_the_plane_positions():
    flat, rippled = build_specimen(recipe_of("graphene")), build_specimen(recipe_of("graphene", ripple=0.5))
    assert np.array_equal(flat.layer.positions[:, :2], rippled.layer.positions[:, :2])
    assert rippled.layer.positions[:, 2].std() == pytest.approx(0.5, rel=0.05)
    assert (flat.layer.positions[:, 2] == 0).all()


@pytest.mark.parametrize("hexagons", [0.42, 0.47, 0.63, 0.75, 0.9, 1.0])
def test_ring_fractions_belong_to_a_closed_network(hexagons):
    fractions = ring_fractions(hexagons)
    assert sum(fractions.values()) == pytest.approx(1)
    assert sum(size * share for size, share in fractions.items()) == pytest.approx(6)
    assert min(fractions.values()) >= 0
    assert fractions[6] == hexagons


@pytest.mark.parametrize(
    ("hexagons", "pentagons", "heptagons"), [(0.47, 27, 17), (0.63, 19, 14), (0.75, 13, 10)]
)
def test_ring_fractions_are_near_those_of_the_models(hexagons, pentagons, heptagons):
    fractions = ring_fractions(hexagons)
    assert 100 * fractions[5] == pytest.approx(pentagons, abs=3)
    assert 100 * fractions[7] == pytest.approx(heptagons, abs=3)


def test_senseless_shares_of_hexagons_are_refused():
    with pytest.raises(ValueError, match=r"hexagons must be > 0 and ≤ 1, got 1\.2"):
        ring_fractions(1.2)


def test_tilt_shortens_one_direction_and_raises_one_side():
    flat = build_specimen(recipe_of("graphene"))
    turned = tilted(flat, tilt=20.0, direction=0.0)
    assert turned.sheet.box / flat.sheet.box == pytest.approx([np.cos(np.deg2rad(20)), 1.0])
    rise = turned.layer.positions[:, 2]
    x = flat.sheet.positions[:, 0] - flat.sheet.box[0] / 2
    assert rise == pytest.approx(x * np.sin(np.deg2rad(20)))
    assert tilted(flat, tilt=0.0, direction=30.0) is flat


def test_tilt_keeps_the_length_of_bonds():
    flat = build_specimen(recipe_of("graphene"))
    turned = tilted(flat, tilt=15.0, direction=90.0)
    first, second = turned.sheet.bonds.T
    vectors = turned.layer.positions[second] - turned.layer.positions[first]
    inside = np.abs(vectors[:, :2]).max(axis=1) < 3
    assert np.linalg.norm(vectors[inside], axis=1) == pytest.approx(1.42, abs=1e-6)


def test_tilt_moves_what_lies_higher():
    sheet = build_specimen(recipe_of("graphene")).sheet
    above = Cloud("adatoms", np.array([[10.0, 12.0, 5.0]]), np.array([79]))
    specimen = Specimen(sheet, flat_specimen(sheet).layer, (above,))
    x, y, _ = tilted(specimen, tilt=10.0, direction=0.0).overlays[0].positions[0]
    angle = np.deg2rad(10)
    assert x == pytest.approx(10 * np.cos(angle) - 5 * np.sin(angle))
    assert y == 12.0
    with pytest.raises(ValueError, match="tilt must lie in 0 … 30°, got 50"):
        tilted(specimen, tilt=50, direction=0)


def test_displacement_has_its_size():
    sheet = build_specimen(recipe_of("relaxed")).sheet
    moved = displace(sheet, 0.05, np.random.default_rng(0)).positions - sheet.positions
    moved -= np.round(moved / sheet.box) * sheet.box
    assert moved.std() == pytest.approx(0.05, rel=0.1)
    assert np.array_equal(displace(sheet, 0.0, np.random.default_rng(0)).positions, sheet.positions)
    with pytest.raises(ValueError, match="sigma must be ≥ 0 Å, got -1"):
        displace(sheet, -1, np.random.default_rng(0))


def test_drawn_recipes_build(synthesis):
    parameters = synthesis(
        detector={"shape": [96, 112]}, pores={"radius": [1.0, 12.0]}, images_per_specimen=1
    )
    for index in range(12):
        specimen = build_specimen(draw_recipe(parameters, index))
        assert np.isfinite(specimen.positions).all()
        assert (specimen.numbers > 0).all()


def test_ring_centres_are_the_centroids_of_the_rings_that_are_imaged():
    recipe = recipe_of("switched", displacement=0.04, ripple=0.8, tilt=8.0, tilt_direction=30.0)
    sheet = build_specimen(recipe).sheet
    again = moved(sheet, sheet.positions, sheet.box)
    distance = np.abs(again.ring_centres - sheet.ring_centres)
    assert np.minimum(distance, sheet.box - distance).max() < 1e-9


def test_tilted_sheet_still_covers_the_field():
    for tilt in (10.0, 30.0):
        sheet = build_specimen(recipe_of("graphene", tilt=tilt, tilt_direction=40.0)).sheet
        assert (sheet.box >= np.array([160 + 40, 120 + 40]) * 0.2).all()


def test_overlays_follow_the_ripples_and_do_not_interpenetrate():
    given = {
        "ripple": 0.8, "layer": "twisted", "layer_share": 1.0, "layer_gap": 1.5, "layer_rotation": 20.0,
        "debris": "carbon", "debris_coverage": 0.3, "debris_thickness": 8.0, "adatom": 79,
        "adatom_density": 0.3,
    }  # fmt: skip
    for seed in range(4):
        specimen = build_specimen(recipe_of("graphene", **given, structure_seed=seed))
        clouds = (specimen.layer, *specimen.overlays)
        low = min(cloud.positions[:, 2].min() for cloud in clouds)
        trees = [cKDTree(cloud.positions - [0, 0, low], boxsize=[*specimen.sheet.box, 0]) for cloud in clouds]
        sheet, layer, debris, gold = trees
        assert sheet.query(layer.data)[0].min() > 1.2
        assert layer.query(debris.data)[0].min() > 2.0
        assert sheet.query(debris.data)[0].min() > 2.0
        assert min(tree.query(gold.data)[0].min() for tree in (sheet, layer)) > 1.8


def test_adatoms_need_ground():
    given = {"adatom": 79, "adatom_density": 2.0, "open_edge": True}
    specimen = build_specimen(recipe_of("graphene", **given))
    gold = specimen.overlays[0].positions
    tree = cKDTree(specimen.sheet.positions, boxsize=specimen.sheet.box)
    assert len(gold) > 10
    assert tree.query(gold[:, :2])[0].max() <= 3.0
