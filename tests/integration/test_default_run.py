import json

import pandas as pd
import pytest

I4, I8, F4, F8 = "int32", "int64", "float32", "float64"
SITES = {"frame": I4, "site": I8, "x": F8, "y": F8, "sigma": F4, "confidence": F4, "analysable": "bool"}
MORE = {
    "sites": {"origin": "str", "misfit": F4, "twin_misfit": F4, "is_doubtful": "bool"},
    "rings": {"delaunay_size": I4},
}
BONDS = {"frame": I4, "atom_i": I8, "atom_j": I8, "length": F8}
ANGLES = {"frame": I4, "atom_i": I8, "vertex": I8, "atom_j": I8, "angle": F8}
RINGS = {"frame": I4, "ring": I8, "size": I4, "x": F8, "y": F8, "area": F8, "complete": "bool"}
PDF = {"frame": I4, "r": F8, "g": F8, "g_error": F8}


@pytest.fixture(scope="module")
def run(copy):
    return copy.kedro("run")


@pytest.fixture(scope="module")
def results(copy, run):
    assert run.code == 0, run.text
    return copy.folder / "data" / "08_reporting"


def test_the_run_ends_by_naming_the_report(run, results):
    lines = [line for line in run.text.splitlines() if line.strip()]
    assert "Report:" in lines[-1]
    assert str(results / "report.html") in lines[-1]


@pytest.mark.parametrize(
    ("table", "columns"),
    [("sites", SITES), ("bonds", BONDS), ("angles", ANGLES), ("rings", RINGS), ("pdf", PDF)],
)
def test_tables_keep_the_contract(results, table, columns):
    frame = pd.read_parquet(results / table / "example.parquet")
    found = {name: str(dtype) for name, dtype in frame.dtypes.items() if name != "kind"}
    assert found == columns | MORE.get(table, {})
    assert list(found)[: len(columns)] == list(columns)
    assert len(frame) > 100


def test_sites_are_the_true_ones(results):
    calibration = pd.read_parquet(results / "calibration.parquet").iloc[0]
    assert calibration["status"] == "analysed"
    assert calibration["atom_f1"] >= 0.995
    assert calibration["ring_f1"] >= 0.98
    assert calibration["atom_rmse"] <= 0.1
    assert calibration["sampling_source"] == "file"
    assert calibration["sampling_x"] == pytest.approx(0.2)
    assert calibration["polarity"] == "bright atoms"
    assert len(calibration["sha256"]) == len(calibration["network_sha256"]) == 64
    sites = pd.read_parquet(results / "sites" / "example.parquet")
    assert set(sites["kind"]) == {"atom", "ring"}
    assert sites["site"].is_unique
    assert sites.loc[sites["kind"] == "atom", "sigma"].between(0.01, 0.3).all()
    border = sites[(sites["x"] < 1.5) | (sites["y"] < 1.5)]
    assert not border["analysable"].any()


def test_ring_fractions_are_the_true_ones(copy, results, parameters_of):
    from amorph2d.measures.config import StatisticsParameters
    from amorph2d.measures.tables import bonds_table, rings_table

    truth = pd.read_parquet(copy.folder / "data/01_raw/micrographs/example.truth.parquet")
    inside = truth["x"].between(2, 100.2) & truth["y"].between(2, 100.2)
    truth = truth.assign(frame=0, site=range(len(truth)), analysable=inside)
    parameters = StatisticsParameters(**parameters_of("local")["statistics"])
    rings = rings_table(truth, bonds_table(truth, parameters), parameters)
    true = rings.loc[rings["complete"], "size"].value_counts(normalize=True)
    summary = pd.read_parquet(results / "summary.parquet").iloc[0]
    for size in (4, 5, 6, 7, 8):
        assert summary[f"ring_fraction_{size}"] == pytest.approx(true.get(size, 0.0), abs=0.01)
        low, high = summary[f"ring_fraction_{size}_low"], summary[f"ring_fraction_{size}_high"]
        assert low <= summary[f"ring_fraction_{size}"] <= high


