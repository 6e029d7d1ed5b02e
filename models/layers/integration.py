"""DiST's I-block as one function that keeps little for the way back.

    m ─norm─► Linear ─┬─ spatial ───────────────────────────┬─► silu ─► Linear ─► r
                      └─ temporal ─► convolution over time ─┘

Both MLPs side by side: one norm, one product into both and one out of both. Written as separate layers, it
keeps every arrow; here it keeps m, what goes into the convolution, and what goes into the activation.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.recomputing import norm, norm_backward, silu_backward_
from models.layers.scratch import product_into_scratch, silu_into_scratch
from models.layers.temporal import shift_and_add, shift_and_add_backward


class _TwoMlps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: Tensor, eps: float, *weights: Tensor) -> Tensor:
        in_weight, in_bias, stacked, conv_biases, out_weight, out_bias = weights
        normed, *statistics = norm(m, eps)
        hidden = F.linear(normed, in_weight, in_bias)
        # z takes the temporal channels' place, so that one pass serves both activations
        end = hidden[..., -conv_biases.shape[1] :]
        temporal = end.contiguous()
        end.copy_(shift_and_add(F.linear(temporal, stacked), conv_biases))
        ctx.save_for_backward(m, hidden, temporal, in_weight, stacked, conv_biases, out_weight, *statistics)
        ctx.eps = eps
        return F.linear(silu_into_scratch(hidden, "active"), out_weight, out_bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        m, hidden, temporal, in_weight, stacked, conv_biases, out_weight, *statistics = ctx.saved_tensors
        rows = gradients[0].flatten(0, -2)
        kind, kept_in = rows.dtype, in_weight.dtype

        to_out_weight = rows.t() @ silu_into_scratch(hidden, "active").to(kind).flatten(0, -2)
        to_hidden = product_into_scratch(rows, out_weight.to(kind), "to hidden").view(hidden.shape)
        silu_backward_(to_hidden, hidden)

        end = to_hidden[..., -conv_biases.shape[1] :]
        to_products, to_conv_biases = shift_and_add_backward(end, len(conv_biases))
        products = to_products.flatten(0, -2)
        to_stacked = products.t() @ temporal.flatten(0, -2)
        end.copy_((products @ stacked.to(kind)).view(end.shape))

        columns = to_hidden.flatten(0, -2)
        to_in_weight = columns.t() @ norm(m, ctx.eps)[0].to(kind).flatten(0, -2)
        to_normed = product_into_scratch(columns, in_weight.to(kind), "to normed")
        to_m = norm_backward(to_normed.view(m.shape), m, *statistics)
        of_weights = (
            to_in_weight,
            columns.sum(dim=0),
            to_stacked,
            to_conv_biases,
            to_out_weight,
            rows.sum(dim=0),
        )
        return to_m, None, *(gradient.to(kept_in) for gradient in of_weights)


def two_mlps(
    m: Tensor,
    eps: float,
    in_weight: Tensor,
    in_bias: Tensor,
    stacked: Tensor,
    conv_biases: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
) -> Tensor:
    """Linear(silu(h')) + Linear(silu(conv(h''))), where [h', h''] = Linear(layer norm of m).

    m (B,S,L,C), in_weight (H'+H'', C), in_bias (H'+H''), stacked (k·H'', H'') and conv_biases (k, H'') as
    `stack_over_time` gives them, out_weight (C, H'+H'') with both Linears side by side, out_bias (C)
    → (B,S,L,C).
    """
    return _TwoMlps.apply(m, eps, in_weight, in_bias, stacked, conv_biases, out_weight, out_bias)
