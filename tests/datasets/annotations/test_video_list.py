"""Lists of `path label` in all their spellings."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotations import AnnotationError
from datasets.annotations.video_list import read_video_list
from tests.datasets.annotations.helpers import request_for, write


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        ("v/a.mp4 2", "v/a.mp4", 2),
        ("v/a.mp4,2", "v/a.mp4", 2),
        ("v/a.mp4, 2 ", "v/a.mp4", 2),
        ("v/a.mp4\t2", "v/a.mp4", 2),
        ("v/a 438 1", "v/a", 1),
        ("74225,63,0", "74225", 0),
        ("air drumming/a b.mp4 1", "air drumming/a b.mp4", 1),
        ("clip 2.mp4 1", "clip 2.mp4", 1),
        ('"odd, name.mp4",1', "odd, name.mp4", 1),
        ("(HQ)_!+&_[x].avi 0", "(HQ)_!+&_[x].avi", 0),
    ],
)
def test_path_and_label_of_a_line(tmp_path: Path, line: str, path: str, label: int) -> None:
    (record,) = read_video_list(request_for(write(tmp_path / "list.txt", line)))
    assert (record.path, record.labels, record.name) == (path, (label,), path)


def test_blank_lines_and_crlf_do_not_count(tmp_path: Path) -> None:
    records = read_video_list(request_for(write(tmp_path / "list.txt", "\ufeffa.mp4 0\r\n\r\nb.mp4 1\r\n")))
    assert [record.path for record in records] == ["a.mp4", "b.mp4"]


def test_labels_outside_the_class_names_list_the_first_few(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", "a.mp4 0\n" + "b.mp4 3\n" * 7 + "c.mp4 -1\n")
    with pytest.raises(AnnotationError) as caught:
        read_video_list(request_for(path))
    message = str(caught.value)
    assert "8 entries are wrong" in message
    assert "line 2: label 3 is outside 0…2 in 'b.mp4 3'" in message
    assert "… and 3 more" in message
    assert "DATA.CLASS_NAMES" in message


def test_indices_that_start_at_1_are_told_as_such(tmp_path: Path) -> None:
    told = {}
    for text in ("a.mp4 1\nb.mp4 2\nc.mp4 3\n", "a.mp4 0\nb.mp4 3\n", "a.mp4 1\nb.mp4 4\n"):
        with pytest.raises(AnnotationError) as caught:
            read_video_list(request_for(write(tmp_path / "list.txt", text)))
        told[text] = "start at 0, and these seem to start at 1" in str(caught.value)
    assert list(told.values()) == [True, False, False]


def test_malformed_lines_are_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", "a.mp4 0\njust a path.mp4\n")
    with pytest.raises(AnnotationError, match=r"line 2: 'just a path\.mp4' is not a path and a class index"):
        read_video_list(request_for(path))


def test_two_labels_are_not_taken_for_a_video_of_no_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "list.txt", "b.mp4 10 1\na.mp4,0,1\n")
    with pytest.raises(AnnotationError) as caught:
        read_video_list(request_for(path))
    message = str(caught.value)
    assert "line 2: 'a.mp4,0,1' reads as path 'a.mp4', 0 frames, label 1" in message
    assert "one label per video" in message
    (record,) = read_video_list(request_for(write(tmp_path / "list.txt", '"take 0" 1')))
    assert (record.path, record.labels) == ("take 0", (1,))


def test_text_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"a.mp4 0\nb\xff.mp4 1\n")
    with pytest.raises(AnnotationError, match="line 2: not UTF-8"):
        read_video_list(request_for(str(path)))
