"""Configuration of models: MODEL, VIDEO.BACKBONE (the CLIP encoder and the branch on it), VIDEO.HEAD.
Torch-free.

A model's own section stands in VIDEO.BACKBONE under the model's name (`VIDEO.BACKBONE.DIST`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from models.peer_config import AimConfig, EvlConfig, StAdapterConfig, XclipConfig
from utils.config import require

MODEL_NAMES = ("aim", "clip", "clip4clip", "dist", "evl", "st_adapter", "stan", "xclip")
"""Built-in values of MODEL.NAME; a module named by CUSTOM.MODULE can add its own."""
MODELS_THAT_CAN_TUNE_VISUAL = ("clip", "clip4clip", "stan", "xclip")
MODELS_THAT_CAN_TUNE_TEXT = ("clip", "clip4clip", "stan")
"""Models for which VIDEO.BACKBONE.FREEZE_VISUAL and FREEZE_TEXT may be false."""
MODELS_OUTSIDE_THE_TOWER = ("clip", "clip4clip", "dist", "stan")
"""Models that put nothing between the image tower's blocks and send no gradient through them."""
MODELS_OUTSIDE_THE_JOINT_SPACE = ("aim", "evl", "st_adapter")
"""Models whose features cannot be compared with texts: they take a linear head."""
MODELS_THAT_STREAM = ("dist", "stan")
"""Of these, the ones that read the tower block by block, so that its features can be kept."""

MODELS_MATCHED_AS_A_WHOLE = ("dist", "xclip")
"""Models that train weights which the embeddings of single frames do not show."""

_VIT_NAME = re.compile(r"ViT-(?P<size>[A-Za-z]+)-(?P<patch>\d+)(?:$|-)")
_VIT_DEPTHS = {"Ti": 12, "S": 12, "B": 12, "M": 12, "L": 24, "H": 32, "g": 40, "G": 48, "bigG": 48}


@dataclass(frozen=True)
class EmaConfig:
    """MODEL.EMA: a moving average of the trained weights, which is what gets evaluated."""

    enable: bool = False
    """Whether the average is kept."""
    decay: float = 0.99996
    """Share of the average that survives one step."""

    def __post_init__(self) -> None:
        require(0 < self.decay < 1, "DECAY", f"{self.decay} is not in (0, 1)", "0.9999 is usual")


@dataclass(frozen=True)
class ModelConfig:
    """MODEL: which video model is built."""

    name: str = "dist"
    """dist: DiST; stan: STAN; clip4clip: CLIP4Clip; clip: CLIP, its frame embeddings averaged;
    st_adapter, aim, evl, xclip: these methods; or what CUSTOM.MODULE defines."""
    ema: EmaConfig = field(default_factory=EmaConfig)


