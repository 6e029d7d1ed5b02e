"""runs/class_protocols.py on lists with known classes."""

from __future__ import annotations

import dataclasses

import pytest

from datasets.annotations import AnnotationError
from datasets.config import DataConfig
from datasets.labels import class_names, class_subset
from datasets.records import AnnotatedSplit, VideoRecord
from runs.class_protocols import restrict
from utils.config import ConfigError

COUNTS = (5, 9, 7, 3)
TRAIN = AnnotatedSplit(
    "mine",
    "train",
    tuple(
        VideoRecord(f"{label}/{i}.mp4", (label,)) for label, count in enumerate(COUNTS) for i in range(count)
    ),
    (("a", "b", "c", "d"),),
)
TEST = dataclasses.replace(TRAIN, split="val", records=TRAIN.records[::2])


def restricted(split: AnnotatedSplit, *, seed: int = 0, **data: object) -> AnnotatedSplit:
    config = DataConfig(**data)  # type: ignore[arg-type]
    return restrict(split, config, lambda: TRAIN, training=split.split == "train", seed=seed)


def test_nothing_asked_nothing_changed() -> None:
    assert restricted(TRAIN) is TRAIN


def test_shots_are_drawn_from_training_videos_alone() -> None:
    drawn = restricted(TRAIN, shots=2)
    assert [sum(record.labels == (label,) for record in drawn.records) for label in range(4)] == [2, 2, 2, 2]
    assert restricted(TRAIN, shots=2) == drawn != restricted(TRAIN, shots=2, seed=1)
    assert restricted(TEST, shots=2) is TEST
    with pytest.raises(AnnotationError, match=r"fewer than 4 videos: d \(3\)"):
        restricted(TRAIN, shots=4)


def test_halves_are_told_by_the_training_videos_and_partition_the_classes() -> None:
    base, novel = (restricted(TEST, class_half=half) for half in ("base", "novel"))
    assert base.class_names == (("b", "c"),) and novel.class_names == (("a", "d"),)
    assert len(base) + len(novel) == len(TEST)
    assert {record.path[0] for record in base.records} == {"1", "2"}
    assert {record.labels for record in base.records} == {(0,), (1,)}
    assert base.split == "val, base classes"
    assert len(restricted(TRAIN, class_half="base", shots=3)) == 6


@pytest.mark.parametrize(("key", "value"), [("shots", 2), ("class_half", "base")])
def test_several_heads_have_neither_halves_nor_shots(key: str, value: object) -> None:
    verbs_and_nouns = dataclasses.replace(TRAIN, class_names=(*TRAIN.class_names, ("x", "y")))
    assert restricted(verbs_and_nouns) is verbs_and_nouns
    with pytest.raises(ConfigError, match="has 2 heads"):
        restricted(verbs_and_nouns, seed=0, **{key: value})


def test_only_what_is_kept_can_be_missing_and_shots_are_drawn_from_what_is_there() -> None:
    train = dataclasses.replace(TRAIN, missing=("1/0.mp4", "3/0.mp4", "3/1.mp4"))
    drawn = restricted(train, shots=1)
    assert drawn.missing == () and not {record.path for record in drawn.records} & set(train.missing)
    with pytest.raises(AnnotationError, match=r"fewer than 2 videos that are there: d \(1\)"):
        restricted(train, shots=2)
    test = dataclasses.replace(TEST, missing=("0/0.mp4", "3/1.mp4", "1/1.mp4"))
    assert restricted(test, class_half="base").missing == ("1/1.mp4",)
    assert restricted(test, class_half="novel").missing == ("0/0.mp4", "3/1.mp4")


def test_published_halves_need_no_training_list() -> None:
    names = class_names("hmdb51")
    test = AnnotatedSplit("hmdb51", "test", [VideoRecord(f"{i}.avi", (i,)) for i in range(51)], (names,))

    def no_list() -> AnnotatedSplit:
        raise AssertionError("the names of the classes are enough")

    base = restrict(test, DataConfig(class_half="base"), no_list, training=False, seed=0)
    assert base.class_names[0] == tuple(names[index] for index in class_subset("hmdb51", "base"))


def test_novel_classes_are_not_trained_on() -> None:
    with pytest.raises(ConfigError, match="never trained on"):
        restricted(TRAIN, class_half="novel")
