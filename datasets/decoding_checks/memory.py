"""Does a process grow while it reads thousands of clips?"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets.decoding import open_video

WARM_UP_CLIPS = 200
"""Clips before growth is measured: libraries load, caches fill."""


@dataclass(frozen=True)
class Growth:
    """Resident memory of a process, in bytes, over ``clips`` reads."""

    clips: int
    before: int
    after: int
    peak: int

    @property
    def megabytes(self) -> float:
        """How much it grew."""
        return (self.after - self.before) / 2**20


def measure_growth(paths: Sequence[str], decoder: str, clips: int) -> Growth:
    """Open a video, read 16 frames at random places, close it; ``clips`` times after a warm-up."""
    import psutil
    from tqdm import trange

    process = psutil.Process()
    generator = np.random.default_rng(0)
    before = peak = 0
    for number in trange(WARM_UP_CLIPS + clips, desc=f"memory {decoder}", unit="clip", disable=None):
        with open_video(paths[number % len(paths)], decoder) as reader:
            reader.get_frames(generator.integers(0, reader.frame_count, size=16))
        if number == WARM_UP_CLIPS - 1:
            gc.collect()
            before = process.memory_info().rss
        if number % 50 == 0:
            peak = max(peak, process.memory_info().rss)
    gc.collect()
    return Growth(clips, before, process.memory_info().rss, peak)
