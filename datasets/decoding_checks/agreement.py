"""Do the backends show the frames that a plain decode from beginning to end shows?

    file ──PyAV, sequentially──► reference frames ─┐
         └─backend, at random──► frames ───────────┴──► Finding: the same, other colours, wrong, refused

The reference is written without the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding import VideoReader, VideoReadError, open_video

SAMPLED_FRAMES = 24
COLOUR_TOLERANCE = 6.0
"""Mean difference (of 255) up to which a frame can be the right one in another library's colours."""


@dataclass(frozen=True)
class Reference:
    """What a plain decode of a file shows."""

    frame_count: int
    error: str | None
    frames: dict[int, NDArray[np.uint8]]
    """Sampled frames and their neighbours, by number."""


@dataclass(frozen=True)
class Finding:
    """How one backend reads one file."""

    backend: str
    frame_count: int | None = None
    """None when the file is refused."""
    missing: int = 0
    """Frames that there are and the backend does not have."""
    exact: int = 0
    other_colours: int = 0
    largest_difference: int = 0
    """Of a pixel in frames with other colours."""
    wrong: int = 0
    errors: int = 0
    """Sampled frames for which the backend raised VideoReadError."""
    refusal: str | None = None
    """Why the file was not opened, or why frames were not given."""

    @property
    def verdict(self) -> str:
        """One of: right, right (colours), refused, partly refused, WRONG."""
        if self.wrong or self.missing:
            return "WRONG"
        if self.refusal is not None:
            return "refused" if self.frame_count is None else "partly refused"
        return "right (colours)" if self.other_colours else "right"


def sample(frame_count: int) -> NDArray[np.int64]:
    """Distinct frame numbers in random order."""
    return np.random.default_rng(0).permutation(frame_count)[:SAMPLED_FRAMES]


def read_reference(path: str) -> Reference:
    """Decode a file twice from beginning to end: once to count, once to keep the sampled frames."""
    count, error = 0, None
    try:
        for _ in _plain_frames(path):
            count += 1
    except Exception as raised:  # noqa: BLE001  # whatever it is, it is part of the finding
        error = f"{type(raised).__name__}: {raised}"
    wanted = {number + shift for number in sample(count).tolist() for shift in (-1, 0, 1)}
    frames: dict[int, NDArray[np.uint8]] = {}
    if count:
        for number, frame in zip(range(count), _plain_frames(path), strict=False):
            if number in wanted:
                pixels = frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
                frames[number] = np.rot90(pixels, frame.rotation // 90 % 4)
    return Reference(count, error, frames)


def _plain_frames(path: str) -> Iterator[Any]:
    import av

    with av.open(path, metadata_errors="replace") as container:
        stream = container.streams.best("video")
        if stream is None:
            raise ValueError("no video stream")
        stream.codec_context.thread_count = 1
        yield from container.decode(stream)


def examine(path: str, backend: str, reference: Reference) -> Finding:
    """Read sampled frames of a file at random with a backend and compare them.

    The file is opened three times, because what is remembered of it may change how it is read.
    """
    findings = [_examine_once(path, backend, reference, seed) for seed in range(3)]
    return next((finding for finding in findings if finding.verdict == "WRONG"), findings[-1])


def _examine_once(path: str, backend: str, reference: Reference, seed: int) -> Finding:
    try:
        reader = open_video(path, backend)
    except VideoReadError as error:
        return Finding(backend, refusal=error.cause)
    tally = {"exact": 0, "other_colours": 0, "wrong": 0, "errors": 0, "largest_difference": 0}
    refusal: str | None = None
    with reader:
        numbers = _numbers_to_try(reader.frame_count, reference.frame_count)
        np.random.default_rng(seed).shuffle(numbers)
        for group in np.array_split(numbers, max(1, len(numbers) // 3)):
            for number, frame in _read_together_or_singly(reader, group.tolist()):
                if isinstance(frame, VideoReadError):
                    tally["errors"] += 1
                    refusal = refusal or frame.cause
                    continue
                kind, difference = _compare(number, frame, reference)
                tally[kind] += 1
                tally["largest_difference"] = max(tally["largest_difference"], difference)
        missing = max(0, reference.frame_count - reader.frame_count)
        return Finding(backend, reader.frame_count, missing, refusal=refusal, **tally)


def _read_together_or_singly(
    reader: VideoReader, numbers: list[int]
) -> Iterator[tuple[int, NDArray[np.uint8] | VideoReadError]]:
    """Each frame, or the error that reading it raises; singly only where reading them together fails."""
    try:
        yield from zip(numbers, reader.get_frames(numbers), strict=True)
        return
    except VideoReadError:
        pass
    for number in numbers:
        try:
            yield number, reader.get_frames([number])[0]
        except VideoReadError as error:
            yield number, error


def _numbers_to_try(frame_count: int, reference_count: int) -> NDArray[np.int64]:
    """The sampled frames, and some of those that the backend has beyond what there is."""
    known = sample(reference_count)
    beyond = reference_count + sample(max(0, frame_count - reference_count))[:8]
    return np.concatenate([known[known < frame_count], beyond])


def _compare(number: int, frame: NDArray[np.uint8], reference: Reference) -> tuple[str, int]:
    """Whether it is the right frame, and the largest difference of a pixel when only the colours differ."""
    expected = reference.frames.get(number) if number < reference.frame_count else None
    if expected is None or expected.shape != frame.shape:
        return "wrong", 0
    difference = np.abs(frame.astype(np.int16) - expected)
    if not difference.any():
        return "exact", 0
    distance = float(difference.mean())
    neighbours = (reference.frames.get(number + shift) for shift in (-1, 1))
    nearer = any(
        other is not None and np.abs(frame.astype(np.int16) - other).mean() < distance for other in neighbours
    )
    if nearer or distance > COLOUR_TOLERANCE:
        return "wrong", 0
    return "other_colours", int(difference.max())
