"""Class names as words and as keys."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from datasets.labels import class_key, class_names, class_words, horizontal_flip_pairs


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "Apply Eye Makeup"),
        ("brush_hair", "brush hair"),
        ("turn-on", "turn on"),
        ("board:chopping", "chopping board"),
        ("machine:sous:vide", "sous vide machine"),
        ("TVShow", "TV Show"),
        ("a t-shirt on McDonald", "a t-shirt on McDonald"),
        ("passing American football (in game)", "passing American football (in game)"),
    ],
)
def test_identifiers_are_split_and_language_is_left_alone(name: str, words: str) -> None:
    assert class_words(name) == words


def test_words_of_ucf101_are_those_in_circulation(shared: Path) -> None:
    with (shared / "data/annotations/ucf101/openvclip_labels_split_words.csv").open() as file:
        published = [row["name"] for row in csv.DictReader(file)]
    assert [class_words(name) for name in class_names("ucf101")] == published


def test_words_of_hmdb51_are_those_in_circulation(shared: Path) -> None:
    with (shared / "data/annotations/hmdb51/hmdb_51_labels.csv").open() as file:
        published = {row["name"].strip() for row in csv.DictReader(file)}
    assert {class_words(name) for name in class_names("hmdb51")} == published


def test_key_ignores_case_spaces_and_punctuation() -> None:
    assert class_key("HandStandPushups") == class_key("handstand_pushups") == class_key("Handstand Pushups")
    assert class_key("Putting [something] on top") == class_key("putting something, on top")


def test_mirrored_classes_of_something_something_swap_left_and_right() -> None:
    names = class_names("ssv2")
    mirror = {"left": "right", "right": "left"}
    directed = ("from left to right", "from right to left", "camera left", "camera right")
    pairs = set()
    for index, name in enumerate(names):
        if any(direction in name for direction in directed):
            mirrored = " ".join(mirror.get(word, word) for word in name.split())
            pairs.add(tuple(sorted((index, names.index(mirrored)))))
    assert set(horizontal_flip_pairs("ssv2")) == pairs
    assert horizontal_flip_pairs("k400") == ()
