import pytest

from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.groups import assign_groups, read_group_table


def write(folder, text):
    path = folder / "groups.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_table_of_groups(tmp_path):
    write(tmp_path, "file, group, note\na.tif, hot, x\n\nb, cold\nz.tif, cold\n")
    files = {name: tmp_path / f"{name}.tif" for name in ("a", "b", "c")}
    groups, unknown = assign_groups(files, {"warm": ["*"]})
    assert groups == {"a": "hot", "b": "cold"}
    assert unknown == ["z.tif"]


def test_patterns_of_names(tmp_path):
    files = {name: tmp_path / f"{name}.tif" for name in ("s1_a", "s1_b", "s2_a", "other")}
    groups, unknown = assign_groups(files, {"first": ["s1_*"], "second": ["s2_?", "s3*"]})
    assert groups == {"s1_a": "first", "s1_b": "first", "s2_a": "second"}
    assert unknown == ["s3*"]
    assert assign_groups(files, {}) == ({}, [])
    with pytest.raises(MicrographError, match="s1_a must be in one group, matches those of x, y"):
        assign_groups(files, {"x": ["s1*"], "y": ["*_a"]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,group\na,x\n", "groups.csv must begin with the line 'file,group', got 'name,group'"),
        ("", "groups.csv must begin with the line 'file,group', got ''"),
        ("file,group\na,\n", "groups.csv, line 2: the group is missing"),
        ("file,group\n,x\n", "groups.csv, line 2: the name of the file is missing"),
        ("file,group\na,x\na,y\n", "groups.csv, line 3: 'a' is there twice"),
    ],
)
def test_tables_that_are_wrong(tmp_path, text, message):
    with pytest.raises(MicrographError, match=message):
        read_group_table(write(tmp_path, text))


def test_a_table_that_is_no_text(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_bytes(b"file,group\n\xff\xfe")
    with pytest.raises(MicrographError, match=r"groups\.csv is not text in UTF-8"):
        read_group_table(path)
