"""Do labels, names and splits belong together? Mistakes that would otherwise train without a word.

Published label files exist in several orders: one in circulation for HMDB51 has kick and kick_ball, sword and
sword_exercise exchanged against the lists it is used with. Where paths tell the class, labels must agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from datasets.annotations.errors import AnnotationError, Offenders
from datasets.labels import ClassLookup, class_key
from datasets.records import AnnotatedSplit, VideoRecord

_UCF101_FILE = re.compile(r"v_(\w+)_g\d\d_c\d\d(?:\.\w+)?")
_HMDB51_FILE = re.compile(r"(.+)_[fhlu]_[cn]m_np\d_(?:ba|fr|le|ri)_(?:bad|med|goo)_\d+(?:\.\w+)?")


def check_labels(source: str, records: Sequence[VideoRecord], class_names: Sequence[tuple[str, ...]]) -> None:
    """Every label must be the index of a class name, one per head; with one head, what paths tell must agree.

    Raises:
        AnnotationError: labels without names, outside the names, or at odds with the paths.
    """
    offenders = Offenders(source, remedy="give class names, one list per head (DATA.CLASS_NAMES)")
    heads = len(class_names)
    for record in records:
        if record.labels and len(record.labels) != heads:
            offenders.add(None, f"{record.name} has labels {record.labels} for {heads} lists of class names")
        for label, names in zip(record.labels, class_names, strict=False):
            if not 0 <= label < len(names):
                offenders.add(None, f"{record.name} has label {label}, which is outside 0…{len(names) - 1}")
    offenders.raise_any()
    if heads == 1:
        check_path_classes(source, records, class_names[0])


def check_labelled(split: AnnotatedSplit) -> None:
    """Training and scoring need a label for every video.

    Raises:
        AnnotationError: some records have none (as in the published test lists of several data sets).
    """
    offenders = Offenders(
        split.source, remedy="give a list with labels; runs/predict.py tells classes of videos without labels"
    )
    for record in split.records:
        if not record.labels:
            offenders.add(None, f"{record.name} has no label")
    offenders.raise_any()


def check_path_classes(source: str, records: Sequence[VideoRecord], class_names: tuple[str, ...]) -> None:
    """Compare labels with the classes that folders, or the file names of UCF101 and HMDB51, tell.

    Folders count where at least half of the records lie in a folder that is called like a class.

    Raises:
        AnnotationError: labels that disagree; the first few are listed.
    """
    classes = ClassLookup(class_names)
    by_folder = [classes.only(_folder(record.path)) for record in records]
    if sum(index is not None for index in by_folder) * 2 >= len(records):
        told = by_folder
    else:
        told = [_class_in_file_name(record.path, classes) for record in records]
    offenders = Offenders(
        source,
        remedy="the list follows another order of classes: give its class-name file with DATA.CLASS_NAMES",
    )
    for record, index in zip(records, told, strict=True):
        if index is not None and record.labels and record.labels[0] != index:
            label = record.labels[0]
            offenders.add(
                None,
                f"{record.path} has label {label} ({class_names[label]}), its path says {class_names[index]}",
            )
    offenders.raise_any()


def check_same_classes(first: AnnotatedSplit, second: AnnotatedSplit) -> None:
    """Raise AnnotationError unless two splits number the same classes in the same way."""
    if first.num_classes != second.num_classes:
        raise AnnotationError(
            f"{first.dataset} {first.split} has {list(first.num_classes)} classes, "
            f"{second.dataset} {second.split} has {list(second.num_classes)}. "
            "Remedy: give both the same DATA.CLASS_NAMES"
        )
    offenders = Offenders(
        f"{first.source} and {second.source}", remedy="give both splits the same class-name file"
    )
    for names, others in zip(first.class_names, second.class_names, strict=True):
        alike = Counter(map(class_key, names))
        for index, (name, other) in enumerate(zip(names, others, strict=True)):
            key = class_key(name)
            if key != class_key(other) or (alike[key] > 1 and name != other):
                offenders.add(
                    None, f"class {index} is {name!r} in {first.split} and {other!r} in {second.split}"
                )
    offenders.raise_any()


def check_disjoint(train: AnnotatedSplit, test: AnnotatedSplit) -> None:
    """Raise AnnotationError when videos (or segments) that are trained on are tested on, listing the first
    few."""
    trained = {(record.path, record.start, record.end) for record in train.records}
    offenders = Offenders(f"{train.source} and {test.source}", remedy="take the lists of one official split")
    for record in test.records:
        if (record.path, record.start, record.end) in trained:
            offenders.add(None, f"{record.name} is in both {train.split} and {test.split}")
    offenders.raise_any()


def _folder(path: str) -> str:
    """Name of the folder that a file lies in."""
    return path.rpartition("/")[0].rpartition("/")[2]


def _class_in_file_name(path: str, classes: ClassLookup) -> int | None:
    """Class in names such as v_ApplyEyeMakeup_g01_c01.avi or …_brush_hair_u_nm_np1_ba_goo_0.avi."""
    name = path.rpartition("/")[2]
    ucf = _UCF101_FILE.fullmatch(name)
    if ucf:
        return classes.only(ucf[1])
    hmdb = _HMDB51_FILE.fullmatch(name)
    if not hmdb:
        return None
    words = hmdb[1].split("_")
    told = (classes.only("_".join(words[start:])) for start in range(len(words)))
    return next((index for index in told if index is not None), None)
