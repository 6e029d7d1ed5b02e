"""The batch: layout in memory, micro-batches, moving between devices."""

from __future__ import annotations

import torch

from datasets.batch import ReadFailure, VideoSample, collate
from datasets.transforms.colour import NEUTRAL, ColourDraw


def sample(row: int, value: int, *, views: bool = False, clips: int = 1) -> VideoSample:
    frames = torch.full((clips, 2, 4, 5, 3), value, dtype=torch.uint8)
    frames[..., 1] += 100  # green
    labels = ((row, 7),) * (1 if views else clips)
    colours = None if views else (ColourDraw(bool(row % 2), (0, 1, 2, 3), NEUTRAL),) * clips
    failures = (ReadFailure(99, "x.mp4", "no", 0, row),) if row == 2 else ()
    return VideoSample(row, frames, labels, views, colours, failures)


def test_training_clips_become_channels_first_without_a_copy() -> None:
    batch = collate([sample(1, 10), sample(2, 20)])
    assert batch.video.shape == (2, 3, 2, 4, 5)
    assert batch.video[:, :, 0, 0, 0].tolist() == [[10, 110, 10], [20, 120, 20]]
    assert batch.video.movedim(1, -1).is_contiguous()
    assert batch.target.tolist() == [[1, 7], [2, 7]]
    assert batch.num_views == 1
    assert batch.clips() is batch.video


def test_views_get_a_dimension_of_their_own() -> None:
    batch = collate([sample(1, 10, views=True, clips=3), sample(2, 20, views=True, clips=3)])
    assert batch.video.shape == (2, 3, 3, 2, 4, 5)
    assert batch.num_views == 3
    assert batch.clips().shape == (6, 3, 2, 4, 5)
    assert batch.clips()[:, 0, 0, 0, 0].tolist() == [10, 10, 10, 20, 20, 20]
    assert batch.target.tolist() == [[1, 7], [2, 7]]
    assert batch.colour is None


def test_unlabelled_videos_have_no_heads() -> None:
    unlabelled = VideoSample(4, torch.zeros(1, 2, 4, 5, 3, dtype=torch.uint8), ((),), True)
    assert collate([unlabelled, unlabelled]).target.shape == (2, 0)


def test_micro_batches_cover_the_batch_and_count_failures_once() -> None:
    batch = collate([sample(row, row) for row in range(5)])
    parts = batch.split(2)
    assert [len(part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.video for part in parts]), batch.video)
    assert [row for part in parts for row in part.video_id.tolist()] == list(range(5))
    colours = [gray for part in parts if part.colour is not None for gray in part.colour.gray.tolist()]
    assert colours == [False, True, False, True, False]
    assert [len(part.failures) for part in parts] == [1, 0, 0]


def test_moving_keeps_everything() -> None:
    batch = collate([sample(2, 20)])
    moved = batch.to("cpu", non_blocking=True)
    assert torch.equal(moved.video, batch.video)
    assert moved.colour is batch.colour
    assert moved.failures == batch.failures
    assert batch.to("meta").video.device.type == "meta"
