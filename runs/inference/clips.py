"""From a video file to the clips that a model is shown, the same way as in its test.

path ──open──► reader ──indices of V views (of the whole video, or of each window)──► ONE decode each
    ──resize, crop──► uint8 (V,3,T,H,W)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datasets.decoding import VideoReader, VideoReadError, open_video
from runs.build_data import build_evaluation_transform, build_sampling
from runs.config import RunConfig
from runs.inference.windows import Window, split_into_windows
from runs.video_source import working_decoder

READ_FAILURES = (VideoReadError, OSError)
"""What reading a video may end in: its defects, and a disk that fails."""


@dataclass(frozen=True)
class ClipSettings:
    """What is taken of a video. views × crops clips are shown, and their scores averaged.

    Raises ConfigError for a decoder that does not work here.
    """

    config: RunConfig
    views: int = 1
    """Temporal views, spread over the video as in the test."""
    crops: int = 1
    """1: the centre; 3: both ends of the longer side, too."""

    def __post_init__(self) -> None:
        working_decoder(self.config)

    def open(self, path: str | Path) -> VideoReader:
        """Opens a video; the caller closes it. Raises VideoReadError."""
        data, threads = self.config.data, self.config.data_loader.decoder_threads
        return open_video(str(path), data.decoder, num_threads=threads, salvage=data.salvage_damaged)

    def read(self, reader: VideoReader, start: float | None = None, end: float | None = None) -> Tensor:
        """Clips uint8 (V,3,T,H,W) of the part between `start` and `end` seconds. Raises VideoReadError."""
        first, stop = reader.frame_range(start, end)
        clips = build_sampling(self.config).test_clips(stop - first, reader.fps, self.views)
        wanted, positions = np.unique(first + clips, return_inverse=True)
        frames = torch.from_numpy(reader.get_frames(wanted))
        transform = build_evaluation_transform(self.config, self.crops)
        shown = transform(frames, positions.reshape(clips.shape)).clips  # (V,T,H,W,3)
        return shown.permute(0, 4, 1, 2, 3)

    def read_windows(
        self, reader: VideoReader, window: float, stride: float | None = None
    ) -> Iterator[tuple[Window, Tensor]]:
        """The windows of a video one after the other, each with its clips (V,3,T,H,W)."""
        for part in split_into_windows(duration(reader), window, stride):
            yield part, self.read(reader, part.start, part.end)


def duration(reader: VideoReader) -> float:
    """Seconds from the first frame to the end of the last."""
    return float(reader.timestamps[-1]) + 1.0 / reader.fps
