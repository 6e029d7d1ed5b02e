"""Attention of CLIP's transformers: self-attention over a sequence, and pooling of one by a single query.

Weights are packed as in torch and in OpenAI's CLIP: `in_proj_weight` (3·width, width) holds query, key and
value. Heads divide the width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.layers.basic import Activation, LayerNorm, Mlp, needs_graph, quick_gelu
from models.layers.scratch import linear_into_scratch


class _PackedAttention(nn.Module):
    """The parameters that both kinds of attention have."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        assert width % heads == 0, f"{heads} heads do not divide a width of {width}"
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)


class SelfAttention(_PackedAttention):
    """Multi-head self-attention; softmax(q·k / sqrt(head width)) over the keys."""

    def forward(self, x: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
        """x (n, L, width) → (n, L, width). mask: additive or boolean, as torch's attention takes it."""
        if needs_graph(x, self.in_proj_weight):
            query, key, value = self.project(x)
        else:
            rows = x.reshape(-1, x.shape[-1])
            packed = linear_into_scratch(rows, self.in_proj_weight, self.in_proj_bias, "attention")
            query, key, value = self._split(packed.view(*x.shape[:2], -1))
        return self.mix(query, key, value, causal=causal, mask=mask)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (n, L, width) → query, key and value, each (n, heads, L, head width)."""
        return self._split(F.linear(x, self.in_proj_weight, self.in_proj_bias))

    def _split(self, packed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, L, 3·width) → three times (n, heads, L, head width)."""
        n, length, width = packed.shape
        split = packed.view(n, length, 3, self.heads, width // (3 * self.heads)).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind(0)
        return query, key, value

    def mix(
        self, query: Tensor, key: Tensor, value: Tensor, *, causal: bool = False, mask: Tensor | None = None
    ) -> Tensor:
        """What `project` gave → (n, L, width)."""
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: Tensor, sequence: Tensor, factor: float) -> Tensor:
        scores = torch.matmul(queries, sequence.transpose(1, 2)) * factor  # (n, heads, L)
        shares = scores.float().softmax(dim=-1).to(scores.dtype)
        ctx.save_for_backward(queries, sequence, shares)
        ctx.factor = factor
        return torch.matmul(shares, sequence)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        queries, sequence, shares = ctx.saved_tensors
        (gradient,) = gradients
        kind, exact = gradient.dtype, shares.float()
        # What all of a sequence has in common changes no share. Taken away, less is left to round.
        centred = sequence.to(kind) - sequence.to(kind).mean(dim=1, keepdim=True)
        to_shares = torch.matmul(gradient, centred.transpose(1, 2)).float()
        to_scores = exact * (to_shares - (to_shares * exact).sum(dim=-1, keepdim=True))
        to_scores = (to_scores * ctx.factor).to(kind)
        to_queries = torch.matmul(to_scores, centred).to(queries.dtype)
        both = torch.cat([to_scores, shares.to(kind)], dim=1).transpose(1, 2)  # (n, L, 2·heads)
        to_sequence = torch.matmul(both, torch.cat([queries.to(kind), gradient], dim=1))
        return to_queries, to_sequence.to(sequence.dtype), None


def attend(queries: Tensor, sequence: Tensor, factor: float) -> Tensor:
    """Σ softmax(factor · q·y) y over a sequence y, with one product for the gradient of y instead of two.

    queries q (n, heads, width), sequence (n, L, width) → (n, heads, width).
    """
    return _Attend.apply(queries, sequence, factor)


class SingleQueryAttention(_PackedAttention):
    """Attention of one query over a sequence, which it never projects to keys and values.

    For a single query the projections can change places with the sums over the sequence: the score of token
    y is (Wk y + bk)·q = y·(Wkᵀq) + const, and Σ a (Wv y + bv) = Wv (Σ a y) + bv as Σ a = 1. That is the same
    result for 2·heads·L·width multiply-adds instead of 2·L·width². The key's bias shifts all scores of a
    query alike, so the softmax takes it away: its gradient is zero here exactly, elsewhere up to rounding.
    """

    def forward(self, query: Tensor, sequence: Tensor, norm: nn.LayerNorm | None = None) -> Tensor:
        """query (n, width), sequence (n, L, width) → (n, width).

        norm: what it learned is applied to the sequence, which has been normalised before: again to the query
        and to the sums instead.
        """
        n, _, width = sequence.shape
        head_width = width // self.heads
        weight_q, weight_k, weight_v = self.in_proj_weight.chunk(3)
        bias_q, _, bias_v = self.in_proj_bias.chunk(3)
        q = F.linear(query, weight_q, bias_q).view(n, self.heads, head_width)
        # (n, heads, head width) x (heads, head width, width): the query as the sequence sees it
        seen = torch.einsum("nhd,hdc->nhc", q, weight_k.view(self.heads, head_width, width).to(q.dtype))
        if norm is not None:
            seen = seen * norm.weight.to(seen.dtype)
        gathered = attend(seen, sequence, head_width**-0.5)  # (n, heads, width)
        if norm is not None:
            gathered = gathered * norm.weight.to(gathered.dtype) + norm.bias.to(gathered.dtype)
        values = torch.einsum(
            "nhc,hdc->nhd", gathered, weight_v.view(self.heads, head_width, width).to(gathered.dtype)
        )
        return self.out_proj(values.reshape(n, width) + bias_v.to(values.dtype))


class ResidualAttentionBlock(nn.Module):
    """A pre-norm transformer block: x += attention(ln_1 x); x += mlp(ln_2 x)."""

    def __init__(
        self, width: int, heads: int, *, mlp_ratio: float = 4.0, activation: Activation = quick_gelu
    ) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.ln_2 = LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio), activation)

    def forward(self, x: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
        """x (n, L, width) → (n, L, width). mask: additive or boolean, as torch's attention takes it."""
        x = x + self.attn(self.ln_1(x), causal=causal, mask=mask)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """A stack of residual attention blocks."""

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        activation: Activation = quick_gelu,
    ) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(
            ResidualAttentionBlock(width, heads, mlp_ratio=mlp_ratio, activation=activation)
            for _ in range(layers)
        )

    def forward(self, x: Tensor, *, causal: bool = False, mask: Tensor | None = None) -> Tensor:
        """x (n, L, width) → (n, L, width). mask: additive or boolean, as torch's attention takes it."""
        for block in self.resblocks:
            x = block(x, causal=causal, mask=mask)
        return x
