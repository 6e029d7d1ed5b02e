"""RandAugment: its description, its consistency over a clip, and the global random state."""

from __future__ import annotations

import pytest
import torch

from datasets.sampling import sample_generator
from datasets.transforms.rand_augment import RandAugment


def test_the_description_is_read_part_by_part() -> None:
    assert RandAugment.from_description("rand-m9-mstd0.5-inc1") == RandAugment(9, 0.5, 2, 0.5)
    assert RandAugment.from_description("rand-m7-n4-p0.8") == RandAugment(7, 0.0, 4, 0.8)


@pytest.mark.parametrize(
    "description", ["rand", "rand-m11", "rand-m9-x3", "augmix-m3", "rand-n2", "rand-m9-p2"]
)
def test_other_descriptions_are_refused(description: str) -> None:
    with pytest.raises(ValueError, match="AUTOAUGMENT.TYPE"):
        RandAugment.from_description(description)


def test_equal_frames_stay_equal_and_draws_follow_the_generator() -> None:
    frame = torch.randint(
        0, 256, (1, 24, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    clip = frame.expand(5, -1, -1, -1).contiguous()
    augment = RandAugment(magnitude=9, magnitude_std=0.5, probability=1.0)
    state = torch.random.get_rng_state()
    results = [augment(clip, sample_generator(0, 0, index)) for index in range(8)]
    assert torch.equal(torch.random.get_rng_state(), state)
    for result in results:
        assert result.shape == clip.shape
        assert result.dtype == torch.uint8
        assert torch.equal(result, result[:1].expand_as(result))
    assert (
        sum(not torch.equal(result, clip) for result in results) >= 6
    )  # the identity is one of the operations
    assert torch.equal(results[3], augment(clip, sample_generator(0, 0, 3)))


def test_what_is_left_empty_becomes_grey_and_the_rest_is_interpolated() -> None:
    grey = torch.full((1, 24, 32, 3), 128, dtype=torch.uint8)
    halves = torch.zeros(1, 24, 32, 3, dtype=torch.uint8)
    halves[:, :, 16:] = 200
    augment, between = RandAugment(magnitude=10, probability=1.0, num_operations=1), 0
    for index in range(40):
        assert augment(grey, sample_generator(0, 0, index)).min() > 0  # no operation makes grey black
        between += len(augment(halves, sample_generator(0, 0, index)).unique()) > 4
    assert between > 5  # rotations and shears


def test_probability_zero_changes_nothing() -> None:
    clip = torch.randint(0, 256, (2, 9, 9, 3), dtype=torch.uint8)
    assert torch.equal(RandAugment(probability=0.0)(clip, sample_generator(0, 0, 0)), clip)
