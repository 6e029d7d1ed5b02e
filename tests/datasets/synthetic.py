"""Videos for tests: real small files whose frames tell their number, and readers that misbehave on demand."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.reader import Frames, VideoReader, VideoReadError
from datasets.moving_shapes.encoding import write_clip

LEVEL_STEP = 6
"""Difference in brightness between two consecutive frames of a counting video."""


def counting_frames(frame_count: int, height: int = 48, width: int = 64) -> Frames:
    """Frames (n,H,W,3) of brightness 10, 16, 22, … (left half) and as much less 8 (right half)."""
    levels = 10 + LEVEL_STEP * np.arange(frame_count)
    frames = np.broadcast_to(levels[:, None, None, None], (frame_count, height, width, 3)).copy()
    frames[:, :, width // 2 :] -= 8
    return frames.astype(np.uint8)


def write_counting_video(
    path: Path, frame_count: int, *, fps: int = 10, height: int = 48, width: int = 64
) -> None:
    """A real mp4 file with up to 40 counting frames."""
    write_clip(path, counting_frames(frame_count, height, width), fps=fps, quantiser=4)


def frame_numbers(clip: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The numbers of counting frames (…,T,H,W,3), read from their left edge (unmirrored clips)."""
    return np.rint((clip[..., 0, 0, 0].astype(np.float64) - 10) / LEVEL_STEP).astype(np.int64)


class FakeReader(VideoReader):
    """A reader without a file: 30 counting frames of 8 x 10 pixels, or what the path asks for.

    A path that contains "broken" cannot be opened, "hang" never returns, "die" kills its process.
    """

    backend = "fake"

    def __init__(self, path: str) -> None:
        name = os.path.basename(path)
        if "broken" in name:
            raise VideoReadError(path, self.backend, "no moov atom")
        if "hang" in name:
            time.sleep(3600)
        if "die" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        self.path = path
        self.frame_count = 30
        self.fps = 10.0

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        return counting_frames(self.frame_count, 8, 10)[indices]

    def close(self) -> None:
        """Nothing is open."""
