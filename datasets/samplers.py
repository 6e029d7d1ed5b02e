"""Which videos make up which step: pure functions of the seed, split over the processes of a run.

    TrainingBatches    one random order per pass, several passes joined, whole global batches only
    EvaluationBatches  every video exactly once, for any number of processes and any batch size

Both are sequences of batches, a batch a list of keys (epoch, row) for this process. Any of them can be
asked for at once, so going on in the middle of an epoch costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import overload

import torch
from torch import Tensor

from datasets.randomness import Purpose, keyed_generator
from datasets.video_dataset import SampleKey


@lru_cache(maxsize=4)
def epoch_order(num_videos: int, seed: int, epoch: int) -> Tensor:
    """The order (num_videos,) int64 in which a pass goes through the videos: a permutation, the same
    everywhere.
    """
    return torch.randperm(num_videos, generator=keyed_generator(Purpose.ORDER, seed, epoch))


class Batches(Sequence[list[SampleKey]]):
    """A sequence of batches that is defined by its length and one batch at a time."""

    def _batch(self, step: int) -> list[SampleKey]:
        raise NotImplementedError

    @overload
    def __getitem__(self, step: int) -> list[SampleKey]: ...

    @overload
    def __getitem__(self, step: slice) -> list[list[SampleKey]]: ...

    def __getitem__(self, step: int | slice) -> list[SampleKey] | list[list[SampleKey]]:
        steps = range(len(self))[step]
        return [self._batch(one) for one in steps] if isinstance(steps, range) else self._batch(steps)


class TrainingBatches(Batches):
    """This process's part of the global batches of some passes over the data.

    The passes' orders are joined, then cut into global batches; the last, incomplete one is dropped.
    Process r of W takes the r-th of W equal parts of each, or, with a micro_batch, of what all take together
    in each forward pass: a step has the same global batch for every W, and then a forward pass the same
    videos, where it has as many."""

    def __init__(
        self,
        num_videos: int,
        batch_size: int,
        *,
        seed: int,
        epoch: int = 0,
        num_passes: int = 1,
        rank: int = 0,
        world_size: int = 1,
        micro_batch: int | None = None,
        views: int = 0,
    ) -> None:
        """batch_size: videos of a global batch; epoch: number of the first pass, counted in passes;
        micro_batch: videos of a process in a forward pass (None: whatever it is, nothing depends on it);
        views: how many different clips there are of a video, which the passes take in turn (0: each its own).

        Raises:
            ValueError: the batch cannot be split over the processes, or there are fewer videos than one
            batch.
        """
        if batch_size % world_size:
            raise ValueError(
                f"a batch of {batch_size} videos cannot be split over {world_size} processes: "
                f"set TRAIN.BATCH_SIZE to a multiple of {world_size}"
            )
        share = batch_size // world_size
        if share % (micro_batch or share):
            raise ValueError(f"the {share} videos of a process cannot be taken {micro_batch} at a time")
        if num_videos * num_passes < batch_size:
            raise ValueError(
                f"{num_passes} pass(es) over {num_videos} videos do not fill one batch of {batch_size}: "
                f"set TRAIN.BATCH_SIZE to at most {num_videos * num_passes}"
            )
        self.num_videos = num_videos
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.num_passes = num_passes
        self.views = views
        self._micro_batch = micro_batch or share
        self._firsts = range(rank * self._micro_batch, batch_size, world_size * self._micro_batch)

    def __len__(self) -> int:
        return self.num_videos * self.num_passes // self.batch_size

    def _batch(self, step: int) -> list[SampleKey]:
        start = step * self.batch_size
        return [
            self._key(start + first + position)
            for first in self._firsts
            for position in range(self._micro_batch)
        ]

    def _key(self, position: int) -> SampleKey:
        passed, place = divmod(position, self.num_videos)
        epoch = self.epoch + passed
        row = int(epoch_order(self.num_videos, self.seed, epoch)[place])
        return SampleKey(epoch % self.views if self.views else epoch, row)


class EvaluationBatches(Batches):
    """This process's part of all videos, each once: process r of W takes the videos r, r + W, r + 2W, …

    Processes may have different numbers of batches: nothing in an evaluation loop may wait for the others.
    """

    def __init__(self, num_videos: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> None:
        """batch_size: videos of a batch of this process; the last batch may be smaller."""
        if batch_size < 1:
            raise ValueError(f"TEST.BATCH_SIZE is {batch_size}: give 1 or more")
        self.batch_size = batch_size
        self._rows = range(rank, num_videos, world_size)

    def __len__(self) -> int:
        return -(-len(self._rows) // self.batch_size)

    def _batch(self, step: int) -> list[SampleKey]:
        start = step * self.batch_size
        return [SampleKey(0, row) for row in self._rows[start : start + self.batch_size]]
