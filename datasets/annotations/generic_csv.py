"""The project's own format for any data set: a CSV file with a header.

    path,label[,start,end][,name]       label: a class name, or a class index
    path,caption[,start,end][,name]     several rows of one video are one record with several captions
    path,label,caption[,start,end][,name]       several rows of one video and label are such a record

start and end are seconds (or hours:minutes:seconds) of a segment; other columns are ignored. Labels that
are all whole numbers, and not all names of classes, are class indices; otherwise they are class names.
Without a class-name file, the classes are the distinct names in the training list (or in the list itself
when there is none), sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from datasets.annotations.errors import REMEDY_COUNTED_FROM_ONE, AnnotationError, Offenders, shown
from datasets.annotations.files import read_rows
from datasets.annotations.request import ReadRequest
from datasets.annotations.timestamps import parse_segment
from datasets.records import VideoRecord


def read_generic_csv(request: ReadRequest) -> list[VideoRecord]:
    """Records of a CSV file with a column `path` and a column `label` or `caption` (both may be there).

    Raises:
        AnnotationError: missing columns, unknown labels, labels outside the class names, times that are none.
    """
    rows = list(read_rows(request.path, required=("path",)))
    if not rows:
        raise AnnotationError(
            f"{request.path}: a header, but no rows. Remedy: check that it was written completely"
        )
    columns = rows[0][1].keys()
    if not {"label", "caption"} & columns:
        raise AnnotationError(
            f"{request.path}, line 1: neither a column label nor caption in {', '.join(columns)}"
        )
    labelled = "label" in columns and bool(request.class_names)
    names = request.names if labelled else ()
    written = {row["label"].strip() for _, row in rows} if labelled else set()
    by_index = labelled and _are_indices(written, names)
    records: list[VideoRecord] = []
    indices = {int(label) for label in written if label.isdecimal()} if by_index else set()
    remedy = "give the class names that belong to this list with DATA.CLASS_NAMES"
    if indices and 0 not in indices and max(indices) == request.num_classes:
        remedy = REMEDY_COUNTED_FROM_ONE
    unknown, malformed = Offenders(request.path, remedy), Offenders(request.path, "correct the rows")
    for line, row in rows:
        try:
            labels = (_class_index(row["label"], by_index, request),) if labelled else ()
        except ValueError as error:
            unknown.add(line, str(error))
            continue
        try:
            start, end = parse_segment(row.get("start", ""), row.get("end", ""))
            if not row["path"].strip():
                raise ValueError("no path")
        except ValueError as error:
            malformed.add(line, str(error))
            continue
        caption = row.get("caption", "").strip()
        captions = (caption,) if caption else ()
        records.append(
            VideoRecord(row["path"].strip(), labels, captions, start, end, row.get("name", "").strip())
        )
    unknown.raise_any()
    malformed.raise_any()
    return merge_captions(records) if "caption" in columns else records


def class_names_in_csv(path: str) -> tuple[str, ...]:
    """The distinct label names of a CSV file, sorted; empty when its labels are numbers or it has none.

    Raises:
        AnnotationError: the file cannot be read, or has rows without a label.
    """
    labels: set[str] = set()
    offenders = Offenders(path, remedy="write the class of every video, or leave the column label out")
    for line, row in read_rows(path):
        label = row.get("label", "").strip()
        if label:
            labels.add(label)
        elif "label" in row:
            offenders.add(line, f"no label for {row.get('path', '').strip()}")
    offenders.raise_any()
    return () if _are_indices(labels) else tuple(sorted(labels))


def _are_indices(labels: set[str], class_names: Sequence[str] = ()) -> bool:
    """Whether all labels are whole numbers and not the names of classes; empty ones are told elsewhere."""
    # Classes may be called -1, 0 and 1: a list that lacks -1 still means the names.
    return all(label.isdigit() for label in labels if label) and not (labels and labels <= set(class_names))


def merge_captions(records: list[VideoRecord]) -> list[VideoRecord]:
    """One record per video or segment and label, with the captions of all its rows in their order."""
    merged: dict[tuple[str, float | None, float | None, tuple[int, ...]], VideoRecord] = {}
    for record in records:
        key = (record.path, record.start, record.end, record.labels)
        first = merged.get(key)
        merged[key] = record if first is None else replace(first, captions=first.captions + record.captions)
    return list(merged.values())


def _class_index(label: str, by_index: bool, request: ReadRequest) -> int:
    if not label.strip():
        raise ValueError("no label")
    if by_index:
        index: int | None = int(label)
        if index is not None and index >= request.num_classes:
            raise ValueError(f"label {index} is outside 0…{request.num_classes - 1}")
    else:
        index = request.classes.find(label)
    if index is None:
        raise ValueError(f"label {shown(label)} is none of the {request.num_classes} class names")
    return index
