"""What the demonstration's frozen CLIP sees in single frames, for everything that is blind to their order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.annotations import load_split
from models.clip import Clip
from runs.build_data import build_device_transform, build_evaluation_videos
from runs.config import RunConfig


@dataclass(frozen=True)
class FrameFeatures:
    """Features of the frames of n clips, and the clips' classes.

    embeddings (n,T,E): CLIP's; class_tokens (n,T,D): the class token after the last block, which is what DiST
    is given, too; targets (n,).
    """

    embeddings: Tensor
    class_tokens: Tensor
    targets: Tensor


@torch.no_grad()
def frame_features(config: RunConfig, clip: Clip, split: str) -> FrameFeatures:
    """All dense frames of a centred view of every clip of a split ("train" or "val") of the motion lists."""
    annotated = load_split(
        config.train.dataset, split, anno_dir=config.data.annotation_dir, data_root=config.data.data_root_dir
    )
    videos = build_evaluation_videos(config, annotated, final=False)
    transform = build_device_transform(config)
    found = []
    for batch in videos:
        frames = transform(batch.clips(), None).transpose(1, 2)  # (B,T,3,H,W)
        tokens = clip.visual.transformer(clip.visual.embed(frames.flatten(0, 1)))
        shape = frames.shape[:2]
        embeddings = clip.visual.pool(tokens).unflatten(0, shape)
        found.append((embeddings, tokens[:, 0].unflatten(0, shape), batch.target[:, 0], batch.video_id))
    parts = zip(*found, strict=True)
    embeddings, class_tokens, targets, rows = (torch.cat(part) for part in parts)
    order = rows.argsort()
    return FrameFeatures(embeddings[order], class_tokens[order], targets[order])
