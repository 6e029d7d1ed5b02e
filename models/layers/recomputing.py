"""Products that keep what went into the cheap function before them, not what came out of it.

A Linear behind a norm or an activation keeps that function's output for its weights' gradient, and the
function keeps its input for its own: two tensors of one size, of which the first costs a pass over memory to
make again, next to nothing beside a product. Here each pair is one function that keeps the input alone.

Shapes: x (..., channels). Products run in autocast's type where it is on, norms in float32.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.scratch import product_into_scratch, silu_into_scratch


class _LinearOfNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        normed, *statistics = norm(x, eps)
        ctx.save_for_backward(x, weight, *statistics)
        ctx.eps = eps
        return F.linear(normed, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, *statistics = ctx.saved_tensors
        rows = gradients[0].flatten(0, -2)
        to_normed = product_into_scratch(rows, weight.to(rows.dtype), "to normed").view(x.shape)
        to_weight = rows.t() @ norm(x, ctx.eps)[0].to(rows.dtype).flatten(0, -2)
        return norm_backward(to_normed, x, *statistics), to_weight.to(weight.dtype), None


def norm(x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Layer norm without weights, in float32: the result in x's type, and what its gradient needs."""
    normed, mean, scale = torch.native_layer_norm(x.float(), x.shape[-1:], None, None, eps)
    return normed.to(x.dtype), mean, scale


def norm_backward(gradient: Tensor, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """The gradient of x, given that of `norm`'s result."""
    to_x, _, _ = torch.ops.aten.native_layer_norm_backward(
        gradient.float(), x.float(), x.shape[-1:], mean, scale, None, None, [True, False, False]
    )
    return to_x.to(x.dtype)


class _SpatialConvOfSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        images = silu_into_scratch(x, "images").permute(0, 3, 1, 2)
        return F.conv2d(images, weight, bias, padding=_half_kernel(weight)).permute(0, 2, 3, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        images, kind, padding = (
            silu_into_scratch(x, "images").permute(0, 3, 1, 2),
            gradient.dtype,
            _half_kernel(weight),
        )
        to_images, to_weight, to_bias = torch.ops.aten.convolution_backward(
            gradient.permute(0, 3, 1, 2),
            images.to(kind),
            weight.to(kind),
            [len(weight)],
            [1, 1],
            padding,
            [1, 1],
            False,
            [0, 0],
            1,
            [True, True, True],
        )
        to_active = to_images.permute(0, 2, 3, 1).to(x.dtype)
        to_x = silu_backward_(to_active, x)
        return to_x, to_weight.to(weight.dtype), to_bias.to(weight.dtype)


def _half_kernel(weight: Tensor) -> list[int]:
    return [weight.shape[2] // 2, weight.shape[3] // 2]


def silu_backward_(gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient of x, given that of silu(x), in whose memory it is written."""
    return torch.ops.aten.silu_backward.grad_input(gradient, x, grad_input=gradient)


def linear_of_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """F.linear(layer norm of x without weights of its own, weight): x (..., in), weight (out, in)
    → (..., out).
    """
    return _LinearOfNorm.apply(x, weight, eps)


def spatial_convolution_of_silu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Zero-padded convolution of silu(x) that keeps the image's size.

    x (n, rows, columns, in), channels last, weight (out, in, k, k) with k odd → (n, rows, columns, out).
    QuickGELU is silu(a x) / a: for it, the weights before take the factor a, and these 1 / a.
    """
    return _SpatialConvOfSilu.apply(x, weight, bias)
