"""The random transforms of training clips, on uint8, alike for all frames of a clip.

    frames (n,H,W,3) + which of them make up each clip (R,T)
        ──RandAugment?──► crop ──► resize ──► flip ──► RandAugment? ──► erasing ──► clips (R,T,h,w,3)

The crop is cut out of the decoded frames before anything is resized or converted. Colours are only drawn
here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from datasets.randomness import randint
from datasets.sampling import Indices
from datasets.transforms.colour import ColourJitter
from datasets.transforms.crop import crop, random_box, random_resized_crop_box
from datasets.transforms.erasing import RandomErasing
from datasets.transforms.flip import Flip, mirror
from datasets.transforms.rand_augment import RandAugment
from datasets.transforms.resize import Interpolation, resize, short_side_size
from datasets.transforms.transformed import TransformedClips


@dataclass(frozen=True)
class TrainTransform:
    """Settings of the training transforms; a call draws everything from the clips' own generators.

    size: side of the square clip. scale: the crop's share of the area (up to 1), or the short side in
    pixels that the frame is resized to before a crop of `size` is taken. clean_share: share of the repeats
    of a video, the first ones, that random erasing leaves alone."""

    size: int = 224
    scale: tuple[float, float] = (0.4, 1.0)
    ratio: tuple[float, float] = (0.75, 1.333)
    interpolation: Interpolation = "bilinear"
    antialias: bool = False
    flip: Flip = field(default_factory=Flip)
    colour: ColourJitter | None = None
    rand_augment: RandAugment | None = None
    rand_augment_before_crop: bool = True
    erasing: RandomErasing | None = None
    clean_share: float = 0.0

    def __call__(
        self, frames: Tensor, clips: Indices, generators: Sequence[torch.Generator]
    ) -> TransformedClips:
        """Make a clip of frames uint8 (n,H,W,3) per row of clips (R,T), with the generator of that row."""
        clean = self.clean_share * len(clips)
        made: list[tuple[Tensor, bool]] = []
        for repeat, (positions, generator) in enumerate(zip(clips, generators, strict=True)):
            made.append(self._one_clip(_select(frames, positions), generator, erase=repeat >= clean))
        # Last, so that colours on or off do not move any other draw.
        colours = tuple(self.colour.draw(generator) for generator in generators) if self.colour else None
        return TransformedClips(
            clips=torch.stack([clip for clip, _ in made]) if len(made) > 1 else made[0][0].unsqueeze(0),
            mirrored=tuple(mirrored for _, mirrored in made),
            colours=colours,
        )

    def _one_clip(self, frames: Tensor, generator: torch.Generator, *, erase: bool) -> tuple[Tensor, bool]:
        """Frames (T,H,W,3) to a clip (T,size,size,3), and whether it is mirrored."""
        if self.rand_augment is not None and self.rand_augment_before_crop:
            frames = self.rand_augment(frames, generator)
        clip = self._random_crop(frames, generator)
        mirrored = self.flip.draws(generator)
        if mirrored:
            clip = mirror(clip)
        if self.rand_augment is not None and not self.rand_augment_before_crop:
            clip = self.rand_augment(clip, generator)
        if self.erasing is not None and erase:
            clip = self.erasing(clip, generator)
        return clip, mirrored

    def _random_crop(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        height, width = frames.shape[1:3]
        if self.scale[1] <= 1:
            box = random_resized_crop_box(height, width, self.scale, self.ratio, generator)
            return self._resize(crop(frames, box), self.size, self.size)
        short_side = randint(round(self.scale[0]), round(self.scale[1]), generator)
        frames = self._resize(frames, *short_side_size(height, width, short_side))
        box = random_box(frames.shape[1], frames.shape[2], self.size, self.size, generator)
        return crop(frames, box).contiguous()

    def _resize(self, frames: Tensor, height: int, width: int) -> Tensor:
        return resize(frames, height, width, interpolation=self.interpolation, antialias=self.antialias)


def _select(frames: Tensor, positions: Indices) -> Tensor:
    """The frames (T,H,W,3) of one clip; without a copy where they are all the frames there are, in order."""
    if np.array_equal(positions, np.arange(len(frames))):
        return frames
    return frames.index_select(0, torch.from_numpy(positions))
