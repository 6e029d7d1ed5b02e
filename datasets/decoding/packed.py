"""Packed videos: one file of JPEG frames with an index, every frame in reach by one read.

Made by ``runs/prepare.py pack``. The layout, all numbers little-endian:

    magic (8 bytes) | frame 0 | frame 1 | … | index | trailer (24 bytes)

    index:   n x (offset uint64, size uint32, CRC-32 uint32, seconds float64)
    trailer: n uint32, CRC-32 of index and rate uint32, frames per second float64, magic (8 bytes)

The trailer comes last, so a file cut short is noticed when it is opened, a damaged frame by its CRC.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from typing import IO

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.reader import Frames, VideoReader, VideoReadError

PACKED_SUFFIX = ".packed"
MAGIC = b"PKDVID01"
TRAILER = struct.Struct("<IId8s")
ENTRY = np.dtype([("offset", "<u8"), ("size", "<u4"), ("crc", "<u4"), ("seconds", "<f8")])


def write_packed(file: IO[bytes], frames: Iterable[bytes], seconds: NDArray[np.float64], fps: float) -> None:
    """Write JPEG files (one a frame) as a packed video; ``seconds`` (n,) from the first frame.

    Raises ValueError when there are not as many frames as seconds, or none.
    """
    file.write(MAGIC)
    entries = []
    offset = len(MAGIC)
    for frame, time in zip(frames, seconds, strict=True):
        file.write(frame)
        entries.append((offset, len(frame), zlib.crc32(frame), time))
        offset += len(frame)
    if not entries:
        raise ValueError("a packed video needs at least one frame")
    index = np.array(entries, dtype=ENTRY).tobytes()
    file.write(index)
    file.write(TRAILER.pack(len(entries), _checksum(index, fps), fps, MAGIC))


def _checksum(index: bytes, fps: float) -> int:
    return zlib.crc32(struct.pack("<d", fps), zlib.crc32(index))


class PackedReader(VideoReader):
    """Reads a packed video; ``num_threads`` and ``salvage`` mean nothing here."""

    backend = "packed"

    def __init__(self, path: str, num_threads: int = 1, salvage: bool = False) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        try:
            self._file = open(path, "rb")  # noqa: SIM115  # closed by close()
            self._index, self.fps = self._read_index(self._file)
        except OSError as error:
            self.close()
            raise self._error(str(error)) from error
        except VideoReadError:
            self.close()
            raise
        self.frame_count = len(self._index)

    def _read_index(self, file: IO[bytes]) -> tuple[NDArray[np.void], float]:
        size = file.seek(0, os.SEEK_END)
        if size < len(MAGIC) + TRAILER.size:
            raise self._error("it is too short for a packed video")
        file.seek(size - TRAILER.size)
        count, crc, fps, magic = TRAILER.unpack(file.read(TRAILER.size))
        start = size - TRAILER.size - count * ENTRY.itemsize
        if magic != MAGIC or count == 0 or start < len(MAGIC):
            raise self._error("it does not end like a packed video: cut short, or another kind of file")
        file.seek(start)
        index = file.read(count * ENTRY.itemsize)
        if _checksum(index, fps) != crc:
            raise self._error("its index is damaged")
        return np.frombuffer(index, dtype=ENTRY), fps

    @property
    def timestamps(self) -> NDArray[np.float64]:
        return self._index["seconds"].astype(np.float64)

    def _decode(self, indices: NDArray[np.int64]) -> Frames:
        if self._file is None:
            raise ValueError(f"the reader of {self.path!r} is closed")
        first = self._read_frame(self._file, int(indices[0]))
        frames = np.empty((len(indices), *first.shape), dtype=np.uint8)
        frames[0] = first
        for slot in range(1, len(indices)):
            frame = self._read_frame(self._file, int(indices[slot]))
            if frame.shape != first.shape:
                raise self._error("its frames differ in size")
            frames[slot] = frame
        return frames

    def _read_frame(self, file: IO[bytes], index: int) -> NDArray[np.uint8]:
        # Not Pillow: this one takes about half of the time.
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        entry = self._index[index]
        try:
            file.seek(int(entry["offset"]))
            data = file.read(int(entry["size"]))
            if zlib.crc32(data) != entry["crc"]:
                raise ValueError("it is damaged")
            encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)
            return decode_jpeg(encoded, mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()
        except (OSError, RuntimeError, ValueError) as error:
            raise self._error(f"frame {index}: {error}") from error

    def _error(self, cause: str) -> VideoReadError:
        return VideoReadError(self.path, self.backend, cause)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
