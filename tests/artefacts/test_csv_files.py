"""The one reader of csv files: all is text, and what is wrong is named with its row."""

from __future__ import annotations

from pathlib import Path

import pytest

from veridical.artefacts import read_csv
from veridical.errors import UsageError


def test_every_cell_is_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes('\ufeffid, kind ,note\r\n01,NA,"two\r\nlines"\r\n\r\n 1 ,null,"a,b"\r\n1e5,True,\r\n'.encode())
    table = read_csv(path)
    assert table.to_dict(orient="list") == {
        "id": ["01", "1", "1e5"], "kind": ["NA", "null", "True"], "note": ["two\r\nlines", "a,b", ""],
    }  # fmt: skip
    assert table.index.tolist() == [3, 5, 6], "the line of the file on which each row ends"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b,a\n1,2,3\n", "the column 'a' stands twice"),
        ("a, a\n1,2\n", "the column 'a' stands twice"),
        ("a,b\n1\n", "row 2: has 1 cells, the header has 2"),
        ("a,b\n1,2\n1,2,3\n", "row 3: has 3 cells, the header has 2"),
        ('a,b\n1,"2" x\n', "row 2: is not valid csv"),
        ('a,b\n1,"2\n', "row 2: is not valid csv"),
        ("a;b\n1;2\n", "columns missing: b; found a;b; columns must be separated by commas"),
        (",,b\n1,2,3\n", "2 columns have no name"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"a\.csv.*{problem}"):
        read_csv(path, ["b"])


def test_files_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("a,ü\n".encode("latin-1"))
    with pytest.raises(UsageError, match=r"a\.csv: is not a csv file in UTF-8"):
        read_csv(path)
    with pytest.raises(UsageError, match="not found"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        read_csv(tmp_path)


def test_commas_at_the_end_of_every_line_are_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,,\n1,2,,\n")
    assert list(read_csv(path)) == ["a", "b"]
    path.write_text(",a\n0,x\n")
    assert read_csv(path).to_dict(orient="list") == {"a": ["x"], "": ["0"]}
