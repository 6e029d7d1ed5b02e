"""EPIC-KITCHENS-100: short segments of long videos, each with a verb and a noun.

    EPIC_100_train.csv, EPIC_100_validation.csv     narration_id, participant_id, video_id, start_timestamp, …
    EPIC_100_test_timestamps.csv                    the same without labels
    EPIC_100_tail_{verbs,nouns}.csv                 rare classes, reported apart
    EPIC_100_unseen_participant_ids_{validation,test}.csv     people whom the training split has not

An action is the pair (verb, noun); 97 verbs, 300 nouns, 3806 pairs occur. A video lies at
{participant}/videos/{video}.MP4, as the data set's own download script puts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.annotations.errors import AnnotationError, Offenders
from datasets.annotations.files import find_matches, read_rows
from datasets.annotations.request import ReadRequest
from datasets.annotations.timestamps import parse_segment
from datasets.records import VideoRecord

_COLUMNS = ("narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp")


@dataclass(frozen=True)
class EpicGroups:
    """What EPIC-KITCHENS-100 reports apart from the whole: rare classes, and people not seen in training."""

    tail_verbs: frozenset[int] = frozenset()
    tail_nouns: frozenset[int] = frozenset()
    unseen_participants: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()
    """Lists that the annotation folder does not hold; their group is empty."""


def read_epic_kitchens(request: ReadRequest) -> list[VideoRecord]:
    """Records with labels (verb, noun), the narration as caption, and the segment's times in seconds.

    Raises:
        AnnotationError: missing columns, classes outside the names, or segments without length.
    """
    records: list[VideoRecord] = []
    offenders = Offenders(
        request.path, remedy="take the CSV files of the EPIC-KITCHENS-100 release unchanged"
    )
    for line, row in read_rows(request.path, required=_COLUMNS):
        try:
            labels = _verb_and_noun(row, request)
            start, end = parse_segment(row["start_timestamp"], row["stop_timestamp"])
        except ValueError as error:
            offenders.add(line, f"{row['narration_id']}: {error}")
            continue
        path = f"{row['participant_id']}/videos/{row['video_id']}.MP4"
        captions = (row["narration"],) if "narration" in row else ()
        records.append(VideoRecord(path, labels, captions, start, end, row["narration_id"]))
    offenders.raise_any()
    return records


def _verb_and_noun(row: dict[str, str], request: ReadRequest) -> tuple[int, ...]:
    """(verb, noun), or () in the test file, which has no labels."""
    if "verb_class" not in row:
        return ()
    labels = (int(row["verb_class"]), int(row["noun_class"]))
    for label, names, head in zip(labels, request.class_names, ("verb", "noun"), strict=True):
        if not 0 <= label < len(names):
            raise ValueError(f"{head} class {label} is outside 0…{len(names) - 1}")
    return labels


def participant(record: VideoRecord) -> str:
    """Who is filmed: "P01" of the narration id "P01_101_3"."""
    return record.name.partition("_")[0]


def seen_actions(records: Sequence[VideoRecord]) -> tuple[tuple[int, ...], ...]:
    """The distinct (verb, noun) pairs of labelled records, sorted (3806 over train and validation)."""
    return tuple(sorted({record.labels for record in records if record.labels}))


def read_epic_groups(anno_dir: str, split: str = "val") -> EpicGroups:
    """Tail classes and unseen participants for the validation ("val") or test split, as far as the folder
    holds their lists. Without one of the two lists of tail classes there is no tail, for that of actions
    needs both.

    Raises:
        AnnotationError: a file holds something else than ids.
    """
    suffix = "test" if split == "test" else "validation"
    verbs = _ids(anno_dir, "EPIC_100_tail_verbs.csv", "verb")
    nouns = _ids(anno_dir, "EPIC_100_tail_nouns.csv", "noun")
    people = _ids(anno_dir, people_file := f"EPIC_100_unseen_participant_ids_{suffix}.csv", "participant_id")
    lists = {"EPIC_100_tail_verbs.csv": verbs, "EPIC_100_tail_nouns.csv": nouns, people_file: people}
    missing = tuple(name for name, ids in lists.items() if ids is None)
    if verbs is None or nouns is None:
        verbs, nouns = [], []
    try:
        tail_verbs, tail_nouns = frozenset(map(int, verbs)), frozenset(map(int, nouns))
    except ValueError as error:
        raise AnnotationError(
            f"{anno_dir}: tail classes are not class indices ({error}). Remedy: take the files of the release"
        ) from None
    return EpicGroups(tail_verbs, tail_nouns, frozenset(people or ()), missing)


def _ids(anno_dir: str, name: str, column: str) -> list[str] | None:
    """The column of a list, or None when the folder has no such file."""
    paths = find_matches(anno_dir, name)
    if not paths:
        return None
    return [row[column].strip() for _, row in read_rows(paths[0], required=(column,))]
