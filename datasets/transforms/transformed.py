"""What a transform returns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from datasets.transforms.colour import ColourDraw


@dataclass(frozen=True)
class TransformedClips:
    """The clips made of one video: R repeats in training, V views in testing."""

    clips: Tensor  # uint8 (R,T,h,w,3)
    mirrored: tuple[bool, ...]  # which of them are mirrored
    colours: tuple[ColourDraw, ...] | None  # what the device does to the colours of each
