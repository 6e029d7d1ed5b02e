"""Few-shot and base-to-novel runs: the part of a split that such a run trains on, or is tested on.

    DATA.SHOTS 16                      16 training videos per class, tested on the whole test split
    DATA.CLASS_HALF base, SHOTS 16     the same for the base half of the classes, tested on those
    DATA.CLASS_HALF novel              the other half, tested without having been trained on

`runs/zero_shot.py --protocol base-to-novel` tests both halves and their harmonic mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from datasets.annotations.base_to_novel import PUBLISHED_HALVES, base_classes
from datasets.annotations.subsets import few_shot, keep_classes
from datasets.config import DataConfig
from datasets.records import AnnotatedSplit
from utils.config import ConfigError


def restrict(
    split: AnnotatedSplit,
    data: DataConfig,
    whole_training_split: Callable[[], AnnotatedSplit],
    *,
    training: bool,
    seed: int,
) -> AnnotatedSplit:
    """The part of a split that DATA.CLASS_HALF and, in training, DATA.SHOTS leave.

    whole_training_split: gives the split by which halves are told that are not published. seed: of the draw
    of videos. Raises ConfigError for training on novel classes and for several heads, AnnotationError for
    classes with too few videos.
    """
    if len(split.class_names) > 1 and (data.class_half != "all" or data.shots is not None):
        raise ConfigError(
            f"{split.dataset} has {len(split.class_names)} heads; halves and shots are for one",
            key="DATA.CLASS_HALF" if data.class_half != "all" else "DATA.SHOTS",
            remedy="leave it out",
        )
    if training and data.class_half == "novel":
        raise ConfigError(
            "novel classes are never trained on",
            key="DATA.CLASS_HALF",
            remedy="train on the base half; to test on the novel one set TRAIN.ENABLE False",
        )
    if data.class_half != "all":
        base = base_half(split, whole_training_split)
        novel = tuple(index for index in range(*split.num_classes) if index not in set(base))
        kept = keep_classes(split, base if data.class_half == "base" else novel)
        split = replace(kept, split=f"{split.split}, {data.class_half} classes")
    return few_shot(split, data.shots, seed) if training and data.shots is not None else split


def base_half(split: AnnotatedSplit, whole_training_split: Callable[[], AnnotatedSplit]) -> tuple[int, ...]:
    """Indices of the base classes among those of a split: the published ones, which its class names tell, or
    else by the training list.
    """
    return base_classes(split if split.dataset in PUBLISHED_HALVES else whole_training_split())
