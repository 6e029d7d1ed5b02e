"""Images cut into patches, and the product of patches with weights that does not keep them."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def patchify(images: Tensor, patch: int) -> Tensor:
    """Cut images (..., 3, H, W) into patches (..., N, 3·p·p), row by row, each ordered like a conv kernel."""
    height, width = images.shape[-2:]
    if height % patch or width % patch:
        raise ValueError(
            f"frames of {height} x {width} pixels do not divide into patches of {patch}; "
            "set DATA.TRAIN_CROP_SIZE and DATA.TEST_CROP_SIZE to multiples of it"
        )
    return rearrange(images, "... c (row p) (column q) -> ... (row column) (c p q)", p=patch, q=patch)


class _LinearOfPatches(torch.autograd.Function):
    # Patches are a copy of the images. Those stay in memory anyway, as the batch, so they are cut once more.

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, patch: int) -> Tensor:
        ctx.save_for_backward(images)
        ctx.patch, ctx.kind = patch, weight.dtype
        return F.linear(patchify(images, patch), weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, None]:
        (images,) = ctx.saved_tensors
        rows = gradients[0].flatten(0, -2)
        patches = patchify(images, ctx.patch).to(rows.dtype).flatten(0, -2)
        return None, (rows.t() @ patches).to(ctx.kind), None


def linear_of_patches(images: Tensor, weight: Tensor, patch: int) -> Tensor:
    """F.linear(patchify(images, patch), weight), without a gradient for the images.

    images (..., 3, H, W), weight (out, 3·p·p) → (..., N, out). Raises ValueError as `patchify` does.
    """
    return _LinearOfPatches.apply(images, weight, patch)
