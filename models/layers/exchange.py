"""The exchange of messages between DiST's two sides, as one function that keeps little for the way back.

    s ─QuickGELU─► x (B,T,N,M) ──Linear of α frames side by side─► v ──┐
                   │                                                   ▼
    m (B,S,1+N,C) ─┼───────────────────────────────────────────────►  m + [class token, v]   "joined"
                   ▼                         u ◄─Linear─ m without class token
                   x + u, repeated for α frames

Written as separate layers, it keeps m, x with α frames side by side, and s: three tensors. Here it keeps s
and its own first result, which the norm behind it keeps anyway. x comes from s again; m is joined − v, and
as only products with it are wanted, v is never made: Σ u'ᵀ m = Σ u'ᵀ joined − (Σ u'ᵀ x) Wᵀ − (Σ u') bᵀ.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from models.layers.basic import QUICK_GELU_SLOPE, quick_gelu


def side_by_side(x: Tensor, alpha: int) -> Tensor:
    """x (B,T,N,M) → (B,S,N,α·M): the α frames of a sparse frame side by side in the channels."""
    return rearrange(x, "b (s a) n m -> b s n (a m)", a=alpha)


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, s: Tensor, m: Tensor, in_weight: Tensor, in_bias: Tensor, token: Tensor, *out: Tensor
    ) -> tuple[Tensor, Tensor]:
        out_weight, out_bias = out
        x = quick_gelu(s)
        alpha = s.shape[1] // m.shape[1]
        message = F.linear(m, out_weight, out_bias)[:, :, 1:].unsqueeze(2)  # (B,S,1,N,M)
        next_x = (x.unflatten(1, (-1, alpha)) + message).flatten(1, 2)
        joined = m.clone()
        joined[:, :, 1:] += F.linear(side_by_side(x, alpha), in_weight, in_bias)
        joined[:, :, 0] += token.to(m.dtype)
        ctx.save_for_backward(s, joined, in_weight, in_bias, out_weight)
        return joined, next_x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        s, joined, in_weight, in_bias, out_weight = ctx.saved_tensors
        to_joined, to_next = gradients
        alpha, kind = s.shape[1] // joined.shape[1], to_joined.dtype
        weight = in_weight.to(kind)
        groups = side_by_side(quick_gelu(s), alpha).to(kind).flatten(0, 2)
        to_tokens = to_joined[:, :, 1:].reshape(len(groups), -1)
        to_message = to_next.unflatten(1, (-1, alpha)).sum(dim=2).to(kind)  # (B,S,N,M)
        rows = to_message.flatten(0, 2)

        to_groups = (to_tokens @ weight).view(*to_message.shape[:3], -1)
        to_x = rearrange(to_groups, "b s n (a m) -> b (s a) n m", a=alpha) + to_next
        to_s = torch.ops.aten.silu_backward(to_x.to(s.dtype), s * QUICK_GELU_SLOPE)

        spread = F.pad(to_message, (0, 0, 1, 0)).flatten(0, 2)  # the class token sends nothing
        to_m = torch.addmm(to_joined.flatten(0, 2), spread, out_weight.to(kind)).view(joined.shape)

        to_in_weight = (to_tokens.t() @ groups).to(in_weight.dtype)
        to_in_bias = to_tokens.sum(dim=0).to(in_bias.dtype)
        to_token = to_joined[:, :, 0].sum(dim=0).to(in_bias.dtype)
        to_out_bias = rows.sum(dim=0).to(in_bias.dtype)
        of_joined = (spread.t() @ joined.to(kind).flatten(0, 2)).to(in_weight.dtype)
        of_v = (rows.t() @ groups).to(in_weight.dtype) @ in_weight.t() + to_out_bias.outer(in_bias)
        return to_s, to_m, to_in_weight, to_in_bias, to_token, of_joined - of_v, to_out_bias


def exchange(
    s: Tensor,
    m: Tensor,
    in_weight: Tensor,
    in_bias: Tensor,
    token: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Both sides with each other's messages, made of the values before the exchange.

    s (B,T,N,M): the temporal side before its QuickGELU; m (B,S,1+N,C); in_weight (C, α·M), in_bias (C) and
    token (S,C): what goes to the integration side; out_weight (M,C), out_bias (M): what goes to the temporal
    side → joined (B,S,1+N,C), x (B,T,N,M).
    """
    return _Exchange.apply(s, m, in_weight, in_bias, token, out_weight, out_bias)
