"""From the MODEL and VIDEO sections of a configuration to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.aim import Aim
from models.clip import Clip, build_clip
from models.clip4clip import Clip4Clip
from models.config import HeadConfig, ModelConfig, VideoConfig
from models.dist import Dist
from models.evl import Evl
from models.heads import Head, LinearHead, Recognizer, TextHead, TunedTextHead
from models.interface import Role, VideoModel, apply_roles
from models.mean_pool import MeanPool
from models.st_adapter import StAdapter
from models.stan import Stan
from models.xclip import Xclip
from models.zero_shot import class_tokens


@dataclass(frozen=True)
class ClipShape:
    """The clips that a model is built for."""

    frames: int
    """T, DATA.NUM_INPUT_FRAMES."""
    alpha: int
    """α, DATA.SPARSE_SAMPLE_ALPHA."""

    @property
    def shown(self) -> int:
        """Frames of a clip that CLIP sees: every α-th."""
        return len(range(0, self.frames, self.alpha))


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


def _st_adapter(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    return StAdapter(clip, video.backbone.st_adapter, alpha=shape.alpha)


def _aim(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    return Aim(clip, video.backbone.aim, frames=shape.shown, alpha=shape.alpha)


def _evl(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    return Evl(clip, video.backbone.evl, frames=shape.shown, alpha=shape.alpha)


def _xclip(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    backbone = video.backbone
    tune, compares = not backbone.freeze_visual, video.head.name == "text"
    sizes = {"frames": shape.shown, "alpha": shape.alpha}
    return Xclip(clip, backbone.xclip, **sizes, tune_visual=tune, prompts_texts=compares)


def _stan(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    backbone = video.backbone
    tuned = {"tune_visual": not backbone.freeze_visual, "tune_text": not backbone.freeze_text}
    return Stan(clip, backbone.stan, alpha=shape.alpha, **tuned)


def _clip4clip(clip: Clip, video: VideoConfig, shape: ClipShape) -> VideoModel:
    backbone = video.backbone
    tuned = {"tune_visual": not backbone.freeze_visual, "tune_text": not backbone.freeze_text}
    return Clip4Clip(clip, backbone.clip4clip, alpha=shape.alpha, **tuned)


MODELS: dict[str, ModelBuilder] = {
    "aim": _aim,
    "clip": _mean_pool,
    "clip4clip": _clip4clip,
    "dist": _dist,
    "evl": _evl,
    "st_adapter": _st_adapter,
    "stan": _stan,
    "xclip": _xclip,
}
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
    """One head per set of classes. class_names: names in words, as they go into prompts. Raises ValueError
    for a text head on a model whose features are no match for texts.
    """
    if head.name == "linear":
        sizes = {"dropout": head.dropout_rate, "std": head.initial_std}
        return [LinearHead(model.video_width, len(names), **sizes) for names in class_names]
    if not model.in_joint_space:
        raise ValueError(
            "VIDEO.HEAD.NAME text: this model's features lie outside CLIP's joint space of videos and texts; "
            "set VIDEO.HEAD.NAME to linear"
        )
    if tunes_text(model):
        return [TunedTextHead(_single_texts(model, names, templates)) for names in class_names]
    return [TextHead(model.class_features(names, templates)) for names in class_names]


def tunes_text(model: VideoModel) -> bool:
    """Whether the text tower is trained, so that texts must be encoded at every step."""
    return any(
        model.role(f"clip.text.{name}") is not Role.FROZEN for name, _ in model.clip.text.named_parameters()
    )


def _single_texts(model: VideoModel, names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Token ids (K,L) of one text per class, which is all that a step can afford to encode."""
    if len(templates) != 1:
        raise ValueError(
            f"{len(templates)} prompt templates with a tuned text tower, which encodes every class name at "
            "every step: give one"
        )
    return class_tokens(model.clip, names, templates)


def build_recognizer(
    head: HeadConfig,
    model: VideoModel,
    class_names: Sequence[Sequence[str]],
    templates: Sequence[str] = ("{}",),
) -> Recognizer:
    """The video model with its heads, ready to train. Raises ValueError when nothing in it can be trained."""
    return Recognizer(model, build_heads(head, model, class_names, templates))