@dataclass(frozen=True)
class DistConfig:
    """VIDEO.BACKBONE.DIST: the temporal encoder and the integration branch of DiST."""

    s_patch_size: int | None = None
    """Side of the temporal stem's patches in pixels. Must equal the image encoder's; null: takes it over."""
    t_patch_size: int = 5
    """Frames that the temporal stem's kernel spans (odd)."""
    temporal_dim: int = 96
    """M, channels of the temporal encoder."""
    temporal_kernel_size: int = 3
    """Frames that a temporal convolution spans (odd)."""
    temporal_conv_mlp_ratio: float = 1.0
    """Hidden channels of a temporal block, as a multiple of M."""
    integration_dim: int = 384
    """C, width of the integration branch; a multiple of 64, the width of its attention heads."""
    integration_mlp_ratio: float = 1.0
    """Hidden width of an integration block's MLP over channels, as a multiple of C."""
    integration_temporal_mlp_ratio: float = 0.25
    """Hidden width of an integration block's MLP over time, as a multiple of C."""
    ada_pooling_layers: int = 2
    """Layers of the adaptive pooling that ends in the video embedding."""
    selected_layers: tuple[int, ...] | None = None
    """Blocks of the image encoder (counted from 0) whose tokens enter the branch; null: all."""
    spatial_cls_token_init_as_zero: bool = False
    """Whether the learned spatial query starts at zero instead of small random values."""
    temporal_encoder: Literal["conv", "tada", "none"] = "conv"
    """conv: plain convolutions; tada: temporally-adaptive ones in each frame (TAdaConv), which normalise over
    the clips of a forward pass, of all processes; none: no temporal encoder, so that the integration branch
    alone sees time."""
    exchange_to_temporal: bool = True
    """Whether the temporal encoder gets messages from the integration branch."""
    exchange_to_integration: bool = True
    """Whether the integration branch gets messages from the temporal encoder at every step; false: only at
    the last one, without which the encoder would have no effect."""
    initialization: Literal["published", "fan_in"] = "published"
    """published: standard deviation 0.02, right for published widths; fan_in: fan_in^-0.5, for narrow
    branches."""

    def __post_init__(self) -> None:
        for key in ("TEMPORAL_DIM", "INTEGRATION_DIM", "ADA_POOLING_LAYERS", "TEMPORAL_CONV_MLP_RATIO"):
            _require_positive(key, getattr(self, key.lower()))
        for key in ("INTEGRATION_MLP_RATIO", "INTEGRATION_TEMPORAL_MLP_RATIO"):
            _require_positive(key, getattr(self, key.lower()))
        for key in ("T_PATCH_SIZE", "TEMPORAL_KERNEL_SIZE"):
            size = getattr(self, key.lower())
            require(
                size > 0 and size % 2 == 1,
                key,
                f"{size} is not odd",
                f"take {abs(size) + 1}: it keeps the clip's length",
            )
        width = self.integration_dim
        require(
            width % 64 == 0,
            "INTEGRATION_DIM",
            f"{width} is not a multiple of 64, the width of an attention head",
            f"take {max(64, round(width / 64) * 64)}",
        )
        if self.s_patch_size is not None:
            _require_positive("S_PATCH_SIZE", self.s_patch_size)
        self._check_selected_layers()

    def _check_selected_layers(self) -> None:
        layers = self.selected_layers
        if layers is None:
            return
        require(
            bool(layers) and min(layers) >= 0 and list(layers) == sorted(set(layers)),
            "SELECTED_LAYERS",
            f"{list(layers)} is not a rising list of block numbers",
            "count the image encoder's blocks from 0, each at most once: [0, 1, 2]",
        )


@dataclass(frozen=True)
class StanConfig:
    """VIDEO.BACKBONE.STAN: the branch of STAN. Its recipes tune CLIP, too: FREEZE_VISUAL and FREEZE_TEXT
    false."""

    depth: int = 4
    """K, layers of the branch, beside as many of the image encoder's last blocks."""
    time_module: Literal["selfattn", "conv"] = "selfattn"
    """What relates a position's frames: self-attention, or a convolution over three frames."""
    max_frames: int = 64
    """Rows of the table of positions in time; clips that are longer interpolate it."""
    drop_path: float = 0.1
    """Share of residual branches left out in training: rises from 0 in the first layer to this in the
    last."""

    def __post_init__(self) -> None:
        _require_positive("DEPTH", self.depth)
        _require_positive("MAX_FRAMES", self.max_frames)
        rate = self.drop_path
        require(0 <= rate < 1, "DROP_PATH", f"{rate} is not in [0, 1)", "0.1 is the published value")


@dataclass(frozen=True)
class Clip4ClipConfig:
    """VIDEO.BACKBONE.CLIP4CLIP: how CLIP4Clip makes one embedding of the frames'."""

    pooling: Literal["mean", "transformer"] = "transformer"
    """mean: of the normalised frame embeddings; transformer: over the sequence of frames first."""
    layers: int = 4
    """transformer: its blocks, which start as the text tower's first."""

    def __post_init__(self) -> None:
        _require_positive("LAYERS", self.layers)


