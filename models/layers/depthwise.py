"""Depthwise convolution over time on the channels-last layout (B, T, positions, channels)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DepthwiseTemporalConv(nn.Module):
    """Each channel's own kernel over k frames at every position; zero-padded so that the length stays.

    The weight has Conv3d's shape (C, 1, k, 1, 1). Multiplying shifted views of one padded copy keeps a
    single tensor for the backward pass and never leaves the layout.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        assert kernel % 2 == 1, f"a kernel of {kernel} frames does not keep the clip's length"
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel, 1, 1))
        self.bias = nn.Parameter(torch.empty(channels))
        bound = 1 / math.sqrt(kernel)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, P, C) → (B, T, P, C)."""
        frames, kernel = x.shape[1], self.weight.shape[2]
        padded = F.pad(x, (0, 0, 0, 0, kernel // 2, kernel // 2))
        taps = self.weight[:, 0, :, 0, 0].to(x.dtype).unbind(dim=1)  # k of (C)
        total = self.bias.to(x.dtype) + padded[:, :frames] * taps[0]
        for shift in range(1, kernel):
            total = total + padded[:, shift : shift + frames] * taps[shift]
        return total
