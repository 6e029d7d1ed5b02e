"""One optimizer step: forward and backward over its micro-batches, agreement of all processes, update.

    micro-batches ──► loss / count ──backward──► gradients (averaged over processes at the last one)
        ──► norm, clipping ──► one small sum over processes: loss, faults ──► update or skip

The sum at the end keeps all processes together: they update or skip alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from utils import distributed
from utils.ema import WeightAverage
from utils.optim import clip_gradients
from utils.precision import Precision


@dataclass(frozen=True)
class TrainingClips:
    """Clips ready for the model: float (B,3,T,H,W), a soft target (B,K) per head, rows in the annotation list
    (B,).
    """

    video: Tensor
    targets: tuple[Tensor, ...]
    video_id: Tensor


@dataclass(frozen=True)
class TrainingPairs:
    """Clips with a text each: float (B,3,T,H,W), token ids (B,L), rows in the annotation list (B,)."""

    video: Tensor
    tokens: Tensor
    video_id: Tensor


TrainingInput = TrainingClips | TrainingPairs

Prepare = Callable[[Any, int, int], TrainingInput]
"""(batch from the loader, step, number of the micro-batch in the step) → clips on the device, augmented and
mixed.
"""


class Objective(Protocol):
    """What a step minimises."""

    def output(self, network: Callable[..., Any], clips: Any) -> Any:
        """The forward pass; runs in the run's precision."""

    def loss(self, output: Any, clips: Any) -> tuple[Tensor, Tensor]:
        """The loss of a forward pass, a float32 scalar, and per clip (B,) whether its output is finite."""


@dataclass(frozen=True)
class SoftCrossEntropy:
    """Classification: the sum over heads of `loss_function` (logits (B,K), soft targets (B,K)) → scalar."""

    loss_function: Callable[[Tensor, Tensor], Tensor]

    def output(self, network: Callable[..., Any], clips: TrainingClips) -> tuple[Tensor, ...]:
        """Logits (B,K) per head."""
        return network(clips.video)

    def loss(self, output: Sequence[Tensor], clips: TrainingClips) -> tuple[Tensor, Tensor]:
        """Sum over the heads, in float32 whatever the logits were computed in."""
        losses = [
            self.loss_function(head.float(), target)
            for head, target in zip(output, clips.targets, strict=True)
        ]
        finite = torch.stack([torch.isfinite(head).all(dim=1) for head in output]).all(dim=0)
        return torch.stack(losses).sum(), finite


@dataclass(frozen=True)
class StepOutcome:
    """What happened in a step, the same on every process."""

    loss: float
    gradient_norm: float
    updated: bool
    loss_is_finite: bool
    overflowed: bool
    suspects: tuple[int, ...] = ()
    """video_id of the clips with logits that are no numbers; all clips of the step when there is none such.
    """


@dataclass(frozen=True)
class TrainingStep:
    """The objects that a step works on. `forward` is `model` as wrapped for several processes, maybe
    compiled.
    """

    forward: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    precision: Precision
    objective: Objective
    average: WeightAverage | None
    max_gradient_norm: float | None

    def __call__(self, clips_of: Sequence[Callable[[], TrainingInput]]) -> StepOutcome:
        """Take one step; `clips_of` makes the micro-batches one after the other, so that one at a time is in
        memory.
        """
        averages = [buffer.clone() for buffer in self._buffers]
        losses, examined = self._accumulate(clips_of)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.optimizer, self.max_gradient_norm)
        loss, bad_losses, bad_norms = self._agree(torch.stack(losses).mean(), norm)
        fine = bad_losses == 0 and bad_norms == 0
        # Unscaled losses do not overflow: what is no number then is no number for another reason.
        could_overflow = not fine and self.scaler.is_enabled() and self.scaler.get_scale() > 1
        self._update(fine)
        if not fine:
            self._put_back(averages)
        return StepOutcome(
            loss=loss,
            gradient_norm=float(norm),
            updated=fine,
            loss_is_finite=bad_losses == 0,
            overflowed=bad_losses == 0 and bad_norms > 0 and could_overflow,
            suspects=() if fine else _suspects(examined),
        )

    def _accumulate(
        self, clips_of: Sequence[Callable[[], TrainingInput]]
    ) -> tuple[list[Tensor], list[tuple[Tensor, Tensor]]]:
        """Losses of the micro-batches, and per clip its video_id and whether its output is finite."""
        losses, examined = [], []
        for number, make_clips in enumerate(clips_of):
            clips = make_clips()
            more_to_come = number + 1 < len(clips_of)
            with distributed.gradients_kept_local(self.forward, more_to_come):
                with self.precision.autocast():
                    output = self.objective.output(self.forward, clips)
                loss, finite = self.objective.loss(output, clips)
                with distributed.peer_loss_named():
                    self.scaler.scale(loss / len(clips_of)).backward()
            losses.append(loss.detach())
            examined.append((clips.video_id, finite))
            del clips, output, loss  # or they would stay while the next are made
        return losses, examined

    def _agree(self, loss: Tensor, norm: Tensor) -> tuple[float, float, float]:
        """Mean loss, number of processes with a bad loss, and with a bad norm."""
        loss_is_finite = torch.isfinite(loss)
        facts = torch.stack(
            [
                torch.where(loss_is_finite, loss, torch.zeros_like(loss)),
                (~loss_is_finite).to(loss.dtype),
                (~torch.isfinite(norm)).to(loss.dtype),
            ]
        ).double()
        facts = distributed.all_reduce_sum(facts)
        if facts.is_cuda:
            # A GPU would wait for a lost process without end; the host, where this waits, is told.
            distributed.barrier()
        total, bad_losses, bad_norms = facts.tolist()
        return total / distributed.world_size(), bad_losses, bad_norms

    def _update(self, fine: bool) -> None:
        if fine:
            self.scaler.step(self.optimizer)
        if self.scaler.is_enabled():  # an overflow lowers its scale
            self.scaler.update()
        if fine and self.average is not None:
            self.average.update()
        self.optimizer.zero_grad(set_to_none=True)

    @cached_property
    def _buffers(self) -> list[Tensor]:
        """What forward passes change and checkpoints hold: the running averages of batch norms."""
        kept = self.forward.state_dict(keep_vars=True).values()
        return [value for value in kept if isinstance(value, Tensor) and not isinstance(value, nn.Parameter)]

    @torch.no_grad()
    def _put_back(self, averages: Sequence[Tensor]) -> None:
        """A skipped step leaves no trace: its clips may have brought the averages to what is no number."""
        for buffer, average in zip(self._buffers, averages, strict=True):
            buffer.copy_(average)


def _suspects(examined: Sequence[tuple[Tensor, Tensor]]) -> tuple[int, ...]:
    """Gathered over all processes; sorted."""
    ids = torch.cat([video_id.cpu() for video_id, _ in examined])
    finite = torch.cat([finite.cpu() for _, finite in examined])
    own = (ids.tolist(), ids[~finite].tolist())
    gathered = distributed.gather(own)
    named = sorted({video_id for _, bad in gathered for video_id in bad})
    return tuple(named or sorted({video_id for everyone, _ in gathered for video_id in everyone}))
