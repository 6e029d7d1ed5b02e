"""Results drawn on what they are about: labels on a video's frames, and a sheet of its frames.

Frames are uint8 (H,W,3) RGB. Text is drawn by Pillow with its built-in scalable font, on a dark band whose
height follows the picture's. Files appear under their names only when they are complete.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from datasets.decoding.reader import VideoReader
from runs.inference.drawn_files import MARK

Frames = NDArray[np.uint8]
LinesAt = Callable[[float], Sequence[str]]
"""Seconds into the video -> lines of text to show then."""

_CODECS = ("libx264", "mpeg4")
_CHUNK_FRAMES = 32
_TICK = Fraction(1, 60_000)  # seconds: MPEG-4 counts no finer than 1 / 65535
_BACKGROUND = (24, 24, 27)
_FOREGROUND = (250, 250, 250)


def label_frame(frame: Frames, lines: Sequence[str]) -> Frames:
    """A copy of the frame (H,W,3) with the lines on a translucent band at its bottom."""
    picture = Image.fromarray(frame).convert("RGB")
    font = _font(max(picture.height // 22, 11))
    height = _text_height(font, len(lines))
    band = Image.new("RGB", (picture.width, height), _BACKGROUND)
    corner = (0, picture.height - height)
    below = picture.crop((*corner, picture.width, picture.height))
    picture.paste(Image.blend(below, band, 0.7), corner)
    _write(picture, lines, corner, font)
    return np.asarray(picture)


def contact_sheet(
    frames: Frames, lines: Sequence[str], *, columns: int = 4, tile_width: int = 320
) -> Image.Image:
    """One picture of all frames (n,H,W,3), row by row, under a heading of `lines`."""
    count, height, width = frames.shape[:3]
    columns = min(columns, count)
    tile = (tile_width, max(round(tile_width * height / width), 1))
    font = _font(18)
    top = _text_height(font, len(lines))
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * tile[0], top + rows * tile[1]), _BACKGROUND)
    _write(sheet, lines, (0, 0), font)
    for index, frame in enumerate(frames):
        place = (index % columns * tile[0], top + index // columns * tile[1])
        sheet.paste(Image.fromarray(frame).resize(tile, Image.Resampling.BILINEAR), place)
    return sheet


def save_picture(picture: Image.Image, path: Path, comment: str = "") -> None:
    """Writes a picture; the format follows the suffix. comment: what a PNG file says of itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    says = PngInfo()
    says.add_text("Comment", comment)
    picture.save(unfinished, pnginfo=says if comment else None)
    os.replace(unfinished, path)


def save_labelled_video(reader: VideoReader, path: Path, lines_at: LinesAt) -> None:
    """Writes the whole video again with `lines_at(seconds)` on each frame, at their times, no sound.

    Raises VideoReadError when the source cannot be decoded to its end; `path` is then not written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        _encode(reader, unfinished, lines_at)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _encode(reader: VideoReader, path: Path, lines_at: LinesAt) -> None:
    import av  # here: drawing pictures needs no encoder

    codec = next(name for name in _CODECS if name in av.codecs_available)
    height, width = (side - side % 2 for side in reader.size)  # the codecs want even sides
    times = reader.timestamps
    with av.open(str(path), "w") as container:
        container.metadata["comment"] = MARK
        rate = max(
            Fraction(reader.fps).limit_denominator(_TICK.denominator), _TICK
        )  # the last frame's length
        stream = cast(Any, container.add_stream(codec, rate=rate))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = _TICK
        ticks = _increasing(np.rint(times / float(_TICK)).astype(np.int64))
        for first in range(0, reader.frame_count, _CHUNK_FRAMES):
            indices = range(first, min(first + _CHUNK_FRAMES, reader.frame_count))
            for index, frame in zip(indices, reader.get_frames(indices), strict=True):
                labelled = label_frame(frame, lines_at(float(times[index])))[:height, :width]
                picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(labelled), format="rgb24")
                picture.pts, picture.time_base = int(ticks[index]), _TICK
                container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _increasing(ticks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same, but for those that do not come after the one before: the next one then."""
    order = np.arange(len(ticks))
    return np.maximum.accumulate(ticks - order) + order


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _text_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, lines: int) -> int:
    return _line_height(font) * lines + _line_height(font) // 2


def _line_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return round(font.getbbox("Ág")[3] * 1.2)


def _write(
    picture: Image.Image,
    lines: Sequence[str],
    corner: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    pen = ImageDraw.Draw(picture)
    step = _line_height(font)
    left = corner[0] + step // 3
    for row, line in enumerate(lines):
        text = _fitting(line, font, picture.width - left - step // 3)
        pen.text((left, corner[1] + step // 4 + row * step), text, _FOREGROUND, font)


def _fitting(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """The line, or as much of its beginning as `width` pixels hold, with three dots."""
    if font.getlength(line) <= width:
        return line
    ends = (end for end in range(len(line), 0, -1) if font.getlength(f"{line[:end]}...") <= width)
    return f"{line[: next(ends, 0)]}..."
