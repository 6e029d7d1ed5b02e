"""Exact evaluation: every video once, whatever the number of processes and the batch size.

    loader (this process's videos) ──► logits of all views ──softmax, sum over views──► scores (B,K)
        ──► counts (integers, one sum over processes) + best classes of every video (gathered)

Nothing inside the loop waits for other processes, which may have fewer videos.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    heads_named: tuple[str, ...] = ()
    """What the heads tell, where somebody has named them."""
    scores: tuple[Tensor, ...] | None = None
    """Per head (N,K) sums of softmax over views, in the order of `predictions`, where they were kept."""
    more: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the data set's own, by name."""

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
        if "action_top1" in self.more:
            parts = " / ".join(f"{self.more[f'{head}_top1']:.2f}" for head in ("verb", "noun", "action"))
            return f"verb / noun / action top-1 {parts} % of {self.videos} segments"
        return f"top-1 {self.top1:.2f} % of {self.videos} videos"

    def values(self) -> dict[str, float]:
        """The numbers for logs: top-1, top-5 and mean class accuracy, per head where there are several."""
        values: dict[str, float] = {
            "videos": self.videos,
            "missing": len(self.missing),
            "views": self.num_views,
        }
        for number, head in enumerate(self.heads):
            suffix = self.suffix(number)
            values[f"top1{suffix}"] = head.top1
            values[f"top5{suffix}"] = head.top5
            values[f"mean_class{suffix}"] = head.mean_class_accuracy
        if len(self.heads) > 1:
            values["top1"] = self.top1
        return {**values, **self.more}

    def suffix(self, head: int) -> str:
        """What tells a head from the others in names of values and files; nothing when there is one."""
        if len(self.heads) == 1:
            return ""
        return f"_{self.heads_named[head]}" if self.heads_named else f"_head{head}"


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
    """Evaluates a model; `normalise` makes float clips of uint8 ones on the device.

    heads_named: what the heads tell. keep_scores: keep the scores of all classes, (N,K) floats per head.
    """

    model: nn.Module
    normalise: Callable[[Tensor], Tensor]
    precision: Precision
    device: torch.device
    num_classes: tuple[int, ...]
    heads_named: tuple[str, ...] = ()
    keep_scores: bool = False

    def __call__(self, data: EvaluationData, label: str) -> EvaluationResult:
        """Go through `data`, and put all processes' findings together. `label` stands before the progress
        bar.

        Raises FloatingPointError on scores that are no numbers, AssertionError unless each video counted
        once.
        """
        started = time.perf_counter()
        was_training = self.model.training
        self.model.eval()
        collected = _Collected(self.num_classes, self.device, self.keep_scores)
        with torch.no_grad(), Progress(len(data), label, visible=distributed.is_main()) as progress:
            for batch in data:
                collected.add(batch, self._scores(batch, data.num_views))
                progress.advance()
        self.model.train(was_training)
        result = collected.joined(data, started)
        _assert_each_once(result, data.num_videos)
        return replace(result, heads_named=self.heads_named)

    def _scores(self, batch: VideoBatch, num_views: int) -> tuple[Tensor, ...]:
        """Summed softmax scores (B,K) per head of videos (B,V,3,T,H,W)."""
        assert batch.num_views == num_views, f"{batch.num_views} views read, {num_views} expected"
        clips = self.normalise(batch.clips().to(self.device, non_blocking=True))
        with self.precision.autocast():
            logits = self.model(clips)
        return tuple(view_scores(head, num_views) for head in logits)


class _Collected:
    """What one process finds."""

    def __init__(self, num_classes: Sequence[int], device: torch.device, keep_scores: bool) -> None:
        self._counts = [ClassificationCounts.empty(count, device) for count in num_classes]
        heads, kept = len(num_classes), min(BEST_KEPT, *num_classes)
        self._kept = kept
        self._rows = [torch.empty(0, dtype=torch.int64)]
        self._targets = [torch.empty(0, heads, dtype=torch.int64)]
        self._classes = [torch.empty(0, heads, kept, dtype=torch.int64)]
        self._scores = [torch.empty(0, heads, kept)]
        self._all_scores = [torch.empty(0, sum(num_classes))] if keep_scores else None
        self._num_classes = list(num_classes)

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
        if self._all_scores is not None:
            self._all_scores.append(torch.cat(tuple(scores), dim=1).cpu())
        self._scores.append((torch.stack([values for _, values in best], dim=1) / batch.num_views).cpu())

    def joined(self, data: EvaluationData, started: float) -> EvaluationResult:
        """The findings of all processes; every process must call it."""
        heads = tuple(
            ClassificationCounts.from_packed(
                distributed.all_reduce_sum(counts.packed().cpu()), len(counts.in_top5)
            )
            for counts in self._counts
        )
        rows, targets, classes, scores = (
            self._gathered(parts) for parts in (self._rows, self._targets, self._classes, self._scores)
        )
        order = rows.argsort(stable=True)
        every = None if self._all_scores is None else self._gathered(self._all_scores)[order]
        missing = [failure for failures in distributed.gather(list(data.missing())) for failure in failures]
        right = (classes[:, :, 0] == targets).all(dim=1)
        return EvaluationResult(
            heads=heads,
            predictions=VideoPredictions(rows[order], targets[order], classes[order], scores[order]),
            missing=tuple(sorted(missing, key=lambda failure: failure.row)),
            all_heads_correct=int(right.sum()),
            num_views=data.num_views,
            seconds=time.perf_counter() - started,
            scores=None if every is None else every.split(self._num_classes, dim=1),
        )

    @staticmethod
    def _gathered(own: Sequence[Tensor]) -> Tensor:
        """Rows of all processes, in the order of the processes."""
        return torch.cat(distributed.gather(torch.cat(list(own))))


def _assert_each_once(result: EvaluationResult, num_videos: int) -> None:
    seen = result.predictions.video_id.tolist() + [failure.row for failure in result.missing]
    assert sorted(seen) == list(range(num_videos)), (
        f"{num_videos} videos to evaluate, {len(seen)} results, {len(set(seen))} different videos"
    )
    assert all(head.videos == result.videos for head in result.heads)
