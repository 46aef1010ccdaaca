import json
from dataclasses import replace

import numpy as np
import pytest
from kedro.io import DatasetError

from amorph2d.datasets.shards import Shard, ShardInventory, SimulatedSetDataset, fingerprint, write_shard
from amorph2d.imaging.simulated import SimulatedImage


def image(index, n_atoms, split="training"):
    rng = np.random.default_rng(index)
    recipe = {"index": index, "sampling": 0.2, "split": split, "family": "relaxed"}
    return SimulatedImage(
        index, rng.uniform(0, 100, (20, 30)).astype(np.float32), 0.2,
        rng.uniform(0, 4, (n_atoms, 2)), rng.uniform(0, 4, (n_atoms // 2, 2)), recipe,
        bonds=rng.integers(0, max(n_atoms, 1), (n_atoms, 2)),
        mask=rng.integers(0, 3, (20, 30)).astype(np.uint8) if index else None,
    )  # fmt: skip


@pytest.fixture
def shards():
    return {"shard-00000": [image(0, 7), image(1, 0)], "shard-00001": [image(2, 4, "test")]}


def save_all(dataset, shards):
    marks = {name: fingerprint([i.recipe for i in images], "1") for name, images in shards.items()}
    for name, images in shards.items():
        dataset.save({name: (images, marks[name])})
    dataset.save({"manifest": {"set_id": "abc", "shards": marks}})
    return marks


def test_round_trip_keeps_ragged_positions_and_splits(tmp_path, shards):
    dataset = SimulatedSetDataset(filepath=str(tmp_path / "set"))
    save_all(dataset, shards)
    loaded = dataset.load()
    assert len(loaded) == 3
    assert loaded.set_id == "abc"
    for kept, made in zip(loaded, [i for images in shards.values() for i in images], strict=True):
        assert kept.recipe == made.recipe
        assert np.array_equal(kept.atoms, made.atoms)
        assert np.array_equal(kept.rings, made.rings)
        assert np.array_equal(kept.bonds, made.bonds)
        assert np.array_equal(kept.mask, made.mask) if made.mask is not None else kept.mask is None
        assert kept.image == pytest.approx(made.image, abs=1e-3)
    assert [i.index for i in loaded.split("test")] == [2]
    assert [i.index for i in loaded[1:]] == [1, 2]
    assert loaded[-1].index == 2


@pytest.mark.parametrize("highest", [255, 65535])
def test_grey_values_of_files_are_kept_exactly(tmp_path, highest):
    values = np.random.default_rng(0).integers(0, highest, (20, 30), endpoint=True).astype(np.float32)
    whole = replace(image(0, 3), image=values)
    write_shard(tmp_path / "shard.safetensors", [whole], "mark")
    assert np.array_equal(Shard(tmp_path / "shard.safetensors")[0].image, values)


def test_constant_image_is_kept(tmp_path):
    flat = replace(image(0, 3), image=np.full((20, 30), 2.25, dtype=np.float32))
    write_shard(tmp_path / "shard.safetensors", [flat], "mark")
    assert np.array_equal(Shard(tmp_path / "shard.safetensors")[0].image, flat.image)


def test_equal_shards_are_equal_files(tmp_path, shards):
    contents = set()
    for attempt in range(6):
        path = tmp_path / f"{attempt}.safetensors"
        write_shard(path, shards["shard-00000"], "mark")
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_set_without_manifest_does_not_exist(tmp_path, shards):
    dataset = SimulatedSetDataset(filepath=str(tmp_path))
    dataset.save({"shard-00000": (shards["shard-00000"], "mark")})
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="no whole simulated set"):
        dataset.load()
    assert ShardInventory(filepath=str(tmp_path)).load() == {"shard-00000": "mark"}


def test_changed_shard_takes_the_manifest_away(tmp_path, shards):
    dataset = SimulatedSetDataset(filepath=str(tmp_path))
    marks = save_all(dataset, shards)
    dataset.save({"shard-00001": (shards["shard-00001"], marks["shard-00001"])})
    assert dataset.exists()
    dataset.save({"shard-00001": (shards["shard-00001"], "another recipe")})
    assert not dataset.exists()


def test_exchanged_or_missing_shard_is_refused(tmp_path, shards):
    dataset = SimulatedSetDataset(filepath=str(tmp_path))
    save_all(dataset, shards)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["shards"]["shard-00001"] = "0" * 64
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="not the shard that the manifest names"):
        dataset.load()
    (tmp_path / "shard-00001.safetensors").unlink()
    with pytest.raises(DatasetError, match="is missing"):
        dataset.load()


def test_half_written_shard_is_not_listed(tmp_path, shards):
    dataset = SimulatedSetDataset(filepath=str(tmp_path))
    save_all(dataset, shards)
    (tmp_path / ".shard-00002.safetensors.123.partial").write_bytes(b"half")
    (tmp_path / "shard-00003.safetensors").write_bytes(b"damaged")
    assert set(ShardInventory(filepath=str(tmp_path)).load()) == {"shard-00000", "shard-00001"}


def test_inventory_is_read_only(tmp_path):
    with pytest.raises(DatasetError, match="cannot be saved"):
        ShardInventory(filepath=str(tmp_path)).save({"shard-00000": "mark"})
    assert ShardInventory(filepath=str(tmp_path / "none")).load() == {}


def test_fingerprint_depends_on_recipes_and_code():
    marks = {fingerprint([{"a": 1}], "1"), fingerprint([{"a": 2}], "1"), fingerprint([{"a": 1}], "2")}
    assert len(marks) == 3
