"""What every video backend offers: the :class:`VideoReader` interface and the one error type.

Data flow: ``open_video(path) -> VideoReader -> get_frames(indices) -> uint8 (n, H, W, 3)``.

A *frame index* counts the frames that a player would show, in the order of showing, from 0. It is the same
for all backends: frames that an edit list hides, frames before the first one that can be decoded and packets
that hold no picture are not counted. Pixels are RGB, as stored (sample aspect ratio is not applied), turned
the way the file's display matrix says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Reader = TypeVar("Reader", bound="VideoReader")


class VideoReadError(RuntimeError):
    """A video that cannot be read, whatever the backend and whatever it raised.

    Attributes: ``path`` of the video, ``backend`` that tried, ``cause`` in words.
    """

    def __init__(self, path: str, backend: str, cause: str) -> None:
        super().__init__(path, backend, cause)
        self.path = path
        self.backend = backend
        self.cause = cause

    def __str__(self) -> str:
        return f"cannot read video {self.path!r} with {self.backend}: {self.cause}"


class VideoReader(ABC):
    """Random access to the frames of one open video; close it, or use it as a context manager.

    Subclasses set ``path``, ``frame_count`` and ``fps`` (frames per second, an average where the rate varies)
    and implement ``_decode``; they may override ``timestamps`` where the rate varies.
    """

    backend: str = ""
    path: str
    frame_count: int
    fps: float
    _size: tuple[int, int] | None = None

    @abstractmethod
    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        """Frames (n,H,W,3) at strictly increasing ``indices`` that are known to exist."""

    @abstractmethod
    def close(self) -> None:
        """Release the file and the decoder; calling it twice is harmless."""

    def get_frames(self, indices: Sequence[int] | NDArray[np.integer]) -> Frames:
        """RGB frames, uint8 (n,H,W,3), in the order asked for; indices may repeat.

        Raises IndexError for an index outside [0, frame_count) and VideoReadError when decoding fails.
        """
        wanted = np.asarray(indices, dtype=np.int64).reshape(-1)
        if wanted.size == 0:
            raise ValueError("get_frames needs at least one index")
        if wanted.min() < 0 or wanted.max() >= self.frame_count:
            raise IndexError(
                f"frame indices {wanted.min()}..{wanted.max()} asked of {self.path!r}, "
                f"which has the frames 0..{self.frame_count - 1}"
            )
        distinct, position = np.unique(wanted, return_inverse=True)
        frames = self._decode(distinct)
        self._size = (frames.shape[1], frames.shape[2])
        return frames if np.array_equal(distinct, wanted) else frames[position]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames as given out (after rotation); decodes one frame if none was yet."""
        if self._size is None:
            self.get_frames([0])
        assert self._size is not None
        return self._size

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """Seconds at which each frame appears, counted from the first frame (n,)."""
        return np.arange(self.frame_count) / self.fps

    def frames_in_order(self) -> Iterator[Frames]:
        """All frames (H,W,3), one after the other: the way to go through a whole video."""
        for index in range(self.frame_count):
            yield self.get_frames([index])[0]

    def frame_range(self, start: float | None, end: float | None) -> tuple[int, int]:
        """Indices ``[first, stop)`` of the frames on screen between ``start`` and ``end`` seconds.

        None stands for the beginning or the end of the video. There is always at least one frame. Raises
        VideoReadError when the segment lies after the last frame, or is empty.
        """
        first, stop = 0, self.frame_count
        if start is None and end is None:
            return first, stop
        times = self.timestamps
        tolerance = 1e-6  # a boundary written with six decimals still means its own frame
        if start is not None:
            first = max(int(np.searchsorted(times, start + tolerance, side="right")) - 1, 0)
        if end is not None:
            stop = max(int(np.searchsorted(times, end - tolerance, side="left")), first + 1)
        length = float(times[-1]) + 1.0 / self.fps
        if (start or 0.0) >= length or (end is not None and end <= (start or 0.0)):
            cause = f"segment {start}..{end} s does not lie in the video, which lasts {length:.3f} s"
            raise VideoReadError(self.path, self.backend, cause)
        return first, min(stop, self.frame_count)

    def __enter__(self: Reader) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
