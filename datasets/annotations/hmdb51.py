"""The official splits of HMDB51: one file per class and split.

    testTrainMulti_7030_splits/brush_hair_test_split1.txt       April_09_brush_hair_u_nm_np1_ba_goo_0.avi 1

The flag is 1 for training, 2 for test, 0 for videos that the split leaves out. A video lies in its class's
folder; names hold ( ) ! + & ; and [ ].
"""

from __future__ import annotations

import re

from datasets.annotations.errors import AnnotationError, Offenders, shown
from datasets.annotations.files import read_lines
from datasets.annotations.request import ReadRequest
from datasets.records import VideoRecord

_FILE_NAME = re.compile(r"(?:.*/)?(.+)_test_split\d\.txt")
_LINE = re.compile(r"(\S.*\S)\s+([012])\s*")
_FLAGS = {"train": "1", "val": "2", "test": "2", "all": "012"}


def read_hmdb51(request: ReadRequest) -> list[VideoRecord]:
    """Records of one split ("train", "val" or "test", "all") from the files of all classes.

    Raises:
        AnnotationError: a class without file, a file that is no class, or malformed lines.
    """
    records: list[VideoRecord] = []
    seen: set[int] = set()
    for path in sorted(request.paths):
        match = _FILE_NAME.fullmatch(path.replace("\\", "/"))
        try:
            index = request.classes.find(match[1]) if match else None
        except ValueError as error:
            raise AnnotationError(f"{path}: {error}") from None
        if match is None or index is None:
            raise AnnotationError(f"{path}: the file's name is none of the {request.num_classes} class names")
        seen.add(index)
        records += _read_class(path, match[1], index, _FLAGS[request.split])
    missing = [name for index, name in enumerate(request.class_names[0]) if index not in seen]
    if missing:
        raise AnnotationError(
            f"{request.dataset}: no split file for {len(missing)} classes: {', '.join(missing[:5])}. "
            "Remedy: unpack all of test_train_splits.rar"
        )
    return sorted(records, key=lambda record: record.labels)


def _read_class(path: str, folder: str, index: int, flags: str) -> list[VideoRecord]:
    records: list[VideoRecord] = []
    offenders = Offenders(path, remedy="write one video a line: file.avi flag, the flag being 0, 1 or 2")
    for number, line in enumerate(read_lines(path), start=1):
        match = _LINE.fullmatch(line)
        if match and match[2] in flags:
            records.append(VideoRecord(f"{folder}/{match[1]}", (index,), name=match[1]))
        elif match is None and line.strip():
            offenders.add(number, shown(line))
    offenders.raise_any()
    return records
