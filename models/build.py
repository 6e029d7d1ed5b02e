"""From the MODEL and VIDEO sections of a configuration to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from models.clip import Clip, build_clip
from models.config import HeadConfig, ModelConfig, VideoConfig
from models.dist import Dist
from models.heads import Head, LinearHead, Recognizer, TextHead
from models.interface import VideoModel, apply_roles
from models.mean_pool import MeanPool
from models.zero_shot import class_text_features


@dataclass(frozen=True)
class ClipShape:
    """The clips that a model is built for."""

    frames: int
    """T, DATA.NUM_INPUT_FRAMES."""
    alpha: int
    """α, DATA.SPARSE_SAMPLE_ALPHA."""


ModelBuilder = Callable[[Clip, VideoConfig, ClipShape], VideoModel]


def _dist(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    backbone = video.backbone
    if not (backbone.freeze_visual and backbone.freeze_text):
        raise ValueError(
            "DiST stands on a frozen CLIP: leave VIDEO.BACKBONE.FREEZE_VISUAL and FREEZE_TEXT true"
        )
    return Dist(clip, backbone.dist, frames=shape.frames, alpha=shape.alpha)


def _mean_pool(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    backbone = video.backbone
    return MeanPool(
        clip,
        alpha=shape.alpha,
        tune_visual=not backbone.freeze_visual,
        tune_text=not backbone.freeze_text,
    )


MODELS: dict[str, ModelBuilder] = {"dist": _dist, "clip": _mean_pool}
"""Values of MODEL.NAME."""


def build_video_model(
    model: ModelConfig,
    video: VideoConfig,
    shape: ClipShape,
    *,
    clip: Clip | None = None,
    own_models: Mapping[str, ModelBuilder] | None = None,
) -> VideoModel:
    """The video model of a configuration, with CLIP's weights, on the CPU.

    clip: taken instead of building one. own_models: what a user's module adds to MODEL.NAME. Raises
    ValueError for an unknown name and for sizes that do not fit.
    """
    builders = {**MODELS, **(own_models or {})}
    if model.name not in builders:
        raise ValueError(f"MODEL.NAME {model.name} is unknown; there are {', '.join(builders)}")
    backbone = video.backbone
    if clip is None:
        clip = build_clip(backbone.meta_arch_name, backbone.pretrain_weight_path)
    built = builders[model.name](clip, video, shape)
    apply_roles(built)
    return built


def build_heads(
    head: HeadConfig, model: VideoModel, class_names: Sequence[Sequence[str]], templates: Sequence[str]
) -> list[Head]:
    """One head per set of classes. class_names: names in words, as they go into prompts."""
    if head.name == "linear":
        return [LinearHead(model.embed_dim, len(names), head.dropout_rate) for names in class_names]
    return [TextHead(class_text_features(model.clip, names, templates)) for names in class_names]


def build_recognizer(
    head: HeadConfig,
    model: VideoModel,
    class_names: Sequence[Sequence[str]],
    templates: Sequence[str] = ("{}",),
) -> Recognizer:
    """The video model with its heads, ready to train. Raises ValueError when nothing in it can be trained."""
    return Recognizer(model, build_heads(head, model, class_names, templates))
