"""Which videos a folder holds, and where their copies go."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.preparation.sources import CollidingNamesError, distinct, find_videos, target_paths


def test_videos_and_folders_of_frames_are_found(tmp_path: Path) -> None:
    for name in ("b/2.webm", "a/1.MP4", "notes.txt", "frames/7/img_00001.jpg", "frames/8/img_00001.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_videos(str(tmp_path)) == ["a/1.MP4", "b/2.webm", "frames/7", "frames/8"]


def test_a_folder_without_videos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no videos"):
        find_videos(str(tmp_path))
    with pytest.raises(ValueError, match="not a folder"):
        find_videos(str(tmp_path / "nothing"))


def test_segments_of_one_video_are_one_video() -> None:
    assert distinct(["b.mp4", "a.mp4", "b.mp4"]) == ["b.mp4", "a.mp4"]


def test_copies_keep_their_relative_names() -> None:
    paths = ["x/a.avi", "x/b.c.mp4", "frames/1.5"]
    assert target_paths(paths, ".packed") == {
        "x/a.avi": "x/a.packed",
        "x/b.c.mp4": "x/b.c.packed",
        "frames/1.5": "frames/1.5.packed",
    }


def test_copies_must_not_overwrite_each_other() -> None:
    with pytest.raises(CollidingNamesError, match=r"a\.avi.*a\.mp4|a\.mp4.*a\.avi"):
        target_paths(["a.mp4", "a.avi"], ".packed")


@pytest.mark.parametrize("path", ["/a.mp4", "x/../../a.mp4"])
def test_copies_must_not_leave_their_root(path: str) -> None:
    with pytest.raises(ValueError, match="below the root"):
        target_paths([path], ".packed")
