"""Make the micrograph that ships with the project: `python scripts/make_example.py`.

A relaxed amorphous sheet with one pore, imaged at 80 kV and 4·10⁴ e⁻/Å²; its seeds are not those of any
training set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import tifffile

from amorph2d.imaging.optics import Optics, matched_defocus
from amorph2d.imaging.recipes import plain_recipe
from amorph2d.imaging.simulate import simulate_image

FOLDER = Path(__file__).parents[1] / "data" / "01_raw" / "micrographs"
OPTICS = {
    "energy": 8e4,
    "Cs": -1e5,
    "focal_spread": 30.0,
    "angular_spread": 0.3,
    "semiangle_cutoff": 60.0,
    "astigmatism": 3.0,
    "astigmatism_angle": 40.0,
    "trefoil": 100.0,
    "trefoil_angle": 10.0,
    "coma": 100.0,
    "coma_angle": 70.0,
}
RECIPE = plain_recipe(
    family="relaxed",
    structure_seed=2026,
    lloyd_iterations=6,
    pores=1,
    pore_radius=7.0,
    pore_roughness=0.25,
    **OPTICS,
    defocus=matched_defocus(Optics(defocus=0.0, **OPTICS), bright_atoms=True),
    noise_seed=1122,
    sampling=0.2,
    dose_per_area=4e4,
    vibration=0.1,
    mtf_floor=0.05,
    mtf_width=0.5,
    mtf_exponent=2.5,
    gradient=0.1,
    gradient_direction=30.0,
)


def main() -> None:
    """Write the image as a calibrated TIFF, and its true sites."""
    image = simulate_image(RECIPE)
    counts = np.clip(np.round(image.image), 0, 65535).astype(np.uint16)
    per_nm = 10 / image.sampling
    tifffile.imwrite(
        FOLDER / "example.tif",
        counts,
        imagej=True,
        resolution=(per_nm, per_nm),
        metadata={"unit": "nm"},
        compression=None,
    )
    kinds = np.repeat(["atom", "ring"], [len(image.atoms), len(image.rings)])
    x, y = np.concatenate([image.atoms, image.rings]).T
    truth = pd.DataFrame({"kind": kinds, "x": x, "y": y})
    truth.to_parquet(FOLDER / "example.truth.parquet", index=False)
    print(f"{FOLDER / 'example.tif'}: {counts.shape}, {len(image.atoms)} atoms, {len(image.rings)} rings")


if __name__ == "__main__":
    main()
