"""decord backend: the reader that the papers used; Linux and Windows on x86 only, no longer maintained.

decord 0.6.0 ignores edit lists, believes the container's keyframe table and knows no AV1; which files it
reads rightly is decided by :class:`~datasets.decoding.checked_backend.CheckedReader` and below.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.checked_backend import OPEN_GROUPS, CheckedReader, sentence
from datasets.decoding.reader import Frames

TIME_TOLERANCE = 0.002  # seconds; decord gives single precision


def load_decord() -> Any:
    """The library. Raises ImportError or OSError where it does not work."""
    import torch  # noqa: F401  # decord loaded before torch freezes or crashes some machines

    decord = importlib.import_module("decord")
    decord.logging.set_level(decord.logging.QUIET)  # what goes wrong is raised, too
    return decord


class DecordReader(CheckedReader):
    """Reads a video file with decord; ``num_threads`` 0 leaves the number to decord."""

    backend = "decord"
    _reader: Any = None

    def _open(self) -> None:
        decord = load_decord()
        try:
            self._reader = decord.VideoReader(self.path, ctx=decord.cpu(0), num_threads=self._num_threads)
        except (decord.DECORDError, RuntimeError) as error:
            raise self._error(sentence(error)) from error

    def _objection(self) -> str | None:
        timeline = self.timeline
        if timeline.hides_frames:
            return "it shows frames that the file's edit list hides"
        if len(self._reader) != self.frame_count:
            return f"it counts {len(self._reader)} frames where there are {self.frame_count}"
        if timeline.codec == "hevc":
            return "it seeks inexactly in HEVC"
        if timeline.opens_groups:
            return OPEN_GROUPS
        if timeline.container == "asf":
            return "it seeks inexactly in this format (asf, wmv)"
        keys = np.searchsorted(timeline.times, timeline.key_times)
        if not np.array_equal(np.sort(self._reader.get_key_indices()), keys):
            return "it believes a wrong keyframe table"
        times = self._reader.get_frame_timestamp(np.arange(self.frame_count))[:, 0].astype(np.float64)
        if np.abs(times - times[0] - timeline.seconds).max() > TIME_TOLERANCE + 1e-6 * timeline.seconds[-1]:
            return "it reads other frames (another stream, or other times)"
        return None

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        decord = load_decord()
        if self._reader is None:
            raise ValueError(f"the reader of {self.path!r} is closed")
        try:
            return np.array(self._reader.get_batch(indices.tolist()).asnumpy())
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            self._open()  # after an error its position is unknown
            raise self._error(sentence(error)) from error

    def close(self) -> None:
        self._reader = None
