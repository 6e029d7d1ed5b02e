"""Class-name files in the forms in which they circulate.

.txt    one name a line, or "1 ApplyEyeMakeup" with consecutive numbers from 0 or 1
.csv    a header with an index and a name in any columns: id,name (Kinetics and the like), id,key
        (EPIC-KITCHENS), label,label_id, class_id,class_name, …; without a header like .txt
.json   {"name": index}, {"index": "name"} or ["name", …]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from datasets.annotations.errors import AnnotationError, Offenders, shown
from datasets.annotations.files import csv_rows, read_json, read_lines, read_rows

_NUMBERED = re.compile(r"(\d+)[ \t,]+(\S.*)")
# Words of headers, in lower case and without spaces, hyphens and underscores.
_INDEX_WORDS = (
    "id",
    "index",
    "idx",
    "classid",
    "classindex",
    "classidx",
    "labelid",
    "labelindex",
    "labelidx",
)
_NAME_WORDS = ("name", "key", "classname", "labelname", "displayname", "class", "label", "category")
_EITHER_WORDS = ("", "class", "label", "number", "target")  # an index where all values are whole numbers
_ONLY_COLUMN = ("name", "classname", "labelname", "class", "label", "classes", "labels", "names")


def read_class_names(path: str, num_classes: int | None = None) -> tuple[str, ...]:
    """Class names in the order of their indices.

    Raises:
        AnnotationError: the file is missing, malformed, holds a name twice or a gap in its indices,
            or does not hold `num_classes` names.
    """
    if path.lower().endswith(".json"):
        names = _from_json(path)
    elif path.lower().endswith((".csv", ".tsv")):
        names = _from_csv(path)
    else:
        names = _from_lines(path, read_lines(path))
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


def _from_csv(path: str) -> tuple[str, ...]:
    first = read_lines(path)[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    rows = [(line, fields) for line, fields in csv_rows(path, delimiter) if fields]
    header = [re.sub(r"[\s_-]", "", column).lower() for column in rows[0][1]]
    columns = _index_and_name(header, [fields for _, fields in rows[1:]])
    if columns is not None:
        index, name = (rows[0][1][column].strip() for column in columns)
        return _from_columns(path, delimiter, index, name)
    if len(header) == 1 and header[0] in _ONLY_COLUMN:
        return _from_lines(path, read_lines(path)[1:], first_number=2)
    if all(len(fields) > 1 for _, fields in rows):
        return _from_numbered_rows(path, [fields for _, fields in rows])
    return _from_lines(path, read_lines(path))


def _index_and_name(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[int, int] | None:
    """Columns of the index and of the name; None where the header is not understood, or none."""

    def holds_numbers(column: int) -> bool:
        return all(len(fields) > column and fields[column].strip().isdigit() for fields in rows)

    places = range(len(header))
    indices = [place for place in places if header[place] in _INDEX_WORDS] or [
        place for place in places if header[place] in _EITHER_WORDS and holds_numbers(place)
    ]
    names = [header.index(word) for word in _NAME_WORDS if word in header]
    names = [place for place in names if place not in indices[:1]]
    return (indices[0], names[0]) if indices and names else None


def _from_columns(path: str, delimiter: str, index_column: str, name_column: str) -> tuple[str, ...]:
    by_index: dict[int, str] = {}
    offenders = Offenders(path, remedy="every row holds the index and the name of one class")
    for line, row in read_rows(path, delimiter=delimiter):
        index, name = row[index_column].strip(), row[name_column].strip()
        if not index.isdigit() or not name or int(index) in by_index:
            offenders.add(line, f"{shown(delimiter.join(row.values()))} is no new index with a name")
        else:
            by_index[int(index)] = name
    offenders.raise_any()
    return _in_order(path, by_index)


def _from_numbered_rows(path: str, rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Names of rows "0,run"; those with commas may lack their quotes. Raises AnnotationError for others."""
    numbers = [fields[0].strip() for fields in rows]
    start = int(numbers[0]) if numbers[0] in ("0", "1") else 0
    numbered = numbers == [str(start + row) for row in range(len(rows))]
    widths = {len(fields) for fields in rows}
    if not numbered or (len(widths) == 1 and widths != {2}):
        raise AnnotationError(
            f"{path}, line 1: {shown(','.join(rows[0]))} is neither a header with an index and a name nor "
            "the first class of a numbered list. Remedy: begin with the header id,name, or put one name on "
            "each line, names with commas in double quotes"
        )
    return tuple(",".join(fields[1:]).strip() for fields in rows)


def _from_lines(path: str, lines: Sequence[str], first_number: int = 1) -> tuple[str, ...]:
    lines = [line.strip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    offenders = Offenders(path, remedy="write one class name on each line")
    for number, line in enumerate(lines, start=first_number):
        if not line:
            offenders.add(number, "is empty, which would shift the indices of the classes after it")
    offenders.raise_any()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    numbers = [int(match[1]) for match in numbered if match]
    if (
        len(numbers) == len(lines)
        and numbers[:1] in ([0], [1])
        and numbers == list(range(numbers[0], numbers[0] + len(lines)))
    ):
        return tuple(match[2].strip().strip('"') for match in numbered if match)
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
