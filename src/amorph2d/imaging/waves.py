"""Exit waves and images by abTEM; its axis 0 is x, ours is y: the axes are swapped here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, as_points
from amorph2d.imaging.optics import Optics

if TYPE_CHECKING:
    from abtem.waves import Waves

SHEET_THICKNESS = 2.0  # one slice [Å]: the sheet is flat
# FFTW's measured plans take half a second for every new shape and differ from run to run in the last bits.
_ABTEM_CONFIG = {"fft": "numpy"}


def exit_wave(
    positions: ArrayLike,
    numbers: ArrayLike,
    *,
    box: tuple[float, float],
    shape: tuple[int, int],
    energy: float,
) -> Waves:
    """Return the exit wave of a flat periodic sheet under a plane wave.

    Parameters
    ----------
    positions
        Atoms, (N, 2), x then y [Å].
    numbers
        Atomic numbers, (N,).
    box
        Edge lengths of the periodic box along x and y [Å].
    shape
        Rows and columns of the grid over the box.
    energy
        Electron energy [eV].

    Returns
    -------
    Waves
        abTEM's wave on the grid, x first.

    References
    ----------
    J. Madsen and T. Susi, Open Research Europe 1, 24 (2021), doi:10.12688/openreseurope.13015.2; scattering
    factors of I. Lobato and D. Van Dyck, Acta Cryst. A 70, 636 (2014).
    """
    import abtem
    from ase import Atoms

    xy = as_points(positions, "positions")
    atoms = Atoms(
        numbers=np.asarray(numbers, dtype=int),
        positions=np.column_stack([xy, np.full(len(xy), SHEET_THICKNESS / 2)]),
        cell=[*box, SHEET_THICKNESS],
        pbc=True,
    )
    rows, columns = shape
    potential = abtem.Potential(
        atoms,
        gpts=(columns, rows),
        slice_thickness=SHEET_THICKNESS,
        parametrization="lobato",
        projection="infinite",
    )
    with abtem.config.set(_ABTEM_CONFIG):
        wave: Any = abtem.PlaneWave(energy=energy).multislice(_built(potential), lazy=False)
    return cast("Waves", wave)


def _built(potential: Any) -> Any:
    """Return the potential as an array; abTEM's annotations know its base class only."""
    return potential.build(lazy=False)


def form_image(wave: Waves, optics: Optics) -> Float32Array:
    """Return the intensity of `wave` behind the `optics`, (rows, columns), mean about 1 for a thin sheet."""
    import abtem

    transfer = abtem.CTF(
        energy=optics.energy,
        defocus=optics.defocus,
        Cs=optics.Cs,
        astigmatism=optics.astigmatism,
        astigmatism_angle=np.deg2rad(optics.astigmatism_angle),
        trefoil=optics.trefoil,
        trefoil_angle=np.deg2rad(optics.trefoil_angle),
        coma=optics.coma,
        coma_angle=np.deg2rad(optics.coma_angle),
        focal_spread=optics.focal_spread,
        angular_spread=optics.angular_spread,
        semiangle_cutoff=optics.semiangle_cutoff,
    )
    with abtem.config.set(_ABTEM_CONFIG):
        intensity = wave.apply_ctf(transfer).intensity().array
    return np.ascontiguousarray(intensity.T, dtype=np.float32)
