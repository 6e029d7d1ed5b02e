"""Colour jitter and grayscale: what is drawn for each clip. It is drawn in the worker and applied on the
device.

    ColourJitter.draw(generator) ──► ColourDraw, one a clip ──stack──► ColourParameters, one a batch
        ──► transforms.device.DeviceTransform

All frames of a clip are changed alike (AUGMENTATION.CONSISTENT of the release is always true here). Jitter
happens with COLOR_JITTER_P: brightness, contrast, saturation and hue, in random order with SHUFFLE, else in
this one. A clip loses its colours with probability GRAYSCALE, before the jitter with GRAY_FIRST, else after
it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from datasets.randomness import happens, uniform

OPERATIONS = ("brightness", "contrast", "saturation", "hue")
"""The columns of ColourParameters.factors."""

NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""The factors that change nothing."""


class ColourDraw(NamedTuple):
    """What happens to the colours of one clip."""

    gray: bool
    order: tuple[int, ...]  # the four operations, first to last
    factors: tuple[float, ...]  # multipliers of brightness, contrast, saturation; shift of the hue in turns


@dataclass(frozen=True)
class ColourParameters:
    """What happens to the colours of the clips of a batch, on the CPU (the device needs no more than
    indices of it).
    """

    gray: Tensor  # bool (B,)
    order: Tensor  # int64 (B,4)
    factors: Tensor  # float32 (B,4)

    @classmethod
    def stack(cls, draws: Sequence[ColourDraw]) -> ColourParameters:
        """One row per clip."""
        return cls(
            gray=torch.tensor([draw.gray for draw in draws], dtype=torch.bool),
            order=torch.tensor([draw.order for draw in draws], dtype=torch.int64).view(-1, len(OPERATIONS)),
            factors=torch.tensor([draw.factors for draw in draws], dtype=torch.float32).view(
                -1, len(OPERATIONS)
            ),
        )

    def __len__(self) -> int:
        return len(self.gray)

    def __getitem__(self, clips: slice) -> ColourParameters:
        """The rows of some clips, for a micro-batch."""
        return ColourParameters(self.gray[clips], self.order[clips], self.factors[clips])


@dataclass(frozen=True)
class ColourJitter:
    """AUGMENTATION's colour settings; `draw` takes one clip's changes from its generator.

    brightness, contrast, saturation: factors uniform in [max(0, 1-x), 1+x]; hue: shift uniform in [-x, x]
    turns."""

    probability: float = 0.0
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    grayscale: float = 0.2
    shuffle: bool = True

    def draw(self, generator: torch.Generator) -> ColourDraw:
        """What happens to one clip. Takes the same number of draws whatever happens."""
        gray = happens(self.grayscale, generator)
        jitters = happens(self.probability, generator)
        spreads = (self.brightness, self.contrast, self.saturation)
        factors = [uniform(max(0.0, 1 - spread), 1 + spread, generator) for spread in spreads]
        factors.append(uniform(-self.hue, self.hue, generator))
        shuffled = tuple(torch.randperm(len(OPERATIONS), generator=generator).tolist())
        order = shuffled if self.shuffle else tuple(range(len(OPERATIONS)))
        return ColourDraw(gray, order, tuple(factors) if jitters else NEUTRAL)
