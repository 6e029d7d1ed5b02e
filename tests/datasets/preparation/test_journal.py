"""The journal of a preparation, and the list of bad videos that comes out of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from datasets.preparation.journal import Journal, read_bad_list, write_bad_list


def test_a_journal_remembers_what_was_done(tmp_path: Path) -> None:
    path = str(tmp_path / "all.csv")
    with Journal(path, ["frames"]) as journal:
        journal.add('a, "b".mp4', "", {"frames": 12})
        journal.add("c.mp4", "two\nlines", {})
    with Journal(path, ["frames"]) as journal:
        assert journal.rows['a, "b".mp4'] == {"path": 'a, "b".mp4', "problem": "", "frames": "12"}
        assert journal.rows["c.mp4"]["problem"] == "two lines"


def test_a_line_cut_off_in_the_middle_is_not_done(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    with Journal(str(path), ["frames", "fps"]) as journal:
        journal.add("a.mp4", "", {"frames": 1, "fps": 2})
        journal.add("b.mp4", "", {"frames": 1, "fps": 2})
    path.write_text(path.read_text()[:-6])
    with Journal(str(path), ["frames", "fps"]) as journal:
        assert list(journal.rows) == ["a.mp4"]
        journal.add("c.mp4", "", {"frames": 3, "fps": 4})
    with Journal(str(path), ["frames", "fps"]) as journal:
        assert list(journal.rows) == ["a.mp4", "c.mp4"]


def test_another_file_is_not_taken_for_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "all.csv"
    path.write_text("path,label\na.mp4,3\n")
    with pytest.raises(ValueError, match="another file"), Journal(str(path), ["frames"]):
        pass
    assert path.read_text() == "path,label\na.mp4,3\n"


def test_the_bad_list_comes_back(tmp_path: Path) -> None:
    path = str(tmp_path / "bad.csv")
    write_bad_list(path, {"b.mp4": "no moov, atom", "a/ü.mp4": "empty"})
    assert read_bad_list(path) == {"a/ü.mp4": "empty", "b.mp4": "no moov, atom"}


def test_names_that_are_no_utf8_come_back(tmp_path: Path) -> None:
    name, path = os.fsdecode(b"caf\xe9.mp4"), str(tmp_path / "all.csv")
    with Journal(path, ["frames"]) as journal:
        journal.add(name, "empty", {"frames": 0})
    with Journal(path, ["frames"]) as journal:
        assert list(journal.rows) == [name]
    write_bad_list(path, {name: "empty"})
    assert read_bad_list(path) == {name: "empty"}
    assert b"caf\xe9.mp4,empty" in Path(path).read_bytes()


@pytest.mark.parametrize("content", [None, "", "a.mp4\nb.mp4\n", "path,label\n"])
def test_what_is_no_bad_list_is_refused_by_the_name_of_its_key(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r"DATA\.EXCLUDE_LIST"):
        read_bad_list(str(path))
