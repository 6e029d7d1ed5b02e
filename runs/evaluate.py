"""Exact evaluation: every video once, whatever the number of processes and the batch size.

    loader (this process's videos) ──► logits of all views ──softmax, sum over views──► scores (B,K)
        ──► counts (integers, one sum over processes) + best classes of every video (gathered)

Nothing inside the loop waits for other processes, which may have fewer videos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from datasets.batch import ReadFailure, VideoBatch
from utils import distributed
from utils.logging import Progress
from utils.metrics import ClassificationCounts, top_classes, view_scores
from utils.precision import Precision

BEST_KEPT = 5


@dataclass(frozen=True)
class VideoPredictions:
    """The best classes of every evaluated video, in the order of the annotation list.

    video_id (N,); target (N,Hd); classes and scores (N,Hd,k), best first. Scores are mean softmax over the
    views.
    """

    video_id: Tensor
    target: Tensor
    classes: Tensor
    scores: Tensor


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found, the same on every process."""

    heads: tuple[ClassificationCounts, ...]
    predictions: VideoPredictions
    missing: tuple[ReadFailure, ...]
    all_heads_correct: int
    num_views: int
    seconds: float

    @property
    def videos(self) -> int:
        """Videos that were evaluated."""
        return len(self.predictions.video_id)

    @property
    def top1(self) -> float:
        """Percentage of videos that every head has right (with one head: its top-1)."""
        return 100.0 * self.all_heads_correct / self.videos if self.videos else float("nan")

    @property
    def score(self) -> float:
        """What "best" means."""
        return self.top1

    @property
    def headline(self) -> str:
        """The score in words."""
        return f"top-1 {self.top1:.2f} % of {self.videos} videos"

    def values(self) -> dict[str, float]:
        """The numbers for logs: top-1, top-5 and mean class accuracy, per head where there are several."""
        values: dict[str, float] = {
            "videos": self.videos,
            "missing": len(self.missing),
            "views": self.num_views,
        }
        for number, head in enumerate(self.heads):
            suffix = f"_head{number}" if len(self.heads) > 1 else ""
            values[f"top1{suffix}"] = head.top1
            values[f"top5{suffix}"] = head.top5
            values[f"mean_class{suffix}"] = head.mean_class_accuracy
        if len(self.heads) > 1:
            values["top1"] = self.top1
        return values


class EvaluationData(Protocol):
    """The videos to evaluate, and this process's part of them."""

    num_videos: int
    """Videos on all processes together."""
    num_views: int
    """Views of every video."""

    def __len__(self) -> int:
        """Batches of this process, at most."""

    def __iter__(self) -> Iterator[VideoBatch]:
        """This process's batches: every video once."""

    def missing(self) -> Sequence[ReadFailure]:
        """Videos of this process that could not be read, once the iteration is over."""


@dataclass(frozen=True)
class Evaluator:
    """Evaluates a model; `normalise` makes float clips of uint8 ones on the device."""

    model: nn.Module
    normalise: Callable[[Tensor], Tensor]
    precision: Precision
    device: torch.device
    num_classes: tuple[int, ...]

    def __call__(self, data: EvaluationData, label: str) -> EvaluationResult:
        """Go through `data`, and put all processes' findings together. `label` stands before the progress
        bar.

        Raises FloatingPointError on scores that are no numbers, AssertionError unless each video counted
        once.
        """
        started = time.perf_counter()
        was_training = self.model.training
        self.model.eval()
        collected = _Collected(self.num_classes, self.device)
        with torch.no_grad(), Progress(len(data), label, visible=distributed.is_main()) as progress:
            for batch in data:
                collected.add(batch, self._scores(batch, data.num_views))
                progress.advance()
        self.model.train(was_training)
        result = collected.joined(data, started)
        _assert_each_once(result, data.num_videos)
        return result

    def _scores(self, batch: VideoBatch, num_views: int) -> tuple[Tensor, ...]:
        """Summed softmax scores (B,K) per head of videos (B,V,3,T,H,W)."""
        assert batch.num_views == num_views, f"{batch.num_views} views read, {num_views} expected"
        clips = self.normalise(batch.clips().to(self.device, non_blocking=True))
        with self.precision.autocast():
            logits = self.model(clips)
        return tuple(view_scores(head, num_views) for head in logits)


class _Collected:
    """What one process finds."""

    def __init__(self, num_classes: Sequence[int], device: torch.device) -> None:
        self._counts = [ClassificationCounts.empty(count, device) for count in num_classes]
        heads, kept = len(num_classes), min(BEST_KEPT, *num_classes)
        self._kept = kept
        self._rows = [torch.empty(0, dtype=torch.int64)]
        self._targets = [torch.empty(0, heads, dtype=torch.int64)]
        self._classes = [torch.empty(0, heads, kept, dtype=torch.int64)]
        self._scores = [torch.empty(0, heads, kept)]

    def add(self, batch: VideoBatch, scores: Sequence[Tensor]) -> None:
        """Count a batch."""
        target = batch.target.to(scores[0].device)
        for head, counts in enumerate(self._counts):
            try:
                counts.add(scores[head], target[:, head])
            except ValueError as error:
                raise FloatingPointError(f"{error} (videos {batch.video_id.tolist()} of the list)") from error
        best = [top_classes(head, self._kept) for head in scores]
        self._rows.append(batch.video_id.cpu())
        self._targets.append(batch.target.cpu())
        self._classes.append(torch.stack([classes for classes, _ in best], dim=1).cpu())
        self._scores.append((torch.stack([values for _, values in best], dim=1) / batch.num_views).cpu())

    def joined(self, data: EvaluationData, started: float) -> EvaluationResult:
        """The findings of all processes; every process must call it."""
        heads = tuple(
            ClassificationCounts.from_packed(
                distributed.all_reduce_sum(counts.packed().cpu()), len(counts.in_top5)
            )
            for counts in self._counts
        )
        own = [torch.cat(parts) for parts in (self._rows, self._targets, self._classes, self._scores)]
        parts = distributed.gather(own)
        rows, targets, classes, scores = (torch.cat(column) for column in zip(*parts, strict=True))
        order = rows.argsort(stable=True)
        missing = [failure for failures in distributed.gather(list(data.missing())) for failure in failures]
        right = (classes[:, :, 0] == targets).all(dim=1)
        return EvaluationResult(
            heads=heads,
            predictions=VideoPredictions(rows[order], targets[order], classes[order], scores[order]),
            missing=tuple(sorted(missing, key=lambda failure: failure.row)),
            all_heads_correct=int(right.sum()),
            num_views=data.num_views,
            seconds=time.perf_counter() - started,
        )


def _assert_each_once(result: EvaluationResult, num_videos: int) -> None:
    seen = result.predictions.video_id.tolist() + [failure.row for failure in result.missing]
    assert sorted(seen) == list(range(num_videos)), (
        f"{num_videos} videos to evaluate, {len(seen)} results, {len(set(seen))} different videos"
    )
    assert all(head.videos == result.videos for head in result.heads)
