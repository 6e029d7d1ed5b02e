"""runs/inference/zero_shot_scores.py against loops that compute the definition."""

import math

import pytest
import torch

from runs.inference.zero_shot_scores import (
    Accuracy,
    RunTargets,
    accuracy,
    class_columns,
    fuse,
    run_counts,
    sweep_fusion,
)


def naive_top1(logits: torch.Tensor, run: RunTargets) -> float:
    right = 0
    for row, label in zip(run.videos.tolist(), run.labels.tolist(), strict=True):
        totals = [0.0] * len(run.classes)
        for view in range(logits.shape[1]):
            exponentials = [math.exp(float(logits[row, view, column])) for column in run.classes]
            for place, value in enumerate(exponentials):
                totals[place] += value / sum(exponentials)
        right += totals.index(max(totals)) == label
    return 100 * right / len(run.videos)


def make_runs() -> tuple[torch.Tensor, list[RunTargets]]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(30, 3, 7, generator=generator) * 2
    whole = RunTargets(torch.arange(30), torch.arange(7), torch.randint(7, (30,), generator=generator))
    part = RunTargets(torch.tensor([4, 9, 2, 28]), torch.tensor([6, 0, 3]), torch.tensor([0, 2, 1, 1]))
    return logits, [whole, part]


def test_each_run_counts_its_own_videos_among_its_own_classes() -> None:
    logits, runs = make_runs()
    found = accuracy(logits, runs)
    assert found.top1 == pytest.approx([naive_top1(logits, run) for run in runs])
    assert run_counts(logits, runs[1]).videos == 4
    assert found.top5[1] == 100  # three candidates


def test_mean_and_deviation_are_over_runs() -> None:
    found = Accuracy((50.0, 56.0, 59.0), (80.0, 90.0, 100.0))
    assert found.mean_top1 == 55 and found.mean_top5 == 90
    assert found.deviation_top1 == pytest.approx(14**0.5)


def test_fusion_ends_are_exactly_the_two_models_and_the_middle_is_half_and_half() -> None:
    logits, runs = make_runs()
    other = logits.flip(0)
    sweep = sweep_fusion(logits, other, runs)
    assert sweep[1.0] == accuracy(logits, runs) and sweep[0.0] == accuracy(other, runs)
    assert torch.equal(fuse(logits, other, 0.5), (logits + other) / 2)
    assert torch.equal(fuse(logits, torch.full_like(logits, math.nan), 1.0), logits)
    assert len(sweep) == 21


def test_columns_follow_names() -> None:
    assert class_columns(["c", "a"], ["a", "b", "c"]).tolist() == [2, 0]
    with pytest.raises(KeyError):
        class_columns(["d"], ["a"])
