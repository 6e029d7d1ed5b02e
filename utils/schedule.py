"""The learning rate as one pure function of the position in training.

Position is the fractional epoch e = steps done / steps per pass over the data, so a resumed run needs no
state.

    e < warmup_epochs    linear from warmup_start_lr to the policy's rate at warmup_epochs
    cosine               base_lr · ½ (1 + cos(π · e / max_epoch))
    cosine_from_peak     base_lr · ½ (1 + cos(π · (e − warmup_epochs) / (max_epoch − warmup_epochs)))
    cosine_wave          base_lr for hold_epochs after the warm-up, until epoch s; then
                         base_lr · ½ (1 + cos(π · (e − s) / half_period)), down and up again
    constant             base_lr

The result never falls below min_lr. Parameter groups multiply it by their own factor (`utils/optim.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

POLICIES = ("cosine", "cosine_from_peak", "cosine_wave", "constant")


@dataclass(frozen=True)
class LearningRateSchedule:
    """Rates are absolute, lengths are in epochs (single passes over the data, fractions allowed)."""

    base_lr: float
    max_epoch: float
    policy: str = "cosine"
    warmup_epochs: float = 0.0
    warmup_start_lr: float = 0.0
    min_lr: float = 0.0
    half_period: float = 0.0
    hold_epochs: float = 0.0

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise ValueError(
                f"learning-rate policy {self.policy!r} is unknown: choose one of {', '.join(POLICIES)}"
            )
        if self.policy == "cosine_wave" and self.half_period <= 0:
            raise ValueError(f"a cosine wave needs a positive half_period, got {self.half_period}")
        if self.max_epoch <= 0:
            raise ValueError(f"max_epoch must be positive, got {self.max_epoch}")
        if not 0 <= self.warmup_epochs <= self.max_epoch:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs} must lie between 0 and max_epoch {self.max_epoch}"
            )

    def at(self, epoch: float) -> float:
        """The base learning rate after `epoch` (fractional, from 0) passes over the data."""
        if epoch < self.warmup_epochs:
            top = self._without_warmup(self.warmup_epochs)
            rate = self.warmup_start_lr + (top - self.warmup_start_lr) * epoch / self.warmup_epochs
        else:
            rate = self._without_warmup(epoch)
        return max(rate, self.min_lr)

    def _without_warmup(self, epoch: float) -> float:
        if self.policy == "constant":
            return self.base_lr
        return self.base_lr * 0.5 * (1.0 + math.cos(math.pi * self._phase(epoch)))

    def _phase(self, epoch: float) -> float:
        """0 at the peak of the cosine, 1 at its floor."""
        if self.policy == "cosine":
            return min(epoch / self.max_epoch, 1.0)
        after = epoch - self.warmup_epochs
        if self.policy == "cosine_wave":
            return max(after - self.hold_epochs, 0.0) / self.half_period
        falling = self.max_epoch - self.warmup_epochs
        return min(after / falling, 1.0) if falling > 0 else 0.0
