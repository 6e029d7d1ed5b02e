"""The frames of a video as JPEG files in one packed file (see ``datasets/decoding/packed.py``)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from datasets.decoding import VideoReader, open_video
from datasets.decoding.packed import write_packed
from datasets.preparation.shrinking import shrunken_size
from utils.atomic import replacing


@dataclass(frozen=True)
class PackSettings:
    """How frames are stored."""

    short_side: int = 256
    """Pixels of the shorter side; smaller videos keep their size."""
    quality: int = 90
    """JPEG quality: 90 is 40 dB (mean error 1.5 of 255) on a 340x256 Kinetics clip, 19 kB a frame."""


@dataclass(frozen=True)
class PackTask:
    """One video to pack."""

    source: str
    target: str
    settings: PackSettings
    decoder: str = "auto"


def pack_video(task: PackTask) -> int:
    """Write the packed video, or nothing; returns its number of frames. Raises VideoReadError."""
    with open_video(task.source, task.decoder) as reader, replacing(task.target) as unfinished:
        with open(unfinished, "wb") as file:
            write_packed(file, _encoded(reader, task.settings), reader.timestamps, reader.fps)
        return reader.frame_count


def _encoded(reader: VideoReader, settings: PackSettings) -> Iterator[bytes]:
    from PIL import Image

    for frame in reader.frames_in_order():
        picture = Image.fromarray(frame)
        if min(picture.size) > settings.short_side:
            size = shrunken_size(picture.width, picture.height, settings.short_side)
            picture = picture.resize(size, Image.Resampling.BICUBIC)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=settings.quality)
        yield buffer.getvalue()
