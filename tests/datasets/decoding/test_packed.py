"""Packed videos: any frame, its time, and what is noticed when bytes change."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.decoding import VideoReadError, open_video
from datasets.decoding.packed import write_packed
from tests.datasets.decoding.numbered import numbered_frame, numbers_in

SECONDS = np.array([0.0, 0.1, 0.2, 0.7, 0.8, 0.9])


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(numbered_frame(number)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "clip.packed"
    with open(path, "wb") as file:
        write_packed(file, (jpeg(number) for number in range(6)), SECONDS, 6.5)
    return path


@pytest.mark.parametrize("decoder", ["auto", "pyav"])
def test_any_frame_can_be_had_whatever_decoder_is_set(packed: Path, decoder: str) -> None:
    with open_video(packed, decoder) as reader:
        assert (reader.frame_count, reader.fps, reader.size) == (6, 6.5, (16, 64))
        assert numbers_in(reader.get_frames([5, 0, 3, 3])) == [5, 0, 3, 3]
        assert reader.timestamps.tolist() == SECONDS.tolist()
        assert reader.frame_range(0.5, 0.75) == (2, 4)


@pytest.mark.parametrize("length", [0, 7, 20, -1, -24, -30])
def test_a_file_cut_short_is_refused(packed: Path, length: int) -> None:
    packed.write_bytes(packed.read_bytes()[:length])
    with pytest.raises(VideoReadError, match=r"clip\.packed"):
        open_video(packed)


def test_every_changed_byte_is_noticed(packed: Path) -> None:
    """Flips bytes all over the file: it is refused, or the frame that holds the byte."""
    original = packed.read_bytes()
    for position in range(8, len(original), 11):
        flipped = bytearray(original)
        flipped[position] ^= 0x55
        packed.write_bytes(flipped)
        with pytest.raises(VideoReadError), open_video(packed) as reader:
            reader.get_frames(range(6))


def test_a_video_without_frames_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        write_packed(io.BytesIO(), [], np.array([]), 25.0)
