"""The data set on disk: complete, readable by our own readers, reproducible, resumable."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from datasets.annotations import load_split
from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.captions import motion_caption
from datasets.moving_shapes.config import MovingShapesConfig
from datasets.moving_shapes.scene import MOTION_NAMES, twin
from datasets.moving_shapes.splits import draw_split
from datasets.moving_shapes.writer import LABELS, DataSetMismatchError, generate
from utils.config import ConfigError

TINY = MovingShapesConfig(num_train=20, num_test=6, num_frames=4, frame_size=16)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving_shapes")
    assert generate(TINY, folder) == 26
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_annotations_read_back_as_the_scenes_that_were_drawn(root: Path) -> None:
    for split, count in (("train", 20), ("test", 6)):
        clips = draw_split(TINY, split)  # type: ignore[arg-type]
        for question, (names, answer) in LABELS.items():
            read = load_split("csv", split, anno_dir=root / "annotations" / question, data_root=root)
            assert read.class_names == (names,)
            assert read.notes == ()
            assert len(read) == count
            for record, clip in zip(read.records, clips, strict=True):
                assert record.path == clip.path
                assert names[record.labels[0]] == answer(clip)


def test_captions_of_the_test_are_distinct_and_right(root: Path) -> None:
    captions = {clip.path: motion_caption(clip.scene) for clip in draw_split(TINY, "test")}
    with open(root / "annotations/captions/test.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["caption"] for row in rows}) == len(rows) == len(set(captions.values()))
    assert all(captions[row["path"]] == row["caption"] for row in rows)


def test_a_second_time_there_is_nothing_to_do_and_a_lost_file_comes_back(root: Path) -> None:
    before = contents(root)
    assert generate(TINY, root) == 0
    (root / "videos/test/00003.mp4").unlink()
    assert generate(TINY, root) == 1
    assert contents(root) == before


def test_other_processes_write_the_same_bytes(root: Path, tmp_path: Path) -> None:
    generate(TINY, tmp_path, num_workers=2)
    assert contents(tmp_path) == contents(root)


def test_a_folder_of_other_clips_is_refused_and_kept(root: Path) -> None:
    before = contents(root)
    with pytest.raises(DataSetMismatchError, match=r"other parameters.*another folder"):
        generate(replace(TINY, seed=1), root)
    assert contents(root) == before


def test_clips_come_in_pairs_that_differ_in_direction_only() -> None:
    for clip, other in _pairs(draw_split(TINY, "test")):
        assert other.motion == twin(clip.motion)
        assert replace(other, motion=clip.motion, phase=clip.phase) == clip


def test_the_test_split_holds_every_combination_equally_often() -> None:
    config = MovingShapesConfig()
    assert config.num_test >= 400
    combinations = len(MOTION_NAMES) * len(COLOURS) * len(SHAPES)
    counts: dict[str, int] = {}
    for clip in draw_split(config, "test"):
        caption = motion_caption(clip.scene)
        counts[caption] = counts.get(caption, 0) + 1
    assert set(counts.values()) == {config.num_test // combinations}
    assert len(counts) == combinations


def test_splits_share_no_scene() -> None:
    train, test = (draw_split(TINY, split) for split in ("train", "test"))
    assert not {clip.scene.phase for clip in train} & {clip.scene.phase for clip in test}


@pytest.mark.parametrize(
    ("key", "value"), [("num_train", 3), ("num_test", 0), ("frame_size", 31), ("quantiser", 60)]
)
def test_settings_that_make_no_sense(key: str, value: int) -> None:
    with pytest.raises(ConfigError, match=key.upper()):
        replace(TINY, **{key: value})  # type: ignore[arg-type]


def _pairs(clips: list) -> list[tuple]:
    scenes = [clip.scene for clip in clips]
    return list(zip(scenes[::2], scenes[1::2], strict=True))
