"""Random erasing (Zhong et al., 2020) of a clip: the same rectangles, with the same filling, in all its
frames.

The filling is defined after normalisation, where zero is the mean colour and random values are N(0,1), and is
converted to pixels here, because clips stay uint8 until they are on the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from datasets.randomness import happens, randint, uniform
from datasets.transforms.crop import Box, crop, random_box

_ATTEMPTS = 10


@dataclass(frozen=True)
class RandomErasing:
    """AUGMENTATION.RANDOM_ERASING as a function of clips.

    area: range of a rectangle's share of the frame; min_aspect: least height / width, the greatest is its
    inverse; count: least and greatest number of rectangles, which share `area` among them."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    probability: float = 0.25
    mode: Literal["const", "rand", "pixel"] = "pixel"
    count: tuple[int, int] = (1, 1)
    area: tuple[float, float] = (0.02, 0.33)
    min_aspect: float = 0.3

    def __call__(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        """A copy of the clip uint8 (T,H,W,3) with rectangles overwritten; with 1 - probability, the clip
        itself.
        """
        if not happens(self.probability, generator):
            return clip
        clip = clip.clone()  # another clip of the video may share its memory
        count = randint(*self.count, generator)
        for _ in range(count):
            box = self._draw_box(clip.shape[1], clip.shape[2], count, generator)
            if box is not None:
                crop(clip, box).copy_(self._filling(box, generator))
        return clip

    def _draw_box(self, height: int, width: int, count: int, generator: torch.Generator) -> Box | None:
        """A rectangle inside the frame, or None when ten draws did not fit."""
        for _ in range(_ATTEMPTS):
            target = height * width * uniform(*self.area, generator) / count
            aspect = math.exp(uniform(math.log(self.min_aspect), -math.log(self.min_aspect), generator))
            box_height, box_width = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
            if 0 < box_height <= height and 0 < box_width <= width:
                return random_box(height, width, box_height, box_width, generator)
        return None

    def _filling(self, box: Box, generator: torch.Generator) -> Tensor:
        """Pixels uint8 that broadcast to (T, box.height, box.width, 3)."""
        sizes = {"const": (1, 1), "rand": (1, 1), "pixel": (box.height, box.width)}
        noise = torch.randn(*sizes[self.mode], 3, generator=generator)
        if self.mode == "const":
            noise.zero_()
        colours = torch.tensor(self.mean) + torch.tensor(self.std) * noise
        return (colours * 255).round().clamp(0, 255).to(torch.uint8)
