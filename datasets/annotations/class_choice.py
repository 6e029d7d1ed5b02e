"""Which class names a split's labels refer to.

1. the files that the config names, one per head
2. none for text–video data
3. the data set's own class-name file, where it lies in the annotation folder; one that may be another's
   must have as many names as the data set has classes
4. the list that ships with the project
5. for data of one's own: the distinct label names of the training CSV that is named or found (or of the
   list itself)
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from datasets.annotations.class_files import check_class_count, read_class_names
from datasets.annotations.errors import AnnotationError
from datasets.annotations.files import find_matches, join, read_rows
from datasets.annotations.generic_csv import class_names_in_csv, read_generic_csv
from datasets.annotations.sniff import reader_for
from datasets.annotations.table import DatasetSpec
from datasets.annotations.video_list import check_first_line, read_video_list
from datasets.labels import class_key, class_names

ClassNames = tuple[tuple[str, ...], ...]
"""One tuple of names per head."""


def choose_class_names(
    spec: DatasetSpec,
    list_path: str,
    folder: str,
    named_files: str | Path | Sequence[str | Path],
    num_classes: int | Sequence[int] | None,
    notes: list[str],
    training_list: str = "",
    other_lists: Collection[str] = (),
) -> ClassNames:
    """Class names of every head by the rule above; `num_classes` is what they must count up to (None: any).

    `training_list` is the path of the list that classes are named by; empty: the one in the folder, if any.
    None of the lists, of which `other_lists` are paths of more, is a file of class names.
    Raises:
        AnnotationError: a file is malformed or of the wrong length, or there are no names to be had.
    """
    lists = [path for path in (list_path, training_list, *other_lists) if path]
    files = [named_files] if isinstance(named_files, str | Path) else list(named_files)
    named = [join(folder, str(file)) for file in files if str(file)]
    if named:
        heads, origin = tuple(read_class_names(file) for file in named), ", ".join(named)
    elif spec.classes == "none":
        return ()
    elif spec.classes == "shipped":
        heads, origin = _shipped_or_beside(spec, folder, lists, notes)
    else:
        class_file = next(_class_files(spec.class_files, folder, lists), None)
        heads, origin = _of_own_data(spec, class_file, list_path, folder, training_list)
    check_class_counts(origin, heads, num_classes)
    return heads


def check_class_counts(origin: str, heads: ClassNames, num_classes: int | Sequence[int] | None) -> None:
    """Raise AnnotationError when lists of names have not the lengths that are expected (None: any)."""
    if num_classes is None or not heads:
        return
    expected = [num_classes] if isinstance(num_classes, int) else list(num_classes)
    if len(expected) != len(heads):
        raise AnnotationError(
            f"{origin}: {len(heads)} lists of class names for {len(expected)} heads {expected}"
        )
    for names, count in zip(heads, expected, strict=True):
        check_class_count(origin, len(names), count)


def _shipped_or_beside(
    spec: DatasetSpec, folder: str, lists: Sequence[str], notes: list[str]
) -> tuple[ClassNames, str]:
    """The shipped lists, or for a single head the class-name file that lies beside the annotations."""
    heads = tuple(class_names(name) for name in spec.class_lists)
    origin = f"the names of {spec.title} that ship with the project"
    if len(heads) != 1:
        return heads, origin
    (shipped,) = heads
    file = next(_class_files(spec.class_files, folder, lists), None)
    if file is not None:
        names = read_class_names(file, len(shipped))
    else:
        ambiguous = _class_files(spec.ambiguous_class_files, folder, lists)
        file, names = _first_that_fits(ambiguous, shipped, notes)
    if file is None:
        return heads, origin
    differing = _differing(names, shipped)
    if differing:
        index = differing[0]
        notes.append(
            f"class names are those of {file}: {len(differing)} of them differ from the list that ships with "
            f"the project, for instance class {index}, {names[index]!r} against {shipped[index]!r}"
        )
    return (names,), file


def _first_that_fits(
    files: Iterable[str], shipped: tuple[str, ...], notes: list[str]
) -> tuple[str | None, tuple[str, ...]]:
    """The first file with as many names as are shipped, and its names; None and those shipped where none has.

    Where only the spelling differs, it is the shipped one: a run goes on and predicts alike with the file and
    without it.
    """
    for file in files:
        try:
            names = read_class_names(file, len(shipped))
        except AnnotationError as error:
            if isinstance(error.__cause__, OSError):  # it may well be the one, and be read the next time
                raise
            why = " ".join(str(error).partition("Remedy: ")[0].split()).rstrip(".")
            notes.append(
                f"class names are those that ship with the project, not those beside the list: {why}"
            )
        else:
            return file, names if _differing(names, shipped) else shipped
    return None, shipped


def _differing(names: Sequence[str], shipped: Sequence[str]) -> list[int]:
    """Indices of the names that are others than those shipped, however they are spelled."""
    pairs = zip(names, shipped, strict=True)
    return [index for index, (name, other) in enumerate(pairs) if class_key(name) != class_key(other)]


def _of_own_data(
    spec: DatasetSpec, file: str | None, list_path: str, folder: str, training_list: str
) -> tuple[ClassNames, str]:
    """Names for data of one's own: a class-name file, or the label names in the CSV; () for captions."""
    if file is not None:
        return (read_class_names(file),), file
    if spec.classes == "optional":
        return (), list_path
    reader = reader_for(list_path)
    if reader is read_video_list:
        check_first_line(list_path)
    if reader is read_generic_csv:
        _, first_row = next(read_rows(list_path), (0, {"label": ""}))
        if "label" not in first_row:
            return (), list_path
        for candidate in (_training_csv(spec, folder, training_list), list_path):
            names = class_names_in_csv(candidate) if candidate else ()
            if names:
                return (names,), str(candidate)
    raise AnnotationError(
        f"{list_path}: labels are class indices, so their names are needed. Remedy: write the names, one a "
        "line, into classes.txt in DATA.ANNO_DIR, or name their file with DATA.CLASS_NAMES"
    )


def _class_files(names: Sequence[str], folder: str, lists: Sequence[str]) -> Iterator[str]:
    """The class-name files of these names in the folder; a list of videos may have the name of one."""
    taken = {os.path.normpath(path) for path in lists}
    found = (match for name in names for match in find_matches(folder, name))
    return (path for path in found if os.path.normpath(path) not in taken)


def _training_csv(spec: DatasetSpec, folder: str, named: str) -> str | None:
    """The training list, the one that is named or else the first in the folder, that is there and is a CSV
    file.
    """
    sources = spec.sources["train"]
    found = (
        find_matches("", named)
        if named
        else (path for source in sources for path in find_matches(folder, source.pattern))
    )
    return next((path for path in found if reader_for(path) is read_generic_csv), None)
