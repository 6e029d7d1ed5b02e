"""Lists of videos with a class index, as most code of the field writes them.

    videos/abseiling/a.mp4 0       path and label, separated by spaces, a tab or a comma
    "odd, name.mp4",0              a path in double quotes may hold commas
    brush_hair/April_09 438 0      path, number of frames (not used), label

A middle number counts as a number of frames unless it is needed as a part of the path: "clip 2.mp4 5" is the
file "clip 2.mp4". No video has 0 frames, so "a.mp4,0,1" is an error: most likely two labels were meant. Class
indices start at 0.
"""

from __future__ import annotations

import re

from datasets.annotations.errors import REMEDY_COUNTED_FROM_ONE, AnnotationError, Offenders, shown
from datasets.annotations.files import read_lines
from datasets.annotations.request import ReadRequest
from datasets.records import VideoRecord

REMEDY_FOR_LINES = (
    "write one video a line: path label, or path frames label, with class indices; or begin a CSV file with "
    "the names of its columns: path,label (with class names) or path,caption"
)
_PATH_AND_LABEL = re.compile(r"(.*[^\s,])[ \t,]+(-?\d+)\s*")
_PATH_AND_FRAMES = re.compile(r"(.*[^\s,])[ \t,]+(\d+)")


def read_video_list(request: ReadRequest) -> list[VideoRecord]:
    """Records of a list of paths and class indices.

    Raises:
        AnnotationError: lines that are not `path label`, videos of 0 frames, or labels outside the class
            names.
    """
    records: list[VideoRecord] = []
    labels = [(index,) for index in range(request.num_classes)]  # shared, so that a long list stays small
    malformed = Offenders(request.path, remedy=REMEDY_FOR_LINES)
    empty = Offenders(
        request.path,
        remedy="a list holds one label per video: write path label, with one of the labels where there are "
        "several; a path that ends in a number stands in double quotes",
    )
    outside = Offenders(
        request.path,
        remedy=f"{len(labels)} class names are in use; give those of this list with DATA.CLASS_NAMES",
    )
    highest = 0
    for number, line in enumerate(read_lines(request.path), start=1):
        if not line or line.isspace():
            continue
        match = _PATH_AND_LABEL.fullmatch(line)
        if match is None:
            malformed.add(number, f"{shown(line)} is not a path and a class index")
            continue
        label, before = int(match[2]), _PATH_AND_FRAMES.fullmatch(match[1])
        if before is not None and int(before[2]) == 0:
            empty.add(number, f"{shown(line)} reads as path {shown(before[1])}, 0 frames, label {label}")
            continue
        if not 0 <= label < len(labels):
            outside.add(number, f"label {label} is outside 0…{len(labels) - 1} in {shown(line)}")
            highest = max(highest, label)
            continue
        records.append(VideoRecord(_path(match[1]), labels[label]))
    malformed.raise_any()
    empty.raise_any()
    if highest == len(labels) and (0,) not in (record.labels for record in records):
        outside.remedy = REMEDY_COUNTED_FROM_ONE
    outside.raise_any()
    return records


def check_first_line(path: str) -> None:
    """Tell a CSV file that is none (semicolons, no header, other columns) from a list of paths and indices.

    Raises:
        AnnotationError: the first line is no path and class index.
    """
    number, first = next((number, line) for number, line in enumerate(read_lines(path), 1) if line.strip())
    if _PATH_AND_LABEL.fullmatch(first) is None:
        raise AnnotationError(
            f"{path}, line {number}: {shown(first)} is neither a path and a class index nor the header of a "
            f"CSV file. Remedy: {REMEDY_FOR_LINES}"
        )


def _path(text: str) -> str:
    """The path in what stands before the label: without a number of frames, without quotes."""
    match = _PATH_AND_FRAMES.fullmatch(text)
    path = (match[1] if match else text).strip()
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] == '"' else path
