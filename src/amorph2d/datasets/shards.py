"""Simulated sets on disk: safetensors shards and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from numpy.typing import NDArray

from amorph2d.arrays import AnyArray, Float32Array
from amorph2d.imaging.simulated import SimulatedImage

MANIFEST = "manifest.json"
SUFFIX = ".safetensors"
DESCRIPTION = "description"
LEVELS = 65535
EMPTY: dict[str, AnyArray] = {
    "atoms": np.empty((0, 2)),
    "rings": np.empty((0, 2)),
    "bonds": np.empty((0, 2), dtype=np.int64),
    "masks": np.empty(0, dtype=np.uint8),
}


def fingerprint(recipes: Iterable[Mapping[str, Any]], code_version: str) -> str:
    """Return the SHA-256 of the recipes and of the code version that simulates them."""
    text = json.dumps([code_version, [dict(recipe) for recipe in recipes]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _ragged(arrays: Sequence[AnyArray], empty: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Join arrays end to end; rows offsets[k] to offsets[k + 1] of the result are array k."""
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    return np.concatenate([empty, *arrays]), offsets


def _as_levels(image: Float32Array) -> tuple[NDArray[np.uint16], float, float]:
    """Return 65 536 levels between the least and the greatest value, the least, and the step of a level."""
    low, high = float(image.min()), float(image.max())
    is_whole = high - low <= LEVELS and bool((image == np.rint(image)).all())
    step = 1.0 if is_whole or high == low else (high - low) / LEVELS
    return np.rint((image.astype(np.float64) - low) / step).astype(np.uint16), low, step


