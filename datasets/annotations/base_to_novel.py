"""Few-shot and base-to-novel protocols.

    few-shot         K = 2, 4, 8, 16 videos per class of train split 1, all classes; tested on test split 1
    base-to-novel    classes halved: the more frequent half is the base, with 16 videos per class to train on;
                     tested on both halves apart, each with its own classes as candidates

The base half of HMDB51, UCF101, K400 and SSv2 ships with the project, as it was published. The rule behind
it: classes in the order of their number of training videos, equal numbers in the order of the class index;
the upper half (the larger one where the number of classes is odd) is the base.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from datasets.annotations.errors import AnnotationError
from datasets.annotations.loading import evaluation_split, load_split
from datasets.annotations.subsets import few_shot, keep_classes, published_classes
from datasets.records import AnnotatedSplit

SHOTS = (2, 4, 8, 16)
"""Numbers of videos per class of the few-shot protocol."""

PUBLISHED_HALVES = ("hmdb51", "ucf101", "k400", "ssv2")
"""Data sets whose base classes ship with the project."""


@dataclass(frozen=True)
class BaseToNovel:
    """What is trained on, and the two halves that are tested."""

    train: AnnotatedSplit
    base: AnnotatedSplit
    novel: AnnotatedSplit


def few_shot_splits(
    dataset: str, shots: int, seed: int, *, anno_dir: str, data_root: str = "", train_list: str = ""
) -> tuple[AnnotatedSplit, AnnotatedSplit]:
    """(train, test): K videos per class of the first training split, or a published list; the first test
    split.

    Raises:
        AnnotationError: files that are missing, or classes with too few videos.
    """
    train = load_split(dataset, "train", anno_dir=anno_dir, data_root=data_root, list_file=train_list)
    test = load_split(
        dataset,
        evaluation_split(dataset),
        anno_dir=anno_dir,
        data_root=data_root,
        training_list=train_list,
    )
    return few_shot(train, shots, seed), test


def base_to_novel(
    dataset: str, seed: int, *, anno_dir: str, data_root: str = "", shots: int = 16
) -> BaseToNovel:
    """The base-to-novel protocol of one seed (three are usual).

    Raises:
        AnnotationError: files that are missing, or base classes with too few videos.
    """
    train = load_split(dataset, "train", anno_dir=anno_dir, data_root=data_root)
    test = load_split(dataset, evaluation_split(dataset), anno_dir=anno_dir, data_root=data_root)
    base = base_classes(train)
    novel = tuple(index for index in range(*train.num_classes) if index not in set(base))
    return BaseToNovel(
        few_shot(keep_classes(train, base), shots, seed),
        replace(keep_classes(test, base), split=f"{test.split}, base classes"),
        replace(keep_classes(test, novel), split=f"{test.split}, novel classes"),
    )


def base_classes(train: AnnotatedSplit) -> tuple[int, ...]:
    """Class indices, ascending, of the base half: the published one, or by the rule from the training
    split.

    Raises:
        AnnotationError: the split has not all classes of the published half.
    """
    if train.dataset in PUBLISHED_HALVES:
        return published_classes(train, "base")
    return frequent_half(train)


def frequent_half(train: AnnotatedSplit) -> tuple[int, ...]:
    """The upper half of the classes by number of training videos, ascending by index."""
    (count,) = train.num_classes
    frequency = Counter(record.labels[0] for record in train.records)
    by_frequency = sorted(range(count), key=lambda index: frequency[index])
    return tuple(sorted(by_frequency[count // 2 :]))


def harmonic_mean(base: float, novel: float) -> float:
    """2·b·n / (b + n) of the scores on base and novel classes; 0 when both are.

    Raises:
        AnnotationError: a negative score.
    """
    if base < 0 or novel < 0:
        raise AnnotationError(f"scores {base} and {novel} must not be negative")
    return 2 * base * novel / (base + novel) if base + novel else 0.0
