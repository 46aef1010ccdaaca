"""Atoms and rings for other programs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.exports import rings_to_geojson, sites_to_atoms
from amorph2d.measures.tables import bonds_table, ring_atoms_table, rings_table
from strategies import statistics_parameters

PARAMETERS = statistics_parameters()


def hexagon(frame: int = 0, x: float = 6.0) -> pd.DataFrame:
    angles = np.arange(6) * np.pi / 3
    return pd.DataFrame(
        {
            "frame": np.int32(frame),
            "site": np.arange(7) * 3 + 2,
            "kind": ["atom"] * 6 + ["ring"],
            "x": np.append(x + 1.42 * np.cos(angles), x),
            "y": np.append(4 + 1.42 * np.sin(angles), 4.0),
            "sigma": np.float32(0.05),
            "confidence": np.float32(0.9),
            "analysable": [True, False] * 3 + [True],
        }
    )


@pytest.fixture
def series() -> pd.DataFrame:
    return pd.concat([hexagon(), hexagon(1, 7.0)], ignore_index=True)


def test_atoms_of_a_frame_keep_their_places_and_errors(series: pd.DataFrame) -> None:
    atoms = sites_to_atoms(series, extent=(12.0, 8.0), frame=1)
    assert len(atoms) == 6
    assert set(atoms.numbers) == {6}
    assert atoms.positions[:, :2] == pytest.approx(hexagon(1, 7.0)[["x", "y"]].to_numpy()[:6])
    assert atoms.cell.lengths()[:2] == pytest.approx([12, 8])
    assert not atoms.pbc.any()
    assert atoms.arrays["site"].tolist() == [2, 5, 8, 11, 14, 17]
    assert atoms.arrays["analysable"].tolist() == [True, False] * 3
    assert atoms.arrays["sigma"] == pytest.approx(0.05)


def test_a_frame_without_atoms_is_an_empty_structure(series: pd.DataFrame) -> None:
    assert len(sites_to_atoms(series, extent=(12.0, 8.0), frame=5)) == 0


def test_rings_are_closed_polygons(series: pd.DataFrame) -> None:
    bonds = bonds_table(series, PARAMETERS)
    rings, members = rings_table(series, bonds, PARAMETERS), ring_atoms_table(series, bonds, PARAMETERS)
    collection = rings_to_geojson(rings, members, series)
    assert [feature["properties"]["frame"] for feature in collection["features"]] == [0, 1]
    for feature, middle in zip(collection["features"], (6.0, 7.0), strict=True):
        corners = np.array(feature["geometry"]["coordinates"][0])
        assert corners.shape == (7, 2)
        assert np.array_equal(corners[0], corners[-1])
        assert np.hypot(*(corners - (middle, 4)).T) == pytest.approx(1.42, abs=1e-3)
        assert feature["properties"]["size"] == 6
        assert feature["properties"]["area"] == pytest.approx(1.5 * 3**0.5 * 1.42**2, abs=1e-3)


def test_what_does_not_fit_is_refused(series: pd.DataFrame) -> None:
    bonds = bonds_table(series, PARAMETERS)
    rings, members = rings_table(series, bonds, PARAMETERS), ring_atoms_table(series, bonds, PARAMETERS)
    with pytest.raises(ValueError, match="ring_atoms must have 6 rows for frame 0, got 5"):
        rings_to_geojson(rings, members.iloc[1:], series)
    with pytest.raises(ValueError, match="extent must be > 0 Å"):
        sites_to_atoms(series, extent=(0.0, 8.0))
    with pytest.raises(ValueError, match="missing kind"):
        sites_to_atoms(series.drop(columns="kind"), extent=(1.0, 8.0))
