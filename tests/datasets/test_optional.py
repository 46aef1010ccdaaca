import pytest
from kedro.io import DatasetError

from amorph2d.datasets.optional import OptionalSetDataset
from amorph2d.datasets.shards import SimulatedSetDataset

MANIFEST = {"set_id": "x", "seed": 1, "n_images": 0, "shards": {}}


def test_a_set_that_is_not_there_is_none(tmp_path):
    assert OptionalSetDataset(filepath=str(tmp_path / "nowhere")).load() is None
    with pytest.raises(DatasetError):
        SimulatedSetDataset(filepath=str(tmp_path / "nowhere")).load()


def test_a_set_that_is_there_is_opened(tmp_path):
    SimulatedSetDataset(filepath=str(tmp_path)).save({"manifest": MANIFEST})
    found = OptionalSetDataset(filepath=str(tmp_path)).load()
    assert found is not None
    assert found.set_id == "x"


def test_a_damaged_set_is_an_error(tmp_path):
    broken = MANIFEST | {"shards": {"shard-00000": "mark"}}
    SimulatedSetDataset(filepath=str(tmp_path)).save({"manifest": broken})
    with pytest.raises(DatasetError, match="is missing"):
        OptionalSetDataset(filepath=str(tmp_path)).load()
