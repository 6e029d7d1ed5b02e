"""DiST's adaptive pooling: a query per frame gathers its tokens, a query per clip gathers the frames.

B clips · S sparse frames · L tokens · C width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.layers.attention import SingleQueryAttention
from models.layers.basic import LayerNorm, Mlp
from models.layers.temporal import interpolate_in_time

_HEAD_WIDTH = 64


class PoolingHalf(nn.Module):
    """q ← q + CrossAttention(q; sequence); q ← q + MLP(LN q). One norm serves query, key and value."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_attention = LayerNorm(width)
        self.attention = SingleQueryAttention(width, width // _HEAD_WIDTH)
        self.ln_mlp = LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, query: Tensor, sequence: Tensor) -> Tensor:
        """query (n,C), sequence (n,L,C) → (n,C)."""
        query = query + self.attention(self.ln_attention(query), self.ln_attention(sequence))
        return query + self.mlp(self.ln_mlp(query))


class AdaptivePooling(nn.Module):
    """A query per frame gathers its tokens, a query per clip gathers the frames."""

    def __init__(self, width: int, sparse_frames: int) -> None:
        super().__init__()
        self.spatial = PoolingHalf(width)
        self.temporal = PoolingHalf(width)
        self.positions = nn.Parameter(torch.empty(sparse_frames, width))

    def forward(self, spatial: Tensor, video: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B,S,C) and (B,C), tokens y (B,S,L,C) → the next queries."""
        b, s = spatial.shape[:2]
        spatial = self.spatial(spatial.flatten(0, 1), y.flatten(0, 1)).unflatten(0, (b, s))
        positions = interpolate_in_time(self.positions, s).to(spatial.dtype)
        return spatial, self.temporal(video, spatial + positions)
