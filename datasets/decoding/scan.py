"""Counting frames by decoding all of them, for files whose packets do not tell (and for damaged ones)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.stream import LostFrameError, VideoStream

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


def scan(video: VideoStream, *, ordered: bool) -> ScanResult:
    """Decode a freshly opened stream to its end; after an error it goes on at the next keyframe.

    ``ordered``: whether presentation times can be believed, so that frames are missed when they do not come.
    """
    result = ScanResult(np.empty(0, dtype=np.int64), [], None)
    times: list[int] = []
    held_bytes = 0
    for frame in _sound_frames(video, ordered, result):
        times.append(len(times) if frame.pts is None else frame.pts)
        held_bytes += sum(plane.buffer_size for plane in frame.planes)
        if held_bytes > HELD_BYTES:
            result.frames = None
        if result.frames is not None:
            result.frames.append(frame)
    result.times = np.array(times, dtype=np.int64)
    return result


def _sound_frames(video: VideoStream, ordered: bool, result: ScanResult) -> Iterator[Any]:
    """Frames from the beginning on, and after an error again from each keyframe after it."""
    import av

    packets, count, landed_on = video.packets(), 0, None
    while True:
        try:
            for frame in video.frames(packets, ordered=ordered, since=landed_on):
                if landed_on is not None and frame.pts is not None and frame.pts < landed_on:
                    continue
                if frame.is_corrupt:  # others may depend on it
                    raise LostFrameError("a frame is corrupt")
                count += 1
                yield frame
            return
        except (av.error.FFmpegError, LostFrameError) as error:
            result.error = result.error or f"decoding fails after {count} frames: {error}"
        video.codec.flush_buffers()
        keyframe = next((packet for packet in packets if packet.is_keyframe or packet.size == 0), None)
        if keyframe is None or keyframe.size == 0:
            return
        landed_on, packets = keyframe.pts, chain((keyframe,), packets)
