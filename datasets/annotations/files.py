"""Access to annotation files: text, lines, CSV rows, JSON, and looking for a file by patterns.

Every reader goes through here, so encodings, byte-order marks, CRLF and missing files are handled once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from datasets.annotations.errors import AnnotationError

_SHOWN_NAMES = 12


def read_text(path: str) -> str:
    """Content of a UTF-8 text file (a byte-order mark is dropped).

    Raises:
        AnnotationError: the file is missing, cannot be read, is empty, or is not UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise AnnotationError(
            f"{path}: no such file. Remedy: check DATA.ANNO_DIR and the file's name"
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AnnotationError(
            f"{path}, line {line}: not UTF-8 text. Remedy: convert the file to UTF-8"
        ) from None
    if not text.strip():
        raise AnnotationError(f"{path}: the file is empty. Remedy: check that it was written completely")
    return text


def read_lines(path: str) -> list[str]:
    """Lines of a text file without their ends; only LF and CRLF end a line, as in every list we know."""
    return [line.rstrip("\r") for line in read_text(path).removesuffix("\n").split("\n")]


def read_rows(
    path: str, required: Sequence[str] = (), delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: value}) of each row of a CSV file with a header.

    Raises:
        AnnotationError: a required column is missing, or a row has more or fewer fields than the header.
    """
    reader = csv.reader(io.StringIO(read_text(path)), delimiter=delimiter)
    header = [name.strip() for name in next(reader)]
    missing = [name for name in required if name not in header]
    if missing:
        raise AnnotationError(
            f"{path}, line 1: no column {', '.join(missing)}; the header has {', '.join(header)}. "
            "Remedy: name the columns in the first line"
        )
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise AnnotationError(
                f"{path}, line {reader.line_num}: {len(row)} fields, but {len(header)} in the header: {row}. "
                "Remedy: put fields that contain commas in double quotes"
            )
        yield reader.line_num, dict(zip(header, row, strict=True))


def read_json(path: str) -> Any:
    """Parsed content of a JSON file.

    Raises:
        AnnotationError: the file is not JSON; the message names the line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: not valid JSON ({error.msg})") from None


def find_matches(folder: str, pattern: str) -> list[str]:
    """Sorted paths in `folder` that match a pattern such as "val.txt", "*_val.csv" or
    "splits/*_split1.txt"."""
    subfolder, _, name = pattern.rpartition("/")
    place = Path(folder) / subfolder
    if not place.is_dir():
        return []
    return sorted(
        str(entry) for entry in place.iterdir() if fnmatchcase(entry.name, name) and entry.is_file()
    )


def describe_folder(folder: str) -> str:
    """What a folder holds, in a few words, for error messages."""
    if not Path(folder).is_dir():
        return f"{folder} is not a folder"
    names = sorted(entry.name for entry in Path(folder).iterdir())
    more = f" … ({len(names)} in all)" if len(names) > _SHOWN_NAMES else ""
    return f"{folder} holds {', '.join(names[:_SHOWN_NAMES]) or 'nothing'}{more}"
