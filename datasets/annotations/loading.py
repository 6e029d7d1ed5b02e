"""`load_split`: data set, split and folders in, checked records and class names out.

table of data sets ─► annotation file ─► reader ─► records ─► checks ─► paths of files ─► AnnotatedSplit
                   └► class names ───────┘
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from datasets.annotations.checks import check_labels
from datasets.annotations.class_choice import ClassNames, check_class_counts, choose_class_names
from datasets.annotations.errors import AnnotationError
from datasets.annotations.files import describe_folder, find_matches, is_url, join
from datasets.annotations.kinetics_union import load_union, union_members
from datasets.annotations.request import ReadRequest
from datasets.annotations.sniff import Reader, read_any
from datasets.annotations.table import DATASETS, DatasetSpec, Source, own_dataset
from datasets.annotations.video_paths import ShardedRoot, locate_videos, with_extension
from datasets.records import AnnotatedSplit, VideoRecord

_LIST_KEY = {"train": "DATA.TRAIN_LIST", "val": "DATA.VAL_LIST", "test": "DATA.TEST_LIST"}


def load_split(
    dataset: str,
    split: str,
    *,
    anno_dir: str | Path = "",
    data_root: str | Path | ShardedRoot = "",
    list_file: str | Path = "",
    training_list: str | Path = "",
    other_lists: Sequence[str | Path] = (),
    class_names_file: str | Path | Sequence[str | Path] = "",
    class_names: ClassNames = (),
    num_classes: int | Sequence[int] | None = None,
    fold: int = 1,
    reader: Reader | None = None,
    with_labels: bool = True,
) -> AnnotatedSplit:
    """Read one split of a data set.

    `dataset` is a name of `DATASETS`, "k710", or a union such as "k400+k600". `split` is "train", "val",
    "test", or another that the data set has ("all" for UCF101 and HMDB51, "train7k" for MSR-VTT).
    `list_file` (inside `anno_dir`, or absolute) takes the place of the data set's own; so do
    `class_names_file` (one per head) or `class_names` themselves. The label names in `training_list` number
    the classes of one's own data; empty: those in its training CSV, as it is usually called. `other_lists`
    are files that hold no class names, whatever they are called. `num_classes`, one number or one per head,
    is what names from files must count up to. `fold` is the number of the official split. With a `data_root`
    that is a local folder or shards, paths are resolved to the videos that are there. `reader` reads a format
    of one's own; the data set then may have any name. Without `with_labels`, those in data of one's own are
    left aside, so that it needs no class names.
    Raises:
        AnnotationError: something is missing, empty, malformed, or does not fit together; the message has
            the file, the first few offenders and the remedy.
    """
    root = data_root if isinstance(data_root, ShardedRoot) else str(data_root)
    if union_members(dataset):
        if str(list_file) or class_names_file or class_names:
            raise AnnotationError(f"{dataset} is made of several lists. Remedy: leave lists and names to it")
        return _load_union(dataset, split, str(anno_dir), root, num_classes)
    spec = own_dataset(dataset, reader, "optional") if reader else dataset_spec(dataset)
    if spec.classes == "own" and not with_labels:
        spec, class_names_file = replace(spec, classes="none"), ""
    folder = str(anno_dir) or (root if isinstance(root, str) else root.place)
    source, paths = _annotation_files(dataset, spec, split, folder, str(list_file), fold)
    if str(list_file) and reader:
        source = Source(str(list_file), reader)
    notes: list[str] = []
    training, *others = (join(folder, str(file)) if file else "" for file in (training_list, *other_lists))
    training = paths[0] if split == "train" else training
    names = class_names or choose_class_names(
        spec, paths[0], folder, class_names_file, num_classes, notes, training, others
    )
    request = ReadRequest(dataset, split, paths, names, fold, notes)
    records = source.read(request)
    origin = _in_words(paths)
    if not records:
        raise AnnotationError(
            f"{origin}: no video of split {split!r} in it. Remedy: check that it is complete"
        )
    check_labels(origin, records, names)
    records, missing = _with_file_paths(request, records, root, spec.extension)
    return AnnotatedSplit(dataset, split, tuple(records), names, origin, tuple(notes), missing, spec.heads)


def _load_union(
    dataset: str,
    split: str,
    anno_dir: str,
    root: str | ShardedRoot,
    num_classes: int | Sequence[int] | None,
) -> AnnotatedSplit:
    union = load_union(dataset, split, anno_dir, root, load_split)
    check_class_counts(dataset, union.class_names, num_classes)
    return union


def _in_words(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{os.path.dirname(paths[0])} ({len(paths)} files)"


def dataset_spec(dataset: str) -> DatasetSpec:
    """The table's entry of a data set.

    Raises:
        AnnotationError: there is none; the message lists those that there are, and the nearest name.
    """
    if dataset in DATASETS:
        return DATASETS[dataset]
    nearest = difflib.get_close_matches(dataset, DATASETS, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise AnnotationError(
        f"no data set {dataset!r}.{hint} There are: {', '.join(DATASETS)}, k710, and unions like k400+k600. "
        "Remedy: take csv or list for data of your own"
    )


def evaluation_split(dataset: str) -> str:
    """The split on which scores of a data set are published; "val" where the table does not know it."""
    return DATASETS[dataset].evaluation_split if dataset in DATASETS else "val"


def _annotation_files(
    dataset: str, spec: DatasetSpec, split: str, folder: str, list_file: str, fold: int
) -> tuple[Source, tuple[str, ...]]:
    """The source and its file or files: the file that is named, or the first of the table that is there."""
    if list_file:
        return Source(list_file, read_any), (join(folder, list_file),)
    if split not in spec.sources:
        raise AnnotationError(
            f"{dataset} has no split {split!r}. Remedy: take one of {', '.join(spec.sources)}"
        )
    key = _LIST_KEY.get(split, "its list")
    for source in spec.sources[split]:
        parts = [find_matches(folder, part) for part in source.pattern.format(fold=fold).split("+")]
        paths = tuple(path for part in parts for path in part)
        if not all(parts):
            continue
        if len(paths) > 1 and not source.many:
            found = ", ".join(os.path.basename(path) for path in paths)
            raise AnnotationError(
                f"{dataset} {split}: which of {found}? Remedy: name the one meant with {key}"
            )
        return source, paths
    wanted = ", ".join(dict.fromkeys(source.pattern.format(fold=fold) for source in spec.sources[split]))
    raise AnnotationError(
        f"{dataset} {split}: no annotation file; {describe_folder(folder)}. Looked for {wanted}. "
        f"Remedy: set DATA.ANNO_DIR to the folder of the annotation files, or name the file with {key}"
    )


def _with_file_paths(
    request: ReadRequest, records: list[VideoRecord], data_root: str | ShardedRoot, extension: str
) -> tuple[list[VideoRecord], tuple[str, ...]]:
    """Records whose paths are those of videos, as far as the root shows them, and what is missing."""
    if isinstance(data_root, str) and (not data_root or is_url(data_root)):
        return with_extension(records, extension), ()
    if isinstance(data_root, str) and not Path(data_root).is_dir():
        raise AnnotationError(
            f"DATA.DATA_ROOT_DIR: {data_root} is not a folder. Remedy: give the videos' folder"
        )
    located = locate_videos(records, data_root, request.split, request.class_names, extension)
    if located.moved:
        examples = ", ".join(f"{taken} for {listed}" for listed, taken in located.examples)
        request.notes.append(
            f"{located.moved} of {len(records)} videos lie under another folder or extension, "
            f"the first: {examples}"
        )
    if located.missing:
        first = ", ".join(located.missing[:3])
        request.notes.append(
            f"{len(located.missing)} of {len(records)} videos are missing, the first: {first}"
        )
    return located.records, located.missing
