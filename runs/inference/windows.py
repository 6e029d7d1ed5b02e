"""Long videos as a timeline of windows: pure arithmetic on seconds and frames."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """A part of a video, in seconds."""

    start: float
    end: float


def split_into_windows(seconds: float, window: float, stride: float | None = None) -> list[Window]:
    """Windows of `window` seconds every `stride` (default: as long as the window) that cover the video.

    The last window ends where the video ends and is as long as the others (it overlaps the one before); a
    video shorter than a window is one window. Raises ValueError for lengths that are not positive, and for a
    stride longer than the window, which would skip parts of the video.
    """
    step = window if stride is None else stride
    if not (seconds > 0 and window > 0 and step > 0):
        raise ValueError(f"window {window} s and stride {step} s must be positive (video: {seconds} s)")
    if step > window:
        raise ValueError(f"a stride of {step} s with windows of {window} s would skip parts of the video")
    if seconds <= window:
        return [Window(0.0, seconds)]
    count = 1 + int((seconds - window) / step + 1e-9)
    windows = [Window(index * step, index * step + window) for index in range(count)]
    if windows[-1].end < seconds - 1e-6:
        windows.append(Window(seconds - window, seconds))
    return windows
