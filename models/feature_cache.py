"""Features of a frozen image tower, kept in a memory-mapped file: small data sets, many epochs.

    clips ──expect(slots, digests)──► cache ◄── VisionTower.stream: what a slot holds for this clip is read,
                                                 what it does not hold is computed, and stored

A slot belongs to one augmented view of one training video. It remembers the digest of the clip that its
features were computed from, so that features of other pixels are never taken for it; the file's facts
(weights, blocks, transforms, seed) say when all of it is worthless. Numbers are stored in float16, and what
has just been computed goes through it, too: a run does not depend on what the file held before.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from models.clip import VisionTower

DIGEST_BYTES = 16
_STORED = np.float16
_LARGEST = float(np.finfo(_STORED).max)


@dataclass(frozen=True)
class FeatureShape:
    """What a clip's features are: tokens (S,L,D) of so many blocks, then frame embeddings (S,E).

    Just what the model reads: a slot counts as filled when the last of it has been asked for.
    """

    blocks: int
    frames: int
    tokens: int
    width: int
    embed_dim: int | None
    """None where the model makes its own frame embeddings of the tokens."""

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """The shapes, in the order of the stream."""
        tokens = (self.frames, self.tokens, self.width)
        embeddings = () if self.embed_dim is None else ((self.frames, self.embed_dim),)
        return (*(tokens for _ in range(self.blocks)), *embeddings)

    @property
    def values(self) -> int:
        """Numbers of a clip."""
        return sum(prod(part) for part in self.parts)


class FeatureCache:
    """A file of features, one slot a clip. Several processes may use one file: a slot is written whole, and
    its digest last.
    """

    def __init__(self, folder: Path, slots: int, shape: FeatureShape, facts: Mapping[str, Any]) -> None:
        """Open the cache in `folder`, or make it anew where it is missing or was made under other `facts`.

        Raises ValueError when the disk has no room for all slots.
        """
        self.shape, self.slots = shape, slots
        self._features, self._digests = folder / "features.f16", folder / "digests.bin"
        self._pending: tuple[Sequence[int], Sequence[bytes]] | None = None
        self.reads = self.writes = 0
        facts = {"slots": slots, "shape": vars(shape), **facts}
        found = _facts_of(folder)
        is_current = found == json.loads(json.dumps(facts))
        self.was_outdated = found is not None and not is_current
        if not is_current:
            self._make(folder, facts)
        self._values = np.memmap(self._features, _STORED, "r+", shape=(slots, shape.values))
        self._seen = np.memmap(self._digests, np.uint8, "r+", shape=(slots, DIGEST_BYTES))

    @staticmethod
    def gigabytes(slots: int, shape: FeatureShape) -> float:
        """Size of the file when all slots are filled."""
        return slots * shape.values * np.dtype(_STORED).itemsize / 1e9

    @property
    def filled(self) -> int:
        """Slots that hold something."""
        return int(self._seen.any(axis=1).sum())

    def expect(self, slots: Sequence[int], digests: Sequence[bytes]) -> None:
        """The clips of the next batch that is streamed: where they belong, and digests of their pixels."""
        self._pending = slots, digests

    def stream(self, tower: VisionTower, frames: Tensor, selected: Sequence[int]) -> Iterator[Tensor]:
        """As `VisionTower.stream`; computed by the tower when no clips were announced."""
        pending, self._pending = self._pending, None
        if pending is None:
            return tower.compute_stream(frames, selected)
        slots, digests = pending
        assert len(slots) == len(frames), f"{len(slots)} clips announced, {len(frames)} came"
        if all(self._holds(slot, digest) for slot, digest in zip(slots, digests, strict=True)):
            self.reads += len(slots)
            return self._read(slots, frames.device)
        return self._compute(tower, frames, selected, slots, digests)

    def _holds(self, slot: int, digest: bytes) -> bool:
        return self._seen[slot].tobytes() == digest

    def _read(self, slots: Sequence[int], device: torch.device) -> Iterator[Tensor]:
        start = 0
        for part in self.shape.parts:
            stop = start + prod(part)
            values = torch.from_numpy(self._values[list(slots), start:stop])
            yield _restored(values.view(len(slots), *part).to(device))
            start = stop

    def _compute(
        self,
        tower: VisionTower,
        frames: Tensor,
        selected: Sequence[int],
        slots: Sequence[int],
        digests: Sequence[bytes],
    ) -> Iterator[Tensor]:
        # A filled slot keeps what it has: what stands in for an unreadable video has other pixels each time.
        free = [n for n, slot in enumerate(slots) if not self._seen[slot].any()]
        rows, start = [slots[n] for n in free], 0
        for features in tower.compute_stream(frames, selected):
            stored = features.float().clamp(-_LARGEST, _LARGEST).half()
            stop = start + stored[0].numel()
            if rows:
                self._values[rows, start:stop] = stored[free].flatten(1).cpu().numpy()
            start = stop
            if start == self.shape.values:  # before the last part is given: nobody asks for one after it
                for n in free:
                    self._seen[slots[n]] = np.frombuffer(digests[n], np.uint8)
                self.writes += len(free)
            yield _restored(stored)

    def _make(self, folder: Path, facts: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        facts_file = folder / "facts.json"  # goes first and comes last: with it, the cache is whole
        for path in (facts_file, self._digests, self._features):
            path.unlink(missing_ok=True)
        needed, free = self.gigabytes(self.slots, self.shape), shutil.disk_usage(folder).free / 1e9
        if needed > free:
            raise ValueError(
                f"the feature cache needs {needed:.1f} GB for {self.slots} clips, and {folder} has "
                f"{free:.1f} GB left: take fewer views, or another folder"
            )
        for path, size in ((self._features, self.shape.values * 2), (self._digests, DIGEST_BYTES)):
            with path.open("wb") as file:
                file.truncate(self.slots * size)  # takes room as it is filled
        facts_file.write_text(json.dumps(facts, indent=1, sort_keys=True))


def _facts_of(folder: Path) -> Any:
    """What a cache was made under; None where there is none, or one whose making was cut short."""
    try:
        return json.loads((folder / "facts.json").read_text())
    except (OSError, ValueError):
        return None


def _restored(stored: Tensor) -> Tensor:
    """In the precision of the computation."""
    kind = stored.device.type
    return stored.to(torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32)
