"""One simulated micrograph with its truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph2d.arrays import Float32Array, FloatArray, IntArray

VACUUM, MONOLAYER, OTHER = 0, 1, 2  # what a pixel of a mask shows


@dataclass(frozen=True, eq=False)
class SimulatedImage:
    """An image and what it shows.

    Attributes
    ----------
    index
        Number of the image in its set.
    image
        Detector signal, (rows, columns), electrons or the grey values of the file.
    sampling
        Size of the square pixels [Å/px].
    atoms, rings
        True atoms and ring centres inside the field, (N, 2) and (M, 2), x then y; the origin is the centre
        of pixel (0, 0) [Å]. For materials with larger building blocks, the nodes of the network.
    recipe
        Everything that made the image: its row of the recipes table.
    bonds
        Index pairs into `atoms` i < j, (B, 2); bonds that leave the field are not among them.
    mask
        What each pixel shows, (rows, columns): 0 vacuum, 1 monolayer, 2 other; None where it is not known.
    """

    index: int
    image: Float32Array
    sampling: float
    atoms: FloatArray
    rings: FloatArray
    recipe: dict[str, Any]
    bonds: IntArray = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    mask: NDArray[np.uint8] | None = None

    @property
    def length_scale(self) -> float:
        """Spacing of the nodes in units of carbon's 1.42 Å."""
        return float(self.recipe.get("length_scale", 1.0))

    @property
    def illumination(self) -> Float32Array:
        """Illumination that the image was taken under, (rows, columns), mean about 1."""
        from amorph2d.imaging.simulate import illumination_of

        return illumination_of(self.recipe, self.image.shape)


def in_units_of_carbon(image: SimulatedImage) -> SimulatedImage:
    """Return the image of another material with its lengths scaled to the spacing of carbon.

    Networks know one spacing: what they see of a polymer with nodes 26 Å apart is a sheet of carbon at a
    sampling 18 times finer. The image of a carbon sheet is returned as it is. Of the
    recipe, ``sampling``, ``dose_per_area`` and ``length_scale`` are scaled; the other columns stay what the
    image was made with.
    """
    scale = image.length_scale
    if scale == 1:
        return image
    recipe = image.recipe | {
        "length_scale": 1.0,
        "sampling": image.sampling / scale,
        "dose_per_area": image.recipe["dose_per_area"] * scale**2,
    }
    return replace(
        image,
        sampling=image.sampling / scale,
        atoms=image.atoms / scale,
        rings=image.rings / scale,
        recipe=recipe,
    )
