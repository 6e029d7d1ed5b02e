"""Class-name files in the forms in which they circulate.

.txt    one name a line, or "1 ApplyEyeMakeup" with consecutive numbers from 0 or 1
.csv    header id,name (Kinetics and the like) or id,key (EPIC-KITCHENS); without a header like .txt
.json   {"name": index}, {"index": "name"} or ["name", …]
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from datasets.annotations.errors import AnnotationError, Offenders, shown
from datasets.annotations.files import read_json, read_lines, read_rows

_NUMBERED = re.compile(r"(\d+)[ \t,]+(\S.*)")
_NAME_COLUMNS = ("name", "key", "class", "label")


def read_class_names(path: str, num_classes: int | None = None) -> tuple[str, ...]:
    """Class names in the order of their indices.

    Raises:
        AnnotationError: the file is missing, malformed, holds a name twice or a gap in its indices,
            or does not hold `num_classes` names.
    """
    if path.lower().endswith(".json"):
        names = _from_json(path)
    elif path.lower().endswith(".csv") and "," in (first := read_lines(path)[0]) and _has_name_column(first):
        names = _from_csv(path)
    else:
        names = _from_lines(path)
    _check_distinct(path, names)
    check_class_count(path, len(names), num_classes)
    return names


def check_class_count(source: str, found: int, expected: int | None) -> None:
    """Raise AnnotationError when a list of names has not the length that is expected (None: any)."""
    if expected is not None and found != expected:
        raise AnnotationError(
            f"{source}: {found} class names where {expected} are expected. "
            f"Remedy: give the class-name file of this data set, or set VIDEO.HEAD.NUM_CLASSES to {found}"
        )


def _has_name_column(header: str) -> bool:
    columns = [column.strip().strip('"').lower() for column in header.split(",")]
    return columns[0] in ("id", "index") and any(name in columns for name in _NAME_COLUMNS)


def _from_csv(path: str) -> tuple[str, ...]:
    by_index: dict[int, str] = {}
    offenders = Offenders(path, remedy="every row holds the index and the name of one class")
    for line, row in read_rows(path):
        index = row.get("id", row.get("index", ""))
        name = next((row[column].strip() for column in _NAME_COLUMNS if column in row), "")
        if not index.isdigit() or not name or int(index) in by_index:
            offenders.add(line, f"{shown(','.join(row.values()))} is no new index with a name")
        else:
            by_index[int(index)] = name
    offenders.raise_any()
    return _in_order(path, by_index)


def _from_lines(path: str) -> tuple[str, ...]:
    lines = [line.strip() for line in read_lines(path)]
    while lines and not lines[-1]:
        lines.pop()
    offenders = Offenders(path, remedy="write one class name on each line")
    for number, line in enumerate(lines, start=1):
        if not line:
            offenders.add(number, "is empty, which would shift the indices of the classes after it")
    offenders.raise_any()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    numbers = [int(match[1]) for match in numbered if match]
    if (
        len(numbers) == len(lines)
        and numbers[0] in (0, 1)
        and numbers == list(range(numbers[0], numbers[0] + len(lines)))
    ):
        return tuple(match[2].strip() for match in numbered if match)
    return tuple(line.strip('"') for line in lines)


def _from_json(path: str) -> tuple[str, ...]:
    content = read_json(path)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return tuple(name.strip() for name in content)
    if not isinstance(content, Mapping):
        raise AnnotationError(f'{path}: neither a list of names nor a table {{"name": index}}')
    by_index: dict[int, str] = {}
    for key, value in content.items():
        index, name = (value, key) if str(value).isdigit() else (key, value)
        if not str(index).isdigit() or int(index) in by_index:
            raise AnnotationError(f"{path}: {shown(f'{key}: {value}')} is no new index with a name")
        by_index[int(index)] = str(name).strip().strip('"')
    return _in_order(path, by_index)


def _in_order(path: str, by_index: Mapping[int, str]) -> tuple[str, ...]:
    gaps = [index for index in range(len(by_index)) if index not in by_index]
    if gaps:
        raise AnnotationError(
            f"{path}: {len(by_index)} names, but no class has index {', '.join(map(str, gaps[:5]))}. "
            "Remedy: number the classes from 0 without gaps"
        )
    return tuple(by_index[index] for index in range(len(by_index)))


def _check_distinct(path: str, names: tuple[str, ...]) -> None:
    first_index: dict[str, int] = {}
    offenders = Offenders(path, remedy="every class needs a name of its own")
    for index, name in enumerate(names):
        if name in first_index:
            offenders.add(None, f"{shown(name)} is both class {first_index[name]} and class {index}")
        first_index.setdefault(name, index)
    offenders.raise_any()
