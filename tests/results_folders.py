"""Small folders of results, made without images."""

import numpy as np
import pandas as pd

from amorph2d.datasets.tables import write_table
from amorph2d.measures.counting import count_frame, frame_tables, pair_tables
from amorph2d.measures.tables import angles_table, network_tables
from amorph2d.measures.window import RectangularWindow
from strategies import honeycomb, make_sites, statistics_parameters

PARAMETERS = statistics_parameters()


def write_results(folder, rng, *, bond=1.42, names=("first", "second", "third")):
    """Results of micrographs of graphene with a bond length, of sites that scatter by 0.03 Å."""
    atoms, centres, box = honeycomb(9, 5, bond)
    window = RectangularWindow(2, 2, *(box - 2))
    for name in names:
        places = atoms * rng.normal(1, 0.001) + rng.normal(0, 0.03, atoms.shape)
        inside = window.contains(np.concatenate([places, centres]))
        sites = make_sites(places, centres, analysable=inside)
        bonds, rings, ring_atoms = network_tables(sites, PARAMETERS)
        angles = angles_table(sites, bonds)
        found = frame_tables(0, sites, bonds, angles, rings, ring_atoms, window=window, seen=window)
        tables = {"sites": sites, "bonds": bonds, "angles": angles}
        tables |= {"pdf": pair_tables(sites, window, PARAMETERS)[0]}
        tables |= {".records/counts": count_frame(found, PARAMETERS).assign(frame=np.int32(0))}
        for place, table in tables.items():
            write_table(folder / place / f"{name}.parquet", table)
    statuses = ["analysed"] * len(names) + ["not analysed"]
    write_table(
        folder / "calibration.parquet", pd.DataFrame({"micrograph": [*names, "bad"], "status": statuses})
    )
    return folder
