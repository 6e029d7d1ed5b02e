"""Configuration of AUGMENTATION: what training clips go through, on the CPU and in the batch. Torch-free.

Every random choice is made once per clip, so that all frames of a clip are changed alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from datasets.rand_augment_description import FORM, described_numbers
from utils.config import require


@dataclass(frozen=True)
class MixupConfig:
    """AUGMENTATION.MIXUP: blend two clips and their labels. The switch between mixup and cutmix stands
    here."""

    enable: bool = False
    """Whether clips are blended."""
    alpha: float = 0.8
    """Parameter of the Beta(alpha, alpha) distribution of the blending weight."""
    prob: float = 1.0
    """Probability that a group of clips is mixed at all, by mixup or by cutmix."""
    mode: Literal["batch", "pair", "elem"] = "batch"
    """What shares one draw: batch: the group; pair: two clips that mix with each other; elem: nothing."""
    switch_prob: float = 0.5
    """Probability of cutmix instead of mixup where both are on."""
    group_size: int = 32
    """Clips of the global batch that mix among each other, 2 or more, and more than a video has with
    AUGMENTATION.BATCH_AUG; the draws do not depend on the number of processes."""

    def __post_init__(self) -> None:
        _require_share("PROB", self.prob)
        _require_share("SWITCH_PROB", self.switch_prob)
        require(
            self.alpha > 0 or not self.enable,
            "ALPHA",
            f"{self.alpha} is not positive",
            "0.8 is the published value",
        )
        require(
            self.group_size > 0,
            "GROUP_SIZE",
            f"{self.group_size} is not positive",
            "32 is the published value",
        )


@dataclass(frozen=True)
class CutmixConfig:
    """AUGMENTATION.CUTMIX: paste a rectangle of one clip into another, and mix their labels by area."""

    enable: bool = False
    """Whether rectangles are pasted."""
    alpha: float = 1.0
    """Parameter of the Beta(alpha, alpha) distribution of the share that is kept."""
    minmax: tuple[float, float] | None = None
    """Range of the rectangle's sides as shares of the frame, instead of the draw from Beta; null: the
    draw."""

    def __post_init__(self) -> None:
        require(
            self.alpha > 0 or not self.enable,
            "ALPHA",
            f"{self.alpha} is not positive",
            "1.0 is the published value",
        )
        if self.minmax is not None:
            low, high = self.minmax
            require(
                0 < low <= high <= 1,
                "MINMAX",
                f"[{low}, {high}] is no range of shares",
                "0 < low <= high <= 1",
            )


@dataclass(frozen=True)
class RandomErasingConfig:
    """AUGMENTATION.RANDOM_ERASING: overwrite rectangles of a clip, the same in all frames."""

    enable: bool = False
    """Whether rectangles are overwritten."""
    prob: float = 0.25
    """Probability per clip."""
    mode: Literal["const", "rand", "pixel"] = "pixel"
    """Overwrite with: const: zero; rand: one random colour; pixel: a random colour per pixel."""
    count: tuple[int, int] = (1, 1)
    """Least and greatest number of rectangles."""
    num_splits: int = 1
    """With AUGMENTATION.BATCH_AUG: the first 1/NUM_SPLITS of a video's clips stays clean; 0 and 1: none
    does."""
    area_range: tuple[float, float] = (0.02, 0.33)
    """Range of a rectangle's area as a share of the frame."""
    min_aspect: float = 0.3
    """Least ratio of height to width (the greatest is its inverse)."""

    def __post_init__(self) -> None:
        _require_share("PROB", self.prob)
        low, high = self.area_range
        require(
            0 < low <= high <= 1,
            "AREA_RANGE",
            f"[{low}, {high}] is no range of shares",
            "0 < low <= high <= 1",
        )
        fewest, most = self.count
        require(
            1 <= fewest <= most,
            "COUNT",
            f"[{fewest}, {most}] is no range of counts",
            "1 <= least <= greatest",
        )
        require(0 < self.min_aspect <= 1, "MIN_ASPECT", f"{self.min_aspect} is not in (0, 1]", "0.3 is usual")


