"""A simulated set that need not be there."""

from __future__ import annotations

from amorph2d.datasets.shards import SimulatedSet, SimulatedSetDataset


class OptionalSetDataset(SimulatedSetDataset):
    """A folder of shards; None where there is no whole set."""

    def load(self) -> SimulatedSet | None:  # type: ignore[override]
        """Open the set if it is there."""
        return super().load() if self._exists() else None
