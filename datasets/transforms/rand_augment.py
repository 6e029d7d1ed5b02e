"""RandAugment (Cubuk et al., 2020) on a clip: torchvision's operations, each drawn once for all frames.

Described as in timm, "rand-m9-mstd0.5-inc1": magnitude m of 10 with a normal spread mstd, n operations (2
by default), each applied with probability p (0.5 by default). `inc1` (operations that grow with the
magnitude) is how torchvision's are anyway. The operations and their ranges are torchvision's: those of timm
without inversion and additive solarising, and with an identity. What a shift or a rotation leaves empty
becomes mid-grey, and the rest is interpolated, as the published recipes have it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from datasets.rand_augment_description import FORM, MOST_MAGNITUDE, described_numbers
from datasets.randomness import happens, randint

_BINS = 31
_GREY = 128


@dataclass(frozen=True)
class RandAugment:
    """AUGMENTATION.AUTOAUGMENT as a function of clips."""

    magnitude: float = 9.0
    magnitude_std: float = 0.0
    num_operations: int = 2
    probability: float = 0.5

    @classmethod
    def from_description(cls, description: str) -> RandAugment:
        """Read "rand-m9-n2-p0.5-mstd0.5-inc1"; all parts but m may be left out.

        Raises:
            ValueError: a part that is not understood, or a number outside its range.
        """
        try:
            numbers = described_numbers(description)
        except ValueError as error:
            raise ValueError(f"AUGMENTATION.AUTOAUGMENT.TYPE {error}: write {FORM}") from error
        return cls(
            magnitude=numbers["m"],
            magnitude_std=numbers.get("mstd", 0.0),
            num_operations=int(numbers.get("n", 2)),
            probability=numbers.get("p", 0.5),
        )

    def __call__(self, frames: Tensor, generator: torch.Generator) -> Tensor:
        """Frames uint8 (T,H,W,3) of one clip, changed alike; the same shape."""
        clip = tv_tensors.Video(frames.permute(0, 3, 1, 2))
        for _ in range(self.num_operations):
            noise = float(torch.randn((), generator=generator))
            level = (
                min(max(self.magnitude + self.magnitude_std * noise, 0.0), MOST_MAGNITUDE) / MOST_MAGNITUDE
            )
            applied = happens(self.probability, generator)
            seed = randint(0, 2**62, generator)
            if applied:
                clip = _one_operation(clip, round(level * (_BINS - 1)), seed)
        return clip.as_subclass(Tensor).permute(0, 2, 3, 1).contiguous()


def _one_operation(clip: tv_tensors.Video, level: int, seed: int) -> tv_tensors.Video:
    """One random operation of torchvision's table. Its classes draw from torch's global state: lend them a
    copy.
    """
    operation = v2.RandAugment(
        num_ops=1,
        magnitude=level,
        num_magnitude_bins=_BINS,
        interpolation=v2.InterpolationMode.BILINEAR,
        fill=_GREY,
    )
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which also seeds the GPUs
        return operation(clip)
