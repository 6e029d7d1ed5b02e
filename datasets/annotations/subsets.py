"""Parts of a split: some classes with labels renumbered, a few videos per class, all but unreadable
videos."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace

from datasets.annotations.errors import AnnotationError
from datasets.labels import class_key, class_names, class_subset
from datasets.records import AnnotatedSplit


def keep_classes(split: AnnotatedSplit, classes: Sequence[int]) -> AnnotatedSplit:
    """The records of some classes of a one-head split; class `classes[i]` becomes class i.

    Raises:
        AnnotationError: the split has no single head, or a class outside it.
    """
    if len(split.class_names) != 1:
        raise AnnotationError(
            f"{split.dataset} has {len(split.class_names)} heads; classes are kept of one head only"
        )
    (names,) = split.class_names
    outside = [index for index in classes if not 0 <= index < len(names)]
    if outside:
        raise AnnotationError(f"{split.dataset}: no class {outside[:5]} among 0…{len(names) - 1}")
    new_label = {(old,): (new,) for new, old in enumerate(classes)}
    records = [
        replace(record, labels=new_label[record.labels])
        for record in split.records
        if record.labels in new_label
    ]
    kept = tuple(names[index] for index in classes)
    return replace(split.with_records(records), class_names=(kept,))


def published_classes(split: AnnotatedSplit, subset: str) -> tuple[int, ...]:
    """Indices, ascending, of the classes that a shipped subset of the split's data set names.

    They are found by name, because a file of class names may have another order than the shipped list;
    case, spaces and punctuation do not count.
    Raises:
        AnnotationError: the split has not all of these classes.
    """
    shipped = class_names(split.dataset)
    wanted = [shipped[index] for index in class_subset(split.dataset, subset)]
    position = {class_key(name): index for index, name in enumerate(split.class_names[0])}
    absent = [name for name in wanted if class_key(name) not in position]
    if absent:
        raise AnnotationError(
            f"{split.dataset}, {subset}: {len(absent)} of its {len(wanted)} classes are not among the "
            f"{len(position)} class names in use: {', '.join(map(repr, absent[:5]))}. "
            "Remedy: spell the names of DATA.CLASS_NAMES as the data set does, or leave it out"
        )
    return tuple(sorted(position[class_key(name)] for name in wanted))


def few_shot(split: AnnotatedSplit, shots: int, seed: int) -> AnnotatedSplit:
    """`shots` videos of every class of a one-head split, drawn by a seed, in the order of the list.

    The order of the draw depends on the seed and on the list alone; missing videos are passed over in it, so
    that each only makes way for the next. A smaller number of shots of the same seed is a part of a larger
    one.
    Raises:
        AnnotationError: a class with fewer videos.
    """
    by_class: dict[tuple[int, ...], list[int]] = {(index,): [] for index in range(*split.num_classes)}
    missing = set(split.missing)
    for position, record in enumerate(split.records):
        by_class[record.labels].append(position)
    present = {
        label: [position for position in own if split.records[position].path not in missing]
        for label, own in by_class.items()
    }
    poor = [
        f"{split.class_names[0][label[0]]} ({len(own)})" for label, own in present.items() if len(own) < shots
    ]
    if poor:
        raise AnnotationError(
            f"{split.source}: {len(poor)} classes have fewer than {shots} videos"
            f"{' that are there' if missing else ''}: {', '.join(poor[:5])}. Remedy: take fewer shots"
        )
    generator = random.Random(seed)
    chosen: list[int] = []
    for label, own in by_class.items():
        keys = [generator.random() for _ in own]
        there = set(present[label])
        drawn_in_order = [position for _, position in sorted(zip(keys, own, strict=True))]
        chosen += [position for position in drawn_in_order if position in there][:shots]
    drawn = split.with_records([split.records[position] for position in sorted(chosen)])
    return replace(drawn, notes=(*split.notes, f"{shots} videos per class, drawn with seed {seed}"))


def without_paths(split: AnnotatedSplit, paths: Collection[str], reason: str) -> AnnotatedSplit:
    """The split without the records of these paths; a note says how many are left out and why."""
    records = [record for record in split.records if record.path not in paths]
    left_out = len(split) - len(records)
    if not left_out:
        return split
    note = f"{left_out} of {len(split)} videos left out: {reason}"
    return replace(split.with_records(records), notes=(*split.notes, note))
