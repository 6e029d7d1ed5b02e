"""DiST's adaptive pooling: a query per frame gathers its tokens, a query per clip gathers the frames.

B clips · S sparse frames · L tokens · C width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
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

    def forward(self, query: Tensor, normed: Tensor) -> Tensor:
        """query (n,C), sequence (n,L,C) as `normalised` gives it → (n,C)."""
        query = query + self.attention(self.ln_attention(query), normed, self.ln_attention)
        return query + self.mlp(self.ln_mlp(query))


def normalised(sequence: Tensor) -> Tensor:
    """Layer norm (..., C) without weights, in float32: alike in all layers, whose own weights come later."""
    return F.layer_norm(sequence.float(), sequence.shape[-1:]).to(sequence.dtype)


class AdaptivePooling(nn.Module):
    """A query per frame gathers its tokens, a query per clip gathers the frames."""

    def __init__(self, width: int, sparse_frames: int) -> None:
        super().__init__()
        self.spatial = PoolingHalf(width)
        self.temporal = PoolingHalf(width)
        self.positions = nn.Parameter(torch.empty(sparse_frames, width))

    def forward(self, spatial: Tensor, video: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B,S,C) and (B,C), tokens (B,S,L,C) as `normalised` gives them → the next queries."""
        b, s = spatial.shape[:2]
        spatial = self.spatial(spatial.flatten(0, 1), normed.flatten(0, 1)).unflatten(0, (b, s))
        positions = interpolate_in_time(self.positions, s).to(spatial.dtype)
        return spatial, self.temporal(video, normalised(spatial + positions))
