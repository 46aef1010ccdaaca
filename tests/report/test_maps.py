from dataclasses import replace

import numpy as np
from matplotlib.patches import PathPatch

from amorph2d.report.maps import draw_ring_map


def test_the_map_of_a_view_has_its_complete_rings_and_all_bonds(view):
    shuffled = replace(view, sites=view.sites.sample(frac=1, random_state=0))
    axes = draw_ring_map(shuffled).axes[0]
    drawn = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    polygons = [part for patch in drawn if patch.get_fill() for part in patch.get_path().to_polygons()]
    assert len(polygons) == view.rings["complete"].sum()
    (bonds,) = (patch for patch in drawn if not patch.get_fill())
    x = view.sites.set_index("site")["x"]
    ends = bonds.get_path().vertices[:, 0].reshape(-1, 2)
    np.testing.assert_allclose(ends, np.column_stack([x[view.bonds["atom_i"]], x[view.bonds["atom_j"]]]))
    assert axes.get_title(loc="left") == "sheet_01"
