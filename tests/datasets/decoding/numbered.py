"""Real video files in which every frame shows its own number as black and white blocks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from datasets.decoding.reader import Frames

BITS = 8
BLOCK = 8  # pixels
HEIGHT, WIDTH = 2 * BLOCK, BITS * BLOCK


def numbered_frame(number: int) -> Frames:
    """RGB (16,64,3): the bits of ``number`` in the upper row of blocks, the lowest bit left; below, red."""
    frame = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            frame[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255
    frame[BLOCK:, :, 0] = 200
    return frame


def numbers_in(frames: Frames) -> list[int]:
    """The number in each of the frames (n,16,64,3)."""
    half = BLOCK // 2
    bits = frames[:, half, half::BLOCK, :].mean(axis=-1) > 127
    return [int(sum(1 << bit for bit in range(BITS) if row[bit])) for row in bits]


def write_numbered_video(
    path: Path,
    count: int,
    codec: str = "libx264",
    *,
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    fps: int = 25,
    prepare: Any = None,
    faststart: bool = False,
    muxing: dict[str, str] | None = None,
) -> None:
    """A video file of ``count`` numbered frames, its format given by the suffix.

    ``times``: presentation times in 1/1000 s instead of the constant rate. ``prepare``: called with the
    stream before anything is written. ``faststart``: the index of an mp4 before its data. ``muxing``: other
    options of the container's format.
    """
    settings = ({"movflags": "faststart"} if faststart else {}) | (muxing or {})
    with av.open(str(path), "w", options=settings) as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        base = Fraction(1, fps) if times is None else Fraction(1, 1000)
        stream.codec_context.time_base = base
        if prepare is not None:
            prepare(stream)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number), format="rgb24")
            frame.pts = number if times is None else times[number]
            frame.time_base = base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
