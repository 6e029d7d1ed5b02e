"""Classification metrics as exact counts: any split over processes and batches adds up to the same numbers.

logits (B·V,K) per view ──softmax, sum over a video's V views──► scores (B,K) ──► ClassificationCounts
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def view_scores(logits: Tensor, num_views: int) -> Tensor:
    """Scores of videos from logits of their views: (B·V,K) → (B,K) float32, softmax first, then the sum over
    V.

    The V views of a video are neighbouring rows. Raises ValueError when the rows do not divide by num_views.
    """
    if logits.shape[0] % num_views:
        raise ValueError(f"{logits.shape[0]} rows of logits do not divide into {num_views} views a video")
    probabilities = logits.float().softmax(dim=-1)
    return probabilities.view(-1, num_views, logits.shape[-1]).sum(dim=1)


def target_ranks(scores: Tensor, target: Tensor) -> Tensor:
    """How many classes come before the right one: scores (B,K), target int64 (B,) → int64 (B,), 0 means
    top-1.

    Among equal scores the lower class index comes first, so the count never depends on a sorting algorithm.
    """
    own = scores.gather(1, target[:, None])
    classes = torch.arange(scores.shape[1], device=scores.device)
    ahead = (scores > own) | ((scores == own) & (classes < target[:, None]))
    return ahead.sum(dim=1)


def top_classes(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best `count` classes and their scores, (B,count) each, ordered as `target_ranks` counts."""
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :count]
    return order, scores.gather(1, order)


def confusion_counts(predicted: Tensor, target: Tensor, num_classes: int) -> Tensor:
    """int64 (K,K): entry [t, p] counts videos of class t that were taken for class p."""
    cells = target * num_classes + predicted
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


@dataclass
class ClassificationCounts:
    """Running counts for one head of K classes: confusion matrix (K,K), videos within the top 5 (K,)."""

    confusion: Tensor
    in_top5: Tensor

    @classmethod
    def empty(cls, num_classes: int, device: torch.device | str = "cpu") -> ClassificationCounts:
        """Counts of nothing, for `num_classes` classes."""
        return cls(
            confusion=torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device),
            in_top5=torch.zeros(num_classes, dtype=torch.int64, device=device),
        )

    def add(self, scores: Tensor, target: Tensor) -> None:
        """Count videos: scores (B,K), target int64 (B,). Raises ValueError on a score that is not finite."""
        if not bool(torch.isfinite(scores).all()):
            raise ValueError("scores are not finite: the weights or the input hold NaN or infinity")
        ranks = target_ranks(scores, target)
        predicted, _ = top_classes(scores, 1)
        self.confusion += confusion_counts(predicted[:, 0], target, len(self.in_top5))
        self.in_top5.index_add_(0, target, (ranks < 5).to(torch.int64))

    def packed(self) -> Tensor:
        """All counts in one vector int64 (K·K + K,): what processes add up with a single sum."""
        return torch.cat([self.confusion.flatten(), self.in_top5])

    @classmethod
    def from_packed(cls, counts: Tensor, num_classes: int) -> ClassificationCounts:
        """The inverse of `packed`."""
        confusion, in_top5 = counts.split([num_classes**2, num_classes])
        return cls(confusion=confusion.view(num_classes, num_classes), in_top5=in_top5)

    @property
    def videos(self) -> int:
        """Videos counted."""
        return int(self.confusion.sum())

    @property
    def correct(self) -> int:
        """Videos whose best class is the right one."""
        return int(self.confusion.diagonal().sum())

    @property
    def top1(self) -> float:
        """Percentage of videos whose best class is right; NaN for no videos."""
        return percentage(self.correct, self.videos)

    @property
    def top5(self) -> float:
        """Percentage of videos whose right class is among the best five; NaN for no videos."""
        return percentage(int(self.in_top5.sum()), self.videos)

    @property
    def mean_class_accuracy(self) -> float:
        """Mean over the classes that have videos of their top-1 percentage; NaN for no videos."""
        totals = self.confusion.sum(dim=1)
        present = totals > 0
        accuracy = self.confusion.diagonal()[present].double() / totals[present].double()
        return float(100.0 * accuracy.mean())

    def per_class(self) -> list[tuple[int, int, int]]:
        """(videos, right at top-1, right within top-5) of every class, in class order."""
        totals = self.confusion.sum(dim=1)
        return list(
            zip(totals.tolist(), self.confusion.diagonal().tolist(), self.in_top5.tolist(), strict=True)
        )


def percentage(part: int, whole: int) -> float:
    """100 · part / whole; NaN when whole is 0."""
    return 100.0 * part / whole if whole else float("nan")
