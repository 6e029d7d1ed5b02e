"""Random erasing: where, how much, and with what."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from datasets.sampling import sample_generator
from datasets.transforms.erasing import RandomErasing

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)


def erased(erasing: RandomErasing, index: int = 0) -> tuple[Tensor, Tensor]:
    """A random clip (4,40,50,3) after erasing, and the mask (4,40,50) of changed pixels."""
    clip = torch.randint(
        1, 255, (4, 40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    result = erasing(clip, sample_generator(0, 0, index))
    return result, (result != clip).any(dim=-1)


@pytest.mark.parametrize("mode", ["const", "rand", "pixel"])
def test_all_frames_lose_the_same_rectangle_to_the_same_filling(mode: str) -> None:
    erasing = RandomErasing(MEAN, STD, probability=1.0, mode=mode, area=(0.2, 0.3))  # type: ignore[arg-type]
    result, _ = erased(erasing)
    changed = (
        (result == result[:1]).all(dim=0).all(dim=-1)
    )  # frames were random: equal pixels are the filling's
    rows, columns = changed.any(dim=1).nonzero(), changed.any(dim=0).nonzero()
    box = changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert box.all()
    assert 0.18 < box.numel() / changed.numel() < 0.32


def test_constant_filling_is_zero_after_normalisation() -> None:
    result, mask = erased(RandomErasing(MEAN, STD, probability=1.0, mode="const"))
    colours = result[mask].unique(dim=0)
    assert (colours.float() - torch.tensor(MEAN) * 255).abs().max() <= 0.5


def test_random_fillings_are_one_colour_or_one_per_pixel() -> None:
    for mode, few in (("rand", True), ("pixel", False)):
        erasing = RandomErasing(MEAN, STD, probability=1.0, mode=mode, area=(0.3, 0.3))  # type: ignore[arg-type]
        result, mask = erased(erasing)
        assert (len(result[0][mask.all(dim=0)].unique(dim=0)) == 1) == few


def test_several_rectangles_share_the_area() -> None:
    erasing = RandomErasing(MEAN, STD, probability=1.0, mode="const", count=(3, 3), area=(0.3, 0.3))
    shares = [float(erased(erasing, index)[1].float().mean()) for index in range(50)]
    assert max(shares) <= 0.32  # three of 0.1 each; less where they overlap
    assert max(shares) > 0.25


def test_the_share_of_erased_clips_is_the_probability() -> None:
    erasing = RandomErasing(MEAN, STD, probability=0.25, mode="const")
    hits = sum(bool(erased(erasing, index)[1].any()) for index in range(400))
    assert abs(hits / 400 - 0.25) < 0.07
