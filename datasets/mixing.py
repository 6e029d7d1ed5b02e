"""Mixup (Zhang et al., 2018) and cutmix (Yun et al., 2019) of training clips on the device, with soft
targets.

    video (B,3,T,H,W) float, target (B,Hd) int64 ──ClipMixer──► video, (soft target (B,K_h) per head)

Clips mix within fixed groups of the *global* batch: clip i of a group of g with clip g-1-i. What is drawn
for a group depends on (seed, step, number of the group in the global batch) alone, and a group is never cut
by a micro-batch, so the number of processes and the size of the micro-batches do not change the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datasets.randomness import Purpose, derive_seed
from datasets.transforms.crop import Box


class Mix(NamedTuple):
    """What happens to the clips first .. stop - 1 of a group, each with its partner at the group's other
    end.
    """

    first: int
    stop: int
    weight: float  # share of the clip itself in its target, and in its pixels unless a box is pasted
    box: Box | None  # cutmix: the rectangle that comes from the partner


@dataclass(frozen=True)
class MixSettings:
    """AUGMENTATION.MIXUP and CUTMIX. An alpha of None turns that kind off.

    probability: that anything is mixed; switch_probability: of cutmix, where both kinds are on; minmax:
    range of the rectangle's sides as shares of the frame, instead of the Beta draw; mode: what shares one
    draw, the group (batch), two partners (pair) or nothing (elem)."""

    group_size: int = 32
    mixup_alpha: float | None = 0.8
    cutmix_alpha: float | None = 1.0
    probability: float = 1.0
    switch_probability: float = 0.5
    minmax: tuple[float, float] | None = None
    mode: Literal["batch", "pair", "elem"] = "batch"

    @property
    def active(self) -> bool:
        """Whether anything can be mixed."""
        return self.probability > 0 and (self.mixup_alpha is not None or self.cutmix_alpha is not None)


class ClipMixer:
    """Mixes clips and makes their soft targets; without active settings only the latter.

    num_classes: one number per head. seed: TRAIN's seed, the same in all processes.
    """

    def __init__(
        self,
        settings: MixSettings | None,
        num_classes: Sequence[int],
        *,
        label_smoothing: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.settings = settings if settings is not None and settings.active else None
        self.num_classes = tuple(num_classes)
        self.label_smoothing = label_smoothing
        self.seed = seed

    def __call__(
        self, video: Tensor, target: Tensor, *, step: int, first_clip: int = 0
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Mixed clips (B,3,T,H,W), and soft targets float32 (B,K_h), one per head.

        video: float (B,3,T,H,W), left as it is; target: int64 (B,Hd); step: number of the optimizer step;
        first_clip: position of clip 0 in the global batch of that step.

        Raises:
            ValueError: the clips are not whole groups of the global batch.
        """
        targets = soft_targets(target, self.num_classes, self.label_smoothing)
        if self.settings is None:
            return video, targets
        size = self.settings.group_size
        if len(video) % size or first_clip % size:
            raise ValueError(
                f"{len(video)} clips from position {first_clip} of the batch are not whole groups of {size}: "
                "set AUGMENTATION.MIXUP.GROUP_SIZE to a divisor of the clips per process and forward pass"
            )
        mixed, mixed_targets = video.clone(), tuple(soft.clone() for soft in targets)
        for offset in range(0, len(video), size):
            group = slice(offset, offset + size)
            number = (first_clip + offset) // size
            for mix in draw_mixes(self.settings, video.shape[-2], video.shape[-1], self.seed, step, number):
                _mix_pixels(video[group], mixed[group], mix)
                for soft, mixed_soft in zip(targets, mixed_targets, strict=True):
                    _blend(soft[group], mixed_soft[group], mix)
        return mixed, mixed_targets


