"""Videos known to be unreadable."""

from __future__ import annotations

import os

import pytest

from datasets.excluding import BadVideos, rows_of_bad_videos, with_bad_videos_noted, without_bad_videos
from datasets.records import AnnotatedSplit, VideoRecord

SPLIT = AnnotatedSplit(
    "csv",
    "train",
    tuple(VideoRecord(path, (0,)) for path in ("a.mp4", "b.mp4", "a.mp4", "c.mp4")),
    source="list.csv",
    missing=("a.mp4", "c.mp4"),
)


def test_training_goes_without_them_and_says_so() -> None:
    split = without_bad_videos(SPLIT, {"a.mp4": "no moov atom", "elsewhere.mp4": "empty"})
    assert [record.path for record in split.records] == ["b.mp4", "c.mp4"]
    assert split.missing == ("c.mp4",)
    assert "2 of 4 videos are left out" in split.notes[-1]


@pytest.mark.parametrize("root", ["/data/videos", "/data//videos/", "videos", "s3://bucket/videos"])
def test_a_path_may_be_written_in_several_ways(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/data")
    absolute = "s3://bucket/videos/a/b.mp4" if "://" in root else "/data/videos/a/b.mp4"
    ways = ("a/b.mp4", "./a/b.mp4", "a//b.mp4", "a/../a/b.mp4", absolute)
    for way in ways:
        bad = BadVideos({way: "torn"}, root)
        assert [bad[path] for path in ways] == ["torn"] * len(ways) and len(bad) == 1
        assert all(other not in bad for other in ("b.mp4", "/a/b.mp4", "a/b", "a/c.mp4"))


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"DATA\.EXCLUDE_LIST leaves none"):
        without_bad_videos(SPLIT, {"a.mp4": "", "b.mp4": "", "c.mp4": ""})


def test_evaluation_keeps_their_rows() -> None:
    rows = rows_of_bad_videos(SPLIT, {"a.mp4": "no moov atom"})
    assert rows == {0: "DATA.EXCLUDE_LIST: no moov atom", 2: "DATA.EXCLUDE_LIST: no moov atom"}
    noted = with_bad_videos_noted(SPLIT, {"a.mp4": "no moov atom"})
    assert noted.records == SPLIT.records and "2 of 4 videos count as missing" in noted.notes[-1]
    assert "0 of 4 videos" in with_bad_videos_noted(SPLIT, {"elsewhere.mp4": "empty"}).notes[-1]
    with pytest.raises(ValueError, match=r"DATA\.EXCLUDE_LIST leaves none"):
        with_bad_videos_noted(SPLIT, {"a.mp4": "", "b.mp4": "", "c.mp4": ""})
