"""Counts against a naive oracle, with ties, over any split into batches."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from utils.metrics import ClassificationCounts, target_ranks, top_classes, view_scores


def _naive_rank(scores: list[float], target: int) -> int:
    order = sorted(range(len(scores)), key=lambda k: (-scores[k], k))
    return order.index(target)


def _tied_scores(videos: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    scores = torch.randint(0, 4, (videos, classes), generator=generator).float()  # few values: many ties
    return scores, torch.randint(0, classes, (videos,), generator=generator)


def test_ranks_and_order_agree_with_sorting_by_score_then_index() -> None:
    scores, target = _tied_scores(200, 7)
    expected = [_naive_rank(row, int(t)) for row, t in zip(scores.tolist(), target, strict=True)]
    assert target_ranks(scores, target).tolist() == expected
    best, values = top_classes(scores, 7)
    assert [row.index(int(t)) for row, t in zip(best.tolist(), target, strict=True)] == expected
    torch.testing.assert_close(values, scores.gather(1, best))


def test_counts_agree_with_the_oracle_and_do_not_depend_on_batches() -> None:
    scores, target = _tied_scores(101, 8)
    whole, parts = ClassificationCounts.empty(8), ClassificationCounts.empty(8)
    whole.add(scores, target)
    for rows in torch.arange(101).split(7):
        parts.add(scores[rows], target[rows])
    ranks = [_naive_rank(row, int(t)) for row, t in zip(scores.tolist(), target, strict=True)]
    assert torch.equal(whole.packed(), parts.packed())
    assert (whole.videos, whole.correct) == (101, sum(rank == 0 for rank in ranks))
    assert whole.top5 == pytest.approx(100 * sum(rank < 5 for rank in ranks) / 101)
    accuracies = []
    for label in range(8):
        own = [rank for rank, t in zip(ranks, target.tolist(), strict=True) if t == label]
        assert whole.per_class()[label] == (len(own), sum(r == 0 for r in own), sum(r < 5 for r in own))
        accuracies.append(sum(r == 0 for r in own) / len(own))
    assert whole.mean_class_accuracy == pytest.approx(100 * sum(accuracies) / 8)


def test_packed_counts_of_parts_add_up() -> None:
    scores, target = _tied_scores(30, 6)
    first, second, whole = (ClassificationCounts.empty(6) for _ in range(3))
    first.add(scores[:11], target[:11])
    second.add(scores[11:], target[11:])
    whole.add(scores, target)
    joined = ClassificationCounts.from_packed(first.packed() + second.packed(), 6)
    assert torch.equal(joined.confusion, whole.confusion)
    assert torch.equal(joined.in_top5, whole.in_top5)


def test_views_are_summed_after_softmax() -> None:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0], [0.0, 0.0]])
    expected = logits.softmax(-1)
    torch.testing.assert_close(
        view_scores(logits, 2), torch.stack([expected[:2].sum(0), expected[2:].sum(0)])
    )
    with pytest.raises(ValueError, match="4 rows"):
        view_scores(logits, 3)


def test_scores_that_are_no_numbers_are_refused_and_no_videos_give_nan() -> None:
    counts = ClassificationCounts.empty(2)
    with pytest.raises(ValueError, match="not finite"):
        counts.add(torch.tensor([[math.nan, 0.0]]), torch.tensor([0]))
    assert math.isnan(counts.top1)
