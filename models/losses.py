"""Losses as pure functions."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over the batch of −Σ_k target_k · log softmax(logits)_k, in float32.

    logits (B,K); targets (B,K), each row a distribution over the classes → a scalar.
    """
    return -(targets.float() * F.log_softmax(logits.float(), dim=-1)).sum(dim=-1).mean()
