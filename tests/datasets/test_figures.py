import base64

import pytest
from kedro.io import DatasetError

from amorph2d.datasets.figures import FigureFolder

PNG = b"\x89PNG\r\n\x1a\n"


def test_pictures_are_kept_as_they_are_and_replaced(tmp_path):
    dataset = FigureFolder(filepath=str(tmp_path / "maps"))
    assert not dataset.exists()
    dataset.save({})
    assert dataset.exists()
    assert dataset.load() == {}
    dataset.save({"b.webp": b"old", "a.png": PNG})
    dataset.save({"b.webp": b"new"})
    assert list(dataset.load()) == ["a.png", "b.webp"]
    assert dataset.load()["b.webp"].read_bytes() == b"new"
    assert str(tmp_path) in str(dataset)


def test_preview_is_the_first_picture_that_a_page_shows(tmp_path):
    dataset = FigureFolder(filepath=str(tmp_path))
    assert dataset.preview() == ""
    dataset.save({"a.pdf": b"%PDF", "c.png": b"second", "b.png": b"first"})
    assert base64.b64decode(dataset.preview()) == b"first"
    assert FigureFolder.preview.__annotations__["return"] == "ImagePreview"  # by this kedro-viz draws


@pytest.mark.parametrize("name", ["../a.png", "sub/a.png", "a"])
def test_refuses_what_is_no_file_name(tmp_path, name):
    with pytest.raises(DatasetError, match="a picture's name must be a file name with a suffix, got"):
        FigureFolder(filepath=str(tmp_path)).save({name: b"x"})
