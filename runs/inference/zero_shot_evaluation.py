"""Zero-shot recognition of a protocol's videos: every video is read once, whatever its runs share.

runs of a protocol ──union of videos, union of classes──► logits of the model and of the frozen CLIP,
(n,V,K) each ──rows and columns of each run──► accuracies: frozen CLIP, model, both fused
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datasets.annotations.zero_shot_splits import ZeroShotProtocol
from datasets.batch import ReadFailure, VideoBatch
from datasets.records import AnnotatedSplit, VideoRecord
from datasets.transforms.device import normalise
from datasets.video_dataset import UnreadableVideoError
from models.clip import Clip, build_clip
from models.heads import frame_logits
from runs.build_model import normalisation_of_clip
from runs.evaluate import EvaluationData
from runs.inference.classifier import VideoClassifier
from runs.inference.zero_shot_scores import RunTargets, class_columns
from utils import distributed
from utils.config import ConfigError
from utils.logging import Progress

VideoKey = tuple[str, float | None, float | None]


@dataclass(frozen=True)
class ProtocolVideos:
    """The videos and classes of all runs together."""

    videos: AnnotatedSplit
    """Each video once; its labels mean nothing."""
    class_names: tuple[str, ...]
    """Each class once."""
    protocol: ZeroShotProtocol


@dataclass(frozen=True)
class ProtocolLogits:
    """What the model and the frozen CLIP say of them."""

    rows: Tensor
    """int64 (n,): rows of `ProtocolVideos.videos`, ascending; unreadable videos are missing."""
    model: Tensor
    clip: Tensor
    """Logits float32 (n,V,K) over `ProtocolVideos.class_names`."""
    missing: tuple[ReadFailure, ...]


def join_runs(protocol: ZeroShotProtocol) -> ProtocolVideos:
    """The union of the runs' videos and classes, in the order of their first appearance."""
    records = list({_key(record): record for run in protocol.runs for record in run.records}.values())
    names = tuple(dict.fromkeys(name for run in protocol.runs for name in run.class_names[0]))
    first = protocol.runs[0]
    videos = AnnotatedSplit(first.dataset, protocol.protocol, tuple(records), (names,), first.source)
    return ProtocolVideos(videos, names, protocol)


def run_targets(videos: ProtocolVideos, rows: Tensor) -> list[RunTargets]:
    """Which of the logits' rows and columns each run has; unreadable videos are left out."""
    found = {int(row): index for index, row in enumerate(rows)}
    number = {_key(record): row for row, record in enumerate(videos.videos.records)}
    targets = []
    for run in videos.protocol.runs:
        kept = [
            (found[row], record.labels[0]) for record in run.records if (row := number[_key(record)]) in found
        ]
        indices = torch.tensor([index for index, _ in kept], dtype=torch.int64)
        labels = torch.tensor([label for _, label in kept], dtype=torch.int64)
        targets.append(RunTargets(indices, class_columns(run.class_names[0], videos.class_names), labels))
    return targets


@torch.inference_mode()
def collect_logits(
    classifier: VideoClassifier, data: EvaluationData, class_names: Sequence[str]
) -> ProtocolLogits:
    """Logits of every video, over all processes; every process must call it and gets the same.

    Raises UnreadableVideoError when no video at all could be read.
    """
    comparer = _Comparer(classifier, class_names)
    rows, model, clip = [], [], []
    with Progress(len(data), "zero-shot", visible=distributed.is_main()) as progress:
        for batch in data:
            own, frozen = comparer.logits(batch, data.num_views)
            rows.append(batch.video_id.cpu())
            model.append(own)
            clip.append(frozen)
            progress.advance()
    parts = distributed.gather((rows, model, clip))
    unread = [failure for found in distributed.gather(list(data.missing())) for failure in found]
    missing = tuple(sorted(unread, key=lambda failure: failure.row))
    if not any(len(some) for own_rows, _, _ in parts for some in own_rows):
        raise UnreadableVideoError(
            f"none of {len(missing)} videos could be read, so that there is nothing to compare; the first is "
            f"{missing[0].path}: {missing[0].reason}"
        )
    all_rows, all_model, all_clip = (
        torch.cat([tensor for part in parts for tensor in part[index]]) for index in range(3)
    )
    order = all_rows.argsort()
    return ProtocolLogits(all_rows[order], all_model[order], all_clip[order], missing)


class _Comparer:
    """Compares batches of videos with class names, by the model and by the CLIP it started from."""

    def __init__(self, classifier: VideoClassifier, class_names: Sequence[str]) -> None:
        self._classifier = classifier
        self._original = original_clip(classifier)
        self._scale = (classifier.model.clip if self._original is None else self._original).logit_scale
        self._texts, clips = classifier.text_features(class_names)
        if self._original is not None:
            clips = classifier.clip_text_features(self._original, class_names)
        self._clip_texts = clips

    def logits(self, batch: VideoBatch, num_views: int) -> tuple[Tensor, Tensor]:
        """(B,V,K) of the model and of the frozen CLIP, on the CPU."""
        classifier, model = self._classifier, self._classifier.model
        clips = batch.clips()
        video = classifier.normalised(clips)
        with classifier.precision.autocast():
            features = model(video)
            frames = (
                model.frozen_frames(video, features)
                if self._original is None
                else self._original.encode_frames(model.shown_frames(self._for_original(clips)))
            )
        own = model.similarity(features, self._texts)
        frozen = frame_logits(frames, self._clip_texts, self._scale)
        shape = (-1, num_views, own.shape[-1])
        return own.float().cpu().view(shape), frozen.float().cpu().view(shape)

    def _for_original(self, clips: Tensor) -> Tensor:
        """Clips uint8 (B,3,T,H,W) as the CLIP that was not tuned takes them, which may be otherwise."""
        classifier = self._classifier
        mean, std = normalisation_of_clip(classifier.config)
        return normalise(clips.to(classifier.device, non_blocking=True), mean, std)


def original_clip(classifier: VideoClassifier) -> Clip | None:
    """The CLIP that a model which tunes its own started from; None when the model's own is still that one.

    Raises ConfigError when its weights cannot be had.
    """
    if not classifier.tunes_clip:
        return None
    backbone = classifier.config.video.backbone
    try:
        return build_clip(backbone.meta_arch_name, backbone.pretrain_weight_path).to(classifier.device)
    except ValueError as error:
        raise ConfigError(
            f"the frozen CLIP to compare {classifier.source} with cannot be had: {error}",
            key="VIDEO.BACKBONE.PRETRAIN_WEIGHT_PATH",
            remedy="name the weights that its training started from",
        ) from error


def _key(record: VideoRecord) -> VideoKey:
    return record.path, record.start, record.end