def _packed(mask: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    """Return a mask as compressed bytes, none if there is no mask."""
    if mask is None:
        return np.empty(0, dtype=np.uint8)
    return np.frombuffer(zlib.compress(np.ascontiguousarray(mask).tobytes(), level=6), dtype=np.uint8)


def write_shard(path: Path, images: Sequence[SimulatedImage], mark: str) -> None:
    """Write images as one shard; the file appears whole or not at all.

    Parameters
    ----------
    path
        File to write.
    images
        Images of one shape.
    mark
        Fingerprint of their recipes.
    """
    from safetensors.numpy import save_file

    levels = [_as_levels(image.image) for image in images]
    tensors: dict[str, AnyArray] = {
        "images": np.stack([level for level, _, _ in levels]),
        "scales": np.array([(low, step) for _, low, step in levels], dtype=np.float64),
    }
    for name, empty in EMPTY.items():
        arrays = [_packed(image.mask) if name == "masks" else getattr(image, name) for image in images]
        tensors[name], tensors[f"{name}_offsets"] = _ragged(arrays, empty)
    # One entry: safetensors writes several in any order, and equal shards must be equal files.
    described = json.dumps({"fingerprint": mark, "recipes": [image.recipe for image in images]})
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    save_file(tensors, partial, metadata={DESCRIPTION: described})
    partial.replace(path)


def read_fingerprint(path: Path) -> str:
    """Return the fingerprint of a shard without reading its images."""
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as shard:
        return str(json.loads((shard.metadata() or {}).get(DESCRIPTION, "{}")).get("fingerprint", ""))


class Shard(Sequence[SimulatedImage]):
    """The images of one file, read when asked for."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as shard:
            self.recipes: list[dict[str, Any]] = json.loads(shard.metadata()[DESCRIPTION])["recipes"]
            self._ragged = {
                name: (shard.get_tensor(name), shard.get_tensor(f"{name}_offsets")) for name in EMPTY
            }
            self._scales = shard.get_tensor("scales")
        self._path = path

    def __len__(self) -> int:
        return len(self.recipes)

    def _part(self, name: str, item: int) -> AnyArray:
        """Return what belongs to image `item`."""
        values, offsets = self._ragged[name]
        return values[offsets[item] : offsets[item + 1]]

    def _mask(self, item: int, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
        """Mask of image `item`, None if it has none."""
        packed = self._part("masks", item)
        if len(packed) == 0:
            return None
        return np.frombuffer(zlib.decompress(packed.tobytes()), dtype=np.uint8).reshape(shape)

    @overload
    def __getitem__(self, item: int) -> SimulatedImage: ...
    @overload
    def __getitem__(self, item: slice) -> list[SimulatedImage]: ...
    def __getitem__(self, item: int | slice) -> SimulatedImage | list[SimulatedImage]:
        if isinstance(item, slice):
            return [self[k] for k in range(*item.indices(len(self)))]
        from safetensors import safe_open

        k = range(len(self))[item]
        with safe_open(self._path, framework="numpy") as shard:
            levels = shard.get_slice("images")[k : k + 1][0]
        low, step = self._scales[k]
        recipe = self.recipes[k]
        return SimulatedImage(
            index=int(recipe["index"]),
            image=(low + step * levels.astype(np.float64)).astype(np.float32),
            sampling=float(recipe["sampling"]),
            atoms=self._part("atoms", k),
            rings=self._part("rings", k),
            recipe=recipe,
            bonds=self._part("bonds", k),
            mask=self._mask(k, levels.shape),
        )


class SimulatedSet(Sequence[SimulatedImage]):
    """A whole simulated set, or a part of it; images are read when asked for."""

    def __init__(
        self,
        shards: Sequence[Shard],
        manifest: dict[str, Any],
        items: Sequence[tuple[int, int]] | None = None,
    ):
        self._shards = shards
        self.manifest = manifest
        self._items = (
            [(s, k) for s, shard in enumerate(shards) for k in range(len(shard))]
            if items is None
            else list(items)
        )

    @property
    def set_id(self) -> str:
        """Identity of the whole set: the SHA-256 of all its recipes and of the code that made it."""
        return str(self.manifest["set_id"])

    @property
    def recipes(self) -> list[dict[str, Any]]:
        """The recipe of each image."""
        return [self._shards[s].recipes[k] for s, k in self._items]

    def split(self, name: str) -> SimulatedSet:
        """Return the images whose recipe names this split: 'training', 'validation' or 'test'."""
        kept = [(s, k) for s, k in self._items if self._shards[s].recipes[k]["split"] == name]
        return SimulatedSet(self._shards, self.manifest, kept)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[SimulatedImage]:
        return (self[k] for k in range(len(self)))

    @overload
    def __getitem__(self, item: int) -> SimulatedImage: ...
    @overload
    def __getitem__(self, item: slice) -> SimulatedSet: ...
    def __getitem__(self, item: int | slice) -> SimulatedImage | SimulatedSet:
        if isinstance(item, slice):
            return SimulatedSet(self._shards, self.manifest, self._items[item])
        s, k = self._items[item]
        return self._shards[s][k]


class SimulatedSetDataset(AbstractDataset[dict[str, Any], SimulatedSet]):
    """A folder of shards; without its manifest, the set does not exist.

    `save` takes ``{shard name: (images, fingerprint)}`` piece by piece and at last ``{"manifest":
    manifest}``. A shard that differs from the one an existing manifest names takes that manifest away first.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def save(self, data: dict[str, Any]) -> None:
        """Write shards, and the manifest when it is given."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, value in data.items():
            if name == "manifest":
                self._write_manifest(value)
            else:
                images, mark = value
                self._forget_other(name, mark)
                write_shard(self._folder / f"{name}{SUFFIX}", images, mark)

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        partial = self._folder / f".{MANIFEST}.{os.getpid()}.partial"
        partial.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        partial.replace(self._folder / MANIFEST)

    def _forget_other(self, name: str, mark: str) -> None:
        """Remove a manifest that says something else of shard `name`."""
        manifest = self._folder / MANIFEST
        if manifest.exists():
            known = json.loads(manifest.read_text(encoding="utf-8"))
            if known["shards"].get(name) != mark:
                manifest.unlink()

    def load(self) -> SimulatedSet:
        """Open the set; images are read when asked for."""
        path = self._folder / MANIFEST
        if not path.exists():
            raise DatasetError(
                f"no whole simulated set in {self._folder}: {MANIFEST} is missing; run "
                "'kedro run --pipelines synthesis' (it goes on where it stopped)"
            )
        manifest = json.loads(path.read_text(encoding="utf-8"))
        shards = [self._open(name, mark) for name, mark in manifest["shards"].items()]
        return SimulatedSet(shards, manifest)

    def _open(self, name: str, mark: str) -> Shard:
        """Open a shard and check that it is the one that the manifest names."""
        path = self._folder / f"{name}{SUFFIX}"
        if not path.exists():
            raise DatasetError(
                f"the manifest in {self._folder} names {path.name}, which is missing; run synthesis again"
            )
        if read_fingerprint(path) != mark:
            raise DatasetError(f"{path} is not the shard that the manifest names; run synthesis again")
        return Shard(path)

    def _exists(self) -> bool:
        return (self._folder / MANIFEST).exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}


class ShardInventory(AbstractDataset[None, dict[str, str]]):
    """The shards that a folder already holds: name to fingerprint; empty where there are none."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, str]:
        """List the whole shards in the folder; unreadable files are left out."""
        found: dict[str, str] = {}
        for path in sorted(self._folder.glob(f"[!.]*{SUFFIX}")):
            try:
                found[path.name.removesuffix(SUFFIX)] = read_fingerprint(path)
            except Exception:  # a damaged shard is simulated again
                continue
        return found

    def save(self, data: None) -> None:  # noqa: ARG002
        """Refuse: the inventory is read from the shards."""
        raise DatasetError("the inventory of shards is read from the folder and cannot be saved")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}
