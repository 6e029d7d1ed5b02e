"""Timelines of files read before in this process: a long video's packets are read once, not once a clip.

Times at a constant rate are kept as three numbers, others as differences, so an hour takes about 12 kB (its
keyframes) or 0.4 MB.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.timeline import Timeline

MAX_BYTES = 64 * 2**20
ENTRY_BYTES = 1000  # of a timeline without its arrays


@dataclass(frozen=True)
class _Steps:
    """Times as the first of them and the steps between them; one step for all where they are alike."""

    first: int
    steps: NDArray[np.int64] | NDArray[np.int32]
    count: int

    @classmethod
    def of(cls, times: NDArray[np.int64]) -> _Steps:
        steps = np.diff(times)
        if len(steps) and (steps == steps[0]).all():
            steps = steps[:1]
        fits = len(steps) == 0 or np.abs(steps).max() < 2**31
        return cls(int(times[0]), steps.astype(np.int32) if fits else steps, len(times))

    def times(self) -> NDArray[np.int64]:
        steps = np.broadcast_to(self.steps, self.count - 1) if len(self.steps) == 1 else self.steps
        return np.concatenate([[self.first], self.first + np.cumsum(steps, dtype=np.int64)])


@dataclass(frozen=True)
class _Entry:
    timeline: Timeline  # with no times in it
    steps: _Steps

    @property
    def bytes(self) -> int:
        keys = self.timeline.key_times.nbytes + self.timeline.key_decode_times.nbytes
        return ENTRY_BYTES + self.steps.steps.nbytes + keys


class TimelineCache:
    """Timelines by file, the ones used longest ago forgotten first; a file that has changed is read again."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[tuple[str, int, int], _Entry] = OrderedDict()
        self._bytes = 0

    @staticmethod
    def _key(path: str) -> tuple[str, int, int] | None:
        try:
            status = os.stat(path)
        except OSError:
            return None
        return os.path.abspath(path), status.st_size, status.st_mtime_ns

    def get(self, path: str) -> Timeline | None:
        """The remembered timeline of this very file, or None."""
        key = self._key(path)
        if key is None or key not in self._entries:
            return None
        self._entries.move_to_end(key)
        entry = self._entries[key]
        return replace(entry.timeline, times=entry.steps.times())

    def put(self, path: str, timeline: Timeline) -> None:
        """Remember a timeline of at least one frame."""
        key = self._key(path)
        if key is None or key in self._entries:
            return
        empty = np.empty(0, dtype=np.int64)
        entry = _Entry(replace(timeline, times=empty), _Steps.of(timeline.times))
        self._entries[key] = entry
        self._bytes += entry.bytes
        while self._bytes > self.max_bytes and len(self._entries) > 1:
            _, forgotten = self._entries.popitem(last=False)
            self._bytes -= forgotten.bytes

    def clear(self) -> None:
        """Forget all of them."""
        self._entries.clear()
        self._bytes = 0


REMEMBERED = TimelineCache()
"""Of this process."""
