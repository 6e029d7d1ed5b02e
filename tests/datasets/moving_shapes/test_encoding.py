"""An encoded clip and its encoded twin decode to the same set of pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.moving_shapes import encoding
from datasets.moving_shapes.encoding import write_clip
from datasets.moving_shapes.rendering import render_frames
from datasets.moving_shapes.scene import MOTIONS, draw_scene, time_reversed

FRAMES = np.arange(16)


def decode(path: Path) -> NDArray[np.int64]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def encoded_twins(folder: Path, motion: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Decoded frames of a clip, and those of its time-reversed twin, backwards."""
    scene = draw_scene(np.random.default_rng(motion), motion, "green", "triangle")
    for name, version in (("clip", scene), ("twin", time_reversed(scene, len(FRAMES) - 1))):
        write_clip(folder / f"{name}.mp4", render_frames(version, FRAMES, 64), fps=30, quantiser=18)
    return decode(folder / "clip.mp4"), decode(folder / "twin.mp4")[::-1]


@pytest.mark.parametrize("motion", range(0, len(MOTIONS), 2))
def test_encoded_twins_are_the_same_set_of_pictures(tmp_path: Path, motion: int) -> None:
    clip, twin = encoded_twins(tmp_path, motion)
    np.testing.assert_array_equal(clip, twin)


def test_ordinary_inter_coding_would_leak_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault that the encoding avoids: predicted frames depend on those before them."""
    monkeypatch.setattr(encoding, "INTRA_ONLY", "threads=1")
    clip, twin = encoded_twins(tmp_path, 0)
    assert np.abs(clip - twin).max() > 20


def test_a_file_is_readable_and_close_to_what_was_written(tmp_path: Path) -> None:
    frames = render_frames(draw_scene(np.random.default_rng(0), 0, "red", "ring"), FRAMES, 32)
    write_clip(tmp_path / "clip.mp4", frames, fps=30, quantiser=18)
    assert (
        np.abs(decode(tmp_path / "clip.mp4") - frames).mean() < 6
    )  # colour is stored at half the resolution
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.frames, stream.average_rate) == ("h264", 16, Fraction(30))
        assert all(packet.is_keyframe for packet in container.demux(stream) if packet.size)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((4, 32, 32, 3), np.float32), "uint8"),
        (np.zeros((32, 32, 3), np.uint8), "uint8"),
        (np.zeros((4, 31, 32, 3), np.uint8), "even frame size, got 31 x 32"),
    ],
)
def test_frames_that_cannot_be_encoded(tmp_path: Path, frames: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_clip(tmp_path / "clip.mp4", frames, fps=30, quantiser=18)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(encoding, "_encode", fail)
    with pytest.raises(OSError, match="disk full"):
        write_clip(tmp_path / "clip.mp4", np.zeros((4, 32, 32, 3), np.uint8), fps=30, quantiser=18)
    assert list(tmp_path.iterdir()) == []
