"""Scattering factors of atoms, those of abTEM."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from amorph2d.arrays import AnyArray

CARBON = 6  # its atomic number
_AT_ONCE = 20_000


@cache
def projected_scattering_factor(number: int) -> Callable[[AnyArray], AnyArray]:
    """Return the spectrum of the projected potential of an atom, as a function of the squared frequency.

    The parametrisation of Lobato and Van Dyck, by abTEM's own function, but without compiling it: that would
    take longer than all calls together, in each process anew.

    Parameters
    ----------
    number
        Atomic number.

    Returns
    -------
    Callable
        Takes squared frequencies [1/Å²] of any shape, gives [V Å³] of the same shape.

    References
    ----------
    I. Lobato and D. Van Dyck, Acta Cryst. A 70, 636 (2014), doi:10.1107/S205327331401643X.
    """
    from abtem.parametrizations import LobatoParametrization
    from abtem.parametrizations.functions import lobato
    from ase.data import chemical_symbols

    name = "projected_scattering_factor"
    compiled = lobato.projected_scattering_factor
    plain = getattr(compiled, "py_func", compiled)
    scaled = LobatoParametrization().scaled_parameters(chemical_symbols[number], name)
    parameters = np.asarray(scaled, dtype=np.float32)  # as abTEM has them

    def factor(k2: AnyArray) -> AnyArray:
        given = np.asarray(k2)
        values = np.empty(given.size, np.result_type(given, parameters))
        for start in range(0, given.size, _AT_ONCE):  # as many as stay in the cache of a processor
            part = slice(start, start + _AT_ONCE)
            values[part] = plain(given.ravel()[part], parameters)
        return values.reshape(given.shape)

    return factor
