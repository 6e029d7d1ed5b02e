"""Something-Something V2 in its two forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, load_split
from datasets.annotations.something_something import read_something_something
from datasets.labels import class_names
from tests.datasets.annotations.helpers import request_for, write

NAMES = class_names("ssv2")


def test_templates_with_brackets_are_class_names(tmp_path: Path) -> None:
    bracketed = [name.replace("something", "[something]") for name in NAMES]
    entries = [{"id": str(i), "label": "x", "template": each} for i, each in enumerate(bracketed)]
    path = write(tmp_path / "something-something-v2-train.json", json.dumps(entries))
    records = read_something_something(request_for(path, names=NAMES))
    assert [record.labels for record in records] == [(index,) for index in range(174)]
    assert records[7].path == records[7].name == "7"


def test_the_whole_phrase_may_stand_in_brackets(tmp_path: Path) -> None:
    template = "Putting [something similar to other things that are already on the table]"
    path = write(tmp_path / "a.json", json.dumps([{"id": 5, "template": template}]))
    (record,) = read_something_something(request_for(path, names=NAMES))
    assert NAMES[record.labels[0]] == template.replace("[", "").replace("]", "")


def test_older_form_and_test_form(tmp_path: Path) -> None:
    entries = [{"id": 78687, "label_idx": 41}, {"id": "1420"}]
    records = read_something_something(
        request_for(write(tmp_path / "a.json", json.dumps(entries)), names=NAMES)
    )
    assert [(record.name, record.labels) for record in records] == [("78687", (41,)), ("1420", ())]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"id": 1, "label_idx": 174}, "video 1: label 174 is outside 0…173"),
        ({"id": 1, "template": "Juggling [something]"}, "'Juggling something' is none of the 174"),
        ({"template": "Holding [something]"}, "entry 1, .* has no id"),
        ({"id": 1, "label_idx": "x"}, "video 1: invalid literal"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, entry: dict[str, object], message: str) -> None:
    path = write(tmp_path / "a.json", json.dumps([entry]))
    with pytest.raises(AnnotationError, match=message):
        read_something_something(request_for(path, names=NAMES))


def test_label_file_beside_the_annotation_is_used_and_compared(tmp_path: Path) -> None:
    write(tmp_path / "something-something-v2-validation.json", json.dumps([{"id": "9", "label_idx": 86}]))
    swapped = list(NAMES)
    swapped[86], swapped[87] = swapped[87], swapped[86]
    write(
        tmp_path / "something-something-v2-labels.json",
        json.dumps({n: str(i) for i, n in enumerate(swapped)}),
    )
    split = load_split("ssv2", "val", anno_dir=tmp_path)
    assert split.records[0].path == "9.webm"
    assert split.class_names[0][86] == "Pulling something from right to left"
    assert "2 of them differ" in split.notes[0]


def test_two_real_validation_lists_agree(shared: Path) -> None:
    folder = shared / "data/annotations/ssv2"
    with_frames = load_split("ssv2", "val", anno_dir=folder, list_file="side4video_val_rgb.txt")
    with_extension = load_split(
        "ssv2", "val", anno_dir=folder, list_file="vifi_validation.txt", num_classes=174
    )
    assert len(with_frames) == 24777
    assert {r.path: r.labels for r in with_frames.records} == {
        r.path: r.labels for r in with_extension.records
    }