def test_summary_is_told_twice_and_pooled(results):
    summary = pd.read_parquet(results / "summary.parquet")
    records = json.loads((results / "summary.json").read_text())
    assert [row["micrograph"] for row in records] == list(summary["micrograph"]) == ["example", "pooled"]
    assert records[0]["bond_mean"] == pytest.approx(summary["bond_mean"][0])
    assert summary["mean_ring_size"][0] == pytest.approx(6, abs=0.05)


FURTHER = {
    "ring_criteria": 1500, "network_checks": 1, "ring_order": 1500, "crystallites": 1, "ring_adjacency": 5,
    "structure_factors": 200, "shells": 3, "ring_grains": 1500, "grains": 1, "boundaries": 0,
    "boundary_points": 0, "strain": 3000, "defects": 20, "defect_rings": 20, "defect_atoms": 20, "dopants": 0,
    "pores": 1,
}  # fmt: skip


@pytest.mark.parametrize("table", FURTHER)
def test_further_tables(results, table):
    assert len(pd.read_parquet(results / table / "example.parquet")) >= FURTHER[table]


def test_statistics_beyond_the_contract(copy, results, parameters_of):
    from amorph2d.measures.config import StatisticsParameters
    from amorph2d.measures.tables import angles_table, bonds_table

    row = pd.read_parquet(results / "summary.parquet").iloc[0]
    truth = pd.read_parquet(copy.folder / "data/01_raw/micrographs/example.truth.parquet")
    inside = truth["x"].between(2, 100.2) & truth["y"].between(2, 100.2)
    truth = truth.assign(frame=0, site=range(len(truth)), analysable=inside)
    bonds = bonds_table(truth, StatisticsParameters(**parameters_of("local")["statistics"]))
    angles = angles_table(truth, bonds)
    # The true widths lie within the intervals of those without the errors of position.
    assert row["bond_std_deconvolved_low"] < bonds["length"].std() < row["bond_std_deconvolved_high"]
    assert row["angle_std_deconvolved_low"] < angles["angle"].std() < row["angle_std_deconvolved_high"]
    assert row["bond_std_noise"] < row["bond_std"]
    assert 0 < row["areal_share_vacuum"] < 0.05
    assert row[[f"areal_share_{name}" for name in ("vacuum", "monolayer", "other")]].sum() == pytest.approx(1)
    assert row["dopant_density_heavier"] == 0 < row["dopant_density_heavier_high"]
    assert -0.4 < row["ring_assortativity"] < 0


def test_what_is_only_of_series_or_groups_is_empty(results):
    for name in ("evolution", "trends", "event_rates", "comparison", "distribution_distances", "regions"):
        assert len(pd.read_parquet(results / f"{name}.parquet")) == 0, name
    fields = sorted(path.name for path in (results / "figures" / "field_maps").iterdir())
    assert fields == ["example_order.png", "example_orientation.png", "example_strain.png"]


def test_report_and_figures_are_there(results):
    page = (results / "report.html").read_text()
    assert "example" in page
    assert 'src="http' not in page
    assert (results / "figures" / "ring_maps" / "example.png").stat().st_size > 10_000
    assert len(list((results / "figures").glob("*.json"))) == 8


def test_units_stand_in_the_tables(results):
    import pyarrow.parquet as pq

    field = pq.read_schema(results / "sites" / "example.parquet").field("x")
    assert field.metadata is not None
    assert "Å" in b" ".join(field.metadata.values()).decode()


def test_reference_network_is_version_one_and_champion(copy, results):
    assert results.is_dir()
    listed = copy.kedro("networks")
    assert listed.code == 0
    assert "champion" in listed.text


def test_statistics_alone_take_other_parameters(copy, results):
    before = len(pd.read_parquet(results / "rings" / "example.parquet"))
    done = copy.kedro("run", "--pipeline", "statistics", "--params", "statistics.rings.max_size=6")
    assert done.code == 0, done.text
    assert len(pd.read_parquet(results / "rings" / "example.parquet")) < before
