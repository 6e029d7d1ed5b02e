"""Checking one video to its last frame."""

from __future__ import annotations

import os
from dataclasses import dataclass

from datasets.decoding import open_video


@dataclass(frozen=True)
class CheckTask:
    """A video to check: ``path`` below ``root``, with the decoder of DATA.DECODER."""

    root: str
    path: str
    decoder: str = "auto"


@dataclass(frozen=True)
class VideoFacts:
    """What is known of a sound video."""

    frame_count: int
    fps: float
    height: int
    width: int

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.frame_count / self.fps


def check_video(task: CheckTask) -> VideoFacts:
    """Decode every frame of a video. Raises VideoReadError when one of them does not decode."""
    with open_video(os.path.join(task.root, task.path), task.decoder) as reader:
        size = (0, 0)
        for frame in reader.frames_in_order():
            size = (frame.shape[0], frame.shape[1])
        return VideoFacts(reader.frame_count, reader.fps, *size)
