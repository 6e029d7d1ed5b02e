"""EPIC-KITCHENS-100: segments, two heads, and what is reported apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.annotations import AnnotationError, load_split
from datasets.annotations.epic_kitchens import participant, read_epic_groups, seen_actions
from tests.datasets.annotations.helpers import write

HEADER = (
    "narration_id,participant_id,video_id,start_timestamp,stop_timestamp,narration,verb_class,noun_class\n"
)


def test_a_row_is_a_segment_with_verb_and_noun(tmp_path: Path) -> None:
    row = "P01_101_3,P01,P01_101,00:01:02.50,00:01:04.00,take plate,0,2\n"
    write(tmp_path / "EPIC_100_train.csv", HEADER + row)
    split = load_split("epic100", "train", anno_dir=tmp_path, num_classes=(97, 300))
    (record,) = split.records
    assert record.path == "P01/videos/P01_101.MP4"
    assert (record.labels, record.start, record.end) == ((0, 2), 62.5, 64.0)
    assert (record.name, record.captions, participant(record)) == ("P01_101_3", ("take plate",), "P01")
    assert split.num_classes == (97, 300)


@pytest.mark.parametrize(
    ("verb", "noun", "stop", "message"),
    [
        (97, 0, "00:00:09.00", "P01_1_0: verb class 97 is outside 0…96"),
        (0, 300, "00:00:09.00", "noun class 300 is outside 0…299"),
        (0, 0, "00:00:01.00", "has no length"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, verb: int, noun: int, stop: str, message: str) -> None:
    row = f"P01_1_0,P01,P01_1,00:00:01.00,{stop},x,{verb},{noun}\n"
    write(tmp_path / "EPIC_100_validation.csv", HEADER + row)
    with pytest.raises(AnnotationError, match=message):
        load_split("epic100", "val", anno_dir=tmp_path)


def test_two_heads_need_two_counts(tmp_path: Path) -> None:
    write(tmp_path / "EPIC_100_train.csv", HEADER + "P01_1_0,P01,P01_1,00:00:01.00,00:00:02.00,x,0,0\n")
    with pytest.raises(AnnotationError, match="2 lists of class names for 1 heads"):
        load_split("epic100", "train", anno_dir=tmp_path, num_classes=97)


def test_missing_group_files_are_named(tmp_path: Path) -> None:
    groups = read_epic_groups(str(tmp_path))
    assert len(groups.missing) == 3 and not groups.tail_verbs and not groups.unseen_participants
    write(tmp_path / "EPIC_100_tail_verbs.csv", "verb\n10\n")
    write(tmp_path / "EPIC_100_unseen_participant_ids_validation.csv", "participant_id\nP18\n")
    groups = read_epic_groups(str(tmp_path))
    assert groups.missing == ("EPIC_100_tail_nouns.csv",) and groups.unseen_participants == {"P18"}
    assert not groups.tail_verbs  # rare actions need both lists


def test_group_files_with_something_else_are_refused(tmp_path: Path) -> None:
    for head in ("verb", "noun"):
        write(tmp_path / f"EPIC_100_tail_{head}s.csv", f"{head}\ntake\n")
    with pytest.raises(AnnotationError, match="are not class indices"):
        read_epic_groups(str(tmp_path))


def test_real_validation_and_test_files(shared: Path) -> None:
    folder = str(shared / "data/annotations/epic100")
    split = load_split("epic100", "val", anno_dir=folder)
    assert len(split) == len({record.name for record in split.records}) == 9668
    assert len({record.path for record in split.records}) == 138
    assert len(seen_actions(split.records)) == 1352
    assert min(record.end - record.start for record in split.records if record.end and record.start) >= 0.4999
    test = load_split("epic100", "test", anno_dir=folder)
    assert len(test) == 13092
    assert all(record.labels == () for record in test.records)


def test_real_groups(shared: Path) -> None:
    folder = str(shared / "data/annotations/epic100")
    groups = read_epic_groups(folder)
    assert (len(groups.tail_verbs), len(groups.tail_nouns)) == (86, 228)
    assert groups.unseen_participants == {"P18", "P32"}
    assert read_epic_groups(folder, "test").unseen_participants == {"P33", "P34", "P36"}
    records = load_split("epic100", "val", anno_dir=folder).records
    assert sum(participant(record) in groups.unseen_participants for record in records) == 1065
    assert sum(record.labels[0] in groups.tail_verbs for record in records) == 1760
    assert sum(record.labels[1] in groups.tail_nouns for record in records) == 1900
