"""The small pieces of CLIP's transformers: layer norm in float32, QuickGELU, the two-layer MLP.

Shapes: x (..., channels). Parameter names are OpenAI's, so that released weights load under their own names.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.scratch import linear_into_scratch

QUICK_GELU_SLOPE = 1.702

Activation = Callable[[Tensor], Tensor]


class _QuickGelu(torch.autograd.Function):
    """silu(a x) / a = x · sigmoid(a x): one buffer forward, only the input kept for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x * QUICK_GELU_SLOPE, inplace=True).mul_(1 / QUICK_GELU_SLOPE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradients[0], x * QUICK_GELU_SLOPE)


def quick_gelu(x: Tensor) -> Tensor:
    """x · sigmoid(1.702 x), the activation of OpenAI's CLIP (Hendrycks & Gimpel 2016, section 2)."""
    return _QuickGelu.apply(x)


class LayerNorm(nn.LayerNorm):
    """Layer norm over the last axis that computes in float32 and answers in the type of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """x (..., channels) → the same shape and type."""
        if x.dtype == self.weight.dtype:
            with full_precision(x):  # kernels for half precision compute in float32 inside
                return super().forward(x)
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Products inside are computed in the types of their inputs: autocast is off on the device of `x`.

    For cosines above all, times CLIP's scale of 100: bfloat16 has steps of 1/8 between 16 and 32.
    """
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def needs_graph(*tensors: Tensor) -> bool:
    """Whether autograd records what is computed from these."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


class Mlp(nn.Module):
    """Linear, activation, Linear over the channels."""

    def __init__(self, width: int, hidden: int, activation: Activation = quick_gelu) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, hidden)
        self.c_proj = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) → (..., width)."""
        if self.activation is quick_gelu and not needs_graph(x, self.c_fc.weight):
            return self._without_graph(x)
        return self.c_proj(self.activation(self.c_fc(x)))

    def _without_graph(self, x: Tensor) -> Tensor:
        """The same with QuickGELU's factors inside the products and its silu in place: two passes less."""
        rows = x.reshape(-1, x.shape[-1])
        slope = QUICK_GELU_SLOPE
        hidden = linear_into_scratch(rows, self.c_fc.weight, self.c_fc.bias, "mlp", factor=slope)
        hidden = F.silu(hidden, inplace=True)
        out = torch.addmm(self.c_proj.bias, hidden, self.c_proj.weight.t(), alpha=1 / slope)
        return out.view(*x.shape[:-1], -1)
