"""Ranks of text–video retrieval, streamed over blocks of similarities: recall at 1, 5, 10, median, mean.

    similarity(texts a:b, videos c:d) ──stripes of texts──► pass 1: ranks of videos for each text,
                                                            best score of each video's own texts, normalisers
                                                    └─────► pass 2: ranks of texts for each video, dual

Only a stripe of the matrix is ever held. A text belongs to one video, a video may have several texts; the
rank of a video's texts is that of the best of them, among the texts of other videos. Equal scores share the
average of the ranks that they take up, so that a constant matrix gives the middle rank, not the first.

Dual softmax multiplies each score with the softmax, over all queries, of the scores of its candidate. It
needs every query at once, so it stands beside the plain result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

RECALLS = (1, 5, 10)
_STRIPE_SCORES = 4_000_000

SimilarityBlock = Callable[[slice, slice], Tensor]
"""(texts, videos) → their similarities (texts, videos), on the CPU; the same for the same slices."""


@dataclass(frozen=True)
class RankSummary:
    """Ranks of one direction, in numbers; recalls are percentages."""

    queries: int
    recall: dict[int, float]
    median: float
    mean: float

    @staticmethod
    def of(ranks: Tensor) -> RankSummary:
        """ranks (Q,), from 1, halves where scores are equal; NaN everywhere for no queries."""
        ranks = ranks.double()
        if len(ranks) == 0:
            nan = float("nan")
            return RankSummary(0, dict.fromkeys(RECALLS, nan), nan, nan)
        recall = {k: 100.0 * float((ranks <= k).double().mean()) for k in RECALLS}
        return RankSummary(len(ranks), recall, float(ranks.quantile(0.5)), float(ranks.mean()))

    def values(self, prefix: str) -> dict[str, float]:
        """For logs: `prefix` + r1, r5, r10, median, mean."""
        named = {f"{prefix}r{k}": value for k, value in self.recall.items()}
        return {**named, f"{prefix}median": self.median, f"{prefix}mean": self.mean}


@dataclass(frozen=True)
class RetrievalRanks:
    """Ranks from 1 of every query. Texts look for their video, videos for the best of their texts.

    text_to_video (Q,); video_to_text (V',) of the videos that have texts, in rising order; the same after
    dual softmax.
    """

    text_to_video: Tensor
    video_to_text: Tensor
    dual_text_to_video: Tensor
    dual_video_to_text: Tensor

    @staticmethod
    def of_nothing() -> RetrievalRanks:
        """Where there are no queries."""
        return RetrievalRanks(torch.empty(0), torch.empty(0), torch.empty(0), torch.empty(0))

    def summaries(self) -> dict[str, RankSummary]:
        """Of both directions, plain and after dual softmax, by the names of the fields."""
        names = ("text_to_video", "video_to_text", "dual_text_to_video", "dual_video_to_text")
        return {name: RankSummary.of(getattr(self, name)) for name in names}


def streamed_ranks(
    similarity: SimilarityBlock,
    owners: Tensor,
    num_videos: int,
    *,
    pairs_per_block: int = 16384,
    sharpness: float = 100.0,
) -> RetrievalRanks:
    """Ranks of Q texts and V videos from blocks of at most `pairs_per_block` similarities.

    owners (Q,): the video of each text. sharpness: factor inside the dual softmax. Raises ValueError for a
    text without a video, FloatingPointError for similarities that are no numbers.
    """
    if len(owners) == 0 or int(owners.min()) < 0 or int(owners.max()) >= num_videos:
        raise ValueError(f"texts must belong to videos 0 to {num_videos - 1}; got {owners.tolist()[:6]} …")
    stripes = _Stripes(similarity, owners, num_videos, pairs_per_block)
    first = _FirstPass(len(owners), num_videos, sharpness)
    for rows, scores in stripes:
        first.add(rows, owners[rows], scores)
    second = _SecondPass(first, len(owners), num_videos, sharpness)
    for rows, scores in stripes:
        second.add(rows, owners[rows], scores)
    captioned = torch.bincount(owners, minlength=num_videos) > 0
    return RetrievalRanks(
        first.ranks,
        second.plain.ranks()[captioned],
        second.ranks,
        second.dual.ranks()[captioned],
    )


@dataclass(frozen=True)
class _Stripes:
    """All videos' similarities (r,V) with a few texts at a time; rows as a slice."""

    similarity: SimilarityBlock
    owners: Tensor
    num_videos: int
    pairs_per_block: int

    def __iter__(self) -> Iterator[tuple[slice, Tensor]]:
        height = max(1, min(_STRIPE_SCORES // self.num_videos, int(self.pairs_per_block**0.5)))
        width = max(1, self.pairs_per_block // height)
        for start in range(0, len(self.owners), height):
            rows = slice(start, min(start + height, len(self.owners)))
            columns = [
                slice(left, min(left + width, self.num_videos)) for left in range(0, self.num_videos, width)
            ]
            scores = torch.cat([self.similarity(rows, part).float() for part in columns], dim=1)
            if not torch.isfinite(scores).all():
                raise FloatingPointError(
                    f"similarities of texts {rows.start} to {rows.stop - 1} are not all numbers"
                )
            yield rows, scores


def _row_ranks(scores: Tensor, owners: Tensor) -> Tensor:
    """Rank (r,) of each row's own column among all columns of scores (r,V)."""
    own = scores.gather(1, owners[:, None])
    better = (scores > own).sum(dim=1)
    equal = (scores == own).sum(dim=1) - 1  # the own one is equal to itself
    return 1 + better + 0.5 * equal


class _FirstPass:
    """Ranks of videos for each text; what the second pass must know of the whole matrix."""

    def __init__(self, num_texts: int, num_videos: int, sharpness: float) -> None:
        self.sharpness = sharpness
        self.ranks = torch.zeros(num_texts, dtype=torch.float64)
        self.column_normaliser = torch.full((num_videos,), -torch.inf, dtype=torch.float64)
        self.best = torch.full((num_videos,), -torch.inf)
        self.best_dual = torch.full((num_videos,), -torch.inf, dtype=torch.float64)

    def add(self, rows: slice, owners: Tensor, scores: Tensor) -> None:
        """A stripe of scores (r,V)."""
        self.ranks[rows] = _row_ranks(scores, owners)
        sharp = self.sharpness * scores.double()
        self.column_normaliser = torch.logaddexp(self.column_normaliser, sharp.logsumexp(dim=0))
        own = scores.gather(1, owners[:, None])[:, 0]
        self.best.scatter_reduce_(0, owners, own, "amax")
        dual = weighted_over_videos(scores, self.sharpness).gather(1, owners[:, None])[:, 0]
        self.best_dual.scatter_reduce_(0, owners, dual, "amax")


class _SecondPass:
    """Ranks of texts for each video, plain and after dual softmax; dual softmax of texts' videos."""

    def __init__(self, first: _FirstPass, num_texts: int, num_videos: int, sharpness: float) -> None:
        self._normaliser, self._sharpness = first.column_normaliser, sharpness
        self.ranks = torch.zeros(num_texts, dtype=torch.float64)
        self.plain = _ColumnCounts(first.best, num_videos)
        self.dual = _ColumnCounts(first.best_dual, num_videos)

    def add(self, rows: slice, owners: Tensor, scores: Tensor) -> None:
        """A stripe of scores (r,V)."""
        self.plain.add(owners, scores)
        self.dual.add(owners, weighted_over_videos(scores, self._sharpness))
        shares = (self._sharpness * scores.double() - self._normaliser).exp()
        self.ranks[rows] = _row_ranks(scores.double() * shares, owners)


def weighted_over_videos(scores: Tensor, sharpness: float) -> Tensor:
    """Scores (r,V) for videos as queries: each times its share, for its text, among all videos; float64."""
    scores = scores.double()
    return scores * (sharpness * scores).softmax(dim=1)


class _ColumnCounts:
    """For each video, how many texts of other videos score higher than its own best, and as high."""

    def __init__(self, best: Tensor, num_videos: int) -> None:
        self._best = best
        self._better = torch.zeros(num_videos, dtype=torch.int64)
        self._equal = torch.zeros(num_videos, dtype=torch.int64)

    def add(self, owners: Tensor, scores: Tensor) -> None:
        """A stripe of scores (r,V) of texts with these owners."""
        foreign = torch.ones_like(scores, dtype=torch.bool)
        foreign.scatter_(1, owners[:, None], False)
        self._better += ((scores > self._best) & foreign).sum(dim=0)
        self._equal += ((scores == self._best) & foreign).sum(dim=0)

    def ranks(self) -> Tensor:
        """(V,), meaningless for videos without texts."""
        return 1 + self._better.double() + 0.5 * self._equal.double()
