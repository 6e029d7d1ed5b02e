"""runs/inference/inputs.py: what is named on the command line."""

from pathlib import Path

import pytest

from runs.inference.inputs import (
    InputError,
    check_output_file,
    check_output_folder,
    find_videos,
    read_classes,
)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_a_folder_stands_for_its_videos_sorted_and_below(tmp_path: Path) -> None:
    make(tmp_path, "b.MP4", "a/z.avi", "a/notes.txt", "a/deeper/c.webm", "picture.jpg")
    found = [Path(path).relative_to(tmp_path).as_posix() for path in find_videos([tmp_path])]
    assert found == ["a/deeper/c.webm", "a/z.avi", "b.MP4"]


def test_packed_videos_and_those_of_cameras_are_videos(tmp_path: Path) -> None:
    make(tmp_path, "a.packed", "b.m2ts", "c.MTS")
    assert [Path(path).name for path in find_videos([tmp_path])] == ["a.packed", "b.m2ts", "c.MTS"]


def test_a_link_to_a_folder_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "here/a.mp4", "there/b.mp4")
    (tmp_path / "here" / "more").symlink_to(tmp_path / "there")
    assert find_videos([tmp_path / "here"]) == [str(tmp_path / "here" / "a.mp4")]
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith(f"warning: {tmp_path}/here/more is a link to a folder and left out")
    assert find_videos([tmp_path / "here" / "more"]) == [str(tmp_path / "here" / "more" / "b.mp4")]


def test_a_list_of_parts_of_videos_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4")
    (tmp_path / "list.csv").write_text("path,start,end\na.mp4,0,2\na.mp4,2,4\n")
    with pytest.raises(InputError, match="parts of videos"):
        find_videos([tmp_path / "list.csv"])
    (tmp_path / "list.csv").write_text("path,start,end\na.mp4,,\n")
    assert find_videos([tmp_path / "list.csv"]) == [str(tmp_path / "a.mp4")]


def test_a_named_file_is_a_video_whatever_its_name_and_comes_once(tmp_path: Path) -> None:
    make(tmp_path, "no_suffix", "a.mp4")
    named = [str(tmp_path / "no_suffix"), str(tmp_path / "a.mp4")]
    assert find_videos([*named, tmp_path]) == named


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "# comment\nclips/a b.mp4\n\nclips/c.mp4\n"),
        ("list.csv", 'label,path\n3,"clips/a b.mp4"\n4,clips/c.mp4\n'),
        ("bare.csv", "clips/a b.mp4,3\nclips/c.mp4,4\n"),
    ],
)
def test_a_list_names_videos_relative_to_itself(tmp_path: Path, name: str, text: str) -> None:
    make(tmp_path, "clips/a b.mp4")
    (tmp_path / name).write_text("\ufeff" + text, encoding="utf-8")
    assert find_videos([tmp_path / name]) == [str(tmp_path / "clips/a b.mp4"), str(tmp_path / "clips/c.mp4")]


def test_what_names_no_video_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    with pytest.raises(InputError, match="no video files in this folder"):
        find_videos([tmp_path / "empty"])
    with pytest.raises(InputError, match="names no video"):
        find_videos([tmp_path / "empty.txt"])
    (tmp_path / "prose.txt").write_text("Once upon a time\nthere was a video.\n")
    with pytest.raises(InputError, match="none of the 2 files that the list names is there"):
        find_videos([tmp_path / "prose.txt"])
    with pytest.raises(InputError, match=r"nowhere\.mp4: no such file"):
        find_videos(["nowhere.mp4"])
    with pytest.raises(InputError, match="no video given"):
        find_videos([])


def test_classes_come_from_text_or_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("eating, with a fork\n\n drinking \n")
    assert read_classes(None, None) is None
    assert read_classes("eating,  drinking ,", None) == ["eating", "drinking"]
    assert read_classes(None, tmp_path / "names.txt") == ["eating, with a fork", "drinking"]


@pytest.mark.parametrize(
    ("text", "complaint"), [("eating", "at least two"), (" , ", "at least two"), ("a,b,a", "given twice: a")]
)
def test_class_lists_that_cannot_work_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_classes(text, None)


def test_an_unreadable_class_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    for path in (tmp_path / "binary", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="cannot read it as text"):
            read_classes(None, path)


def test_where_nothing_can_be_written_is_told_before_and_leaves_no_folder(tmp_path: Path) -> None:
    make(tmp_path, "file")
    check_output_folder(tmp_path / "new" / "deeper")
    check_output_file(tmp_path / "new" / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/dev/null/below")):
        with pytest.raises(InputError, match="cannot write into"):
            check_output_folder(folder)
    with pytest.raises(InputError, match="is a folder"):
        check_output_file(tmp_path)
