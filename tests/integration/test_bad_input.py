import pytest


def test_nothing_but_bad_files_still_gives_a_report(copy, tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "a.dm4").write_bytes(b"nothing")
    done = copy.analyse(folder, tmp_path / "results")
    assert done.code == 1
    assert "Traceback" not in done.text
    assert (tmp_path / "results" / "report.html").exists()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sampleing": 0.1}, 'did you mean "sampling"'),
        ({"sampling": -0.1}, "must be > 0 Å/px, got -0.1"),
        ({"sampling": "large"}, "must be a number in Å/px"),
        ({"localisation.borders": 1.0}, "borders"),
    ],
)
def test_wrong_parameters_are_refused(copy, tmp_path, parameters, message):
    done = copy.analyse("data/01_raw/micrographs", tmp_path, **parameters)
    assert done.code != 0
    assert message in done.text
    assert not (tmp_path / "sites").exists()


def test_empty_folder_is_named(copy, tmp_path):
    (tmp_path / "empty").mkdir()
    done = copy.analyse(tmp_path / "empty", tmp_path / "results")
    assert done.code != 0
    assert "has no micrographs" in done.text
    done = copy.analyse(tmp_path / "missing", tmp_path / "results")
    assert done.code != 0
    assert "does not exist" in done.text