def soft_targets(target: Tensor, num_classes: Sequence[int], smoothing: float = 0.0) -> tuple[Tensor, ...]:
    """Class probabilities float32 (B,K_h) per head of labels int64 (B,Hd): 1 - s on the label, s spread
    over all K.

    Raises:
        ValueError: another number of heads than labels per clip.
    """
    if target.ndim != 2 or target.shape[1] != len(num_classes):
        raise ValueError(
            f"labels of shape {tuple(target.shape)} do not fit {len(num_classes)} heads: (B, heads) needed"
        )
    soft = []
    for labels, count in zip(target.unbind(1), num_classes, strict=True):
        one_hot = torch.nn.functional.one_hot(labels, count).to(torch.float32)
        soft.append(one_hot * (1 - smoothing) + smoothing / count)
    return tuple(soft)


def draw_mixes(settings: MixSettings, height: int, width: int, seed: int, step: int, group: int) -> list[Mix]:
    """What happens to one group of clips: a function of its arguments, covering every clip at most once."""
    generator = np.random.default_rng(derive_seed(Purpose.MIXING, seed, step, group))
    size = settings.group_size
    if settings.mode == "batch":
        spans = [[(0, size)]]
    elif settings.mode == "pair":
        spans = [[(clip, clip + 1), (size - 1 - clip, size - clip)] for clip in range(size // 2)]
    else:
        spans = [[(clip, clip + 1)] for clip in range(size)]
    mixes = []
    for sharing in spans:
        drawn = _draw(settings, height, width, generator)
        if drawn is not None:
            mixes += [Mix(first, stop, *drawn) for first, stop in sharing]
    return mixes


def _draw(
    settings: MixSettings, height: int, width: int, generator: np.random.Generator
) -> tuple[float, Box | None] | None:
    """Weight and rectangle of one draw, or None when nothing is to be mixed."""
    if generator.random() >= settings.probability:
        return None
    switched = generator.random() < settings.switch_probability
    if settings.cutmix_alpha is None or (settings.mixup_alpha is not None and not switched):
        assert settings.mixup_alpha is not None
        return float(generator.beta(settings.mixup_alpha, settings.mixup_alpha)), None
    box = _cutmix_box(settings.cutmix_alpha, settings.minmax, height, width, generator)
    return 1 - box.height * box.width / (height * width), box


def _cutmix_box(
    alpha: float, minmax: tuple[float, float] | None, height: int, width: int, generator: np.random.Generator
) -> Box:
    """A rectangle of the drawn share of the frame around a uniform centre, cut off at the frame's edges."""
    if minmax is not None:
        box_height, box_width = (int(side * generator.uniform(*minmax)) for side in (height, width))
        top = int(generator.integers(0, height - box_height, endpoint=True))
        left = int(generator.integers(0, width - box_width, endpoint=True))
        return Box(top, left, box_height, box_width)
    share = math.sqrt(1 - generator.beta(alpha, alpha))
    half_height, half_width = int(height * share) // 2, int(width * share) // 2
    row, column = int(generator.integers(0, height)), int(generator.integers(0, width))
    top, bottom = max(row - half_height, 0), min(row + half_height, height)
    left, right = max(column - half_width, 0), min(column + half_width, width)
    return Box(top, left, bottom - top, right - left)


def _mix_pixels(group: Tensor, mixed: Tensor, mix: Mix) -> None:
    """Write the mixed clips of one draw into `mixed`; both (g,3,T,H,W)."""
    if mix.box is None:
        _blend(group, mixed, mix)
        return
    top, left, height, width = mix.box
    rows, columns = slice(top, top + height), slice(left, left + width)
    mixed[mix.first : mix.stop, ..., rows, columns] = _partners(group[..., rows, columns], mix)


def _blend(group: Tensor, mixed: Tensor, mix: Mix) -> None:
    own = group[mix.first : mix.stop]
    torch.lerp(_partners(group, mix), own, mix.weight, out=mixed[mix.first : mix.stop])


def _partners(group: Tensor, mix: Mix) -> Tensor:
    """The clips that those of a draw mix with: as far from the group's end as they are from its beginning."""
    size = len(group)
    return group[size - mix.stop : size - mix.first].flip(0)
