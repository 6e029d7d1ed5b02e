"""What decord and torchcodec share: a file is read by them only where their frames are known to be right.

Both count and order frames by rules of their own. Before one of them is used, the packets of the
file are read through PyAV (about 1 ms for a 10 s clip, remembered), and a file of a kind for which the
backend was measured to give other frames than a decode from beginning to end is refused with the
reason. The measurements stand in the table of ``datasets/decoding/README.md``.
"""

from __future__ import annotations

import re
from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from datasets.decoding import mp4
from datasets.decoding.pyav import PyAVReader
from datasets.decoding.reader import VideoReader, VideoReadError
from datasets.decoding.timeline import Timeline

INEXACT_CONTAINERS = frozenset({"flv", "mpeg"})
"""FFmpeg's names of formats without an index by presentation times."""

OPEN_GROUPS = "it loses frames around keyframes of open groups (stored after the keyframe, shown before it)"
REMEDY = "set DATA.DECODER to auto or pyav"


class CheckedReader(VideoReader):
    """A reader that opens only those files of which it shows the right frames.

    Subclasses open the file in ``_open``, name their objections in ``_objection`` and decode in ``_decode``.
    """

    def __init__(self, path: str, num_threads: int = 1, salvage: bool = False) -> None:
        self.path = path
        if salvage:
            raise self._error(f"it cannot pick the sound frames of a damaged file; {REMEDY}")
        self.timeline = self._read_timeline()
        self.frame_count = len(self.timeline.times)
        self.fps = self.timeline.fps
        self._num_threads = num_threads
        self._open()
        objection = self._common_objection() or self._objection()
        if objection is not None:
            self.close()
            raise self._error(f"{objection}; {REMEDY}")

    @abstractmethod
    def _open(self) -> None:
        """Open the file; raises VideoReadError."""

    @abstractmethod
    def _objection(self) -> str | None:
        """Why this backend would show other frames of the open file than ``timeline`` says, or None."""

    @property
    def timestamps(self) -> NDArray[np.float64]:
        return self.timeline.seconds

    def _common_objection(self) -> str | None:
        if not self.timeline.is_ordered:
            return f"it misorders frames where there are no presentation times ({self.timeline.container})"
        if self.timeline.container == "mpegts":
            return "it seeks inexactly in transport streams"
        if self.timeline.container in INEXACT_CONTAINERS:
            return f"it seeks inexactly in this format ({self.timeline.container})"
        if self.timeline.container == "avi" and self.timeline.keys_are_decoded_early:
            return "it misplaces frames where times are guesses (avi)"
        return self._objection_to_mp4() if mp4.FORMAT in self.timeline.container.split(",") else None

    def _objection_to_mp4(self) -> str | None:
        layout, index = mp4.read_layout(self.path), self.timeline.stream_index
        if layout.fragmented:
            return "it seeks inexactly in fragmented files"
        has_edit_list = index < len(layout.edit_lists) and layout.edit_lists[index]
        if self.timeline.keys_are_decoded_early and not has_edit_list:
            return "it seeks inexactly where frames are reordered and no edit list says so"
        return None

    def _read_timeline(self) -> Timeline:
        try:
            with PyAVReader(self.path) as reader:
                return reader.timeline
        except VideoReadError as error:
            raise self._error(error.cause) from error

    def _error(self, cause: str) -> VideoReadError:
        return VideoReadError(self.path, self.backend, cause)


_NOISE = (
    r"\[[\d:]+\] \S+?:\d+:\s*",  # decord: time, source file, line
    r"^\[\S+\]\s*",
    r"^\w+, \S+:\d+, ",  # torchcodec: function, source file, line
    r"^Check failed: .*? vs\. \d+\)\s*",
    r"^ERROR\s*",
)


def sentence(error: Exception) -> str:
    """The message of a native decoder without its source files, line numbers, times and stack trace."""
    first_line = (str(error).strip() or type(error).__name__).split("\n", 1)[0]
    for noise in _NOISE:
        first_line = re.sub(noise, "", first_line)
    return first_line[:300]
