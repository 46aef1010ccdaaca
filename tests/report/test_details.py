import numpy as np
import pytest
from matplotlib.collections import EllipseCollection

from amorph2d.report.details import draw_strain_map


def test_strain_is_drawn_in_per_cent(view):
    atoms = view.sites.loc[view.sites["kind"] == "atom", ["frame", "site"]]
    strain = atoms.assign(bond_strain=np.linspace(-0.02, 0.02, len(atoms))).sample(frac=1, random_state=0)
    figure = draw_strain_map(view, strain)
    (drawn,) = (item for item in figure.axes[0].collections if isinstance(item, EllipseCollection))
    np.testing.assert_allclose(drawn.get_array(), np.linspace(-2, 2, len(atoms)))
    assert drawn.get_clim()[1] == pytest.approx(2, rel=0.1)
    assert figure.axes[1].get_ylabel() == "Bond strain [%]"
