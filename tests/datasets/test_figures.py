import base64

import pytest
from kedro.io import DatasetError
from matplotlib import pyplot

from amorph2d.datasets.figures import FigureFolder

PNG = b"\x89PNG\r\n\x1a\n"


def test_figures_are_written_and_closed(tmp_path):
    dataset = FigureFolder(filepath=str(tmp_path / "maps"), save_args={"dpi": 40})
    assert not dataset.exists()
    dataset.save({})
    assert dataset.exists()
    assert dataset.load() == {}
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    dataset.save({"b.png": figure, "a.svg": figure})
    assert not pyplot.fignum_exists(figure.number)
    assert list(dataset.load()) == ["a.svg", "b.png"]
    assert dataset.load()["b.png"].read_bytes().startswith(PNG)
    assert b"<svg" in dataset.load()["a.svg"].read_bytes()


def test_pictures_are_kept_as_they_are_and_replaced(tmp_path):
    dataset = FigureFolder(filepath=str(tmp_path))
    dataset.save({"film.webp": b"old"})
    dataset.save({"film.webp": b"new"})
    assert dataset.load()["film.webp"].read_bytes() == b"new"
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
