"""TAdaConv, the temporally-adaptive convolution (Huang et al. 2022, 2110.06178), on channels-last clips.

    x (B,T,N,C) ─ mean over N ─► a (B,T,C);  u = a + G(mean over T of a)
    α = 1 + conv(ReLU(norm(conv(u)))), both over three frames
    convolution of frame t with the weights α_t · W  =  convolution of α_t ⊙ x_t with W

α scales the input channels, so the adaptive convolution is a plain one of the calibrated input: this file has
the calibration. Its last convolution starts at zero, so α is exactly 1 and nothing changes at the start.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils import distributed
from utils.activation_checkpointing import is_recomputing
from utils.gathering import gather_with_gradients

_REDUCTION = 4
_KERNEL = 3


@torch.compiler.disable
def _of_all_processes(own: Tensor) -> Tensor:
    return gather_with_gradients(own)


class TemporalCalibration(nn.Module):
    """x ⊙ α, with one factor for each frame and channel, seen from the frame, its neighbours and the clip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // _REDUCTION)
        self.clip_context = nn.Linear(channels, channels)
        self.reduce = nn.Conv1d(channels, hidden, _KERNEL, padding=_KERNEL // 2)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Conv1d(hidden, channels, _KERNEL, padding=_KERNEL // 2, bias=False)
        self.initialize()

    @torch.no_grad()
    def initialize(self) -> None:
        """He-normal by fan-out, zero biases; the last convolution at zero."""
        for layer in (self.clip_context, self.reduce):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        self.expand.weight.zero_()

    def factors(self, x: Tensor) -> Tensor:
        """x (B,T,N,C) → α (B,T,C)."""
        frames = x.mean(dim=2)  # (B,T,C)
        frames = frames + self.clip_context(frames.mean(dim=1, keepdim=True))
        hidden = F.relu(self._normed(self.reduce(frames.transpose(1, 2))))
        return 1 + self.expand(hidden).transpose(1, 2)

    def _normed(self, hidden: Tensor) -> Tensor:
        """hidden (B,C,T); trained on several processes, normalised over the clips of all of them, so that
        their number changes neither the training nor, through the running averages, the evaluation.
        """
        if not self.training:
            return self.norm(hidden)
        first = distributed.rank() * len(hidden)
        everybody = hidden if distributed.world_size() == 1 else _of_all_processes(hidden)
        return self._batch_norm(everybody)[first : first + len(hidden)]

    def _batch_norm(self, hidden: Tensor) -> Tensor:
        if not is_recomputing():
            return self.norm(hidden)
        norm = self.norm  # the averages have moved already: copies of them move instead
        assert norm.running_mean is not None and norm.running_var is not None
        averages = norm.running_mean.clone(), norm.running_var.clone()
        return F.batch_norm(hidden, *averages, norm.weight, norm.bias, training=True, eps=norm.eps)

    def forward(self, x: Tensor) -> Tensor:
        """x (B,T,N,C) → the same shape, to be convolved within each frame."""
        return x * self.factors(x).to(x.dtype).unsqueeze(2)
