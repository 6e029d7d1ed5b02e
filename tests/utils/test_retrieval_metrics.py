"""Streamed ranks against a brute-force oracle, on random, tied and constant matrices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from utils.retrieval_metrics import RankSummary, RetrievalRanks, streamed_ranks


def average_rank(own: float, others: list[float]) -> float:
    """The mean of the places that the block of equal scores takes up."""
    ordered = sorted([own, *others], reverse=True)
    places = [place for place, score in enumerate(ordered, start=1) if score == own]
    return sum(places) / len(places)


def oracle_text_to_video(scores: Tensor, owners: Tensor) -> list[float]:
    ranks = []
    for text, video in enumerate(owners.tolist()):
        row = scores[text].tolist()
        ranks.append(average_rank(row[video], row[:video] + row[video + 1 :]))
    return ranks


def oracle_video_to_text(scores: Tensor, owners: Tensor) -> list[float]:
    ranks = []
    for video in sorted(set(owners.tolist())):
        own = max(scores[t, video].item() for t in range(len(owners)) if owners[t] == video)
        ranks.append(
            average_rank(own, [scores[t, video].item() for t in range(len(owners)) if owners[t] != video])
        )
    return ranks


def ranks_of(scores: Tensor, owners: Tensor, pairs: int = 16384, sharpness: float = 100.0) -> RetrievalRanks:
    return streamed_ranks(
        lambda texts, videos: scores[texts, videos],
        owners,
        scores.shape[1],
        pairs_per_block=pairs,
        sharpness=sharpness,
    )


def matrices() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    random = torch.randn(12, 12, generator=generator)
    tied = torch.randint(0, 3, (20, 7), generator=generator).float()
    several = torch.randint(0, 7, (20,), generator=generator)
    some_without_texts = torch.randint(0, 4, (20,), generator=generator)
    return [
        (random, torch.arange(12)),
        (tied, several),
        (tied, some_without_texts),
        (torch.zeros(9, 9), torch.arange(9)),
        (torch.randn(20, 7, generator=generator), several),
    ]


@pytest.mark.parametrize("pairs", [1, 6, 50, 16384])
@pytest.mark.parametrize("case", range(5))
def test_ranks_equal_the_oracles(case: int, pairs: int) -> None:
    scores, owners = matrices()[case]
    ranks = ranks_of(scores, owners, pairs, sharpness=2.0)
    assert ranks.text_to_video.tolist() == oracle_text_to_video(scores, owners)
    assert ranks.video_to_text.tolist() == oracle_video_to_text(scores, owners)
    exact = scores.double()
    over_texts, over_videos = exact * (2 * exact).softmax(dim=0), exact * (2 * exact).softmax(dim=1)
    # sums in another order differ in the last bits, which must not break a tie in the oracle
    over_texts, over_videos = over_texts.round(decimals=12), over_videos.round(decimals=12)
    assert ranks.dual_text_to_video.tolist() == oracle_text_to_video(over_texts, owners)
    assert ranks.dual_video_to_text.tolist() == oracle_video_to_text(over_videos, owners)


def test_a_constant_matrix_has_the_middle_rank() -> None:
    """Code that counts only higher scores would report a recall of 100 %."""
    ranks = ranks_of(torch.ones(100, 100), torch.arange(100))
    assert set(ranks.text_to_video.tolist()) == set(ranks.video_to_text.tolist()) == {50.5}
    assert RankSummary.of(ranks.text_to_video).recall == {1: 0.0, 5: 0.0, 10: 0.0}


def test_summary() -> None:
    summary = RankSummary.of(torch.tensor([1.0, 1.5, 5.0, 20.0]))
    assert summary.recall == {1: 25.0, 5: 75.0, 10: 75.0}
    assert (summary.queries, summary.median, summary.mean) == (4, 3.25, 6.875)
    assert summary.values("t2v_")["t2v_r5"] == 75.0


def test_dual_softmax_unseats_a_video_that_pleases_every_text() -> None:
    scores = torch.tensor([[0.50, 0.52], [0.10, 0.60]])
    ranks = ranks_of(scores, torch.arange(2), sharpness=10.0)
    assert ranks.text_to_video.tolist() == [2, 1]
    assert ranks.dual_text_to_video.tolist() == [1, 1]


def test_a_text_of_a_video_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="videos 0 to 1"):
        ranks_of(torch.zeros(2, 2), torch.tensor([0, 2]))


def test_scores_that_are_no_numbers_are_an_error() -> None:
    with pytest.raises(FloatingPointError, match="texts 0 to"):
        ranks_of(torch.tensor([[0.0, float("nan")]]), torch.tensor([0]))


def test_no_queries_have_no_numbers() -> None:
    for summary in RetrievalRanks.of_nothing().summaries().values():
        assert summary.queries == 0
        assert all(math.isnan(value) for value in summary.values("").values())
