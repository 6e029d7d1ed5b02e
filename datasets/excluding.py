"""Videos known to be unreadable: left out of training, counted as missing in evaluation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from datasets.annotations.files import is_url, join
from datasets.records import AnnotatedSplit


class BadVideos(Mapping[str, str]):
    """{path: reason} that finds a video however its path is written: relative to the root of the videos
    ("a/b.mp4", "./a/b.mp4", "a//b.mp4") or absolute.
    """

    def __init__(self, reasons: Mapping[str, str], root: str) -> None:
        self._root = root if is_url(root) else os.path.abspath(root)
        self._reasons = {self._full(path): reason for path, reason in reasons.items()}

    def __getitem__(self, path: str) -> str:
        return self._reasons[self._full(path)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._reasons)

    def __len__(self) -> int:
        return len(self._reasons)

    def _full(self, path: str) -> str:
        return path if is_url(path) else join(self._root, os.path.normpath(path))


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
