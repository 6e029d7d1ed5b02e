"""Where the videos of a list really are."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotations import AnnotationError
from datasets.annotations.video_paths import (
    ShardedRoot,
    has_video_extension,
    locate_videos,
    with_extension,
    without_query,
)
from datasets.records import VideoRecord
from tests.datasets.annotations.helpers import touch

NAMES = (("brush_hair", "playing polo"),)


def _located(root: Path, *records: VideoRecord, split: str = "val") -> list[str]:
    return [record.path for record in locate_videos(records, str(root), split, NAMES, "mp4").records]


def test_known_extensions_only() -> None:
    assert has_video_extension("a/b.MP4")
    assert has_video_extension("b.mts") and has_video_extension("b.3g2")
    assert not has_video_extension("1004_Juno_00.00.32.161-00.00.36.246")
    assert not has_video_extension("a.mp4/b")
    assert not has_video_extension("mp4")


def test_without_a_root_the_usual_extension_is_added() -> None:
    records = with_extension([VideoRecord("7"), VideoRecord("b."), VideoRecord("c.mkv")], "webm")
    assert [record.path for record in records] == ["7.webm", "b.webm", "c.mkv"]
    assert [record.name for record in records] == ["7", "b.", "c.mkv"]


def test_the_query_of_a_web_address_is_no_part_of_the_name() -> None:
    paths = ["a.mp4?token=x/y.z", "https://h/get?id=5", "why?/a.mp4?token=x"]
    records = with_extension([VideoRecord(path) for path in [*paths, "why?"]], "mp4")
    assert [record.path for record in records] == [*paths, "why?.mp4"]
    assert [without_query(path) for path in paths] == ["a.mp4", "https://h/get?id=5", "why?/a.mp4"]


@pytest.mark.parametrize(
    ("there", "path"),
    [
        ("a.mp4", "a.mp4"),
        ("a.webm", "a.mp4"),
        ("a.MKV", "a"),
        ("a/img_00001.jpg", "a.mp4"),
        ("a/img_00001.jpg", "a"),
        ("val/a.mp4", "a.mp4"),
        ("validation/a.webm", "a.mp4"),
        ("playing polo/a.mp4", "a.mp4"),
        ("playing_polo/a.mp4", "a"),
        ("val/playing_polo/a.mp4", "a.mp4"),
        ("a.mp4", "val/a.mp4"),
        ("P01/a.mp4", "P01/videos/a.mp4"),
    ],
)
def test_layouts_of_files(tmp_path: Path, there: str, path: str) -> None:
    expected = there.removesuffix("/img_00001.jpg")
    assert _located(touch(tmp_path, there), VideoRecord(path, (1,))) == [expected]


@pytest.mark.parametrize(
    ("there", "path"),
    [
        ("a.mp4", "a.mp4"),
        ("a.mp4", "./a.mp4"),
        ("a.packed", "a.avi"),
        ("playing polo/a.mp4", "a.mp4"),
        ("val/playing_polo/a.webm", "a"),
        ("a.mp4", "val/a.mp4"),
    ],
)
@pytest.mark.parametrize("place", ["shards", "s3://bucket/shards"])
def test_videos_in_shards_are_found_by_the_same_rule(place: str, there: str, path: str) -> None:
    root = ShardedRoot(place, ("train/a.mp4", there))
    records = [VideoRecord(path, (1,)), VideoRecord("b", (1,))]
    located = locate_videos(records, root, "val", NAMES, "mp4")
    assert [record.path for record in located.records] == [there, "b.mp4"]
    assert located.missing == ("b.mp4",)
    with pytest.raises(
        AnnotationError, match=r"shards of .*shards hold 2 videos, the first being train/a\.mp4"
    ):
        locate_videos(records[1:], root, "val", NAMES, "mp4")


def test_the_exact_path_wins(tmp_path: Path) -> None:
    root = touch(tmp_path, "a.avi", "a.mp4", "brush_hair/a.mp4")
    assert _located(root, VideoRecord("a.mp4", (0,)), VideoRecord("a.avi", (0,))) == ["a.mp4", "a.avi"]


def test_moved_and_missing_are_counted(tmp_path: Path) -> None:
    root = touch(tmp_path, "a.mkv", "b.mp4")
    records = [VideoRecord("a.mp4"), VideoRecord("b.mp4"), VideoRecord("c"), VideoRecord("d.mp4")]
    located = locate_videos(records, str(root), "train", (), "mp4")
    assert (located.moved, located.missing) == (1, ("c.mp4", "d.mp4"))
    assert located.examples == (("a.mp4", "a.mkv"),)
    assert [record.path for record in located.records] == ["a.mkv", "b.mp4", "c.mp4", "d.mp4"]


@pytest.mark.parametrize(
    ("there", "path", "split"),
    [
        ("test/1.mp4", "val/1.mp4", "val"),
        ("testing/1.mp4", "val/1.mp4", "val"),
        ("train/1.mp4", "val/1.mp4", "val"),
        ("train/1.mp4", "val/1.mp4", "train"),
        ("val/1.mp4", "data/train/1.mp4", "val"),
        ("test/1.mp4", "1.mp4", "val"),
        ("validation/1.mp4", "1.mp4", "test"),
        ("test/playing polo/1.mp4", "1.mp4", "train"),
    ],
)
def test_no_video_comes_from_another_splits_folder(tmp_path: Path, there: str, path: str, split: str) -> None:
    root = touch(tmp_path, there, "there.mp4")
    records = (VideoRecord(path, (1,)), VideoRecord("there.mp4", (1,)))
    located = locate_videos(records, str(root), split, NAMES, "mp4")
    assert (located.missing, located.moved) == ((path,), 0)


def test_a_root_that_is_another_splits_folder_does_not_stand_in(tmp_path: Path) -> None:
    root = touch(tmp_path / "train", "1.mp4", "2.mp4")
    located = locate_videos([VideoRecord("val/1.mp4"), VideoRecord("2.mp4")], str(root), "val", (), "mp4")
    assert (located.missing, located.moved) == (("val/1.mp4",), 0)


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    names = (("bus", "train"),)
    root = touch(tmp_path, "val/train/1.mp4")
    located = locate_videos([VideoRecord("train/1.mp4", (1,))], str(root), "val", names, "mp4")
    assert [record.path for record in located.records] == ["val/train/1.mp4"]


def test_absolute_paths(tmp_path: Path) -> None:
    touch(tmp_path, "else where/a.mp4")
    path = str(tmp_path / "else where/a.mp4")
    assert _located(touch(tmp_path / "root", "x.mp4"), VideoRecord(path)) == [path]


def test_a_root_without_any_of_the_videos_is_an_error(tmp_path: Path) -> None:
    root = touch(tmp_path, "other/z.mp4")
    with pytest.raises(
        AnnotationError, match=r"none of the 2 videos .* first being a\.mp4.*holds other.*DATA_ROOT_DIR"
    ):
        _located(root, VideoRecord("a.mp4"), VideoRecord("b.mp4"))
