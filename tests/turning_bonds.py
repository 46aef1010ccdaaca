"""Series of a periodic network in which bonds turn at known frames, seen through a window."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.measures.tables import (
    BOND_COLUMNS,
    NetworkTables,
    network_tables,
    ring_atoms_table,
    rings_table,
)
from amorph2d.series.config import LinkingParameters
from amorph2d.series.linking import link_sites
from amorph2d.structures.bond_flips import _switch, build_graph, ring_corners
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.relax import relax_network
from strategies import make_sites

FRAME_TIME = 2.0  # [s]
NETWORK: Any = SimpleNamespace(bonds=SimpleNamespace(limits=(0.5, 1.9)), rings=SimpleNamespace(max_size=30))


def turn_bond(sheet: RingedSheet, place, *, relax: bool = True) -> tuple[RingedSheet, np.ndarray]:
    """Turn the bond nearest to a place, and say where it is."""
    graph = build_graph(sheet)
    ends = sheet.positions[sheet.bonds]
    vectors = shortest_image(ends[:, 1] - ends[:, 0], sheet.box)
    middles = ends[:, 0] + vectors / 2
    number = np.hypot(*(middles - place).T).argmin()
    i, j = sheet.bonds[number]
    slot = int(np.flatnonzero(graph.neighbours[i] == j)[0])
    counts = np.zeros(30)
    _switch(graph, i, slot, counts)
    side = vectors[number, ::-1] * [-1, 1] / 2
    near = graph.neighbours[i][graph.neighbours[i] != j]
    other = graph.neighbours[j][graph.neighbours[j] != i]
    reach = [
        shortest_image(graph.positions[list(three)] - middles[number], sheet.box) for three in (near, other)
    ]
    sign = 1 if (reach[0] @ side).sum() > (reach[1] @ side).sum() else -1
    graph.positions[i], graph.positions[j] = middles[number] + sign * side, middles[number] - sign * side
    bonds = np.column_stack([np.repeat(np.arange(len(graph.positions)), 3), graph.neighbours.ravel()])
    turned = replace(
        sheet,
        positions=graph.positions,
        bonds=bonds[bonds[:, 0] < bonds[:, 1]],
        ring_sizes=graph.sizes,
        ring_members=ring_corners(graph),
        ring_offsets=np.concatenate([[0], np.cumsum(graph.sizes)]),
    )
    if not relax:
        return turned, middles[number]
    relaxed = relax_network(turned, tolerance=0.05)
    # Relaxation moves the whole sheet, too; a microscope would call that drift.
    shift = np.median(shortest_image(relaxed.positions - turned.positions, sheet.box), axis=0)
    return replace(relaxed, positions=relaxed.positions - shift), middles[number]


def observe_series(
    sheets, *, rng, window, noise=0.05, missed=0.0, drift=0.0, border=3.0, true_bonds=False, is_missed=None
):
    """Return sites and network of what is seen of each sheet in a window, as an analysis gives them."""
    tables, pairs = [], []
    for frame, sheet in enumerate(sheets):
        is_seen = _inside(sheet.positions, window, 0.0) & (rng.random(len(sheet.positions)) >= missed)
        if is_missed is not None:
            is_seen &= ~is_missed(frame, sheet.positions)
        atom = rng.permutation(np.flatnonzero(is_seen))
        places = sheet.positions[atom] + rng.normal(0, noise, (len(atom), 2))
        tables.append(
            make_sites(places, frame=frame, analysable=_inside(sheet.positions[atom], window, border))
        )
        site = np.full(len(sheet.positions), -1)
        site[atom] = np.arange(len(atom))
        bonds = site[sheet.bonds]
        pairs.append(bonds[(bonds >= 0).all(axis=1)])
    linked = link_sites(tables, parameters=LinkingParameters(max_step=0.7, memory=2))
    sites = pd.concat([_drifted(table, drift) for table in linked], ignore_index=True)
    return sites, (_true_network(sites, pairs) if true_bonds else network_tables(sites, NETWORK))


def _drifted(table, drift):
    """Add the times, and move a table by the drift."""
    frame = table["frame"].to_numpy()
    return table.assign(
        time=FRAME_TIME * frame,
        x_aligned=table["x"],
        y_aligned=table["y"],
        x=table["x"] + drift * frame,
        y=table["y"] - drift / 2 * frame,
    )


def _true_network(sites, pairs):
    """Return bonds, rings and their atoms where the bonds are known."""
    frames = np.repeat(np.arange(len(pairs)), [len(bonds) for bonds in pairs])
    first, second = np.concatenate(pairs).T
    bonds = pd.DataFrame({"frame": frames, "atom_i": first, "atom_j": second, "length": 1.42})
    bonds = bonds.astype(BOND_COLUMNS)
    return NetworkTables(bonds, rings_table(sites, bonds, NETWORK), ring_atoms_table(sites, bonds, NETWORK))


def _inside(places, window, border):
    x0, y0, x1, y1 = window
    low, high = np.array([x0, y0]) + border, np.array([x1, y1]) - border
    return ((places > low) & (places < high)).all(axis=1)


def find_true(events, truth, *, max_distance=1.0):
    """Return the row of `events` that each true one (frame, x, y) is, -1 where none is."""
    rows = []
    for frame, x, y in truth:
        near = (events["frame_after"] == frame) & (np.hypot(events["x"] - x, events["y"] - y) < max_distance)
        rows.append(int(np.flatnonzero(near)[0]) if near.any() else -1)
    return rows