@dataclass(frozen=True)
class BackboneConfig:
    """VIDEO.BACKBONE: the CLIP encoder, its weights, what of it is frozen, and one section per video
    model."""

    meta_arch_name: str = "ViT-B-16"
    """open_clip's name of the architecture (ViT-B-16, ViT-L-14, ...), or the path of an open_clip JSON
    file."""
    pretrain_weight_path: str = "openai"
    """open_clip's tag of the weights, or a local file; a CLIP inside TRAIN. or TEST.CHECKPOINT_FILE_PATH
    takes their place. Empty: random weights, for tests only."""
    freeze_text: bool = True
    """Whether the text tower stays as it is."""
    freeze_visual: bool = True
    """Whether the image tower stays as it is."""
    frozen_precision: Literal["fp32", "half", "int8"] = "fp32"
    """What the blocks of a frozen image tower keep their weights in and compute in. half: the run's half
    precision, bfloat16 in a float32 run (less memory on a GPU, the fastest on a CPU with bfloat16 units);
    int8: 8-bit integers on a CPU, faster than fp32 and less exact than half. Checkpoints and exports are not
    touched."""
    dist: DistConfig = field(default_factory=DistConfig)
    stan: StanConfig = field(default_factory=StanConfig)
    st_adapter: StAdapterConfig = field(default_factory=StAdapterConfig)
    aim: AimConfig = field(default_factory=AimConfig)
    evl: EvlConfig = field(default_factory=EvlConfig)
    xclip: XclipConfig = field(default_factory=XclipConfig)
    clip4clip: Clip4ClipConfig = field(default_factory=Clip4ClipConfig)

    def __post_init__(self) -> None:
        require(
            bool(self.meta_arch_name), "META_ARCH_NAME", "no architecture given", "ViT-B-16 is the usual one"
        )
        patch, depth = self.patch_size, self.depth
        if patch is not None and self.dist.s_patch_size not in (None, patch):
            require(
                False,
                "DIST.S_PATCH_SIZE",
                f"{self.dist.s_patch_size} does not fit {self.meta_arch_name} (patches of {patch})",
                f"set VIDEO.BACKBONE.DIST.S_PATCH_SIZE to {patch}, or leave it out",
            )
        if depth is not None:
            require(
                self.stan.depth <= depth,
                "STAN.DEPTH",
                f"{self.stan.depth} layers do not fit beside the {depth} blocks of {self.meta_arch_name}",
                f"take at most {depth}; 4 is the published value, 6 on SSv2",
            )
            require(
                self.evl.decoder_layers <= depth,
                "EVL.DECODER_LAYERS",
                f"{self.evl.decoder_layers} layers, but {self.meta_arch_name} has {depth} blocks to read",
                f"take at most {depth}; 4 is the published value, on SSv2 the number of blocks",
            )
        layers = self.dist.selected_layers
        if depth is not None and layers is not None:
            require(
                layers[-1] < depth,
                "DIST.SELECTED_LAYERS",
                f"block {layers[-1]} does not exist: {self.meta_arch_name} has blocks 0 to {depth - 1}",
                "leave it out to select every block",
            )

    @property
    def patch_size(self) -> int | None:
        """Side of the image encoder's patches as its name tells it; None where the name does not."""
        match = _VIT_NAME.match(self.meta_arch_name)
        return int(match["patch"]) if match else None

    @property
    def depth(self) -> int | None:
        """Number of the image encoder's blocks as its name tells it; None where the name does not."""
        match = _VIT_NAME.match(self.meta_arch_name)
        return _VIT_DEPTHS.get(match["size"]) if match else None


@dataclass(frozen=True)
class HeadConfig:
    """VIDEO.HEAD: from features to class scores."""

    name: Literal["text", "linear"] = "text"
    """text: cosine with the class names' text features; linear: a trained classifier per set of classes."""
    num_classes: int | tuple[int, ...] | None = None
    """Number of classes, or one number per head ([97, 300] for verb and noun); null: as many as class
    names."""
    dropout_rate: float = 0.0
    """linear: dropout before the classifier. The text head has none."""
    initial_std: float = 0.02
    """linear: standard deviation of the classifier's weights at the start."""
    zero_shot_fusion_weight: float = 0.5
    """Zero-shot classification: weight of the model's logits; the frozen CLIP's have the rest. Where CLIP
    itself was tuned, only `runs/zero_shot.py` fuses: it loads the original."""

    def __post_init__(self) -> None:
        for count in self.classes_per_head or ():
            require(
                count > 0, "NUM_CLASSES", f"{count} is not positive", "null takes it from the class names"
            )
        rate, weight = self.dropout_rate, self.zero_shot_fusion_weight
        require(0 <= rate < 1, "DROPOUT_RATE", f"{rate} is not in [0, 1)", "0 turns it off")
        require(
            0 <= weight <= 1,
            "ZERO_SHOT_FUSION_WEIGHT",
            f"{weight} is not in [0, 1]",
            "0.5 is the published value",
        )

    @property
    def classes_per_head(self) -> tuple[int, ...] | None:
        """Number of classes of each head; None where they are taken from the class names."""
        if self.num_classes is None or isinstance(self.num_classes, tuple):
            return self.num_classes
        return (self.num_classes,)


@dataclass(frozen=True)
class VideoConfig:
    """VIDEO: the video network."""

    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    head: HeadConfig = field(default_factory=HeadConfig)


def _require_positive(key: str, value: float) -> None:
    require(value > 0, key, f"{value} is not positive", "give a number above 0")
