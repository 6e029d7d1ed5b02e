"""The shipped class lists: lengths, distinctness, and equality with the real label files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from datasets.labels import CLASS_LISTS, class_key, class_names, class_subset


def _column(path: Path, column: str) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row[column].strip() for row in csv.DictReader(file)]


@pytest.mark.parametrize(("name", "count"), CLASS_LISTS.items())
def test_lists_have_their_length_and_tell_every_class_apart(name: str, count: int) -> None:
    names = class_names(name)
    assert len(names) == count
    assert len({class_key(each) for each in names}) == count
    assert all(each == each.strip() and each for each in names)


def test_unknown_list_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'k500'.*k400, k600"):
        class_names("k500")
    with pytest.raises(ValueError, match="k600 zero-shot-1"):
        class_subset("k600", "zero-shot-4")


def test_kinetics_400_and_600_are_the_real_lists(shared: Path) -> None:
    folder = shared / "data/annotations"
    assert list(class_names("k400")) == (folder / "k400/label_map_k400.txt").read_text().splitlines()
    assert list(class_names("k400")) == _column(folder / "k400/kinetics_400_labels.csv", "name")
    released = json.loads((folder / "k400/dist_k400_labels.json").read_text())
    assert {name.strip('"'): index for name, index in released.items()} == {
        name: index for index, name in enumerate(class_names("k400"))
    }
    assert list(class_names("k600")) == _column(folder / "k600/kinetics_600_labels.csv", "name")


def test_something_something_is_the_real_list(shared: Path) -> None:
    released = json.loads((shared / "data/annotations/ssv2/ssv2_labels.json").read_text())
    assert {name: int(index) for name, index in released.items()} == {
        name: index for index, name in enumerate(class_names("ssv2"))
    }


def test_ucf101_and_hmdb51_are_the_real_lists(shared: Path) -> None:
    folder = shared / "data/annotations"
    numbered = (folder / "ucf101/ucfTrainTestlist/classInd.txt").read_text().split()
    assert list(class_names("ucf101")) == numbered[1::2]
    splits = (folder / "hmdb51/testTrainMulti_7030_splits").glob("*_test_split1.txt")
    assert list(class_names("hmdb51")) == sorted(path.name[: -len("_test_split1.txt")] for path in splits)


def test_epic_kitchens_is_the_real_list(shared: Path) -> None:
    folder = shared / "data/annotations/epic100"
    assert list(class_names("epic100_verbs")) == _column(folder / "EPIC_100_verb_classes.csv", "key")
    assert list(class_names("epic100_nouns")) == _column(folder / "EPIC_100_noun_classes.csv", "key")


def test_published_subsets_are_the_real_ones(shared: Path) -> None:
    folder = shared / "data/annotations"
    base = set(_column(folder / "k400/vifi_base_labels.csv", "name"))
    assert {class_names("k400")[index] for index in class_subset("k400", "base")} == base
    for split in (1, 2, 3):
        candidates = [class_names("k600")[index] for index in class_subset("k600", f"zero-shot-{split}")]
        assert candidates == _column(folder / f"k600/ZS_split{split}_K600.csv", "name")


@pytest.mark.parametrize(
    ("name", "subset", "count"),
    [("k400", "base", 200), ("ssv2", "base", 87), ("ucf101", "base", 51), ("hmdb51", "base", 26)]
    + [("k600", f"zero-shot-{split}", 160) for split in (1, 2, 3)],
)
def test_subsets_have_their_length_and_are_ascending(name: str, subset: str, count: int) -> None:
    indices = class_subset(name, subset)
    assert len(indices) == count
    assert list(indices) == sorted(set(indices))
    assert indices[-1] < CLASS_LISTS[name]
