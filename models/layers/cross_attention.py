"""Attention of queries over another sequence, with separate projections of query, key and value."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """softmax(q·k / sqrt(head width)) over the keys; heads divide the width. Xavier-uniform, zero biases."""

    def __init__(self, width: int, heads: int, *, projection_bias: bool) -> None:
        """projection_bias: whether query, key and value have biases; the output always has one."""
        super().__init__()
        assert width % heads == 0, f"{heads} heads do not divide a width of {width}"
        self.heads = heads
        self.q_proj = nn.Linear(width, width, bias=projection_bias)
        self.k_proj = nn.Linear(width, width, bias=projection_bias)
        self.v_proj = nn.Linear(width, width, bias=projection_bias)
        self.out_proj = nn.Linear(width, width)
        for linear in (self.q_proj, self.k_proj, self.v_proj, self.out_proj):
            nn.init.xavier_uniform_(linear.weight)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, sequence: Tensor) -> Tensor:
        """query (n, Q, width), sequence (n, L, width), both normed by the caller → (n, Q, width)."""
        q, k, v = self.q_proj(query), self.k_proj(sequence), self.v_proj(sequence)
        mixed = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))
        return self.out_proj(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(n, L, width) → (n, heads, L, head width)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
