"""The table of data sets: name → class lists, annotation files of each split, and their readers.

The files are looked for in the order of the table, so official ones come before lists in circulation. A
data set of one's own needs no entry: "csv" reads any CSV file with a header, "list" any list of `path
label`; a format of one's own is a function `ReadRequest -> list of VideoRecord`, given to `load_split` as
`reader`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from datasets.annotations.epic_kitchens import read_epic_kitchens
from datasets.annotations.hmdb51 import read_hmdb51
from datasets.annotations.sniff import Reader, read_any
from datasets.annotations.text_video import read_didemo, read_lsmdc, read_msrvtt_test, read_msrvtt_train
from datasets.annotations.ucf101 import read_ucf101


@dataclass(frozen=True)
class Source:
    """A place where a split's annotation may stand."""

    pattern: str
    """File name pattern inside the annotation folder; {fold} is the official split's number; "a+b": both
    files."""
    read: Reader = read_any
    many: bool = False
    """Whether the split consists of all files that match (otherwise two matches are an error)."""


@dataclass(frozen=True)
class DatasetSpec:
    """What is known of a data set."""

    title: str
    sources: Mapping[str, tuple[Source, ...]]
    """Where to look for each split."""
    class_lists: tuple[str, ...] = ()
    """Shipped class lists, one per head."""
    classes: Literal["shipped", "own", "optional", "none"] = "shipped"
    """Class names ship with the project, come with the user's data (or may), or do not exist (text–video)."""
    class_files: tuple[str, ...] = ()
    """Class-name files that, when they lie in the annotation folder, are used in place of the shipped
    list."""
    ambiguous_class_files: tuple[str, ...] = ()
    """Further ones, whose names files of other data sets and tools have as well: used where they hold as many
    names as the shipped list."""
    heads: tuple[str, ...] = ()
    """What each head tells, where there are several."""
    extension: str = "mp4"
    """Usual extension of the videos, for lists that leave it out."""
    evaluation_split: str = "val"
    """The split on which scores are published."""


def _lists(*words: str) -> tuple[Source, ...]:
    """Lists under the names that they usually have, for a split that is called by these words."""
    patterns = (
        "{0}.csv",
        "{0}.txt",
        "{0}_list.txt",
        "{0}list.txt",
        "*_{0}_list*.txt",
        "*_{0}.csv",
        "*_{0}.txt",
    )
    return tuple(Source(pattern.format(word)) for word in words for pattern in patterns)


_TRAIN = _lists("train")
_VAL = _lists("val", "validate", "validation")
_TEST = _lists("test")


def _kinetics(number: int) -> DatasetSpec:
    def official(split: str) -> tuple[Source, ...]:
        names = (
            f"kinetics{number}_{split}_list.txt",
            f"kinetics-{number}_{split}.csv",
            f"kinetics_{number}_{split}.csv",
        )
        return tuple(Source(name) for name in names)

    return DatasetSpec(
        title=f"Kinetics-{number}",
        sources={
            "train": official("train") + _TRAIN,
            "val": official("val") + official("validate") + _VAL,
            "test": official("test") + _TEST,
        },
        class_lists=(f"k{number}",),
        class_files=(
            f"kinetics_{number}_labels.csv",
            f"kinetics{number}_labels.csv",
            f"label_map_k{number}.txt",
        ),
        # as in DiST's release, whose lists may count its names in any order
        ambiguous_class_files=("labels.json", f"k{number}_labels.json"),
    )


def _something_something() -> DatasetSpec:
    def official(word: str) -> tuple[Source, ...]:
        names = (
            f"something-something-v2-{word}.json",
            f"something-something-v2-{word}-with-label.json",
            f"{word}.json",
        )
        return tuple(Source(name) for name in names)

    return DatasetSpec(
        title="Something-Something V2",
        sources={
            "train": official("train") + _TRAIN,
            "val": official("validation") + official("val") + _VAL,
            "test": official("test") + _TEST,
        },
        class_lists=("ssv2",),
        class_files=("something-something-v2-labels.json", "labels.json", "ssv2_labels.json"),
        extension="webm",
    )


