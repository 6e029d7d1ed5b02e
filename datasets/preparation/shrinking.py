"""A smaller copy of a video that is fast to read at random.

Short side 256, a keyframe every few frames and a constant frame rate: a clip out of the middle then
decodes little more than itself. Seconds mean the same in the copy: its frame k shows what the original
shows at k / fps. There is no sound in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from datasets.decoding import VideoReader, open_video
from datasets.decoding.reader import Frames
from utils.atomic import replacing


@dataclass(frozen=True)
class ShrinkSettings:
    """How copies are made."""

    short_side: int = 256
    """Pixels of the shorter side; smaller videos keep their size."""
    keyframe_interval: int = 12
    """Frames from one keyframe to the next."""
    quality: int = 20
    """x264's constant rate factor: lower is better and larger."""
    fps: float | None = None
    """Frames per second; None: the original's average."""
    preset: str = "fast"
    """x264's preset: slower ones make smaller files."""


@dataclass(frozen=True)
class ShrinkTask:
    """One video to copy."""

    source: str
    target: str
    settings: ShrinkSettings
    decoder: str = "auto"


def shrink_video(task: ShrinkTask) -> int:
    """Write the copy (H.264 in mp4), or nothing; returns its number of frames. Raises VideoReadError."""
    with open_video(task.source, task.decoder) as reader, replacing(task.target) as unfinished:
        return _encode(reader, unfinished, task.settings)


def _encode(reader: VideoReader, target: str, settings: ShrinkSettings) -> int:
    import av

    rate = Fraction(settings.fps or reader.fps).limit_denominator(1001)
    count = 0
    with av.open(target, "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream: Any = None
        for frame in frames_at_rate(reader, rate):
            if stream is None:
                stream = _add_stream(container, rate, frame, settings)
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                stream.width, stream.height, "yuv420p", interpolation="BICUBIC"
            )
            picture.pts, picture.time_base = count, 1 / rate
            container.mux(stream.encode(picture))
            count += 1
        container.mux(stream.encode(None))
    return count


def _add_stream(container: Any, rate: Fraction, frame: Frames, settings: ShrinkSettings) -> Any:
    options = {"crf": str(settings.quality), "preset": settings.preset}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.width, stream.height = shrunken_size(frame.shape[1], frame.shape[0], settings.short_side)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = 1 / rate
    stream.codec_context.gop_size = settings.keyframe_interval
    return stream


def shrunken_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Width and height, even, with the shorter side of at most ``short_side`` pixels."""
    scale = min(1.0, short_side / min(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def frames_at_rate(reader: VideoReader, rate: Fraction) -> Iterator[Frames]:
    """Frame k is what the video shows at k / rate seconds, to its end."""
    times = reader.timestamps
    length = float(times[-1]) + 1 / reader.fps
    count = max(1, round(length * rate))
    # A little later, so that rounded times in the file neither repeat nor drop frames.
    margin = 0.25 * min(1 / float(rate), 1 / reader.fps)
    shown = np.searchsorted(times, np.arange(count) / float(rate) + margin, side="right") - 1
    repeats = np.bincount(np.maximum(shown, 0), minlength=len(times))
    for frame, repeat in zip(reader.frames_in_order(), repeats, strict=True):
        for _ in range(repeat):
            yield frame
