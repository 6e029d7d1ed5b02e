"""The exchange of messages between DiST's two sides, as one function that keeps little for the way back.

    s ─silu─► q = a·x (B,T,N,M) ──Linear of α frames side by side─► v ──┐
                   │                                                    ▼
    m (B,S,1+N,C) ─┼────────────────────────────────────────────────► m + [class token, v]   "joined"
                   ▼                         u ◄─Linear─ m without class token
                   x + u, repeated for α frames

x = silu(s)/a is the temporal side, a QuickGELU with a = 1.702; m = Linear(frozen tokens) + r is the other.
Written as separate layers, it keeps m, q with α frames side by side, and s: three tensors.
Here it keeps s and its own first result, which the norm behind it keeps anyway. q comes from s again; m is
joined − v, and as only products with it are wanted, v is never made:
Σ u'ᵀ m = Σ u'ᵀ joined − (Σ u'ᵀ q) Wᵀ − (Σ u') bᵀ.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from models.layers.basic import QUICK_GELU_SLOPE
from models.layers.recomputing import silu_backward_
from models.layers.scratch import product_into_scratch, silu_into_scratch


def side_by_side(x: Tensor, alpha: int) -> Tensor:
    """x (B,T,N,M) → (B,S,N,α·M): the α frames of a sparse frame side by side in the channels."""
    return rearrange(x, "b (s a) n m -> b s n (a m)", a=alpha)


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, s: Tensor, tokens: Tensor, r: Tensor | None, *weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        m_weight, in_weight, in_bias, class_token, out_weight, out_bias = weights
        joined = _plus_linear(r, tokens, m_weight)  # m, so far
        alpha = s.shape[1] // joined.shape[1]
        q = silu_into_scratch(s, "q")
        message = F.linear(joined, out_weight, out_bias)[:, :, 1:].unsqueeze(2)  # (B,S,1,N,M)
        next_x = torch.add(message, q.unflatten(1, (-1, alpha)), alpha=1 / QUICK_GELU_SLOPE).flatten(1, 2)
        joined[:, :, 1:].add_(F.linear(side_by_side(q, alpha), in_weight, in_bias))
        joined[:, :, 0].add_(class_token)
        ctx.save_for_backward(s, tokens, joined, in_weight, in_bias, out_weight)
        ctx.type_of_r = None if r is None else r.dtype
        return joined, next_x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        s, tokens, joined, in_weight, in_bias, out_weight = ctx.saved_tensors
        to_joined, to_next = gradients
        alpha, kind = s.shape[1] // joined.shape[1], to_joined.dtype
        # The class token takes part as a position with nothing in it: leaving it out would copy the others.
        without_token = (0, 0, 1, 0)
        rows = to_joined.flatten(0, 2)
        groups = F.pad(side_by_side(silu_into_scratch(s, "q"), alpha).to(kind), without_token).flatten(0, 2)
        to_message = F.pad(to_next.unflatten(1, (-1, alpha)).sum(dim=2).to(kind), without_token).flatten(0, 2)

        to_groups = product_into_scratch(rows, in_weight.to(kind), "to groups")
        to_groups = to_groups.view(*joined.shape[:3], -1)[:, :, 1:]
        to_q = rearrange(to_groups, "b s n (a m) -> b (s a) n m", a=alpha)
        to_s = silu_backward_(torch.add(to_q, to_next, alpha=1 / QUICK_GELU_SLOPE).to(s.dtype), s)

        to_m = torch.addmm(rows, to_message, out_weight.to(kind))
        to_r = None if ctx.type_of_r is None else to_m.view(joined.shape).to(ctx.type_of_r)

        to_class_token = to_joined[:, :, 0].sum(dim=0)
        to_out_bias = to_message.sum(dim=0).to(in_bias.dtype)
        of_joined = (to_message.t() @ joined.to(kind).flatten(0, 2)).to(in_weight.dtype)
        of_v = (to_message.t() @ groups).to(in_weight.dtype) @ in_weight.t() + to_out_bias.outer(in_bias)
        of_weights = (
            to_m.t() @ tokens.to(kind).flatten(0, 2),
            rows.t() @ groups,
            rows.sum(dim=0) - to_class_token.sum(dim=0),
            to_class_token,
            of_joined - of_v,
            to_out_bias,
        )
        return to_s, None, to_r, *(gradient.to(in_weight.dtype) for gradient in of_weights)


def _plus_linear(r: Tensor | None, tokens: Tensor, weight: Tensor) -> Tensor:
    """r + F.linear(tokens, weight), r None for 0."""
    if r is None:
        return F.linear(tokens, weight)
    return torch.addmm(r.flatten(0, 2), tokens.flatten(0, 2), weight.t()).view(r.shape)


def exchange(
    s: Tensor,
    tokens: Tensor,
    r: Tensor | None,
    m_weight: Tensor,
    in_weight: Tensor,
    in_bias: Tensor,
    class_token: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Both sides with each other's messages, made of the values before the exchange; tokens get no gradient.

    s (B,T,N,M): 1.702 times what the temporal side's QuickGELU is of; tokens (B,S,1+N,D), m_weight (C,D) and
    r (B,S,1+N,C), or None for 0: the integration side is m = Linear(tokens) + r; in_weight (C, α·M), in_bias
    (C) and class_token (S,C): what q sends to the integration side; out_weight (M,C), out_bias (M): what m
    sends to the temporal side → joined (B,S,1+N,C), x (B,T,N,M).
    """
    return _Exchange.apply(s, tokens, r, m_weight, in_weight, in_bias, class_token, out_weight, out_bias)
