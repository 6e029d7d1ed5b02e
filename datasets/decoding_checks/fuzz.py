"""Damaged copies of real videos, read in children that may die: nothing else may happen to the parent.

A damaged copy may be refused, or read. How often frames then differ from the original without anything being
noticed is counted, too: no decoder can see every flipped bit of compressed data.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datasets.decoding import VideoReadError, open_video
from utils.killable import run_killable

READ_FRAMES = 8


@dataclass(frozen=True)
class Damage:
    """One damaged copy: ``source`` cut to a share of its length, or with some bytes changed."""

    source: str
    seed: int

    def apply(self, data: bytes) -> bytes:
        """The damaged bytes, a function of the seed."""
        generator = np.random.default_rng(self.seed)
        if generator.random() < 0.4:
            return data[: int(generator.integers(0, len(data)))]
        changed = bytearray(data)
        for _ in range(int(generator.integers(1, 20))):
            # Half of the changes hit the first kilobyte, where the headers are.
            end = 1024 if generator.random() < 0.5 else len(data)
            changed[int(generator.integers(0, min(end, len(data))))] = int(generator.integers(0, 256))
        return bytes(changed)


def damages(sources: Sequence[str], count: int) -> list[Damage]:
    """``count`` damaged copies, spread over the sources."""
    return [Damage(sources[number % len(sources)], number) for number in range(count)]


def read_damaged(decoder: str, damage: Damage) -> str:
    """Open the copy and read frames of it; what came out: refused, same, changed, or another exception."""
    data = Path(damage.source).read_bytes()
    suffix = os.path.splitext(damage.source)[1]
    with tempfile.NamedTemporaryFile(suffix=suffix) as copy:
        copy.write(damage.apply(data))
        copy.flush()
        try:
            seen = _checksums(copy.name, decoder)
        except VideoReadError:
            return "refused"
    try:
        return "same frames" if seen == _checksums(damage.source, decoder) else "other frames"
    except VideoReadError:  # the damage has removed what the decoder does not like about the original
        return "other frames"


def _checksums(path: str, decoder: str) -> list[int]:
    with open_video(path, decoder) as reader:
        numbers = np.linspace(0, reader.frame_count - 1, READ_FRAMES).astype(int)
        return [zlib.crc32(frame) for frame in reader.get_frames(numbers)]


def fuzz(
    sources: Sequence[str], decoder: str, count: int, *, num_workers: int, time_limit: float
) -> Counter[str]:
    """How the reads of ``count`` damaged copies ended. Returns only if this process survives them all."""
    return Counter(_endings(sources, decoder, count, num_workers, time_limit))


def _endings(
    sources: Sequence[str], decoder: str, count: int, num_workers: int, time_limit: float
) -> Iterator[str]:
    from tqdm import tqdm

    outcomes = run_killable(
        partial(read_damaged, decoder),
        damages(sources, count),
        num_workers=num_workers,
        time_limit=time_limit,
        memory_limit=16 * 2**30,
    )
    for outcome in tqdm(outcomes, total=count, desc=f"fuzz {decoder}", unit="copy", disable=None):
        yield outcome.result or f"lost: {outcome.error}"
