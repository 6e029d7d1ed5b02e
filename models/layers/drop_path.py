"""Stochastic depth: a residual branch that is left out at random while training (Huang et al. 2016)."""

from __future__ import annotations

from torch import Tensor, nn


class DropPath(nn.Module):
    """Zeroes the branch of a whole sequence with probability `rate`, and scales up the others to make up."""

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        assert 0 <= rate < 1, f"a drop-path rate of {rate} is not in [0, 1)"
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """x (n, ...): one draw for each of the n sequences in training; x itself otherwise."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(len(x), *(1,) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)
