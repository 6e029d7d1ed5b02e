"""How long it takes to open a video and take 16 frames out of it, by backend."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.decoding import VideoReadError, open_video
from datasets.decoding.timeline_cache import REMEMBERED

FRAMES = 16


@dataclass(frozen=True)
class Timing:
    """Milliseconds of processor time per video, the best of several repetitions; None: refused."""

    path: str
    backend: str
    spread: float | None
    """16 frames spread over the video, as segment-based sampling takes them."""
    dense: float | None
    """Every fourth of 64 frames from a third of the video on, as interval-based sampling takes them."""


def time_backends(paths: Sequence[str], backends: Sequence[str], repetitions: int = 5) -> list[Timing]:
    """Time every backend on every file, one thread each; they take turns: a busy machine hits them alike."""
    import torch

    torch.set_num_threads(1)  # as in a loader's worker
    timings = []
    for path in paths:
        best: dict[tuple[str, str], float] = {}
        for _ in range(repetitions):
            for backend in backends:
                for pattern in ("spread", "dense"):
                    seconds = _time_once(path, backend, pattern)
                    if seconds is not None:
                        best[backend, pattern] = min(seconds, best.get((backend, pattern), np.inf))
        for backend in backends:
            spread, dense = best.get((backend, "spread")), best.get((backend, "dense"))
            timings.append(Timing(path, backend, spread and spread * 1000, dense and dense * 1000))
    return timings


def _time_once(path: str, backend: str, pattern: str) -> float | None:
    REMEMBERED.clear()
    start = time.process_time()
    try:
        with open_video(path, backend) as reader:
            reader.get_frames(_indices(pattern, reader.frame_count))
    except VideoReadError:
        return None
    return time.process_time() - start


def _indices(pattern: str, frame_count: int) -> NDArray[np.int64]:
    if pattern == "spread":
        return ((np.arange(FRAMES) + 0.5) * frame_count / FRAMES).astype(np.int64)
    return np.minimum(frame_count // 3 + 4 * np.arange(FRAMES), frame_count - 1)
