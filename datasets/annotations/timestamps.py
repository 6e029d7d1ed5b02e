"""Times in annotation files: seconds, or hours:minutes:seconds."""

from __future__ import annotations

import math


def parse_seconds(text: str) -> float:
    """Seconds of "12.5", "00:12.5" or "01:02:03.45".

    Raises:
        ValueError: the text is no finite, non-negative time.
    """
    seconds = 0.0
    for part in text.strip().split(":"):
        seconds = seconds * 60 + float(part)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{text!r} is no time")
    return seconds


def parse_segment(start: str, end: str) -> tuple[float | None, float | None]:
    """(start, end) in seconds of a segment; an empty text stands for the video's own beginning or end.

    Raises:
        ValueError: a text is no time, or the segment ends before it starts.
    """
    first = parse_seconds(start) if start.strip() else None
    last = parse_seconds(end) if end.strip() else None
    if last is not None and last <= (first or 0.0):
        raise ValueError(f"the segment {start!r} to {end!r} has no length")
    return first, last
