"""A matched set whose parts to learn from are mixed with images of the general set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from amorph2d.learning.finetuning import rehearsed

if TYPE_CHECKING:
    from amorph2d.datasets.shards import SimulatedSet
    from amorph2d.imaging.simulated import SimulatedImage


class Images(Sequence["SimulatedImage"]):
    """Images of one set and chosen ones of another, read when asked for."""

    def __init__(self, matched: SimulatedSet, general: SimulatedSet, places: Sequence[int]) -> None:
        recipes = general.recipes
        self.recipes: list[dict[str, Any]] = [*matched.recipes, *(recipes[k] for k in places)]
        self._items = [(matched, k) for k in range(len(matched))] + [(general, k) for k in places]

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, item: int) -> SimulatedImage: ...
    @overload
    def __getitem__(self, item: slice) -> list[SimulatedImage]: ...
    def __getitem__(self, item: int | slice) -> SimulatedImage | list[SimulatedImage]:
        if isinstance(item, slice):
            return [images[k] for images, k in self._items[item]]
        images, k = self._items[item]
        return images[k]


class MixedSet:
    """Looks like a simulated set: training and validation are mixed, the test is that of the matched set.

    Parameters
    ----------
    matched, general
        The sets.
    share
        Part of the general images in the mixture.
    seed
        Seed of their choice.
    """

    def __init__(self, matched: SimulatedSet, general: SimulatedSet, *, share: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.test = matched.split("test")
        self._mixed: dict[str, Images] = {}
        for name in ("training", "validation"):
            own, other = matched.split(name), general.split(name)
            self._mixed[name] = Images(own, other, rehearsed(len(own), len(other), share, rng).tolist())
        self.n_rehearsed = sum(map(len, self._mixed.values())) + len(self.test) - len(matched)
        self.manifest = matched.manifest
        mark = f"{matched.set_id} {general.set_id} {share} {seed}"
        self.set_id = hashlib.sha256(mark.encode()).hexdigest()

    def split(self, name: str) -> Images | SimulatedSet:
        """Return the images of 'training', 'validation' or 'test'."""
        return self.test if name == "test" else self._mixed[name]

    def __len__(self) -> int:
        return sum(map(len, self._mixed.values())) + len(self.test)
