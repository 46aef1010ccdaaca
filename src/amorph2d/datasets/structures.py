"""Atomic structures on disk, in any format that ASE writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

from amorph2d.datasets.tables import stem_file, stems_in, write_whole

if TYPE_CHECKING:
    from ase import Atoms


class StructureFolder(AbstractDataset["dict[str, list[Atoms]]", "dict[str, Path]"]):
    """A folder with one file of structures a stem; a structure for each frame.

    Parameters
    ----------
    filepath
        The folder.
    format
        Name of the format in `ase.io`: ``extxyz``, ``xyz``, ``cif``, ``vasp``, ``lammps-data`` …
    suffix
        Ending of the files, with its dot.
    metadata
        For Kedro's plug-ins.
    """

    def __init__(
        self, *, filepath: str, format: str, suffix: str, metadata: dict[str, Any] | None = None
    ) -> None:
        self._folder, self._format, self._suffix = Path(filepath), format, suffix
        self.metadata = metadata

    def save(self, data: dict[str, list[Atoms]]) -> None:
        """Write the structures of some stems.

        Raises
        ------
        DatasetError
            If ASE does not write the format, or not for several frames.
        """
        from ase.io import write

        self._folder.mkdir(parents=True, exist_ok=True)
        for stem, frames in data.items():

            def store(partial: Path, frames: list[Atoms] = frames) -> None:
                write(partial, frames if len(frames) > 1 else frames[0], format=self._format)

            try:
                write_whole(stem_file(self._folder, stem, self._suffix), store)
            except Exception as error:
                raise DatasetError(
                    f"the structure of {stem} cannot be written as {self._format!r} ({error}); `format` must "
                    "be one that ase.io writes, such as extxyz, xyz, cif, vasp or lammps-data"
                ) from error

    def load(self) -> dict[str, Path]:
        """List the files by stem, sorted."""
        return stems_in(self._folder, self._suffix)

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder), "format": self._format}
