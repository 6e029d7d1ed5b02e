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
from datasets.annotations.files import describe_folder, find_matches, read_rows
from datasets.annotations.request import ReadRequest
from datasets.annotations.timestamps import parse_segment
from datasets.records import VideoRecord

_COLUMNS = ("narration_id", "participant_id", "video_id", "start_timestamp", "stop_timestamp")


@dataclass(frozen=True)
class EpicGroups:
    """What EPIC-KITCHENS-100 reports apart from the whole: rare classes, and people not seen in training."""

    tail_verbs: frozenset[int]
    tail_nouns: frozenset[int]
    unseen_participants: frozenset[str]


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
    """Tail classes and unseen participants for the validation ("val") or test split.

    Raises:
        AnnotationError: a file is missing or holds something else than ids.
    """
    suffix = "test" if split == "test" else "validation"
    verbs = _ids(anno_dir, "EPIC_100_tail_verbs.csv", "verb")
    nouns = _ids(anno_dir, "EPIC_100_tail_nouns.csv", "noun")
    people = _ids(anno_dir, f"EPIC_100_unseen_participant_ids_{suffix}.csv", "participant_id")
    try:
        return EpicGroups(frozenset(map(int, verbs)), frozenset(map(int, nouns)), frozenset(people))
    except ValueError as error:
        raise AnnotationError(f"{anno_dir}: tail classes are not class indices ({error})") from None


def _ids(anno_dir: str, name: str, column: str) -> list[str]:
    paths = find_matches(anno_dir, name)
    if not paths:
        raise AnnotationError(
            f"no {name} for tail classes and unseen participants: {describe_folder(anno_dir)}. "
            "Remedy: copy the annotation files of EPIC-KITCHENS-100 there"
        )
    return [row[column].strip() for _, row in read_rows(paths[0], required=(column,))]
