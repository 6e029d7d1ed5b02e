"""Which frames of a video make up a clip: pure functions from (frame count, frame rate, view or generator)
to indices.

    segment_based   one frame from each of T equal parts of the video
    interval_based  T frames evenly spread over a span of fixed duration
    segment_offset  one frame from each of T parts of the N - 1 steps between frames: the text–video recipes

A `generator` asks for a training draw, a `view` k of V for the k-th of V deterministic test clips. Every
function returns int64 indices (T,), never decreasing, within [0, frame_count - 1]; a video shorter than the
clip repeats frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.randomness import Purpose, keyed_generator

Indices = NDArray[np.int64]
SamplingMode = Literal["segment_based", "interval_based", "segment_offset"]

# Far below a frame, far above the rounding error of positions in videos of any length.
_ROUNDING_ERROR = 1e-6


def sample_generator(seed: int, epoch: int, index: int, repeat: int = 0) -> torch.Generator:
    """The generator of everything random about clip `repeat` of video `index` in `epoch`.

    A sample is a function of these four numbers alone, whichever worker or process makes it.
    """
    return keyed_generator(Purpose.SAMPLE, seed, epoch, index, repeat)


def segment_based(
    frame_count: int,
    num_frames: int,
    *,
    view: int | None = None,
    num_views: int = 1,
    generator: torch.Generator | None = None,
) -> Indices:
    """One frame from each of `num_frames` equal parts of the video, (T,) int64.

    Training draws a position in each part. Testing takes, for view k of V, the position at (k+1)/V of each
    part (the middle when V = 1). Positions are rounded (half to even), then clamped to the last frame.

    Raises:
        ValueError: no frames, or a view outside 0 .. num_views - 1, or both a view and a generator.
    """
    view = _checked_view(frame_count, num_frames, view, num_views, generator)
    parts = np.arange(num_frames)
    if generator is not None:
        offsets = torch.rand(num_frames, dtype=torch.float64, generator=generator).numpy()
        positions = (parts + offsets) * frame_count / num_frames
    else:
        # The fraction as a ratio of integers: positions half-way between two frames are then met exactly.
        numerator, denominator = (1, 2) if num_views == 1 else (view + 1, num_views)
        positions = frame_count * (parts * denominator + numerator) / (denominator * num_frames)
    return np.minimum(np.rint(positions).astype(np.int64), frame_count - 1)


def interval_based(
    frame_count: int,
    num_frames: int,
    sampling_rate: float,
    fps: float,
    target_fps: float | None,
    *,
    minus_interval: bool = False,
    view: int | None = None,
    num_views: int = 1,
    generator: torch.Generator | None = None,
) -> Indices:
    """`num_frames` frames evenly over a span of num_frames · sampling_rate frames at `target_fps`, (T,)
    int64.

    The span is len = T · sampling_rate · fps / target_fps frames of this video, without a `target_fps`
    T · sampling_rate of them whatever its rate. It starts uniformly in [0, count - len] in training, and at
    k/V of that range for view k of V (its middle when V = 1). Indices go evenly from start to
    start + len - 1, or to start + len - sampling_rate with `minus_interval` (exactly sampling_rate apart
    where len was not scaled); they are clamped to the video, then truncated.

    Raises:
        ValueError: as `segment_based`, or a rate that is not positive.
    """
    view = _checked_view(frame_count, num_frames, view, num_views, generator)
    rates = {"sampling_rate": sampling_rate}
    if target_fps is not None:
        rates |= {"fps": fps, "target_fps": target_fps}
    for name, rate in rates.items():
        if not (rate > 0 and math.isfinite(rate)):
            raise ValueError(f"{name} is {rate}: interval-based sampling needs a positive number")
    span = num_frames * sampling_rate
    if target_fps is not None:
        span = span * fps / target_fps
    free = max(frame_count - span, 0.0)
    if generator is not None:
        start = free * float(torch.rand((), dtype=torch.float64, generator=generator))
    else:
        start = free / 2 if num_views == 1 else free * view / num_views
    length = max(span - (sampling_rate if minus_interval else 1), 0.0)
    # The product before the division: positions that are whole numbers then come out as whole numbers.
    positions = start + np.arange(num_frames) * length / max(num_frames - 1, 1)
    positions = np.clip(positions + _ROUNDING_ERROR, 0, frame_count - 1)
    return np.floor(positions).astype(np.int64)


def segment_offset(
    frame_count: int,
    num_frames: int,
    *,
    view: int | None = None,
    num_views: int = 1,
    generator: torch.Generator | None = None,
) -> Indices:
    """One frame from each of `num_frames` parts of length seg = (count - 1)/T, (T,) int64 (STAN's recipes).

    Testing takes round(seg·i) + ⌊seg/2⌋ (with V views, ⌊seg·(k+1)/(V+1)⌋ for view k); training draws an
    index from round(seg·i) to round(seg·(i+1)).

    Raises:
        ValueError: as `segment_based`.
    """
    view = _checked_view(frame_count, num_frames, view, num_views, generator)
    edges = np.rint(np.arange(num_frames + 1) * (frame_count - 1) / num_frames).astype(np.int64)
    if generator is None:
        offset = (frame_count - 1) * (view + 1) // (num_frames * (num_views + 1))
        return np.minimum(edges[:-1] + offset, frame_count - 1)
    fractions = torch.rand(num_frames, dtype=torch.float64, generator=generator).numpy()
    choices = np.diff(edges) + 1
    return edges[:-1] + np.floor(fractions * choices).astype(np.int64)


@dataclass(frozen=True)
class ClipSampling:
    """A sampling mode with its settings (DATA.SAMPLING_MODE, NUM_INPUT_FRAMES, SAMPLING_RATE, …)."""

    num_frames: int
    mode: SamplingMode = "segment_based"
    sampling_rate: float = 8
    target_fps: float | None = 30.0
    minus_interval: bool = False

    def training_clips(self, frame_count: int, fps: float, generators: Sequence[torch.Generator]) -> Indices:
        """One random clip per generator: indices (clips, T)."""
        return np.stack([self._clip(frame_count, fps, None, 1, generator) for generator in generators])

    def test_clips(self, frame_count: int, fps: float, num_views: int) -> Indices:
        """The deterministic clips of a test video, spread over it: indices (num_views, T)."""
        return np.stack([self._clip(frame_count, fps, view, num_views, None) for view in range(num_views)])

    def _clip(
        self,
        frame_count: int,
        fps: float,
        view: int | None,
        num_views: int,
        generator: torch.Generator | None,
    ) -> Indices:
        if self.mode == "interval_based":
            return interval_based(
                frame_count,
                self.num_frames,
                self.sampling_rate,
                fps,
                self.target_fps,
                minus_interval=self.minus_interval,
                view=view,
                num_views=num_views,
                generator=generator,
            )
        take = {"segment_based": segment_based, "segment_offset": segment_offset}[self.mode]
        return take(frame_count, self.num_frames, view=view, num_views=num_views, generator=generator)


def _checked_view(
    frame_count: int, num_frames: int, view: int | None, num_views: int, generator: torch.Generator | None
) -> int:
    """The view to take (0 when none is named), after checks that all modes share."""
    if frame_count < 1 or num_frames < 1:
        raise ValueError(
            f"cannot take {num_frames} frames from a video of {frame_count}: both must be positive"
        )
    if generator is not None and view is not None:
        raise ValueError(
            "a view is a deterministic test clip, a generator asks for a training draw: give one of them"
        )
    view = view or 0
    if not 0 <= view < num_views:
        raise ValueError(f"view {view} does not exist: there are {num_views}, numbered from 0")
    return view
