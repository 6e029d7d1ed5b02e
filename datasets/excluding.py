"""Videos known to be unreadable: left out of training, counted as missing in evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from datasets.records import AnnotatedSplit


def without_bad_videos(split: AnnotatedSplit, bad: Mapping[str, str]) -> AnnotatedSplit:
    """The split without the videos of ``bad`` ({path: reason}), and a note of how many these are.

    Raises ValueError when nothing would be left.
    """
    records = [record for record in split.records if record.path not in bad]
    if not records:
        raise ValueError(f"DATA.EXCLUDE_LIST leaves none of the {len(split)} videos of {split.source}")
    note = f"{len(split) - len(records)} of {len(split)} videos are left out, as DATA.EXCLUDE_LIST says"
    return replace(split.with_records(records), notes=(*split.notes, note))


def with_bad_videos_noted(split: AnnotatedSplit, bad: Mapping[str, str]) -> AnnotatedSplit:
    """The same videos, and a note of how many of them are in ``bad`` and will be missing.

    Raises ValueError when all are.
    """
    count = len(rows_of_bad_videos(split, bad))
    if not count:
        return split
    if count == len(split):
        raise ValueError(f"DATA.EXCLUDE_LIST leaves none of the {count} videos of {split.source}")
    note = f"{count} of {len(split)} videos count as missing, as DATA.EXCLUDE_LIST says"
    return replace(split, notes=(*split.notes, note))


def rows_of_bad_videos(split: AnnotatedSplit, bad: Mapping[str, str]) -> dict[int, str]:
    """{row: reason} of the split's videos that are in ``bad``: they need not be opened to know."""
    return {
        row: f"DATA.EXCLUDE_LIST: {bad[record.path]}"
        for row, record in enumerate(split.records)
        if record.path in bad
    }
