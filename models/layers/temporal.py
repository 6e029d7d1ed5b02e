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


class _ShiftedSum(torch.autograd.Function):
    """Sum over j of z[:, :, :, j] moved by k//2 − j frames, with zeros beyond both ends."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """z (B, T, P, k, C) → (B, T, P, C)."""
        frames, kernel = z.shape[1], z.shape[3]
        ctx.kernel = kernel
        total = z[:, :, :, kernel // 2].clone()
        for j, (target, source) in enumerate(_windows(frames, kernel)):
            if j != kernel // 2:
                total[:, target] += z[:, source, :, j]
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Gradient (B, T, P, C) → (B, T, P, k, C)."""
        (gradient,) = gradients
        b, frames, positions, channels = gradient.shape
        spread = gradient.new_empty(b, frames, positions, ctx.kernel, channels)
        for j, (target, source) in enumerate(_windows(frames, ctx.kernel)):
            spread[:, source, :, j] = gradient[:, target]
            spread[:, : source.start, :, j] = 0
            spread[:, source.stop :, :, j] = 0
        return spread


def _windows(frames: int, kernel: int) -> list[tuple[slice, slice]]:
    """For each kernel position the frames that receive and the frames that give."""
    windows = []
    for j in range(kernel):
        shift = j - kernel // 2  # output frame t takes input frame t + shift
        receive = slice(max(0, -shift), max(0, min(frames, frames - shift)))
        give = slice(max(0, shift), max(0, min(frames, frames + shift)))
        windows.append((receive, give))
    return windows


def temporal_convolution(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolution over time at each position, zero-padded so that the length stays.

    x (B, T, P, C), weight (C', C, k, ...) with k odd and only ones after it, bias (C') → (B, T, P, C').
    """
    return _shifted_sum(F.linear(x, *_stacked(weight, bias)), weight)


def temporal_convolution_of_patches(images: Tensor, patch: int, weight: Tensor, bias: Tensor) -> Tensor:
    """`temporal_convolution` of the images' patches, which are not kept for the backward pass.

    images (B, T, 3, H, W), weight (C', 3·p·p, k), bias (C') → (B, T, N, C').
    """
    stacked, biases = _stacked(weight, bias)
    return _shifted_sum(linear_of_patches(images, stacked, biases, patch), weight)


def temporal_convolution_of_norm(x: Tensor, norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Tensor:
    """`temporal_convolution` of norm(x), of which nothing but x is kept for the backward pass."""
    stacked, biases = _stacked(weight, bias)
    biases = biases + stacked @ norm.bias
    return _shifted_sum(linear_of_norm(x, stacked * norm.weight, biases, norm.eps), weight)


def _stacked(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel's k matrices one below the other (k·C', C), and their biases (k·C').

    All of the bias is the middle one's, as every frame receives from itself.
    """
    out_channels, in_channels, kernel = weight.shape[:3]
    stacked = weight.reshape(out_channels, in_channels, kernel).permute(2, 0, 1).reshape(-1, in_channels)
    before = kernel // 2 * out_channels
    return stacked, F.pad(bias, (before, len(stacked) - before - out_channels))


def _shifted_sum(products: Tensor, weight: Tensor) -> Tensor:
    out_channels, _, kernel = weight.shape[:3]
    return _ShiftedSum.apply(products.view(*products.shape[:-1], kernel, out_channels))


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
