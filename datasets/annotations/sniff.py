"""Reads a list whatever its format is: the first line and the file's name tell."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable

from datasets.annotations.epic_kitchens import read_epic_kitchens
from datasets.annotations.files import read_lines
from datasets.annotations.generic_csv import read_generic_csv
from datasets.annotations.kinetics_csv import read_kinetics_csv
from datasets.annotations.request import ReadRequest
from datasets.annotations.something_something import read_something_something
from datasets.annotations.text_video import read_lsmdc, read_msrvtt_test
from datasets.annotations.ucf101 import read_ucf101
from datasets.annotations.video_list import read_video_list
from datasets.records import VideoRecord

Reader = Callable[[ReadRequest], list[VideoRecord]]

_UCF101_LIST = re.compile(r"(.*/)?(train|test)list0\d\.txt")
_BY_COLUMN: dict[str, Reader] = {
    "path": read_generic_csv,
    "youtube_id": read_kinetics_csv,
    "narration_id": read_epic_kitchens,
    "vid_key": read_msrvtt_test,
}
_LSMDC_TABS = 5


def read_any(request: ReadRequest) -> list[VideoRecord]:
    """Records of an annotation file in any format that a single file can have.

    Raises:
        AnnotationError: from the reader of the format that the file seems to have.
    """
    return reader_for(request.path)(request)


def reader_for(path: str) -> Reader:
    """The reader of the format that a file seems to have; lists of `path label` are what remains."""
    name = path.replace("\\", "/")
    if name.lower().endswith(".json"):
        return read_something_something
    if _UCF101_LIST.fullmatch(name):
        return read_ucf101
    first = next(line for line in read_lines(path) if line.strip())
    if first.count("\t") == _LSMDC_TABS:
        return read_lsmdc
    columns = [column.strip() for column in next(csv.reader([first]))]
    return next((reader for column, reader in _BY_COLUMN.items() if column in columns), read_video_list)
