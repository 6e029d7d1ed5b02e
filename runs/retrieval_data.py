"""Captions of a list as token ids: those of a training batch, and all of them as queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from datasets.batch import VideoBatch
from datasets.records import VideoRecord
from datasets.text_video_dataset import queries_of
from datasets.transforms.device import DeviceTransform
from models.clip import Clip
from runs.evaluate_retrieval import Queries
from runs.training_step import TrainingPairs
from utils.logging import get_logger


@dataclass
class CaptionTokens:
    """Texts to token ids of one length; says once that a text is too long and is cut."""

    clip: Clip
    length: int
    said: bool = field(default=False)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token ids (K,L) on the CPU."""
        tokens = self.clip.tokenize(texts, self.length)
        full = (tokens[:, -1] != 0).nonzero()[:, 0].tolist()
        if full and not self.said:
            longest = max((texts[row] for row in full), key=self.clip.token_count)
            count = self.clip.token_count(longest)
            if count > tokens.shape[1]:
                self.said = True
                get_logger().warning(
                    "texts of more than %d tokens are cut (RETRIEVAL.MAX_TOKENS), this one of %d for "
                    "instance: %r; said once",
                    tokens.shape[1],
                    count,
                    longest,
                )
        return tokens


@dataclass(frozen=True)
class PreparePairs:
    """`runs.training_step.Prepare` for videos with captions: colours, normalisation, token ids."""

    transform: DeviceTransform
    device: torch.device
    records: Sequence[VideoRecord]
    tokens: CaptionTokens

    def __call__(self, batch: VideoBatch, step: int, number: int) -> TrainingPairs:
        """A micro-batch, ready for the network."""
        moved = batch.to(self.device, non_blocking=True)
        chosen = zip(batch.video_id.tolist(), batch.target[:, 0].tolist(), strict=True)
        texts = [self.records[row].captions[caption] for row, caption in chosen]
        video = self.transform(moved.video, batch.colour)
        tokens = self.tokens(texts).to(self.device, non_blocking=True)
        return TrainingPairs(video, tokens, batch.video_id)


def queries_from(records: Sequence[VideoRecord], tokens: CaptionTokens) -> Queries:
    """All captions of a list as queries."""
    texts, owners = queries_of(records)
    return Queries(tokens(texts), torch.tensor(owners))
