"""K710 and other unions: labels by name, no held-out video, every video once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, load_split
from datasets.annotations.kinetics_union import union_members
from datasets.annotations.video_paths import ShardedRoot
from datasets.labels import class_names
from tests.datasets.annotations.helpers import touch, write

HEADER = "label,youtube_id,time_start,time_end,split\n"


def _video(letter: str) -> str:
    return letter * 11


def _lists(folder: Path, member: str, train: Sequence[tuple[str, str]], val: str, test: str = "") -> None:
    """Official CSV files: (label, letter of the YouTube id) for training, letters for validation and test."""
    label = class_names(member)[0]
    splits = {
        "train": train,
        "val": [(label, letter) for letter in val],
        "test": [(label, letter) for letter in test],
    }
    for split, rows in splits.items():
        lines = [f'"{name}",{_video(letter)},0,10,{split}\n' for name, letter in rows]
        if lines:
            write(folder / member / f"{split}.csv", HEADER + "".join(lines))


def _three_members(folder: Path) -> None:
    _lists(
        folder, "k400", [("balloon blowing", "a"), ("drinking", "b"), ("vault", "c"), ("vault", "v")], val="x"
    )
    _lists(
        folder,
        "k600",
        [("inflating balloons", "a"), ("bull fighting", "d"), ("archery", "x")],
        val="v",
        test="t",
    )
    _lists(folder, "k700", [("sipping cup", "e"), ("arresting", "d"), ("archery", "t")], val="w")


def test_only_videos_of_the_union_can_be_missing(tmp_path: Path) -> None:
    _three_members(tmp_path)
    files = {"k400": "bc", "k600": "x", "k700": "e"}
    for member, letters in files.items():
        touch(tmp_path / "videos" / member, *(f"{_video(letter)}_000000_000010.mp4" for letter in letters))
    split = load_split("k710", "train", anno_dir=tmp_path, data_root=tmp_path / "videos")
    missing = {path: record for record in split.records if (path := record.path) in split.missing}
    assert sorted(path[:6] for path in missing) == ["k600/a", "k700/d"]  # not v and t, which are held out
    assert len(split.missing) == 2


def test_labels_by_name_and_no_held_out_or_repeated_video(tmp_path: Path) -> None:
    _three_members(tmp_path)
    split = load_split("k710", "train", anno_dir=tmp_path)
    names = split.class_names[0]
    assert names == class_names("k710")
    found = {record.path: names[record.labels[0]] for record in split.records}
    assert found == {
        "k700/eeeeeeeeeee_000000_000010.mp4": "sipping cup",
        "k700/ddddddddddd_000000_000010.mp4": "arresting",  # the later annotation wins over bull fighting
        "k600/aaaaaaaaaaa_000000_000010.mp4": "inflating balloons",
        "k400/bbbbbbbbbbb_000000_000010.mp4": "sipping cup",
        "k400/ccccccccccc_000000_000010.mp4": "vault",
    }


def test_sizes_are_told(tmp_path: Path) -> None:
    _three_members(tmp_path)
    notes = load_split("k710", "train", anno_dir=tmp_path).notes
    assert [note.split(":")[0] for note in notes] == ["k700 train", "k600 train", "k400 train", "k710"]
    assert "3 videos, 1 left out" in notes[0] and "0 because they are in already, 2 used" in notes[0]
    assert "3 videos, 1 left out" in notes[1] and "1 because they are in already, 1 used" in notes[1]
    assert "4 videos, 1 left out" in notes[2] and "1 because they are in already, 2 used" in notes[2]
    assert notes[3] == "k710: 5 videos, 710 classes"


def test_validation_is_the_union_of_the_validation_splits(tmp_path: Path) -> None:
    _three_members(tmp_path)
    split = load_split("k710", "val", anno_dir=tmp_path)
    assert sorted(record.name for record in split.records) == [_video("v"), _video("w"), _video("x")]


def test_a_smaller_union_has_fewer_classes(tmp_path: Path) -> None:
    _three_members(tmp_path)
    split = load_split("k700+k400", "train", anno_dir=tmp_path, num_classes=708)
    assert split.num_classes == (708,)
    assert union_members("k700+k400") == ("k400", "k700")
    with pytest.raises(AnnotationError, match="708 class names where 710 are expected"):
        load_split("k700+k400", "train", anno_dir=tmp_path, num_classes=710)
    assert {record.name for record in split.records} == {_video(letter) for letter in "abcdetv"}


def test_a_member_without_validation_list_cannot_be_cleaned(tmp_path: Path) -> None:
    _three_members(tmp_path)
    (tmp_path / "k600/val.csv").unlink()
    with pytest.raises(AnnotationError, match="k600 val: no annotation file"):
        load_split("k710", "train", anno_dir=tmp_path)


def test_file_names_without_youtube_id_are_listed(tmp_path: Path) -> None:
    _three_members(tmp_path)
    write(tmp_path / "k400/train.csv", "my_video.mp4 0\n")
    with pytest.raises(AnnotationError, match=r"my_video\.mp4 holds no YouTube id"):
        load_split("k710", "train", anno_dir=tmp_path)


def test_videos_of_every_member_are_found_in_its_folder(tmp_path: Path) -> None:
    _three_members(tmp_path / "anno")
    paths = ["k700/train/arresting/ddddddddddd_000000_000010.webm", "k700/eeeeeeeeeee_000000_000010.mp4"]
    paths += ["k600/train/aaaaaaaaaaa_000000_000010.mp4", "k400/vault/ccccccccccc_000000_000010.mp4"]
    root = touch(tmp_path / "videos", *paths)
    for place in (root, ShardedRoot("shards", tuple(paths))):
        split = load_split("k710", "train", anno_dir=tmp_path / "anno", data_root=place)
        assert set(paths) <= {record.path for record in split.records}


def test_members_of_other_names() -> None:
    assert union_members("k400") == ()
    with pytest.raises(AnnotationError, match="distinct"):
        union_members("k400+k400")


def test_real_validation_videos_of_k400_that_k600_lists_hold(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data/annotations"
    k400 = (folder / "k400/vifi_val.txt").read_text()
    write(tmp_path / "k400/val.txt", k400)
    write(tmp_path / "k400/train.txt", "aaaaaaaaaaa.mp4 0\n")
    validated = {line.split("/")[1][:11] for line in k400.splitlines()}
    k600 = (folder / "k600/ZS_split1_K600_eval.txt").read_text()
    write(tmp_path / "k600/train.txt", k600)
    write(tmp_path / "k600/val.txt", "bbbbbbbbbbb.mp4 0\n")
    split = load_split("k400+k600", "train", anno_dir=tmp_path)
    kept = {record.path.split("/")[-1][:11] for record in split.records}
    listed = {line.split("/")[1][:11] for line in k600.splitlines()}
    assert kept == (listed - validated) | {"aaaaaaaaaaa"}
