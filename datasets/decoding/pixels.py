"""From a decoded PyAV frame to RGB pixels the right way up."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from datasets.decoding.reader import Frames


def rgb_pixels(frame: Any, width: int, height: int) -> Frames:
    """RGB uint8 (H,W,3) as stored; frames of a stream that changes its size midway are scaled."""
    # Bicubic is what FFmpeg and torchcodec take. It acts where chroma must be interpolated (odd sizes,
    # more than 8 bits) and changes nothing for usual files.
    return frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")


def turn(frames: Frames, orientation: tuple[int, bool]) -> Frames:
    """Frames (n,H,W,3) mirrored, then turned counter-clockwise, as :func:`read_orientation` says."""
    quarter_turns, mirrored = orientation
    if mirrored:
        frames = frames[:, :, ::-1]
    if quarter_turns:
        frames = np.rot90(frames, quarter_turns, axes=(1, 2))
    return np.ascontiguousarray(frames)


def read_orientation(frame: Any) -> tuple[int, bool]:
    """Quarter turns counter-clockwise and whether to mirror left-right first, from the display matrix.

    The matrix maps stored to shown coordinates, (x, y) -> (a x + c y, b x + d y) with y downwards; an angle
    that is no multiple of 90 degrees (nobody's camera) is rounded to one.
    """
    # PyAV ties a frame and its side data into a reference cycle, which would keep the decoder's memory until
    # the next garbage collection: let it be a thumbnail, which has the same side data.
    thumbnail = frame.reformat(width=16, height=16, format="gray")
    data = next((bytes(item) for item in thumbnail.side_data if item.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return 0, False
    a, b, _, c, d = struct.unpack("<5i", data[:20])
    mirrored = a * d - b * c < 0
    if mirrored:  # undo the mirroring of x, so that a rotation is left
        a, b = -a, -b
    # Rotation by t clockwise on the screen: a = cos t, b = sin t.
    clockwise = round(np.degrees(np.arctan2(b, a)) / 90)
    return int(-clockwise) % 4, mirrored
