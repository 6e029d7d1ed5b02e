"""Unions of Kinetics data sets by class name, K710 above all, for pre-training.

    k400 train ┐                                   drop videos that any member validates or tests on
    k600 train ├─ labels by name in the list of 710 ─┤                                      ─► one split
    k700 train ┘                                   keep one record per YouTube id

The members stand in sub-folders called like them, of the annotation folder and of the video root. Videos
are the same when their YouTube ids are. A video that several members train on keeps the label of the
latest, whose annotation is a revision of the earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from datasets.annotations.errors import AnnotationError, Offenders
from datasets.annotations.files import join
from datasets.annotations.kinetics_csv import youtube_id
from datasets.annotations.video_paths import ShardedRoot
from datasets.labels import KINETICS, class_key, kinetics_710_name, union_class_names
from datasets.records import AnnotatedSplit, VideoRecord


class SplitLoader(Protocol):
    """How the members are read: `load_split`."""

    def __call__(
        self, dataset: str, split: str, *, anno_dir: str, data_root: str | ShardedRoot
    ) -> AnnotatedSplit: ...


def union_members(dataset: str) -> tuple[str, ...]:
    """Members of "k710" or of a union such as "k400+k600"; empty for any other name.

    Raises:
        AnnotationError: a member that cannot be united.
    """
    if dataset == "k710":
        return KINETICS
    if "+" not in dataset:
        return ()
    members = tuple(dataset.split("+"))
    if len(set(members)) != len(members) or not set(members) <= set(KINETICS):
        raise AnnotationError(
            f"{dataset!r}: a union is made of distinct data sets out of {', '.join(KINETICS)}"
        )
    return tuple(member for member in KINETICS if member in members)


def load_union(
    dataset: str, split: str, anno_dir: str, data_root: str | ShardedRoot, load: SplitLoader
) -> AnnotatedSplit:
    """The union of one split of all members; for training, cleaned of every member's validation and test
    videos.

    A member without validation list is an error (nothing could be cleaned); test lists count where they are.
    """
    members = union_members(dataset)

    def load_member(member: str, member_split: str) -> AnnotatedSplit:
        if isinstance(data_root, ShardedRoot):
            root: str | ShardedRoot = data_root.below(member)
        else:
            root = join(data_root, member) if data_root else ""
        return load(member, member_split, anno_dir=join(anno_dir, member), data_root=root)

    splits = {member: load_member(member, split) for member in members}
    held_out: list[AnnotatedSplit] = []
    if split == "train":
        for member in members:
            folder = join(anno_dir, member)
            held_out.append(load(member, "val", anno_dir=folder, data_root=""))
            held_out += _test_split(member, folder, load)
    return unite(dataset, splits, held_out)


def _test_split(member: str, folder: str, load: SplitLoader) -> list[AnnotatedSplit]:
    try:
        return [load(member, "test", anno_dir=folder, data_root="")]
    except AnnotationError as error:
        if "no annotation file" in str(error):
            return []
        raise


def unite(
    dataset: str, splits: Mapping[str, AnnotatedSplit], held_out: Sequence[AnnotatedSplit]
) -> AnnotatedSplit:
    """One split out of several: labels by class name, one record per YouTube id, none that is held out.

    `splits` maps each member to its records, oldest member first; paths get the member's name as first
    folder.
    Raises:
        AnnotationError: file names that hold no YouTube id, or classes that are not in the list of 710.
    """
    names = union_class_names(tuple(splits))
    index_of = {class_key(name): index for index, name in enumerate(names)}
    evaluated = {video for split in held_out for video in _youtube_ids(split)}
    united: dict[str, VideoRecord] = {}
    notes: list[str] = []
    for member in reversed(list(splits)):
        split = splits[member]
        own_index = _label_table(split, index_of)
        removed = repeated = 0
        for video, record in zip(_youtube_ids(split), split.records, strict=True):
            removed += video in evaluated
            repeated += video in united and video not in evaluated
            if video not in evaluated and video not in united:
                label = tuple(own_index[index] for index in record.labels)
                united[video] = replace(record, path=f"{member}/{record.path}", labels=label)
        used = len(split) - removed - repeated
        notes.append(
            f"{member} {split.split}: {len(split)} videos, {removed} left out because they are validated "
            f"or tested on, {repeated} because they are in already, {used} used"
        )
    notes.append(f"{dataset}: {len(united)} videos, {len(names)} classes")
    first = next(iter(splits.values()))
    source = ", ".join(split.source for split in splits.values())
    missing = tuple(f"{member}/{path}" for member, split in splits.items() for path in split.missing)
    every = AnnotatedSplit(dataset, first.split, (), (names,), source, tuple(notes), missing)
    return every.with_records(list(united.values()))


def _youtube_ids(split: AnnotatedSplit) -> list[str]:
    """YouTube id of every record."""
    offenders = Offenders(
        split.source,
        remedy="name the files as the usual downloaders do: {youtube id}_{start}_{end}.mp4, or {id}.mp4",
    )
    found: list[str] = []
    for record in split.records:
        video = youtube_id(record.path)
        if video is None:
            offenders.add(None, f"{record.path} holds no YouTube id")
        found.append(video or "")
    offenders.raise_any()
    return found


def _label_table(split: AnnotatedSplit, index_of: Mapping[str, int]) -> list[int]:
    """Class index in the union of every class of a member."""
    (names,) = split.class_names
    offenders = Offenders(split.source, remedy="use the class names that ship with the project")
    for name in names:
        if class_key(kinetics_710_name(name)) not in index_of:
            offenders.add(None, f"class {name!r} is not in the list of 710")
    offenders.raise_any()
    return [index_of[class_key(kinetics_710_name(name))] for name in names]
