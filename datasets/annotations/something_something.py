"""Something-Something V2 as it is distributed.

    something-something-v2-{train,validation}.json     [{"id": "78687", "template": "Holding [something]", …}]
    something-something-v2-test.json                   [{"id": "1420"}]          no label, so no class index
    …-with-label.json (older)                          [{"id": 78687, "label_idx": 41}]

Templates carry brackets, class names do not. Videos are {id}.webm, or another extension after a conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets.annotations.errors import AnnotationError, Offenders, shown
from datasets.annotations.files import read_json
from datasets.annotations.request import ReadRequest
from datasets.records import VideoRecord


def read_something_something(request: ReadRequest) -> list[VideoRecord]:
    """Records of a JSON file; `path` and `name` are the video's id, without extension.

    Raises:
        AnnotationError: entries without id, templates that are no class name, or indices outside the class
        names.
    """
    entries = read_json(request.path)
    if not isinstance(entries, list):
        raise AnnotationError(
            f"{request.path}: not a list of videos. Remedy: give the train, validation or test file"
        )
    records: list[VideoRecord] = []
    labels = [(index,) for index in range(request.num_classes)]
    offenders = Offenders(request.path, remedy="take the label file of this release (DATA.CLASS_NAMES)")
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, Mapping) or "id" not in entry:
            offenders.add(None, f"entry {number}, {shown(str(entry))}, has no id")
            continue
        try:
            index = _class_index(entry, request)
        except ValueError as error:
            offenders.add(None, f"video {entry['id']}: {error}")
            continue
        video = str(entry["id"])
        records.append(VideoRecord(video, () if index is None else labels[index], name=video))
    offenders.raise_any()
    return records


def _class_index(entry: Mapping[str, Any], request: ReadRequest) -> int | None:
    """Class index of an entry; None when it carries no label at all."""
    if "label_idx" in entry:
        index = int(entry["label_idx"])
        if not 0 <= index < request.num_classes:
            raise ValueError(f"label {index} is outside 0…{request.num_classes - 1}")
        return index
    if "template" not in entry:
        return None
    template = str(entry["template"]).replace("[", "").replace("]", "")
    found = request.classes.find(template)
    if found is None:
        raise ValueError(f"template {shown(template)} is none of the {request.num_classes} class names")
    return found
