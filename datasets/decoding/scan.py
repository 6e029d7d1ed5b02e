"""Counting frames by decoding all of them, for files whose packets do not tell (and for damaged ones)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.stream import VideoStream

HELD_BYTES = 128 * 2**20  # decoded frames that a scan may keep, so that they need not be decoded again


@dataclass
class ScanResult:
    """The frames of a file in the order in which they are shown.

    ``times`` are presentation times, unordered where the container has none worth the name; ``frames``
    are the decoded frames, None when they would take more than ``HELD_BYTES``; ``error`` is the first one.
    """

    times: NDArray[np.int64]
    frames: list[Any] | None
    error: str | None


def scan(video: VideoStream) -> ScanResult:
    """Decode a freshly opened stream to its end; after an error it goes on at the next keyframe."""
    result = ScanResult(np.empty(0, dtype=np.int64), [], None)
    times: list[int] = []
    held_bytes = 0
    for frame in _frames_despite_errors(video, result):
        times.append(len(times) if frame.pts is None else frame.pts)
        held_bytes += sum(plane.buffer_size for plane in frame.planes)
        if held_bytes > HELD_BYTES:
            result.frames = None
        if result.frames is not None:
            result.frames.append(frame)
    result.times = np.array(times, dtype=np.int64)
    return result


def _frames_despite_errors(video: VideoStream, result: ScanResult) -> Iterator[Any]:
    import av

    packets, count, wait_for_keyframe = video.packets(), 0, False
    while True:
        try:
            packet = next(packets)
            if wait_for_keyframe and not packet.is_keyframe and packet.size > 0:
                continue
            wait_for_keyframe = False
            frames = packet.decode()
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            result.error = result.error or f"decoding fails after {count} frames: {error}"
            wait_for_keyframe = True
            video.codec.flush_buffers()
            continue
        for frame in frames:
            if frame.is_corrupt:
                result.error = result.error or f"frame {count} is corrupt"
                continue
            count += 1
            yield frame
