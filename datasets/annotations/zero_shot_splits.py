"""Protocols of zero-shot recognition: which videos, and which classes are the candidates.

    3-splits      HMDB51, UCF101: the test lists of the three official splits, all classes
                  Kinetics-600: three fixed sets of 160 of the classes that Kinetics-400 has not
    full          every video of the data set (HMDB51, UCF101: also those of the training lists)
    half-classes  as full, for a random half of the classes; ten draws

The three give numbers that cannot be compared, so a result always names its protocol, its list of videos and
the number of videos: `ZeroShotProtocol.title`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from datasets.annotations.errors import AnnotationError
from datasets.annotations.files import describe_folder, find_matches
from datasets.annotations.loading import dataset_spec, evaluation_split, load_split
from datasets.annotations.subsets import keep_classes, published_classes
from datasets.annotations.table import DATASETS
from datasets.annotations.video_paths import ShardedRoot
from datasets.labels import class_names, class_subset
from datasets.records import AnnotatedSplit

PROTOCOLS = ("3-splits", "full", "half-classes")
"""Names of the protocols; the first is the usual one."""

K600_VIDEO_LISTS = {
    "eval": "ZS_split{split}_K600_eval.txt",
    "exist": "*test_split{split}_exist.txt",
    "test": "",
    "val": "",
}
"""Which videos stand for the 160 classes: two lists in circulation, or all of the official test or val
list."""


@dataclass(frozen=True)
class ZeroShotProtocol:
    """The runs of one protocol: scores are averaged over them."""

    dataset: str
    protocol: str
    video_list: str
    """Where the videos come from, in words for tables."""
    runs: tuple[AnnotatedSplit, ...]
    """One split per run; its class names are the candidates."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of videos of each run."""
        return tuple(len(run) for run in self.runs)

    @property
    def title(self) -> str:
        """Protocol, list and counts in one line, to stand beside every result."""
        classes = sorted({count for run in self.runs for count in run.num_classes})
        counts = " / ".join(map(str, dict.fromkeys(self.counts)))
        candidates = "–".join(map(str, dict.fromkeys((classes[0], classes[-1]))))
        # Unions such as k710, and data sets of one's own, are not in the table.
        title = DATASETS[self.dataset].title if self.dataset in DATASETS else self.dataset
        return f"{title}, {self.protocol}, {self.video_list}: {counts} videos, {candidates} classes"


def zero_shot_protocol(
    dataset: str,
    protocol: str = "3-splits",
    *,
    anno_dir: str,
    data_root: str | ShardedRoot = "",
    class_names_file: str = "",
    video_list: str = "",
    draws: int = 10,
    seed: int = 0,
) -> ZeroShotProtocol:
    """The runs of a protocol.

    `class_names_file` takes the place of the data set's own names, except where Kinetics-600's three sets of
    classes fix them. `video_list`, for Kinetics-600 only, is a key of `K600_VIDEO_LISTS`; empty: the first
    whose files are there. `draws` and `seed` belong to "half-classes": draw i uses seed + i.
    Raises:
        AnnotationError: an unknown protocol, one that the data set does not have, missing files, or class
            names for the three sets of Kinetics-600.
    """
    if protocol not in PROTOCOLS:
        raise AnnotationError(f"no protocol {protocol!r}. Remedy: take one of {', '.join(PROTOCOLS)}")
    if dataset == "k600" and protocol == "3-splits":
        if class_names_file:
            raise AnnotationError(
                f"{class_names_file}: the three sets of 160 classes of k600 are fixed. "
                "Remedy: leave DATA.CLASS_NAMES out, or take the protocol full or half-classes"
            )
        return _kinetics_600(anno_dir, data_root, video_list)
    if protocol == "3-splits":
        return _three_official_splits(dataset, anno_dir, data_root, class_names_file)
    split = "all" if "all" in dataset_spec(dataset).sources else evaluation_split(dataset)
    full = load_split(
        dataset, split, anno_dir=anno_dir, data_root=data_root, class_names_file=class_names_file
    )
    name = "all videos" if split == "all" else f"its {split} list"
    if protocol == "full":
        return ZeroShotProtocol(dataset, protocol, name, (full,))
    runs = tuple(half_of_classes(full, seed + draw) for draw in range(draws))
    return ZeroShotProtocol(dataset, protocol, f"{name}, {draws} draws from seed {seed}", runs)


def half_of_classes(split: AnnotatedSplit, seed: int) -> AnnotatedSplit:
    """A random half (rounded down) of the classes, drawn by a seed; classes keep their order."""
    (count,) = split.num_classes
    generator = random.Random(seed)
    keys = [generator.random() for _ in range(count)]
    drawn = sorted(range(count), key=keys.__getitem__)[: count // 2]
    half = keep_classes(split, sorted(drawn))
    return replace(half, split=f"{split.split}, half of the classes, seed {seed}")


def _three_official_splits(
    dataset: str, anno_dir: str, data_root: str | ShardedRoot, class_names_file: str
) -> ZeroShotProtocol:
    if dataset not in ("hmdb51", "ucf101"):
        raise AnnotationError(
            f"{dataset} has no three official splits. Remedy: take the protocol full or half-classes"
        )
    runs = tuple(
        replace(
            load_split(
                dataset,
                "test",
                anno_dir=anno_dir,
                data_root=data_root,
                class_names_file=class_names_file,
                fold=fold,
            ),
            split=f"split {fold}",
        )
        for fold in (1, 2, 3)
    )
    return ZeroShotProtocol(dataset, "3-splits", "official test lists", runs)


def _kinetics_600(anno_dir: str, data_root: str | ShardedRoot, video_list: str) -> ZeroShotProtocol:
    name = video_list or _first_list_that_is_there(anno_dir)
    if name not in K600_VIDEO_LISTS:
        raise AnnotationError(f"no list {name!r}. Remedy: take one of {', '.join(K600_VIDEO_LISTS)}")
    pattern = K600_VIDEO_LISTS[name]
    if pattern:
        runs = tuple(_published_run(anno_dir, data_root, pattern, split) for split in (1, 2, 3))
        return ZeroShotProtocol(
            "k600", "3-splits", f"published lists {pattern.replace('{split}', '1…3')}", runs
        )
    official = load_split("k600", name, anno_dir=anno_dir, data_root=data_root)
    runs = tuple(
        replace(
            keep_classes(official, published_classes(official, f"zero-shot-{split}")), split=f"split {split}"
        )
        for split in (1, 2, 3)
    )
    return ZeroShotProtocol("k600", "3-splits", f"official {name} list", runs)


def _first_list_that_is_there(anno_dir: str) -> str:
    """The first of the published lists in the folder; the official test list when there is none."""
    for name, pattern in K600_VIDEO_LISTS.items():
        if pattern and find_matches(anno_dir, pattern.format(split=1)):
            return name
    return "test"


def _published_run(anno_dir: str, data_root: str | ShardedRoot, pattern: str, split: int) -> AnnotatedSplit:
    """One of the three published lists, whose labels number its 160 classes."""
    paths = find_matches(anno_dir, pattern.format(split=split))
    if len(paths) != 1:
        raise AnnotationError(
            f"{len(paths)} files fit {pattern.format(split=split)}; {describe_folder(anno_dir)}. "
            "Remedy: copy the published lists there, or choose another list"
        )
    all_names = class_names("k600")
    names = tuple(all_names[index] for index in class_subset("k600", f"zero-shot-{split}"))
    run = load_split(
        "k600", "test", anno_dir=anno_dir, data_root=data_root, list_file=paths[0], class_names=(names,)
    )
    return replace(run, split=f"split {split}")
