"""Temporal convolutions on the channels-last layout (B, T, positions, channels), as matrix products.

A convolution over time with a kernel of k frames at every position is k matrix products of the whole clip,
each shifted by one frame and added up. Multiplying first and shifting afterwards means one product with k
times the output channels; nothing but the input is kept for the backward pass.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.patches import linear_of_patches
from models.layers.recomputing import linear_of_norm


def shift_and_add(products: Tensor, biases: Tensor) -> Tensor:
    """Sum over j of (products j + biases j) moved by k//2 − j frames, with zeros beyond both ends.

    products (B, T, P, k·C), whose j-th C channels are the j-th frame of a kernel's; biases (k, C)
    → (B, T, P, C). Its gradients are `shift_and_add_backward`.
    """
    kernel, channels = biases.shape
    z = products.unflatten(-1, (kernel, channels))
    frames, middle = z.shape[1], kernel // 2
    # Every frame gets the biases of those that reach it.
    per_frame = (_reaches(frames, kernel, biases.device)[..., None] * biases).sum(dim=1)
    total = z[:, :, :, middle] + per_frame.unsqueeze(1).to(z.dtype)
    for j, (target, source) in enumerate(_windows(frames, kernel)):
        if j != middle:
            total[:, target].add_(z[:, source, :, j])
    return total


def shift_and_add_backward(gradient: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """Gradient (B, T, P, C) of what `shift_and_add` gave → those of its products and biases."""
    b, frames, positions, channels = gradient.shape
    spread = gradient.new_empty(b, frames, positions, kernel, channels)
    for j, (target, source) in enumerate(_windows(frames, kernel)):
        spread[:, source, :, j] = gradient[:, target]
        spread[:, : source.start, :, j] = 0
        spread[:, source.stop :, :, j] = 0
    per_frame = gradient.sum(dim=(0, 2)).unsqueeze(1)
    return spread.flatten(3), (_reaches(frames, kernel, gradient.device)[..., None] * per_frame).sum(dim=0)


class _ShiftAndAdd(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, biases: Tensor) -> Tensor:
        ctx.kernel, ctx.bias_type = len(biases), biases.dtype
        return shift_and_add(products, biases)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        to_products, to_biases = shift_and_add_backward(gradients[0], ctx.kernel)
        return to_products, to_biases.to(ctx.bias_type)


def _windows(frames: int, kernel: int) -> list[tuple[slice, slice]]:
    """For each kernel position the frames that receive and the frames that give."""
    windows = []
    for j in range(kernel):
        shift = j - kernel // 2  # output frame t takes input frame t + shift
        receive = slice(max(0, -shift), max(0, min(frames, frames - shift)))
        give = slice(max(0, shift), max(0, min(frames, frames + shift)))
        windows.append((receive, give))
    return windows


def _reaches(frames: int, kernel: int, device: torch.device) -> Tensor:
    """Whether output frame t receives anything at kernel position j: bool (T, k)."""
    times = torch.arange(frames, device=device)[:, None]
    source = times + torch.arange(kernel, device=device) - kernel // 2
    return (source >= 0) & (source < frames)


def temporal_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution over time at each position, zero-padded so that the length stays.

    x (B, T, P, C), weight (C', C, k, ...) with k odd and only ones after it, bias (C') → (B, T, P, C').
    """
    stacked, biases = stack_over_time(weight, bias)
    return _ShiftAndAdd.apply(F.linear(x, stacked), biases)


def temporal_convolution_of_patches(images: Tensor, patch: int, weight: Tensor, bias: Tensor) -> Tensor:
    """`temporal_convolution` of the images' patches, which are not kept for the backward pass.

    images (B, T, 3, H, W), weight (C', 3·p·p, k), bias (C') → (B, T, N, C').
    """
    stacked, biases = stack_over_time(weight, bias)
    return _ShiftAndAdd.apply(linear_of_patches(images, stacked, patch), biases)


def temporal_convolution_of_norm(x: Tensor, norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Tensor:
    """`temporal_convolution` of norm(x), of which nothing but x is kept for the backward pass."""
    stacked, biases = stack_over_time(weight, bias)
    biases = biases + (stacked @ norm.bias).view_as(biases)
    return _ShiftAndAdd.apply(linear_of_norm(x, stacked * norm.weight, norm.eps), biases)


def stack_over_time(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """A kernel's k matrices one below the other (k·C', C), and their biases (k, C').

    weight (C', C, k, ...), bias (C'). All of the bias is the middle one's, as every frame receives from
    itself.
    """
    out_channels, in_channels, kernel = weight.shape[:3]
    stacked = weight.reshape(out_channels, in_channels, kernel).permute(2, 0, 1).reshape(-1, in_channels)
    return stacked, F.pad(bias[None], (0, 0, kernel // 2, kernel // 2))


class TemporalConv(nn.Module):
    """A (k, 1, 1) convolution; the weight has Conv3d's shape (C', C, k, 1, 1)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        assert kernel % 2 == 1, f"a kernel of {kernel} frames does not keep the clip's length"
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, P, C) → (B, T, P, C')."""
        return temporal_convolution(x, self.weight, self.bias)


def interpolate_in_time(table: Tensor, length: int) -> Tensor:
    """A table of one vector per frame (S, C), brought to another number of frames (linear) → (length, C)."""
    if len(table) == length:
        return table
    resized = F.interpolate(table.t()[None].float(), size=length, mode="linear", align_corners=False)
    return resized[0].t().to(table.dtype)
