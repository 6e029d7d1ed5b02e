"""Three lines to use a model:

    from runs.api import classify, load_model, read_clip

    model = load_model("dist-k400-vit-b16-8+16f")                # a name of the zoo, or a file
    clip = read_clip("video.mp4", model)                         # uint8 (V,3,T,H,W)
    print(classify(model, clip, ["juggling", "riding a bike"]))  # or its own classes, when none are given

Works from the checkout's root and after `pip install -e .` from anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.heads import LinearHead, frame_logits
from models.interface import VideoFeatures
from models.zero_shot import fuse_logits
from runs.inference.classifier import VideoClassifier
from runs.inference.clips import ClipSettings
from runs.inference.loading import load_model
from runs.inference.results import Prediction

__all__ = ["VideoClassifier", "classify", "embed", "load_model", "read_clip"]

Classes = Sequence[str]
_PAIR = 2


def read_clip(
    path: str | Path,
    model: VideoClassifier,
    *,
    views: int = 1,
    crops: int = 1,
    start: float | None = None,
    end: float | None = None,
) -> Tensor:
    """Clips of a video as `model` was tested with: uint8 (V,3,T,H,W), V = views · crops.

    start, end: seconds; the whole video by default. Raises VideoReadError, and ConfigError for a decoder
    that does not work here.
    """
    settings = ClipSettings(model.config, views, crops)
    with settings.open(path) as reader:
        return settings.read(reader, start, end)


def classify(
    model: VideoClassifier,
    clip: Tensor,
    classes: Classes | None = None,
    *,
    top: int | None = 5,
    templates: Sequence[str] | None = None,
    fusion: float | None = None,
) -> list[Prediction]:
    """What clips (V,3,T,H,W) of one video show: the best classes first, with probabilities.

    classes: words of your own; by default the classes that the model was trained for (with verb and noun:
    pairs). top: how many to return, None for all. templates: sentences with {} for a class name. fusion:
    weight of the model's logits against the frozen CLIP's; by default the configuration's for classes of your
    own (½ as published), 1 for the model's, and for all where CLIP itself was tuned. Raises ValueError for
    classes that the model cannot compare, and for a frozen CLIP that it has not.
    """
    per_head = view_logits(model, clip, classes, templates=templates, fusion=fusion)
    scores = [logits.softmax(dim=-1).mean(dim=0) for logits in per_head]
    names = [list(classes)] if classes is not None else [list(head) for head in model.class_names]
    labels, joint = names[0], scores[0]
    if len(scores) == _PAIR:  # verb and noun: every pair of them
        labels = [f"{verb} {noun}" for verb in names[0] for noun in names[1]]
        joint = torch.outer(scores[0], scores[1]).flatten()
    count = len(labels) if top is None else min(top, len(labels))
    best = joint.argsort(descending=True, stable=True)[:count]
    return [Prediction(labels[int(index)], float(joint[index])) for index in best]


@torch.inference_mode()
def embed(model: VideoClassifier, clip: Tensor) -> VideoFeatures:
    """Embeddings of clips (V,3,T,H,W), not normalised, on the CPU: video (V,E), frames (V,S,E)."""
    features = _features(model, _normalised(model, clip))
    return VideoFeatures(features.video.float().cpu(), features.frames.float().cpu())


@torch.inference_mode()
def view_logits(
    model: VideoClassifier,
    clip: Tensor,
    classes: Classes | None = None,
    *,
    templates: Sequence[str] | None = None,
    fusion: float | None = None,
) -> list[Tensor]:
    """Logits (V,K) on the CPU of every view, per head; the arguments are those of `classify`."""
    check_classes(model, classes, fusion)
    video = _normalised(model, clip)
    check_texts(model, classes, templates, fusion)
    features = _features(model, video)
    if classes is None and model.has_trained_classifier:
        return [head(model.model, features).float().cpu() for head in model.network.heads]
    weight = default_fusion(model, classes, fusion)
    frozen = model.model.frozen_frames(video, features) if weight < 1 else None
    logits = []
    for names in [classes] if classes is not None else model.class_names:
        own, clips = model.text_features(names, templates)
        found = model.model.similarity(features, own)
        if frozen is not None:
            found = fuse_logits(found, frame_logits(frozen, clips, model.model.clip.logit_scale), weight)
        logits.append(found.float().cpu())
    return logits


def check_texts(
    model: VideoClassifier,
    classes: Classes | None,
    templates: Sequence[str] | None = None,
    fusion: float | None = None,
) -> None:
    """Raises ValueError for one text in place of a list, and for what would have no effect."""
    for name, texts in (("classes", classes), ("templates", templates)):
        if isinstance(texts, str):
            raise ValueError(f"{name} are a list of texts, not one: {texts!r}")
    if (
        classes is None
        and model.has_trained_classifier
        and (templates is not None or fusion not in (None, 1))
    ):
        raise ValueError(
            f"{model.source} has a trained classifier, which compares no words: leave out "
            f"{'templates' if templates is not None else 'the weight of the fusion'}"
        )


def default_fusion(model: VideoClassifier, classes: Classes | None, fusion: float | None) -> float:
    """The weight asked for, or what `classify` takes when none is."""
    if fusion is not None:
        return fusion
    alone = classes is None or model.tunes_clip
    return 1.0 if alone else model.config.video.head.zero_shot_fusion_weight


def check_classes(model: VideoClassifier, classes: Classes | None, fusion: float | None = None) -> None:
    """Raises ValueError for classes that the model cannot compare, for a model that has none, and for a share
    of the frozen CLIP where the model has only a tuned one.
    """
    if fusion is not None and fusion < 1 and model.tunes_clip:
        raise ValueError(
            f"{model.source} has tuned CLIP's own weights, so there is no frozen CLIP in it to take "
            f"{1 - fusion:g} of the fusion: leave that out (runs/zero_shot.py loads the original and fuses)"
        )
    if not model.model.in_joint_space and not model.has_trained_classifier:
        raise ValueError(
            f"{model.source} makes features that cannot be compared with words, and has no trained classifier"
        )
    if classes is None and model.has_trained_classifier:
        _check_names(model)
    if classes is None and not model.class_names and not model.has_trained_classifier:
        raise ValueError(
            f"{model.source} does not say which classes it was trained for: name classes of your own"
        )
    if classes is not None and model.has_trained_classifier:
        raise ValueError(
            f"{model.source} has a trained classifier for its own classes and cannot compare others"
        )
    if classes is not None and len(classes) < _PAIR:
        raise ValueError(f"scores compare classes: at least two are needed, {len(classes)} given")
    if classes is not None:
        try:
            model.model.clip.tokenize(classes[:1])
        except ValueError as error:
            raise ValueError(f"{model.source} cannot read words: {error}") from error


def _check_names(model: VideoClassifier) -> None:
    """Raises ValueError unless every class of the trained classifiers has its name."""
    sizes = [head.fc.out_features for head in model.network.heads if isinstance(head, LinearHead)]
    named = [len(names) for names in model.class_names]
    if sizes != named:
        raise ValueError(
            f"{model.source} has a classifier of {' and '.join(map(str, sizes))} classes, of which "
            f"{' and '.join(map(str, named)) or 'none'} have names here: give the configuration that it was "
            "trained with, and its lists (DATA.ANNO_DIR)"
        )


def _normalised(model: VideoClassifier, clip: Tensor) -> Tensor:
    if clip.ndim != 5 or clip.shape[1] != 3 or clip.dtype != torch.uint8:
        raise ValueError(f"a clip is uint8 (V,3,T,H,W); this one is {clip.dtype} {tuple(clip.shape)}")
    return model.normalised(clip)


def _features(model: VideoClassifier, video: Tensor) -> VideoFeatures:
    with model.precision.autocast():
        return model.model(video)
