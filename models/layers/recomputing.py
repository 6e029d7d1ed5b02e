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

from models.layers.basic import QUICK_GELU_SLOPE, quick_gelu


class _SumOfLinearsOfSilu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, x_weight: Tensor, z_weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, z, x_weight, z_weight)
        of_x = F.linear(F.silu(x), x_weight, bias)
        rows, active = of_x.flatten(0, -2), F.silu(z).flatten(0, -2)
        if rows.dtype == active.dtype == z_weight.dtype:
            torch.addmm(rows, active, z_weight.t(), out=rows)
            return of_x
        return torch.addmm(rows, active, z_weight.t()).view(of_x.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        x, z, x_weight, z_weight = ctx.saved_tensors
        (gradient,) = gradients
        to_silu_x, to_x_weight, to_bias = _linear_backward(gradient, F.silu(x), x_weight)
        to_x = torch.ops.aten.silu_backward(to_silu_x.to(x.dtype), x)
        to_silu_z, to_z_weight, _ = _linear_backward(gradient, F.silu(z), z_weight, with_bias=False)
        to_z = torch.ops.aten.silu_backward(to_silu_z.to(z.dtype), z)
        return to_x, to_z, to_x_weight, to_z_weight, to_bias


class _LinearOfNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        normed, mean, scale = torch.native_layer_norm(x.float(), x.shape[-1:], None, None, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        ctx.eps = eps
        return F.linear(normed.to(x.dtype), weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, scale = ctx.saved_tensors
        exact = x.float()
        normed = torch.native_layer_norm(exact, x.shape[-1:], None, None, ctx.eps)[0]
        to_normed, to_weight, to_bias = _linear_backward(gradients[0], normed, weight)
        to_x, _, _ = torch.ops.aten.native_layer_norm_backward(
            to_normed.float(), exact, x.shape[-1:], mean, scale, None, None, [True, False, False]
        )
        return to_x.to(x.dtype), to_weight, to_bias, None


class _SpatialConvOfQuickGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        images = quick_gelu(x).permute(0, 3, 1, 2)
        return F.conv2d(images, weight, bias, padding=_half_kernel(weight)).permute(0, 2, 3, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        (gradient,) = gradients
        images, kind, padding = quick_gelu(x).permute(0, 3, 1, 2), gradient.dtype, _half_kernel(weight)
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
        to_x = torch.ops.aten.silu_backward(to_active, x * QUICK_GELU_SLOPE)
        return to_x, to_weight.to(weight.dtype), to_bias.to(weight.dtype)


def _half_kernel(weight: Tensor) -> list[int]:
    return [weight.shape[2] // 2, weight.shape[3] // 2]


def _linear_backward(
    gradient: Tensor, x: Tensor, weight: Tensor, *, with_bias: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of F.linear(x, weight, bias) for x, weight and bias, multiplied in the gradient's type."""
    rows = gradient.flatten(0, -2)
    to_x = (rows @ weight.to(rows.dtype)).view(x.shape)
    to_weight = rows.t() @ x.to(rows.dtype).flatten(0, -2)
    to_bias = rows.sum(dim=0) if with_bias else rows.new_empty(0)
    return to_x, to_weight.to(weight.dtype), to_bias.to(weight.dtype)


def sum_of_linears_of_silu(x: Tensor, z: Tensor, x_weight: Tensor, z_weight: Tensor, bias: Tensor) -> Tensor:
    """silu(x) x_weightᵀ + silu(z) z_weightᵀ + bias: x (..., in), z (..., in'), weights (out, ·) → (..., out).

    QuickGELU is silu(a x) / a: for it, the weights before take the factor a, and these 1 / a.
    """
    return _SumOfLinearsOfSilu.apply(x, z, x_weight, z_weight, bias)


def linear_of_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """F.linear(layer norm of x without weights of its own, weight, bias): x (..., in) → (..., out)."""
    return _LinearOfNorm.apply(x, weight, bias, eps)


def spatial_convolution_of_quick_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Zero-padded convolution of quick_gelu(x) that keeps the image's size.

    x (n, rows, columns, in), channels last, weight (out, in, k, k) with k odd → (n, rows, columns, out).
    """
    return _SpatialConvOfQuickGelu.apply(x, weight, bias)
