"""What the boxes of an mp4 or mov file say that FFmpeg does not pass on (ISO/IEC 14496-12).

Two facts, of which other decoders than FFmpeg's newest make something else: whether the file is written in
fragments, and whether a track has an edit list, which moves its first frame to time 0. Only the headers of
the boxes are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

FORMAT = "mov"  # among FFmpeg's names of the format


@dataclass(frozen=True)
class Mp4Layout:
    """``fragmented``: samples lie in movie fragments. ``edit_lists``: for each track, whether it has one."""

    fragmented: bool
    edit_lists: tuple[bool, ...]


def read_layout(path: str) -> Mp4Layout:
    """The layout of an mp4 or mov file; of what is none, that of a file without tracks."""
    fragmented, edit_lists = False, []
    with open(path, "rb") as file:
        for kind, start, stop in _boxes(file, 0, os.fstat(file.fileno()).st_size):
            if kind == b"moof":
                fragmented = True
                break  # there may be thousands, and the movie box comes before them
            if kind == b"moov":
                inner = list(_boxes(file, start, stop))
                fragmented = any(name == b"mvex" for name, _, _ in inner)
                for name, first, last in inner:
                    if name == b"trak":
                        parts = {part for part, _, _ in _boxes(file, first, last)}
                        edit_lists.append(b"edts" in parts)
    return Mp4Layout(fragmented, tuple(edit_lists))


def _boxes(file: IO[bytes], start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, first byte of the content, end) of the boxes in a range of bytes."""
    while start + 8 <= stop:
        file.seek(start)
        header = file.read(16)
        size, kind, length = int.from_bytes(header[:4], "big"), header[4:8], 8
        if size == 1:  # a size of 64 bits follows
            size, length = int.from_bytes(header[8:16], "big"), 16
        elif size == 0:  # to the end
            size = stop - start
        if size < length:
            return
        yield kind, start + length, min(start + size, stop)
        start += size
