"""How many chunks of a stream an AVI file holds (Microsoft's RIFF, and OpenDML for long files).

Chunks without data stand for frames dropped in recording. FFmpeg passes over them, so that a file that ends
in some looks as if it had been cut short. Only the headers of the chunks are read.
"""

from __future__ import annotations

import os

_LISTS = (b"RIFF", b"LIST")


def chunk_count(path: str, stream: int) -> int:
    """Chunks of the stream of that number, those without data included, as far as they are whole."""
    count, position, size_of_file = 0, 0, os.path.getsize(path)
    with open(path, "rb") as file:
        while len(header := file.read(8)) == 8:
            kind, size = header[:4], int.from_bytes(header[4:], "little")
            if kind == bytes(4):  # no chunk: room that was set aside, or never copied
                break
            if kind in _LISTS:  # whose own kind follows, then its chunks
                position += 12
            else:
                position += 8 + size + size % 2
                count += kind[:2] == b"%02d" % stream and position - size % 2 <= size_of_file
            file.seek(position)
    return count
