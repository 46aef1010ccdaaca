"""Simulated sets on disk: safetensors shards and a manifest that is written last."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from kedro.io import AbstractDataset, DatasetError

from amorph2d.arrays import AnyArray, FloatArray
from amorph2d.imaging.simulated import SimulatedImage

MANIFEST = "manifest.json"
SUFFIX = ".safetensors"
DESCRIPTION = "description"


def fingerprint(recipes: Iterable[Mapping[str, Any]], code_version: str) -> str:
    """Return the SHA-256 of the recipes and of the code version that simulates them."""
    text = json.dumps([code_version, [dict(recipe) for recipe in recipes]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _ragged(arrays: Sequence[FloatArray]) -> tuple[FloatArray, AnyArray]:
    """Join arrays of points end to end; row k of the result's offsets starts array k."""
    offsets = np.concatenate([[0], np.cumsum([len(array) for array in arrays])]).astype(np.int64)
    return np.concatenate([np.empty((0, 2)), *arrays]), offsets


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

    atoms, atom_offsets = _ragged([image.atoms for image in images])
    rings, ring_offsets = _ragged([image.rings for image in images])
    tensors: dict[str, AnyArray] = {
        "images": np.stack([image.image for image in images]).astype(np.float16),
        "atoms": atoms,
        "atom_offsets": atom_offsets,
        "rings": rings,
        "ring_offsets": ring_offsets,
    }
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
            self._sites = {
                kind: (shard.get_tensor(f"{kind}s"), shard.get_tensor(f"{kind}_offsets"))
                for kind in ("atom", "ring")
            }
        self._path = path

    def __len__(self) -> int:
        return len(self.recipes)

    def _points(self, kind: str, item: int) -> FloatArray:
        """Sites of one kind in image `item`."""
        points, offsets = self._sites[kind]
        return points[offsets[item] : offsets[item + 1]]

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
            image = shard.get_slice("images")[k : k + 1][0].astype(np.float32)
        recipe = self.recipes[k]
        return SimulatedImage(
            index=int(recipe["index"]),
            image=image,
            sampling=float(recipe["sampling"]),
            atoms=self._points("atom", k),
            rings=self._points("ring", k),
            recipe=recipe,
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
