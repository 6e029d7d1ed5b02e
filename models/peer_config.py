"""Configuration of the methods that DiST is compared with, one section each in VIDEO.BACKBONE. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from utils.config import require


@dataclass(frozen=True)
class StAdapterConfig:
    """VIDEO.BACKBONE.ST_ADAPTER: bottlenecks with a temporal convolution in every block."""

    adapter_width: int = 384
    """Channels of the bottleneck."""
    adapters_per_block: Literal[1, 2] = 1
    """1: before the MLP (published for Kinetics); 2: before the attention, too (Something-Something)."""
    temporal_kernel_size: int = 3
    """Frames that the convolution spans (odd)."""

    def __post_init__(self) -> None:
        _require_positive("ADAPTER_WIDTH", self.adapter_width)
        _require_odd("TEMPORAL_KERNEL_SIZE", self.temporal_kernel_size)


@dataclass(frozen=True)
class AimConfig:
    """VIDEO.BACKBONE.AIM: adapters on time, space and both in every block."""

    adapter_ratio: float = 0.25
    """Channels of an adapter, as a share of the image encoder's width."""
    temporal_adapters: Literal[1, 2] = 1
    """2: one more before the attention over time (published for Something-Something)."""
    adapter_scale: float = 0.5
    """Factor on the adapter beside the MLP (published: 0.5 for Kinetics, 1 for Something-Something)."""
    drop_path_rate: float = 0.2
    """Share of clips whose adapter paths are left out in training, in the last block; rises from 0."""
    tower_rate_share: float = 1.0
    """Learning rate of what is trained in the image encoder, adapters above all, as a share of the
    classifier's (published: 0.1 for ViT-L/14)."""

    def __post_init__(self) -> None:
        _require_positive("ADAPTER_RATIO", self.adapter_ratio)
        rate = self.drop_path_rate
        require(0 <= rate < 1, "DROP_PATH_RATE", f"{rate} is not in [0, 1)", "0 turns it off")
        _require_positive("TOWER_RATE_SHARE", self.tower_rate_share)


@dataclass(frozen=True)
class EvlConfig:
    """VIDEO.BACKBONE.EVL: a decoder on the last blocks of the image encoder."""

    decoder_layers: int = 4
    """Decoder layers, one for each of the last blocks (published: 4 for Kinetics, 12 for
    Something-Something)."""
    temporal_kernel_size: int = 3
    """Frames that a decoder layer's convolution spans (odd)."""
    mlp_dropout_rate: float = 0.5
    """Dropout inside a decoder layer's MLP."""

    def __post_init__(self) -> None:
        _require_positive("DECODER_LAYERS", self.decoder_layers)
        _require_odd("TEMPORAL_KERNEL_SIZE", self.temporal_kernel_size)
        rate = self.mlp_dropout_rate
        require(0 <= rate < 1, "MLP_DROPOUT_RATE", f"{rate} is not in [0, 1)", "0 turns it off")


@dataclass(frozen=True)
class XclipConfig:
    """VIDEO.BACKBONE.XCLIP: messages between frames and prompts that depend on the video."""

    integration_layers: int = 1
    """Transformer layers over the frames' embeddings."""
    prompt_layers: int = 2
    """Layers in which the texts look at the video."""
    prompt_alpha: float = 0.1
    """What the weight of the prompts starts from."""

    def __post_init__(self) -> None:
        _require_positive("INTEGRATION_LAYERS", self.integration_layers)
        _require_positive("PROMPT_LAYERS", self.prompt_layers)


def _require_positive(key: str, value: float) -> None:
    require(value > 0, key, f"{value} is not positive", "give a number above 0")


def _require_odd(key: str, value: int) -> None:
    require(
        value > 0 and value % 2 == 1,
        key,
        f"{value} is not odd",
        f"take {abs(value) + 1 if value % 2 == 0 else 3}: it keeps the clip's length",
    )
