"""Resizing frames, exactly as on float frames, and the sizes to resize to.

Frames are uint8 (n, H, W, 3), n of one video: what a decoder gives. The arithmetic is float32 and the
result is rounded to the nearest of 256 levels, so it is within 0.5/255 of a resize that stays in float.
(torch's own uint8 resize is four times as fast, but rounds in between: measured, 20 % of the pixels were
off by one level.)"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]

_FRAMES_AT_ONCE = 4  # their floats stay in the processor's cache; 48 frames at once take three times as long


def resize(
    frames: Tensor,
    height: int,
    width: int,
    *,
    interpolation: Interpolation = "bilinear",
    antialias: bool = False,
) -> Tensor:
    """Frames uint8 (n,H,W,3), contiguous or cut from larger ones, resized to uint8 (n,height,width,3),
    contiguous.

    Pixel centres are aligned half-way (align_corners false). Without `antialias` each output pixel mixes
    its nearest 2 x 2 (bilinear) or 4 x 4 (bicubic) input pixels however much the frame shrinks, as the
    published recipes do."""
    if frames.shape[1:3] == (height, width):
        return frames.contiguous()
    resized = torch.empty((len(frames), height, width, 3), dtype=torch.uint8)
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        some = slice(start, start + _FRAMES_AT_ONCE)
        # to() keeps channels last in memory, for which torch's kernel is the fastest
        floats = frames[some].permute(0, 3, 1, 2).to(torch.float32)
        floats = F.interpolate(floats, size=(height, width), mode=interpolation, antialias=antialias)
        if interpolation == "bicubic":
            floats.clamp_(0, 255)  # it overshoots at edges
        resized[some] = floats.round_().permute(0, 2, 3, 1)
    return resized


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Size with the given short side and the same aspect; the long side is truncated, as in the release."""
    if height < width:
        return short_side, int(width / height * short_side)
    return int(height / width * short_side), short_side
