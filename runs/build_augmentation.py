"""From AUGMENTATION to what training clips go through before they are batched."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.labels import horizontal_flip_pairs
from datasets.records import AnnotatedSplit
from datasets.transforms.colour import ColourJitter
from datasets.transforms.erasing import RandomErasing
from datasets.transforms.flip import Flip
from datasets.transforms.rand_augment import RandAugment
from datasets.transforms.train import TrainTransform
from runs.config import RunConfig
from utils.config import ConfigError


def build_flip(config: RunConfig, split: AnnotatedSplit) -> Flip:
    """How training clips are mirrored, with the classes of `split` that a flip exchanges. Raises
    ConfigError for pairs of classes that the split has not, and where such classes cannot be told.
    """
    augmentation = config.augmentation
    forbidden = config.train.dataset == "ssv2" and not augmentation.ssv2_flip
    probability = 0.0 if forbidden else augmentation.flip_prob
    pairs = augmentation.flip_label_pairs
    if pairs is not None:
        _check_flip_pairs(pairs, [len(names) for names in split.class_names])
    else:
        pairs = _known_flip_pairs(config.train.dataset, split) if probability > 0 else ()
    return Flip(probability, pairs)


def _known_flip_pairs(dataset: str, split: AnnotatedSplit) -> tuple[tuple[int, int], ...]:
    # By name: the classes may be one half of the data set's, or in an order of one's own.
    names = split.class_names[0] if len(split.class_names) == 1 else ()
    try:
        return horizontal_flip_pairs(dataset, names)
    except ValueError as error:
        raise ConfigError(
            f"a mirrored clip of {dataset} may belong to another class, and {error}",
            key="AUGMENTATION.FLIP_LABEL_PAIRS",
            remedy="give the pairs of classes that a flip exchanges, [] where there are none, or set "
            "AUGMENTATION.FLIP_PROB to 0",
        ) from error


def _check_flip_pairs(pairs: Sequence[tuple[int, int]], heads: Sequence[int]) -> None:
    """heads: classes of each. Raises ConfigError."""
    if not pairs or not heads:
        return
    if len(heads) > 1:
        raise ConfigError(
            f"pairs are of the classes of one head, and a video of the training list has {len(heads)} labels",
            key="AUGMENTATION.FLIP_LABEL_PAIRS",
            remedy="leave it out; where mirrored clips would be wrong, set AUGMENTATION.FLIP_PROB to 0",
        )
    (num_classes,) = heads
    outside = [pair for pair in pairs if not all(0 <= label < num_classes for label in pair)]
    if outside:
        raise ConfigError(
            f"{list(outside[0])} is no pair of the {num_classes} classes 0…{num_classes - 1} of the training "
            "list",
            key="AUGMENTATION.FLIP_LABEL_PAIRS",
            remedy="give indices of the classes as this run numbers them, or leave it out",
        )


def build_train_transform(config: RunConfig, flip: Flip) -> TrainTransform:
    """Crops, mirroring, colours and erasing of training clips."""
    data, augmentation = config.data, config.augmentation
    colour = ColourJitter(
        probability=augmentation.color_jitter_p,
        brightness=augmentation.brightness,
        contrast=augmentation.contrast,
        saturation=augmentation.saturation,
        hue=augmentation.hue,
        grayscale=augmentation.grayscale,
        shuffle=augmentation.shuffle,
    )
    auto = augmentation.autoaugment
    splits = augmentation.random_erasing.num_splits
    return TrainTransform(
        size=data.train_crop_size,
        scale=data.train_jitter_scales,
        ratio=augmentation.ratio,
        interpolation=data.interpolation,
        antialias=data.antialias,
        flip=flip,
        colour=colour if augmentation.color_aug else None,
        rand_augment=RandAugment.from_description(auto.type) if auto.enable else None,
        rand_augment_before_crop=auto.before_crop,
        erasing=_erasing(config),
        clean_share=1 / splits if splits > 1 else 0.0,
    )


def _erasing(config: RunConfig) -> RandomErasing | None:
    settings = config.augmentation.random_erasing
    if not settings.enable:
        return None
    return RandomErasing(
        mean=config.data.mean,
        std=config.data.std,
        probability=settings.prob,
        mode=settings.mode,
        count=settings.count,
        area=settings.area_range,
        min_aspect=settings.min_aspect,
    )
