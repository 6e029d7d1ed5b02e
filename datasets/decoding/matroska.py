"""Whether a Matroska or WebM file is all there: its segment says how long it is (RFC 8794, RFC 9559).

Truncated downloads of this format otherwise look like shorter videos.
"""

from __future__ import annotations

import os
from typing import IO

EBML_HEADER = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"


def missing_bytes(path: str) -> int:
    """How many bytes of the segment are not in the file; 0 where that is unknown."""
    with open(path, "rb") as file:
        if file.read(4) != EBML_HEADER:
            return 0
        header = _read_size(file)
        if header is None:
            return 0
        file.seek(header, os.SEEK_CUR)
        if file.read(4) != SEGMENT:
            return 0
        segment = _read_size(file)
        if segment is None:
            return 0
        return max(0, file.tell() + segment - os.fstat(file.fileno()).st_size)


def _read_size(file: IO[bytes]) -> int | None:
    """A variable-length integer: as many leading zero bits as bytes follow; all ones: unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    if len(rest) < length - 1:
        return None
    value = int.from_bytes(bytes([first[0] & ((1 << (8 - length)) - 1)]) + rest, "big")
    return None if value == (1 << (7 * length)) - 1 else value
