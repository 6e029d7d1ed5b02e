"""PyAV backend: FFmpeg's libraries as bundled with PyAV, the reference of the other backends.

Data flow: packets -> :class:`~datasets.decoding.timeline.Timeline` (remembered) -> seek to the keyframe
before the first wanted frame -> decode, recognising frames by their presentation time -> RGB.

Exactness is checked, not assumed: where a seek lands is verified against the keyframe's time and kind, and
when a wanted frame does not come out the reader starts again from the beginning of the file. Frames on which
no other frame depends are decoded only when they are wanted (about half of a usual H.264 file are of that
kind), which changes no pixel of the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.pixels import read_orientation, rgb_pixels, turn
from datasets.decoding.reader import Frames, VideoReader, VideoReadError
from datasets.decoding.scan import ScanResult, scan
from datasets.decoding.stream import LostFrameError, VideoStream, WrongLandingError
from datasets.decoding.timeline import Timeline, read_timeline, with_scanned_times
from datasets.decoding.timeline_cache import REMEMBERED

NEAR_FRAMES = 8  # a keyframe this near ahead is reached by decoding on: seeking would not be faster


class PyAVReader(VideoReader):
    """Reads a video file with PyAV.

    A damaged file is refused, unless ``salvage`` asks for those frames of it that do decode. ``num_threads``:
    FFmpeg's threads for this video, 0 for its own choice.
    """

    backend = "pyav"

    def __init__(self, path: str, num_threads: int = 1, salvage: bool = False) -> None:
        self.path = path
        self._scan: ScanResult | None = None
        self._video: VideoStream | None = self._guard(VideoStream, path, num_threads)
        try:
            self.timeline = self._guard(self._find_timeline, salvage)
        except BaseException:
            self.close()
            raise
        self._linear = salvage or not self.timeline.is_ordered
        self.frame_count = len(self.timeline.times)
        self.fps = self.timeline.fps

    def _find_timeline(self, salvage: bool) -> Timeline:
        known = None if salvage else REMEMBERED.get(self.path)
        if known is not None:
            return known
        video = self._opened()
        timeline = read_timeline(video)
        if timeline.damage is not None and not salvage:
            raise self._error(f"the file is damaged: {timeline.damage}")
        if timeline.needs_scan or salvage:
            video.rewind()
            self._scan = scan(video, ordered=not timeline.needs_scan)
            if self._scan.error is not None and not salvage:
                raise self._error(f"the file is damaged: {self._scan.error}")
            timeline = with_scanned_times(timeline, self._scan.times, video.stream)
        if len(timeline.times) == 0:
            raise self._error("no frame of it can be decoded")
        if not salvage:
            REMEMBERED.put(self.path, timeline)
        return timeline

    @property
    def timestamps(self) -> NDArray[np.float64]:
        return self.timeline.seconds if self.timeline.is_ordered else super().timestamps

    def close(self) -> None:
        self._scan = None
        if self._video is not None:
            self._video.close()
            self._video = None

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        video = self._opened()
        if self._scan is not None and self._scan.frames is not None:
            output = _Output(len(indices), video.declared_size)
            for slot, index in enumerate(indices):
                output.put(slot, self._scan.frames[index])
            return output.finish()
        decode = self._decode_by_counting if self._linear else self._decode_by_time
        return self._guard(decode, video, indices)

    def frames_in_order(self) -> Iterator[Frames]:
        video, count = self._opened(), 0
        if self._scan is not None and self._scan.frames is not None:
            yield from (self.get_frames([index])[0] for index in range(self.frame_count))
            return
        video.rewind()
        frames = video.frames(video.packets(), ordered=not self.timeline.needs_scan)
        output = _Output(1, video.declared_size)
        while (frame := self._guard(next, frames, None)) is not None:
            if frame.is_corrupt:
                raise self._error(f"the file is damaged: frame {count} is corrupt")
            count += 1
            output.put(0, frame)
            yield output.finish()[0].copy()
        if count != self.frame_count:
            raise self._error(f"the file is damaged: {count} of {self.frame_count} frames decode")

    def _decode_by_counting(self, video: VideoStream, indices: NDArray[np.int64]) -> Frames:
        output = _Output(len(indices), video.declared_size)
        video.rewind()
        slots = {int(index): slot for slot, index in enumerate(indices)}
        for index, frame in enumerate(video.frames(video.packets(), ordered=False)):
            if index in slots:
                output.put(slots.pop(index), frame)
            if not slots:
                return output.finish()
        raise self._error(f"frame {min(slots)} of {self.frame_count} does not decode")

    def _decode_by_time(self, video: VideoStream, indices: NDArray[np.int64]) -> Frames:
        import av

        output = _Output(len(indices), video.declared_size)
        times, trusted = self.timeline.times[indices], not self.timeline.needs_scan
        for first, stop, key in self._runs(indices, times):
            slots = {int(times[slot]): slot for slot in range(first, stop)}
            with contextlib.suppress(WrongLandingError, LostFrameError, av.error.FFmpegError):
                self._collect(self._frames_from_key(video, key, slots), slots, output)
            if slots:  # a keyframe that is none, or a decoder thrown off by the skipping: the slow, sure way
                video.rewind()
                self._collect(video.frames(video.packets(), ordered=trusted), slots, output)
            if slots:
                missing = int(np.searchsorted(self.timeline.times, min(slots)))
                raise self._error(f"the file is damaged: frame {missing} does not decode")
        return output.finish()

    def _runs(self, indices: NDArray[np.int64], times: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """Wanted frames cut into runs (first slot, stop slot, keyframe), each decoded without a seek."""
        keys = np.searchsorted(self.timeline.key_times, times, side="right") - 1
        key_indices = np.searchsorted(self.timeline.times, self.timeline.key_times[keys])
        starts_run = (np.diff(keys) > 0) & (key_indices[1:] - indices[:-1] > NEAR_FRAMES)
        starts = [0, *(np.flatnonzero(starts_run) + 1).tolist()]
        for first, stop in zip(starts, [*starts[1:], len(indices)], strict=True):
            yield first, stop, int(keys[first])

    def _frames_from_key(self, video: VideoStream, key: int, wanted: dict[int, int]) -> Iterator[Any]:
        trusted = not self.timeline.needs_scan
        if key <= 0:
            video.rewind()
            yield from video.frames(video.packets(), ordered=trusted, only=wanted)
            return
        key_time = int(self.timeline.key_times[key])
        decode_time = int(self.timeline.key_decode_times[key])
        landed_on, packets = video.packets_from(key_time, decode_time)
        verified = False
        for frame in video.frames(packets, ordered=trusted, since=landed_on, only=wanted):
            # Frames shown before the keyframe may lean on frames that were not decoded: they are not used.
            if not verified and frame.pts is not None and frame.pts >= landed_on:
                if frame.pts != landed_on or not frame.key_frame:
                    raise WrongLandingError
                verified = True
            if verified:
                yield frame

    def _collect(self, frames: Iterator[Any], slots: dict[int, int], output: _Output) -> None:
        """Put the frames whose time is in ``slots`` in their places, removing them from ``slots``."""
        for frame in frames:
            if frame.is_corrupt:  # even if it is not wanted: others may depend on it
                raise LostFrameError("the file is damaged: the decoder marks a frame as corrupt")
            slot = slots.pop(frame.pts, None)
            if slot is not None:
                output.put(slot, frame)
            if not slots:
                return

    def _opened(self) -> VideoStream:
        if self._video is None:
            raise ValueError(f"the reader of {self.path!r} is closed")
        return self._video

    def _error(self, cause: str) -> VideoReadError:
        return VideoReadError(self.path, self.backend, cause)

    def _guard(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call ``function``; whatever the libraries raise about the file becomes a VideoReadError."""
        import av

        try:
            return function(*arguments)
        except (av.error.FFmpegError, OSError, ValueError, MemoryError) as error:
            raise self._error(_in_words(error)) from error


def _in_words(error: BaseException) -> str:
    """FFmpeg's own sentence without number and file name; of other errors, what they say."""
    import av

    sentence = error.strerror if isinstance(error, OSError | av.error.FFmpegError) else None
    return sentence or str(error) or type(error).__name__


class _Output:
    """Collects frames as RGB pixels; one array, turned once at the end."""

    def __init__(self, count: int, declared_size: tuple[int, int]) -> None:
        self._declared_size = declared_size
        self._pixels: Frames = np.empty((count, declared_size[1], declared_size[0], 3), dtype=np.uint8)
        self._orientation: tuple[int, bool] | None = None

    def put(self, slot: int, frame: Any) -> None:
        width, height = self._declared_size
        self._pixels[slot] = rgb_pixels(frame, width, height)
        if self._orientation is None:
            self._orientation = read_orientation(frame)

    def finish(self) -> Frames:
        return turn(self._pixels, self._orientation or (0, False))
