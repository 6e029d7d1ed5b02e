"""Accuracies of a zero-shot protocol from logits: fusion with the frozen CLIP, runs, mean and deviation.

    model logits (n,V,K), frozen CLIP's logits (n,V,K) ──w·model + (1-w)·CLIP──► softmax over a run's classes,
    summed over views ──► top-1, top-5 of each run ──► mean ± standard deviation over the runs

Logits are computed once, over the classes of all runs together; a run takes its videos (rows) and its classes
(columns), so the softmax is over its own candidates only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from utils.metrics import ClassificationCounts

FUSION_WEIGHTS = tuple(step / 20 for step in range(21))
"""Weights of the model's logits in a sweep: 0 is the frozen CLIP alone, 1 the model alone."""


@dataclass(frozen=True)
class RunTargets:
    """Which videos and classes one run of a protocol has, as indices into all of them."""

    videos: Tensor
    """int64 (n_r,): rows of the logits."""
    classes: Tensor
    """int64 (K_r,): columns of the logits, in the run's own class order."""
    labels: Tensor
    """int64 (n_r,): right class of each video, counted in the run's own order."""


@dataclass(frozen=True)
class Accuracy:
    """Percentages over the runs of a protocol."""

    top1: tuple[float, ...]
    top5: tuple[float, ...]
    """One per run."""

    @property
    def mean_top1(self) -> float:
        """Mean over the runs."""
        return sum(self.top1) / len(self.top1)

    @property
    def mean_top5(self) -> float:
        """Mean over the runs."""
        return sum(self.top5) / len(self.top5)

    @property
    def deviation_top1(self) -> float:
        """Standard deviation over the runs (divided by their number, as published tables do); 0 for one."""
        mean = self.mean_top1
        return (sum((value - mean) ** 2 for value in self.top1) / len(self.top1)) ** 0.5


def fuse(model: Tensor, clip: Tensor, weight: float) -> Tensor:
    """weight · model + (1 - weight) · clip, of logits of one shape; the ends are exactly one of the two."""
    if weight == 1:
        return model
    return clip if weight == 0 else weight * model + (1 - weight) * clip


def run_counts(logits: Tensor, run: RunTargets) -> ClassificationCounts:
    """Counts of one run from the logits (n,V,K) of all videos and classes."""
    chosen = logits[run.videos][:, :, run.classes]
    scores = chosen.float().softmax(dim=-1).sum(dim=1)
    counts = ClassificationCounts.empty(len(run.classes))
    counts.add(scores, run.labels)
    return counts


def accuracy(logits: Tensor, runs: Sequence[RunTargets]) -> Accuracy:
    """Top-1 and top-5 of every run from logits (n,V,K)."""
    counted = [run_counts(logits, run) for run in runs]
    return Accuracy(tuple(counts.top1 for counts in counted), tuple(counts.top5 for counts in counted))


def sweep_fusion(
    model: Tensor, clip: Tensor, runs: Sequence[RunTargets], weights: Sequence[float] = FUSION_WEIGHTS
) -> dict[float, Accuracy]:
    """The protocol's accuracy at every weight of the model's logits."""
    return {weight: accuracy(fuse(model, clip, weight), runs) for weight in weights}


def class_columns(names: Sequence[str], all_names: Sequence[str]) -> Tensor:
    """Columns of `names` among `all_names`, int64. Raises KeyError for a name that is not there."""
    column = {name: index for index, name in enumerate(all_names)}
    return torch.tensor([column[name] for name in names], dtype=torch.int64)
