"""What is counted of a frame, measured before or anew."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.counting import (
    MeasuredTables,
    count_frame,
    crystal_tables,
    find_defects,
    frame_tables,
    order_tables,
)
from amorph2d.measures.tables import angles_table, network_tables
from amorph2d.measures.window import RectangularWindow
from strategies import honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters()


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(5)
    atoms, centres, box = honeycomb(9, 5, 1.42)
    window = RectangularWindow(2, 2, *(box - 2))
    places = np.delete(atoms + rng.normal(0, 0.05, atoms.shape), [70, 113], axis=0)
    sites = make_sites(places, centres, analysable=window.contains(np.concatenate([places, centres])))
    bonds, rings, ring_atoms = network_tables(sites, PARAMETERS)
    angles = angles_table(sites, bonds)
    return frame_tables(0, sites, bonds, angles, rings, ring_atoms, window=window, seen=window)


def test_what_was_measured_is_counted_as_if_measured_anew(found):
    crystal = crystal_tables(found, PARAMETERS)
    measured = MeasuredTables(
        order_tables(found, PARAMETERS).ring_order,
        crystal.ring_grains,
        crystal.boundary_points,
        crystal.strain,
        find_defects(found, PARAMETERS).defects,
    )
    expected = count_frame(found, PARAMETERS)
    pd.testing.assert_frame_equal(count_frame(replace(found, measured=measured), PARAMETERS), expected)
    # It is these tables that are counted.
    without = measured._replace(defects=measured.defects.iloc[:0])
    fewer = count_frame(replace(found, measured=without), PARAMETERS)
    assert not fewer.equals(expected)
    assert expected.drop(columns=expected.columns[(fewer != expected).any()]).shape[1] > 20


def test_a_region_is_measured_anew(found):
    region = np.ones((40, 40), bool)
    is_inside = np.ones(len(found.sites), bool)
    whole = replace(found, measured=MeasuredTables(*[pd.DataFrame()] * 5))
    here = whole.restricted(is_inside, region, window=found.window, seen=found.seen)
    assert here.measured is None
