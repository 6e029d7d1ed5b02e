"""torchcodec backend (an extra): needs FFmpeg's shared libraries on the system.

Exact seeking only. Every frame is recognised by the time that torchcodec reports with it, because
after an error inside the stream it goes on with the next frame that it finds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.checked_backend import OPEN_GROUPS, CheckedReader, sentence
from datasets.decoding.reader import Frames

TIME_TOLERANCE = 1e-4  # seconds


class TorchCodecReader(CheckedReader):
    """Reads a video file with torchcodec; ``num_threads`` 0 leaves the number to FFmpeg."""

    backend = "torchcodec"
    _decoder: Any = None

    def _open(self) -> None:
        from torchcodec.decoders import VideoDecoder

        try:
            self._decoder = VideoDecoder(
                self.path,
                stream_index=self.timeline.stream_index,
                dimension_order="NHWC",
                num_ffmpeg_threads=self._num_threads,
                seek_mode="exact",
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise self._error(sentence(error)) from error

    def _objection(self) -> str | None:
        # Of HEVC, MPEG-2 and MPEG-4 it shows such groups rightly.
        if self.timeline.opens_groups and self.timeline.codec == "h264":
            return OPEN_GROUPS
        if len(self._decoder) != self.frame_count:
            return f"it counts {len(self._decoder)} frames where there are {self.frame_count}"
        return None

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        if self._decoder is None:
            raise ValueError(f"the reader of {self.path!r} is closed")
        try:
            batch = self._decoder.get_frames_at(indices.tolist())
        except (RuntimeError, ValueError, IndexError) as error:
            self._open()  # after an error the decoder would go on with the next frame that it finds
            raise self._error(sentence(error)) from error
        expected = self.timeline.times[indices] * float(self.timeline.time_base)
        if np.abs(batch.pts_seconds.numpy() - expected).max() > TIME_TOLERANCE:
            self._open()
            raise self._error("the file is damaged: torchcodec gives a frame of another time than asked for")
        return batch.data.numpy()

    def close(self) -> None:
        self._decoder = None
