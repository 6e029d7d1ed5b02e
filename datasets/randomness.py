"""Random streams named by what they are for, instead of by the order in which somebody drew from them.

A stream is named by its purpose and integers, for instance (SAMPLE, seed, epoch, index, repeat). Equal
names give equal streams on every machine and in every process, different names give unrelated streams, so
that nothing depends on which worker or process does the work, or on what was done before."""

from __future__ import annotations

import hashlib
from enum import IntEnum

import torch


class Purpose(IntEnum):
    """What a stream is for: streams of different purposes are unrelated whatever their other keys."""

    SAMPLE = 1  # everything about one clip
    ORDER = 2  # the order of the videos in an epoch
    REPLACEMENT = 3  # which video stands in for an unreadable one
    MIXING = 4  # mixup and cutmix of one group of clips
    CAPTION = 5  # which of a video's captions goes with it


def derive_seed(purpose: Purpose, *keys: int) -> int:
    """A 63-bit seed for the stream named by `keys` (integers of up to 64 bits, negative ones included)."""
    name = b"".join(int(key).to_bytes(8, "little", signed=True) for key in (purpose, *keys))
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") >> 1


def keyed_generator(purpose: Purpose, *keys: int) -> torch.Generator:
    """A CPU generator at the start of the stream named by `purpose` and `keys`."""
    return torch.Generator().manual_seed(derive_seed(purpose, *keys))


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """One number drawn uniformly from [low, high)."""
    return low + (high - low) * float(torch.rand((), dtype=torch.float64, generator=generator))


def randint(low: int, high: int, generator: torch.Generator) -> int:
    """One integer drawn uniformly from low .. high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def happens(probability: float, generator: torch.Generator) -> bool:
    """Whether an event of that probability happens. Always takes one draw, so that later draws stay in
    place.
    """
    return uniform(0.0, 1.0, generator) < probability
