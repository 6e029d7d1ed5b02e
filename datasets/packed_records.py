"""A list of records in one block of bytes.

A Python list of a hundred thousand records is copied, page by page, into every worker process, because
merely reading an object writes its reference count. Two flat arrays are not, and they reach a new worker as
they are."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import overload

import numpy as np

from datasets.records import VideoRecord


class PackedRecords(Sequence[VideoRecord]):
    """An immutable sequence of records; each is unpacked when it is asked for (about 3 microseconds)."""

    def __init__(self, records: Sequence[VideoRecord]) -> None:
        packed = [pickle.dumps(_fields(record), protocol=pickle.HIGHEST_PROTOCOL) for record in records]
        self._bytes = np.frombuffer(b"".join(packed), dtype=np.uint8)
        self._ends = np.cumsum([len(item) for item in packed], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> VideoRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[VideoRecord]: ...

    def __getitem__(self, index: int | slice) -> VideoRecord | list[VideoRecord]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        row = range(len(self))[index]  # negative positions, and an IndexError outside
        start = int(self._ends[row - 1]) if row else 0
        return VideoRecord(*pickle.loads(self._bytes[start : int(self._ends[row])].tobytes()))


def _fields(record: VideoRecord) -> tuple[object, ...]:
    return record.path, record.labels, record.captions, record.start, record.end, record.name
