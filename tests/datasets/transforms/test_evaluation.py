"""Test views: the order of views and crops, and that a view does not depend on which others are made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from datasets.transforms.evaluation import EvaluationTransform


def random_frames(count: int, height: int, width: int) -> Tensor:
    return torch.randint(
        0, 256, (count, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_a_centre_view_is_the_float_resize_then_the_crop_within_half_a_level() -> None:
    frames = random_frames(3, 48, 64)
    made = EvaluationTransform(size=30, short_side=32)(frames, np.arange(3)[None])
    floats = F.interpolate(
        frames.permute(0, 3, 1, 2).float(), size=(32, 42), mode="bilinear", antialias=False
    )
    expected = floats[:, :, 1:31, 6:36].permute(0, 2, 3, 1)
    assert made.clips.shape == (1, 3, 30, 30, 3)
    assert (made.clips[0] - expected).abs().max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48)])
def test_views_are_ordered_clip_first_then_crop(height: int, width: int) -> None:
    frames = random_frames(5, height, width)
    clips = np.array([[0, 1, 2], [2, 3, 4]])
    views = EvaluationTransform(size=32, short_side=32, num_crops=3)(frames, clips).clips
    assert views.shape == (6, 3, 32, 32, 3)
    for number, clip in enumerate(clips):
        alone = EvaluationTransform(size=32, short_side=32, num_crops=3)(
            frames[clip], np.arange(3)[None]
        ).clips
        assert torch.equal(views[3 * number : 3 * number + 3], alone)
    centre = EvaluationTransform(size=32, short_side=32, num_crops=1)(frames, clips).clips
    assert torch.equal(centre, views[[1, 4]])


def test_three_crops_together_show_the_whole_long_side() -> None:
    frames = random_frames(1, 32, 42)
    left, centre, right = EvaluationTransform(size=32, short_side=32, num_crops=3)(
        frames, np.zeros((1, 1), int)
    ).clips
    assert torch.equal(left[0], frames[0, :, :32])
    assert torch.equal(centre[0], frames[0, :, 5:37])
    assert torch.equal(right[0], frames[0, :, 10:])
