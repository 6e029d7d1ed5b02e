"""Configuration of OPTIMIZER: learning rates, their course over training, weight decay. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.config import require


@dataclass(frozen=True)
class OptimizerConfig:
    """OPTIMIZER: how weights are updated."""

    optim_method: Literal["adamw"] = "adamw"
    """The update rule."""
    base_lr: float = 3.2e-5
    """Peak learning rate of tuned pretrained weights, for a global batch of 256 clips."""
    new_net_lrmult: float = 10.0
    """Learning rate of newly added weights, as a multiple of OPTIMIZER.BASE_LR."""
    adjust_lr: bool = False
    """Scale the whole course of the learning rate linearly with TRAIN.BATCH_SIZE / 256: WARMUP_START_LR,
    BASE_LR and MIN_LR."""
    lr_policy: Literal["cosine", "cosine_from_peak", "cosine_wave", "constant"] = "cosine"
    """Course after the warm-up: cosine falls to OPTIMIZER.MIN_LR at the last epoch, and has fallen since the
    first; cosine_from_peak has not before the warm-up's end; cosine_wave falls in
    OPTIMIZER.COSINE_HALF_PERIOD epochs, and rises again."""
    cosine_half_period: float = 0.0
    """cosine_wave: epochs from the peak of the rate to its floor."""
    hold_epochs: float = 0.0
    """cosine_wave: epochs that the rate stays at its peak after the warm-up, before it falls."""
    max_epoch: int = 36
    """Passes over the training data in all; TRAIN.NUM_FOLDS of them make one loop."""
    warmup_epochs: float = 6.0
    """Epochs in which the rate rises linearly from OPTIMIZER.WARMUP_START_LR."""
    warmup_start_lr: float = 8e-8
    """Learning rate of the first step (of pretrained weights; new ones have the multiple of it)."""
    min_lr: float = 0.0
    """Floor of the learning rate (of pretrained weights; new ones have the multiple of it)."""
    weight_decay: float = 1e-3
    """Weight decay of tuned pretrained weights. Biases, norms and learned tokens are not decayed."""
    new_net_weight_decay: float = 1e-4
    """Weight decay of newly added weights."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's running averages of the gradient and of its square."""

    def __post_init__(self) -> None:
        require(
            self.base_lr > 0, "BASE_LR", f"{self.base_lr} is not positive", "3.2e-5 is the published value"
        )
        for key in ("NEW_NET_LRMULT", "WARMUP_EPOCHS", "WARMUP_START_LR", "HOLD_EPOCHS", "MIN_LR"):
            value = getattr(self, key.lower())
            require(value >= 0, key, f"{value} is negative", "give 0 or more")
        for key in ("WEIGHT_DECAY", "NEW_NET_WEIGHT_DECAY"):
            value = getattr(self, key.lower())
            require(value >= 0, key, f"{value} is negative", "give 0 or more")
        require(
            self.max_epoch >= 1, "MAX_EPOCH", f"{self.max_epoch} is not positive", "36 is the published value"
        )
        require(
            (self.cosine_half_period > 0) == (self.lr_policy == "cosine_wave"),
            "COSINE_HALF_PERIOD",
            f"{self.cosine_half_period:g} does not go with OPTIMIZER.LR_POLICY {self.lr_policy}",
            "give a number of epochs for cosine_wave, and leave it out for other policies",
        )
        require(
            self.hold_epochs == 0 or self.lr_policy == "cosine_wave",
            "HOLD_EPOCHS",
            f"{self.hold_epochs:g} does not go with OPTIMIZER.LR_POLICY {self.lr_policy}",
            "give it with cosine_wave, and leave it out for other policies",
        )
        require(
            self.min_lr <= self.base_lr,
            "MIN_LR",
            f"{self.min_lr:g} is above OPTIMIZER.BASE_LR {self.base_lr:g}",
            "0 follows the cosine to its end",
        )
        low, high = self.betas
        require(
            0 <= low < 1 and 0 <= high < 1,
            "BETAS",
            f"[{low}, {high}] is not in [0, 1)",
            "[0.9, 0.999] is usual",
        )
