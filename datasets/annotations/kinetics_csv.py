"""The official CSV files of Kinetics-400, -600 and -700.

    label,youtube_id,time_start,time_end,split[,…]      (no label column in some test files)

A row's video is the file {youtube_id}_{start:06d}_{end:06d}.mp4, which holds that segment and nothing else.
"""

from __future__ import annotations

import re

from datasets.annotations.errors import AnnotationError, Offenders, shown
from datasets.annotations.files import read_rows
from datasets.annotations.request import ReadRequest
from datasets.records import VideoRecord

SPLIT_WORDS = {"train": ("train",), "val": ("val", "validate", "validation"), "test": ("test",)}
"""How the files call each split."""

_YOUTUBE_ID = re.compile(r"([\w-]{11})(_\d{6}_\d{6})?")


def read_kinetics_csv(request: ReadRequest) -> list[VideoRecord]:
    """Records of the rows that belong to the split; `name` is the YouTube id.

    Raises:
        AnnotationError: labels that are no class name, times that are no numbers, or no row of this split.
    """
    records: list[VideoRecord] = []
    classes = request.classes
    other_splits: dict[str, int] = {}
    offenders = Offenders(
        request.path, remedy="take the list that belongs to these class names (DATA.CLASS_NAMES)"
    )
    for line, row in read_rows(request.path, required=("youtube_id", "time_start", "time_end")):
        row_split = row.get("split", request.split).strip()
        if row_split not in SPLIT_WORDS.get(request.split, (request.split,)):
            other_splits[row_split] = other_splits.get(row_split, 0) + 1
            continue
        label = row.get("label", "")
        try:
            index = classes.find(label)
        except ValueError as error:
            offenders.add(line, str(error))
            continue
        if label and index is None:
            offenders.add(line, f"label {shown(label)} is none of the {request.num_classes} class names")
            continue
        try:
            path = kinetics_file_name(row["youtube_id"], float(row["time_start"]), float(row["time_end"]))
        except ValueError:
            offenders.add(line, f"times {row['time_start']!r}, {row['time_end']!r} are not seconds")
            continue
        records.append(VideoRecord(path, () if index is None else (index,), name=row["youtube_id"]))
    offenders.raise_any()
    if not records and other_splits:
        found = ", ".join(f"{count} of {name!r}" for name, count in other_splits.items())
        raise AnnotationError(
            f"{request.path}: no row of split {request.split!r}, but {found}. Remedy: give its file"
        )
    return records


def kinetics_file_name(youtube_id: str, start: float, end: float) -> str:
    """File name under which the usual downloaders store a segment (times in seconds)."""
    return f"{youtube_id}_{int(start):06d}_{int(end):06d}.mp4"


def youtube_id(path: str) -> str | None:
    """YouTube id in a Kinetics file name, with or without its times; None when there is none."""
    stem = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    match = _YOUTUBE_ID.fullmatch(stem)
    return match[1] if match else None
