"""Crop boxes: exact places for testing, distribution and limits for training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import RandomResizedCrop

from datasets.sampling import sample_generator
from datasets.transforms.crop import (
    Box,
    centre_box,
    crop,
    evaluation_boxes,
    random_box,
    random_resized_crop_box,
)


def test_centre_and_three_crops_of_a_wide_frame() -> None:
    assert evaluation_boxes(224, 297, 224, 1) == (Box(0, 36, 224, 224),)
    assert evaluation_boxes(224, 297, 224, 3) == (
        Box(0, 0, 224, 224),
        Box(0, 36, 224, 224),
        Box(0, 73, 224, 224),
    )


def test_three_crops_of_an_upright_frame_go_from_top_to_bottom() -> None:
    assert [box[:2] for box in evaluation_boxes(300, 256, 224, 3)] == [(0, 16), (38, 16), (76, 16)]


def test_other_numbers_of_crops_are_refused() -> None:
    with pytest.raises(ValueError, match="2 spatial crops"):
        evaluation_boxes(224, 297, 224, 2)


def test_random_resized_crops_have_areas_and_ratios_in_range() -> None:
    boxes = [
        random_resized_crop_box(256, 340, (0.4, 1.0), (0.75, 1.333), sample_generator(0, 0, i))
        for i in range(500)
    ]
    for box in boxes:
        assert 0 <= box.top <= 256 - box.height
        assert 0 <= box.left <= 340 - box.width
        assert 0.74 < box.width / box.height < 1.345
        assert 0.39 < box.height * box.width / (256 * 340) <= 1.0
    assert min(box.top for box in boxes) == 0
    assert min(box.left for box in boxes) == 0


def test_random_resized_crops_are_distributed_like_torchvisions() -> None:
    image = torch.zeros(3, 256, 340)
    torch.manual_seed(0)
    area, ratio, count = (0.4, 1.0), (0.75, 1.333), 1500
    theirs = [RandomResizedCrop.get_params(image, list(area), list(ratio)) for _ in range(count)]
    ours = [random_resized_crop_box(256, 340, area, ratio, sample_generator(0, 0, i)) for i in range(count)]
    np.testing.assert_allclose(np.mean(ours, axis=0), np.mean(theirs, axis=0), rtol=0.06)
    np.testing.assert_allclose(np.std(ours, axis=0), np.std(theirs, axis=0), rtol=0.08)


def test_a_frame_that_no_ratio_fits_gets_the_largest_centred_box() -> None:
    box = random_resized_crop_box(10, 100, (0.9, 1.0), (0.75, 1.333), sample_generator(0, 0, 0))
    assert box == Box(0, 43, 10, 13)


def test_random_boxes_reach_every_place() -> None:
    places = {random_box(12, 11, 10, 10, sample_generator(0, 0, i))[:2] for i in range(100)}
    assert places == {(top, left) for top in range(3) for left in range(2)}


def test_crop_is_a_view_of_the_right_pixels() -> None:
    frames = torch.arange(2 * 6 * 5 * 3).view(2, 6, 5, 3)
    part = crop(frames, Box(1, 2, 4, 3))
    assert torch.equal(part, frames[:, 1:5, 2:5])
    assert part.data_ptr() == frames[:, 1:, 2:].data_ptr()
    assert centre_box(7, 8, 4, 4) == Box(1, 2, 4, 4)
