"""Frames -> H.264 in an mp4 file, encoded so that nothing of the frames' order gets into the pictures.

Every frame is an intra frame at one constant quantiser and without rate control of any kind: what a frame
decodes to depends on that frame alone. (Ordinary inter-coded files do leak order: the same frames written
forwards and backwards decode to pictures that differ.) One thread, so that files are the same on every
machine.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

INTRA_ONLY = (
    "keyint=1:min-keyint=1:scenecut=0:bframes=0:aq-mode=0:mbtree=0:rc-lookahead=0:sync-lookahead=0:threads=1"
)


def write_clip(path: Path, frames: NDArray[np.uint8], *, fps: int, quantiser: int) -> None:
    """Write uint8 frames (T, H, W, 3), RGB, H and W even, as an mp4 file; it appears whole or not at all.

    Raises:
        ValueError: frames of another type or shape, or of odd size.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames are uint8 (T, H, W, 3), got {frames.dtype} {frames.shape}")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 with 4:2:0 colours needs an even frame size, got {height} x {width}")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with av.open(str(partial), "w", format="mp4") as container:
            _encode(container, frames, fps, quantiser)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _encode(
    container: av.container.OutputContainer, frames: NDArray[np.uint8], fps: int, quantiser: int
) -> None:
    stream = container.add_stream("libx264", rate=fps)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.thread_count = 1
    stream.options = {"preset": "veryfast", "qp": str(quantiser), "x264-params": INTRA_ONLY}
    for index, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, fps)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