@dataclass(frozen=True)
class AutoAugmentConfig:
    """AUGMENTATION.AUTOAUGMENT: RandAugment, the same operations for all frames of a clip."""

    enable: bool = False
    """Whether RandAugment is applied."""
    before_crop: bool = True
    """Whether it acts on the whole frame, before the crop."""
    type: str = "rand-m9-mstd0.5-inc1"
    """rand-m<magnitude 0..10>[-n<operations>][-p<probability>][-mstd<spread of the magnitude>][-inc1]."""

    def __post_init__(self) -> None:
        try:
            described_numbers(self.type)
        except ValueError as error:
            require(False, "TYPE", str(error), f"write {FORM}, such as rand-m9-n2-mstd0.5-inc1")


@dataclass(frozen=True)
class BatchAugConfig:
    """AUGMENTATION.BATCH_AUG: repeated augmentation, several clips from one decoded video."""

    enable: bool = False
    """Whether a video gives several clips per step."""
    num_clips_per_video: int = 2
    """Clips per video; TRAIN.BATCH_SIZE counts clips."""

    def __post_init__(self) -> None:
        value = self.num_clips_per_video
        require(value >= 1, "NUM_CLIPS_PER_VIDEO", f"{value} is not positive", "2 is usual")


@dataclass(frozen=True)
class AugmentationConfig:
    """AUGMENTATION: flips, colours, erasing, mixing and label smoothing of training clips."""

    color_aug: bool = False
    """Whether colours are changed at all (jitter and grayscale)."""
    color_jitter_p: float = 0.0
    """Probability of colour jitter. 0 in the published recipes, so that only grayscale acts."""
    brightness: float = 0.4
    """Largest relative change of brightness."""
    contrast: float = 0.4
    """Largest relative change of contrast."""
    saturation: float = 0.2
    """Largest relative change of saturation."""
    hue: float = 0.1
    """Largest shift of the hue, as a share of the colour circle (0 to 0.5)."""
    grayscale: float = 0.2
    """Probability that a clip loses its colours."""
    gray_first: bool = True
    """Whether grayscale comes before the colour jitter."""
    shuffle: bool = True
    """Whether brightness, contrast, saturation and hue are changed in random order."""
    ratio: tuple[float, float] = (0.75, 1.333)
    """Range of width to height of the random crop, where DATA.TRAIN_JITTER_SCALES are shares of the area."""
    flip_prob: float = 0.5
    """Probability of a horizontal flip."""
    ssv2_flip: bool = True
    """Whether Something-Something clips are flipped; the labels of its left/right pairs are then
    exchanged."""
    flip_label_pairs: tuple[tuple[int, int], ...] | None = None
    """Pairs of classes that a flip exchanges; null: what the data set is known to need."""
    label_smoothing: float = 0.1
    """Share of the target spread evenly over all classes."""
    mixup: MixupConfig = field(default_factory=MixupConfig)
    cutmix: CutmixConfig = field(default_factory=CutmixConfig)
    random_erasing: RandomErasingConfig = field(default_factory=RandomErasingConfig)
    autoaugment: AutoAugmentConfig = field(default_factory=AutoAugmentConfig)
    batch_aug: BatchAugConfig = field(default_factory=BatchAugConfig)

    def __post_init__(self) -> None:
        for key in ("COLOR_JITTER_P", "GRAYSCALE", "FLIP_PROB"):
            _require_share(key, getattr(self, key.lower()))
        for key in ("BRIGHTNESS", "CONTRAST", "SATURATION"):
            value = getattr(self, key.lower())
            require(value >= 0, key, f"{value} is negative", "0 turns it off")
        require(0 <= self.hue <= 0.5, "HUE", f"{self.hue} is not in [0, 0.5]", "0 turns it off")
        smoothing = self.label_smoothing
        require(
            0 <= smoothing < 1,
            "LABEL_SMOOTHING",
            f"{smoothing} is not in [0, 1)",
            "0.1 is the published value",
        )
        low, high = self.ratio
        require(0 < low <= high, "RATIO", f"[{low}, {high}] is no range of ratios", "0 < low <= high")

    @property
    def clips_per_video(self) -> int:
        """Clips that a video gives per step."""
        return self.batch_aug.num_clips_per_video if self.batch_aug.enable else 1

    @property
    def mixes(self) -> bool:
        """Whether mixup or cutmix can act."""
        return (self.mixup.enable or self.cutmix.enable) and self.mixup.prob > 0


def _require_share(key: str, value: float) -> None:
    require(0 <= value <= 1, key, f"{value} is not a probability", "give a number from 0 to 1")