def _ucf101() -> DatasetSpec:
    def official(pattern: str) -> tuple[Source, ...]:
        nested = "+".join(f"ucfTrainTestlist/{part}" for part in pattern.split("+"))
        return Source(pattern, read_ucf101, many=True), Source(nested, read_ucf101, many=True)

    test = official("testlist0{fold}.txt")
    return DatasetSpec(
        title="UCF101",
        sources={
            "train": official("trainlist0{fold}.txt") + _TRAIN,
            "val": test + _VAL + _TEST,
            "test": test + _TEST + _VAL,
            "all": official("trainlist0{fold}.txt+testlist0{fold}.txt"),
        },
        class_lists=("ucf101",),
        class_files=("classInd.txt", "ucfTrainTestlist/classInd.txt"),
        extension="avi",
        evaluation_split="test",
    )


def _hmdb51() -> DatasetSpec:
    folders = ("testTrainMulti_7030_splits/", "test_train_splits/", "")
    official = tuple(
        Source(f"{folder}*_test_split{{fold}}.txt", read_hmdb51, many=True) for folder in folders
    )
    return DatasetSpec(
        title="HMDB51",
        sources={
            "train": official + _TRAIN,
            "val": official + _VAL + _TEST,
            "test": official + _TEST + _VAL,
            "all": official,
        },
        class_lists=("hmdb51",),
        extension="avi",
        evaluation_split="test",
    )


def _msrvtt(size: str) -> DatasetSpec:
    def train(size: str) -> tuple[Source, ...]:
        return (Source(f"MSRVTT_train.{size}.csv+MSRVTT_data.json", read_msrvtt_train, many=True),)

    test = (Source("MSRVTT_JSFUSION_test.csv", read_msrvtt_test),)
    return DatasetSpec(
        title=f"MSR-VTT ({size} training videos, JSFusion 1k-A test)",
        sources={
            "train": train(size),
            "train9k": train("9k"),
            "train7k": train("7k"),
            "val": test,
            "test": test,
        },
        classes="none",
        evaluation_split="test",
    )


def _didemo() -> DatasetSpec:
    def files(split: str) -> tuple[Source, ...]:
        return (Source(f"{split}_data.json+{split}_list.txt", read_didemo, many=True),)

    return DatasetSpec(
        title="DiDeMo, paragraph to video",
        sources={split: files(split) for split in ("train", "val", "test")},
        classes="none",
        evaluation_split="test",
    )


def _lsmdc() -> DatasetSpec:
    return DatasetSpec(
        title="LSMDC",
        sources={
            "train": (Source("LSMDC16_annos_training.csv", read_lsmdc),),
            "val": (Source("LSMDC16_annos_val.csv", read_lsmdc),),
            "test": (Source("LSMDC16_challenge_1000_publictect.csv", read_lsmdc),),
        },
        classes="none",
        extension="avi",
        evaluation_split="test",
    )


def _epic_kitchens() -> DatasetSpec:
    return DatasetSpec(
        title="EPIC-KITCHENS-100",
        sources={
            "train": (Source("EPIC_100_train.csv", read_epic_kitchens),),
            "val": (Source("EPIC_100_validation.csv", read_epic_kitchens),),
            "test": (Source("EPIC_100_test_timestamps.csv", read_epic_kitchens),),
        },
        class_lists=("epic100_verbs", "epic100_nouns"),
        heads=("verb", "noun"),
        extension="MP4",
    )


def own_dataset(
    title: str, read: Reader = read_any, classes: Literal["own", "optional"] = "own"
) -> DatasetSpec:
    """An entry for data of one's own: lists under their usual names, class names beside them."""

    def sources(*found: tuple[Source, ...]) -> tuple[Source, ...]:
        return tuple(replace(source, read=read) for group in found for source in group)

    return DatasetSpec(
        title=title,
        sources={"train": sources(_TRAIN), "val": sources(_VAL, _TEST), "test": sources(_TEST, _VAL)},
        classes=classes,
        class_files=("classes.txt", "class_names.txt", "labels.txt", "labels.csv", "labels.json"),
    )


DATASETS: dict[str, DatasetSpec] = {
    "k400": _kinetics(400),
    "k600": _kinetics(600),
    "k700": _kinetics(700),
    "ssv2": _something_something(),
    "ucf101": _ucf101(),
    "hmdb51": _hmdb51(),
    "epic100": _epic_kitchens(),
    "msrvtt": _msrvtt("9k"),
    "msrvtt7k": _msrvtt("7k"),
    "didemo": _didemo(),
    "lsmdc": _lsmdc(),
    "csv": own_dataset("CSV with the columns path, label or caption, and optionally start, end"),
    "list": own_dataset("list of `path label`"),
}
"""Every data set that `load_split` knows by name; "k710" and "k400+k600"-like unions are built from these."""
