"""What a run says of its lists before it begins: allowed, for trying things out, but never silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from logging import DEBUG, WARNING

from datasets.labels import class_words
from datasets.records import AnnotatedSplit, VideoRecord
from utils import distributed
from utils.logging import get_logger

_SHOWN = 3


def warn_of_lists(splits: Mapping[str, AnnotatedSplit]) -> None:
    """Warn of scores, and of labels, that lists make say little. splits: by use; "train" is one of them."""
    classes = next(iter(splits.values())).class_names
    for names in classes:
        _warn_of_equal_names(names)
    for use, split in sorted(splits.items()):
        if classes:
            _warn_of_repeated_videos(use, split.records)
        if use != "train" and "train" in splits:
            _warn_of_trained_videos(use, split.records, splits["train"].records)


def _warn_of_equal_names(names: Sequence[str]) -> None:
    """Classes of the same words have the same text features, among which the first always wins."""
    first_of: dict[str, int] = {}
    equal: list[str] = []
    for index, name in enumerate(names):
        first = first_of.setdefault(class_words(name).casefold(), index)
        if first != index:
            equal.append(f"{first} {names[first]!r} and {index} {name!r}")
    if equal:
        shown = "; ".join(equal[:_SHOWN]) + (" …" if len(equal) > _SHOWN else "")
        _warn(
            f"classes of the same words: {shown}. If they are one class, write it in one way in the lists; a "
            "model that compares with CLIP's texts cannot tell them apart"
        )


def _warn_of_repeated_videos(use: str, records: Sequence[VideoRecord]) -> None:
    """Every row is trained on, and counted; rows that contradict each other cannot both be right."""
    labels_of: dict[tuple[str, float | None, float | None], tuple[int, ...]] = {}
    repeated: list[str] = []
    contradicted = 0
    for record in records:
        clip = _clip_of(record)
        if clip in labels_of:
            repeated.append(record.name)
            contradicted += labels_of[clip] != record.labels
        labels_of.setdefault(clip, record.labels)
    # Rows of training videos may be repeated on purpose, to have them seen more often.
    if contradicted or (repeated and use != "train"):
        _warn(
            f"{len(repeated)} of {len(records)} rows of the {use} list name a video of an earlier row "
            f"({repeated[0]}, …), {contradicted} of them with another label: each row counts"
        )


def _warn_of_trained_videos(
    use: str, records: Sequence[VideoRecord], trained_on: Sequence[VideoRecord]
) -> None:
    trained = {_clip_of(record) for record in trained_on}
    shared = [record.name for record in records if _clip_of(record) in trained]
    if shared:
        _warn(
            f"{len(shared)} of {len(records)} {use} videos are trained on, too ({shared[0]}, …): their "
            "scores say little"
        )


def _clip_of(record: VideoRecord) -> tuple[str, float | None, float | None]:
    return record.path, record.start, record.end


def _warn(text: str) -> None:
    get_logger().log(WARNING if distributed.is_main() else DEBUG, "%s", text)
