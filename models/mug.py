"""Mug: similarity of a text and a video from all pairs of tokens and frames (Liu et al., arXiv 2311.15075).

    tokens (A,L,E), mask (A,L) ┐
                               ├─► S (A,B,L,T) ─► a score per token, a score per frame ─► similarity (A,B)
    frames (B,T,E) ────────────┘

Each token's score is its mean similarity with the frames, weighted towards those that it resembles; each
frame's likewise over the tokens. No parameters. Padded tokens have no part in anything.

Two forms. "simple" averages the scores once more, weighted towards high ones, and takes the mean of both
sides. "full" pools the features by these weights, and multiplies the pooled features. As everything but the
softmaxes is linear, both need S alone: the full form never holds features per pair, nor costs more.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from models.layers.basic import full_precision

SHARPNESS = 100.0
"""τ, the factor inside every softmax."""
_NORM_FLOOR = 1e-6


def mug_similarity(
    tokens: Tensor, frames: Tensor, mask: Tensor, *, full: bool = False, sharpness: float = SHARPNESS
) -> Tensor:
    """Similarities (A,B) in [-1, 1] of A texts and B videos, in float32.

    tokens (A,L,E), frames (B,T,E), not normalised; mask (A,L): true for tokens that are not padding, at
    least one in each text (a text without any gives NaN).
    """
    tokens = F.normalize(tokens.float(), dim=-1, eps=_NORM_FLOOR)
    frames = F.normalize(frames.float(), dim=-1, eps=_NORM_FLOOR)
    with full_precision(tokens):
        return _aligned(tokens, frames, mask, full, sharpness)


def _aligned(tokens: Tensor, frames: Tensor, mask: Tensor, full: bool, sharpness: float) -> Tensor:
    """Of normalised features."""
    pairs = torch.einsum("ale,bte->ablt", tokens, frames)
    padding = ~mask.bool()[:, None]  # (A,1,L)
    pairs = pairs.masked_fill(padding[..., None], 0.0)
    over_frames = (sharpness * pairs).softmax(dim=3)
    over_tokens = (sharpness * pairs).masked_fill(padding[..., None], -torch.inf).softmax(dim=2)
    token_scores = (over_frames * pairs).sum(dim=3)  # (A,B,L)
    frame_scores = (over_tokens * pairs).sum(dim=2)  # (A,B,T)
    token_shares = (sharpness * token_scores).masked_fill(padding, -torch.inf).softmax(dim=2)
    frame_shares = (sharpness * frame_scores).softmax(dim=2)
    if full:
        # (Σ_l a_l t_l)·(Σ_t b_t f_t) = Σ_l Σ_t a_l b_t S_lt
        return torch.einsum("abl,ablt,abt->ab", token_shares, pairs, frame_shares)
    return 0.5 * ((token_shares * token_scores).sum(dim=2) + (frame_shares * frame_scores).sum(dim=2))
