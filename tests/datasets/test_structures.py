"""Structures on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from kedro.io import DatasetError

from amorph2d.datasets.structures import StructureFolder


def frames(n: int) -> list[Atoms]:
    rng = np.random.default_rng(4)
    made = [Atoms(numbers=[6, 6, 7], positions=rng.random((3, 3)), cell=[9, 8, 7]) for _ in range(n)]
    for atoms in made:
        atoms.set_array("sigma", rng.random(3))
    return made


@pytest.mark.parametrize("n_frames", [1, 3])
def test_frames_come_back(tmp_path: Path, n_frames: int) -> None:
    folder = StructureFolder(filepath=str(tmp_path / "s"), format="extxyz", suffix=".extxyz")
    assert not folder.exists()
    folder.save({"a.b": frames(n_frames)})
    (path,) = folder.load().values()
    found = read(path, index=":")
    assert len(found) == n_frames
    assert found[-1].positions == pytest.approx(frames(n_frames)[-1].positions, abs=1e-6)
    assert found[0].arrays["sigma"] == pytest.approx(frames(n_frames)[0].arrays["sigma"], abs=1e-6)


def test_other_formats_and_unknown_ones(tmp_path: Path) -> None:
    folder = StructureFolder(filepath=str(tmp_path), format="vasp", suffix=".vasp")
    folder.save({"a": frames(1)})
    assert len(read(tmp_path / "a.vasp", format="vasp")) == 3
    with pytest.raises(DatasetError, match="cannot be written as 'nonsense'"):
        StructureFolder(filepath=str(tmp_path), format="nonsense", suffix=".x").save({"a": frames(1)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vasp"]
