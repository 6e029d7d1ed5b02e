"""Which videos make up which step: the same global batches for any number of processes, every video once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from datasets.samplers import EvaluationBatches, TrainingBatches, epoch_order
from datasets.video_dataset import SampleKey


def global_batches(world_size: int, **settings: Any) -> list[list[SampleKey]]:
    """The global batches, put together from what the processes of a run take."""
    parts = [
        TrainingBatches(23, 8, seed=1, rank=rank, world_size=world_size, **settings)
        for rank in range(world_size)
    ]
    return [[key for part in parts for key in part[step]] for step in range(len(parts[0]))]


@pytest.mark.parametrize("world_size", [2, 4, 8])
def test_the_global_batches_do_not_depend_on_the_number_of_processes(world_size: int) -> None:
    assert global_batches(world_size, epoch=5, num_passes=3) == global_batches(1, epoch=5, num_passes=3)


@pytest.mark.parametrize("together", [2, 4, 8])
def test_a_forward_pass_has_the_same_videos_for_any_number_of_processes(together: int) -> None:
    def passes(world_size: int) -> list[list[SampleKey]]:
        each = together // world_size
        parts = [
            TrainingBatches(23, 8, seed=1, rank=rank, world_size=world_size, micro_batch=each)[1]
            for rank in range(world_size)
        ]
        starts = range(0, 8 // world_size, each)
        return [[key for part in parts for key in part[start : start + each]] for start in starts]

    assert passes(1) == passes(2)
    assert [key for part in passes(1) for key in part] == global_batches(1)[1]


def test_a_pass_shows_every_video_once_in_an_order_of_its_own() -> None:
    orders = [epoch_order(23, 1, epoch).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert epoch_order(23, 2, 0).tolist() != orders[0]


def test_joined_passes_drop_only_what_is_left_at_their_end() -> None:
    batches = global_batches(1, epoch=4, num_passes=4)
    assert len(batches) == 4 * 23 // 8 == 11
    keys = [key for batch in batches for key in batch]
    counts = Counter(key.epoch for key in keys)
    assert counts == {4: 23, 5: 23, 6: 23, 7: 88 - 69}
    assert [key.row for key in keys[:23]] == epoch_order(23, 1, 4).tolist()


def test_the_middle_of_an_epoch_can_be_asked_for_at_once() -> None:
    batches = TrainingBatches(23, 8, seed=1, num_passes=4)
    assert batches[5:] == [batches[step] for step in range(5, 11)]
    assert batches[-1] == batches[10]
    with pytest.raises(IndexError):
        batches[11]


def test_impossible_splits_are_errors() -> None:
    with pytest.raises(ValueError, match="cannot be split over 3 processes"):
        TrainingBatches(23, 8, seed=0, world_size=3)
    with pytest.raises(ValueError, match="the 4 videos of a process cannot be taken 3 at a time"):
        TrainingBatches(23, 8, seed=0, world_size=2, micro_batch=3)
    with pytest.raises(ValueError, match=r"set TRAIN.BATCH_SIZE to at most 23"):
        TrainingBatches(23, 24, seed=0)
    with pytest.raises(ValueError, match=r"TEST.BATCH_SIZE is 0"):
        EvaluationBatches(23, 0)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 30])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluation_takes_every_video_exactly_once(world_size: int, batch_size: int) -> None:
    parts = [
        EvaluationBatches(23, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)
    ]
    rows = sorted(key.row for part in parts for batch in part for key in batch)
    assert rows == list(range(23))
    assert all(0 < len(batch) <= batch_size for part in parts for batch in part)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1 or batch_size == 1
