"""What all readers share, on a reader without a file."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.decoding.reader import Frames, VideoReader, VideoReadError


class CountingReader(VideoReader):
    """Ten frames; frame i is filled with i. ``asked`` records what was decoded."""

    path, backend, frame_count, fps = "clip.mp4", "counting", 10, 5.0

    def __init__(self, times: list[float] | None = None) -> None:
        self.asked: list[list[int]] = []
        self._times = times

    @property
    def timestamps(self) -> NDArray[np.float64]:
        return super().timestamps if self._times is None else np.array(self._times)

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        self.asked.append(indices.tolist())
        return np.broadcast_to(indices[:, None, None, None], (len(indices), 4, 6, 3)).astype(np.uint8)

    def close(self) -> None:
        pass


def test_frames_come_in_the_order_asked_for_and_each_is_decoded_once() -> None:
    reader = CountingReader()
    frames = reader.get_frames([7, 2, 2, 9, 7])
    assert frames[:, 0, 0, 0].tolist() == [7, 2, 2, 9, 7]
    assert reader.asked == [[2, 7, 9]]
    assert reader.size == (4, 6)


@pytest.mark.parametrize("indices", [[10], [-1], [0, 5, 10]])
def test_an_index_outside_is_an_index_error(indices: list[int]) -> None:
    with pytest.raises(IndexError, match=r"0\.\.9"):
        CountingReader().get_frames(indices)


def test_no_indices_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        CountingReader().get_frames([])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (0, 10)),
        (0.0, 2.0, (0, 10)),
        (0.4, 0.8, (2, 4)),  # boundaries that are frame times: the end's frame is not in
        (0.5, 0.7, (2, 4)),  # the frame on screen at 0.5 s came at 0.4 s
        (0.5, 0.5001, (2, 3)),  # never empty
        (1.0, None, (5, 10)),
        (None, 1.0, (0, 5)),
        (1.9, 99.0, (9, 10)),
        (0.3999999, 0.8, (2, 4)),  # six decimals of 0.4
    ],
)
def test_seconds_become_frames(start: float | None, end: float | None, expected: tuple[int, int]) -> None:
    assert CountingReader().frame_range(start, end) == expected


def test_seconds_become_frames_where_the_rate_varies() -> None:
    reader = CountingReader([0.0, 0.1, 0.2, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 3.0])
    assert reader.frame_range(0.5, 1.0) == (2, 4)
    assert reader.frame_range(2.0, 3.5) == (8, 10)


@pytest.mark.parametrize(("start", "end"), [(2.5, 3.0), (1.0, 1.0), (1.5, 1.0)])
def test_a_segment_that_is_not_in_the_video_is_an_error(start: float, end: float) -> None:
    with pytest.raises(VideoReadError, match=r"clip\.mp4.*segment"):
        CountingReader().frame_range(start, end)


def test_the_error_survives_the_way_between_processes() -> None:
    error = pickle.loads(pickle.dumps(VideoReadError("a b.mp4", "pyav", "no moov atom")))
    assert (error.path, error.backend, error.cause) == ("a b.mp4", "pyav", "no moov atom")
    assert str(error) == "cannot read video 'a b.mp4' with pyav: no moov atom"
