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
    channels_last = frames.permute(0, 3, 1, 2).to(
        torch.float32
    )  # keeps the order in memory, which is the fast one
    resized = F.interpolate(channels_last, size=(height, width), mode=interpolation, antialias=antialias)
    if interpolation == "bicubic":
        resized = resized.clamp_(0, 255)  # it overshoots at edges
    return resized.round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Size with the given short side and the same aspect; the long side is truncated, as in the release."""
    if height < width:
        return short_side, int(width / height * short_side)
    return int(height / width * short_side), short_side
