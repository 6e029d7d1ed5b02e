"""Resizing against a float oracle written out by hand, and against torch and torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torchvision.transforms import v2

from datasets.transforms.resize import resize, short_side_size


def random_frames(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def bilinear_oracle(frame: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float64]:
    """Half-pixel bilinear interpolation of one frame (H,W,3), without antialiasing, in float64."""

    def neighbours(size: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        positions = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, None)
        low = np.floor(positions).astype(np.int64)
        return low, np.minimum(low + 1, size - 1), positions - low

    top, bottom, down = neighbours(frame.shape[0], height)
    left, right, across = neighbours(frame.shape[1], width)
    image = frame.astype(np.float64)
    rows = image[top] * (1 - down)[:, None, None] + image[bottom] * down[:, None, None]
    return rows[:, left] * (1 - across)[:, None] + rows[:, right] * across[:, None]


@pytest.mark.parametrize("size", [(224, 224), (20, 31), (61, 97)])
def test_bilinear_is_the_float_resize_rounded(size: tuple[int, int]) -> None:
    frames = random_frames(2, 48, 64, 3)
    expected = np.stack([bilinear_oracle(frame, *size) for frame in frames.numpy()])
    difference = np.abs(resize(frames, *size).numpy() - expected)
    assert difference.max() <= 0.5 + 1e-3  # levels of 255
    assert difference.mean() < 0.26


def test_a_cut_out_region_is_resized_as_if_it_were_the_whole_frame() -> None:
    frames = random_frames(3, 40, 50, 3)
    region = frames[:, 5:33, 9:41]
    assert torch.equal(resize(region, 24, 24), resize(region.clone(), 24, 24))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_antialiased_and_bicubic_resizes_are_torchvisions(interpolation: str) -> None:
    frames = random_frames(2, 48, 64, 3)
    mode = v2.InterpolationMode(interpolation)
    ours = resize(frames, 21, 33, interpolation=interpolation, antialias=True)  # type: ignore[arg-type]
    floats = v2.functional.resize(frames.permute(0, 3, 1, 2).float(), [21, 33], mode, antialias=True)
    assert (ours.permute(0, 3, 1, 2) - floats.clamp(0, 255)).abs().max() <= 0.5 + 1e-3


def test_without_antialiasing_it_differs_from_the_antialiased_resize() -> None:
    frames = random_frames(1, 64, 64, 3)
    plain = F.interpolate(frames.permute(0, 3, 1, 2).float(), size=(16, 16), mode="bilinear", antialias=False)
    assert (resize(frames, 16, 16).permute(0, 3, 1, 2) - plain).abs().max() <= 0.5 + 1e-3
    assert not torch.equal(resize(frames, 16, 16), resize(frames, 16, 16, antialias=True))


def test_same_size_keeps_every_pixel() -> None:
    frames = random_frames(2, 9, 7, 3)
    assert torch.equal(resize(frames, 9, 7), frames)


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(256, 340, (224, 297)), (340, 256, (297, 224)), (100, 100, (224, 224))]
)
def test_short_side_size_truncates_the_long_side(height: int, width: int, expected: tuple[int, int]) -> None:
    assert short_side_size(height, width, 224) == expected  # 340 / 256 * 224 = 297.5
