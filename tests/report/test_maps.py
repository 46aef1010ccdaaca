from dataclasses import replace

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from amorph2d.report.maps import draw_ring_map


def test_the_map_of_a_view_has_its_complete_rings_and_all_bonds(view):
    shuffled = replace(view, sites=view.sites.sample(frac=1, random_state=0))
    axes = draw_ring_map(shuffled).axes[0]
    polygons = [
        path for item in axes.collections if isinstance(item, PolyCollection) for path in item.get_paths()
    ]
    assert len(polygons) == view.rings["complete"].sum()
    (bonds,) = (item for item in axes.collections if isinstance(item, LineCollection))
    x = view.sites.set_index("site")["x"]
    drawn = np.array(bonds.get_segments())[:, :, 0]
    np.testing.assert_allclose(drawn, np.column_stack([x[view.bonds["atom_i"]], x[view.bonds["atom_j"]]]))
    assert axes.get_title(loc="left") == "sheet_01"
