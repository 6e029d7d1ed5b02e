"""InfoNCE between texts and videos over the batches of all processes (van den Oord et al. 2018).

    own features ──gathered with gradients──► features of all processes
    own texts x all videos, own videos x all texts ──► cross entropy each, added up

A process computes the rows of its own texts and videos only. The mean of the processes' losses is the loss
of the whole batch, and the gradients, averaged over the processes as DistributedDataParallel does, are its.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from models.interface import VideoFeatures
from models.retriever import Matched, TextFeatures, map_features
from utils import distributed
from utils.gathering import gather_with_gradients

Similarity = Callable[[TextFeatures, VideoFeatures], Tensor]
"""(K texts, B videos) → similarities (K,B)."""


def contrastive_loss(matched: Matched, similarity: Similarity) -> Tensor:
    """The sum of the text-to-video and the video-to-text loss of this process's pairs, a scalar.

    Text i belongs to video i. Every process must call it, with batches of the same size.
    """
    texts, videos, scale = matched.texts, matched.videos, matched.scale
    count = len(texts.text)
    assert len(videos.video) == count, f"{count} texts for {len(videos.video)} videos"
    own = torch.arange(count, device=texts.text.device) + distributed.rank() * count
    all_videos = map_features(videos, gather_with_gradients)
    if distributed.world_size() == 1:
        logits = scale * similarity(texts, all_videos)
        return F.cross_entropy(logits, own) + F.cross_entropy(logits.t(), own)
    all_texts = map_features(texts, gather_with_gradients)
    to_videos = scale * similarity(texts, all_videos)
    to_texts = scale * similarity(all_texts, videos).t()
    return F.cross_entropy(to_videos, own) + F.cross_entropy(to_texts, own)
