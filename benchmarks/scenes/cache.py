"""Images that are simulated once and kept as ``.npz``."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scenes.imaging import Conditions, exposed, noise_free
from scenes.standard import Scene, SiteImage, in_field, specimen_of
from scenes.truth import true_mask, true_sites


@dataclass(frozen=True, eq=False)
class CachedImage:
    """An image, a checksum of its structures, and its truth: sites in the field, x then y [Å]."""

    name: str
    structure: str
    group: str
    source: int
    conditions: Conditions
    image: np.ndarray
    illumination: np.ndarray
    atoms: np.ndarray
    rings: np.ndarray
    mask: np.ndarray | None

    @property
    def sampling(self) -> tuple[float, float]:
        """Sampling along y and x [Å/px]."""
        return self.conditions.sampling, self.conditions.sampling


def simulate(image: SiteImage | Scene, paths: dict[str, tuple[str, Path]]) -> CachedImage:
    """Simulate an image of the standard list."""
    conditions = image.conditions
    everything, sheet, overlay = specimen_of(image, paths)
    is_scene = isinstance(image, Scene)
    # The squared wave reaches twice the frequency of the aperture, 1.2 1/Å at 80 kV.
    intensity = noise_free(everything, conditions, oversampling=2 if conditions.sampling > 0.2 else 1)
    recorded, illumination = exposed(intensity, conditions)
    placed, above = in_field(sheet, conditions), in_field(overlay, conditions)
    atoms, rings = (_inside(points, conditions) for points in true_sites(placed))
    mask = true_mask(placed, above, size=conditions.size, sampling=conditions.sampling) if is_scene else None
    return CachedImage(
        image.name, image.structure, image.group, source_of(image, paths), conditions, recorded,
        illumination, atoms, rings, mask,
    )  # fmt: skip


def source_of(image: SiteImage | Scene, paths: dict[str, tuple[str, Path]]) -> int:
    """Return a checksum of the structures in an image."""
    names = [image.structure]
    if isinstance(image, Scene):
        names += [material for material, _, _ in image.lumps]
    return zlib.crc32(b"".join(paths[name][1].read_bytes() for name in names))


def cached(image: SiteImage | Scene, paths: dict[str, tuple[str, Path]], folder: Path) -> CachedImage:
    """Return an image from the folder, simulated now if it is not there or was made otherwise."""
    path = folder / f"{image.name}.npz"
    if path.exists():
        found = load(path)
        if found.conditions == image.conditions and found.source == source_of(image, paths):
            return found
    made = simulate(image, paths)
    save(made, path)
    return made


def save(image: CachedImage, path: Path) -> None:
    """Write an image."""
    described: dict[str, Any] = {
        name: getattr(image, name) for name in ("name", "structure", "group", "source")
    }
    described["conditions"] = asdict(image.conditions)
    arrays = {name: getattr(image, name) for name in ("image", "illumination", "atoms", "rings")}
    if image.mask is not None:
        arrays["mask"] = image.mask
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, described=json.dumps(described), **arrays)


def load(path: Path) -> CachedImage:
    """Read an image."""
    with np.load(path) as stored:
        described = json.loads(str(stored["described"]))
        described["conditions"] = Conditions(**described["conditions"])
        arrays = {name: stored[name] for name in ("image", "illumination", "atoms", "rings")}
        return CachedImage(**described, **arrays, mask=stored.get("mask"))


def _inside(points: np.ndarray, conditions: Conditions) -> np.ndarray:
    """Return the points between the centres of the outermost pixels."""
    last = (conditions.size - 1) * conditions.sampling
    return points[((points >= 0) & (points <= last)).all(axis=1)]
