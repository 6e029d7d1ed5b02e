"""Access to annotation files: text, lines, CSV rows, JSON, and looking for a file by patterns.

Every reader goes through here, so encodings, byte-order marks, CRLF, missing files and URLs are handled once.
Folders and files may be URLs that fsspec opens (s3://…, https://…, memory://…); it is imported only then.
"""

from __future__ import annotations

import csv
import io
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from datasets.annotations.errors import AnnotationError

_SHOWN_NAMES = 12
_PAUSES = (0.5, 2.0)  # seconds before each further attempt at a URL


def read_text(path: str) -> str:
    """Content of a UTF-8 text file (a byte-order mark is dropped).

    Raises:
        AnnotationError: the file is missing, cannot be read, is empty, or is not UTF-8.
    """
    try:
        content = _read_bytes(path)
    except FileNotFoundError:
        raise AnnotationError(
            f"{path}: no such file. Remedy: check DATA.ANNO_DIR and the file's name"
        ) from None
    except OSError as error:
        raise AnnotationError(f"{path}: cannot be read ({error})") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AnnotationError(
            f"{path}, line {line}: not UTF-8 text. Remedy: convert the file to UTF-8"
        ) from None
    if not text.strip():
        raise AnnotationError(f"{path}: the file is empty. Remedy: check that it was written completely")
    # Spreadsheets save "CSV (Macintosh)" so: then CR ends all lines, and LF none.
    return text if "\n" in text else text.replace("\r", "\n")


def read_lines(path: str) -> list[str]:
    """Lines of a text file without their ends: LF or CRLF ends a line, or CR in a file that has no LF."""
    return [line.rstrip("\r") for line in read_text(path).removesuffix("\n").split("\n")]


def read_rows(
    path: str, required: Sequence[str] = (), delimiter: str = ","
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, {column: value}) of each row of a CSV file with a header.

    Raises:
        AnnotationError: a required column is missing, a row has more or fewer fields than the header, or a
            quote is not closed on its line.
    """
    rows = csv_rows(path, delimiter)
    header = [name.strip() for name in next(rows)[1]]
    missing = [name for name in required if name not in header]
    if missing:
        raise AnnotationError(
            f"{path}, line 1: no column {', '.join(missing)}; the header has {', '.join(header)}. "
            "Remedy: name the columns in the first line"
        )
    for line, row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise AnnotationError(
                f"{path}, line {line}: {len(row)} fields, but {len(header)} in the header: {row}. "
                "Remedy: put fields that contain commas in double quotes"
            )
        yield line, dict(zip(header, row, strict=True))


def csv_rows(path: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line number, fields) of each row. Raises AnnotationError for quotes that are not closed on their
    line.
    """
    reader = csv.reader(io.StringIO(read_text(path)), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            if reader.line_num == line:
                raise AnnotationError(
                    f"{path}, line {line}: not valid CSV ({error}). "
                    'Remedy: put fields that contain quotes in double quotes and double those within: ""'
                ) from None
            row = []
        if row is None:
            return
        # No list in circulation has such a field: the quote was forgotten, and would take rows with it.
        if reader.line_num > line:
            raise AnnotationError(
                f"{path}, line {line}: a double quote is opened there and not closed before line "
                f"{reader.line_num}. Remedy: close it, or write the field on one line"
            )
        yield line, row


def read_json(path: str) -> Any:
    """Parsed content of a JSON file.

    Raises:
        AnnotationError: the file is not JSON; the message names the line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}, line {error.lineno}: not valid JSON ({error.msg})") from None


def is_url(path: str) -> bool:
    """Whether a path is remote."""
    return "://" in path


def join(folder: str, name: str) -> str:
    """Path of a name inside a folder; an absolute path or a URL stands for itself."""
    if is_url(name):
        return name
    if is_url(folder) and not os.path.isabs(name):
        return f"{folder.rstrip('/')}/{name}"
    return os.path.join(folder, name)


def find_matches(folder: str, pattern: str) -> list[str]:
    """Sorted paths in `folder` that fit a pattern such as "val.txt", "*_val.csv" or "splits/*_split1.txt"."""
    subfolder, _, name_pattern = pattern.rpartition("/")
    place = join(folder, subfolder) if subfolder else folder
    if "*" not in name_pattern and not is_url(place):  # the folder may be that of the videos: do not list it
        path = join(place, name_pattern)
        return [path] if os.path.isfile(path) else []
    names = _entries(place, only_files=True)
    return [join(place, name) for name in names if fnmatchcase(name, name_pattern)]


def describe_folder(folder: str) -> str:
    """What a folder holds, in a few words, for error messages."""
    if not is_url(folder) and not Path(folder).is_dir():
        return f"{folder} is not a folder" if folder else "no folder is given"
    names = _entries(folder, only_files=False)
    more = f" … ({len(names)} in all)" if len(names) > _SHOWN_NAMES else ""
    return f"{folder} holds {', '.join(names[:_SHOWN_NAMES]) or 'nothing'}{more}"


def _read_bytes(path: str) -> bytes:
    if not is_url(path):
        return Path(path).read_bytes()
    filesystem, place = _open_filesystem(path)
    content = _patiently(path, lambda: filesystem.cat_file(place))
    assert isinstance(content, bytes)
    return content


def _entries(folder: str, only_files: bool) -> list[str]:
    """Sorted names in a folder; empty where there is none."""
    if not is_url(folder):
        if not os.path.isdir(folder):
            return []
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_file() or not only_files)
    filesystem, remote = _open_filesystem(folder)
    try:
        listing = _patiently(folder, lambda: filesystem.ls(remote, detail=True))
    except FileNotFoundError:
        return []
    wanted = [entry for entry in listing if entry["type"] == "file" or not only_files]
    return sorted(entry["name"].rstrip("/").rpartition("/")[2] for entry in wanted)


def _patiently(url: str, action: Callable[[], Any]) -> Any:
    """What `action` gives, tried again when the network fails; a file that is not there is an answer."""
    for pause in (*_PAUSES, None):
        try:
            return action()
        except FileNotFoundError:
            raise
        except Exception as error:  # every protocol has exceptions of its own
            if pause is None:
                raise AnnotationError(
                    f"{url}: {len(_PAUSES) + 1} attempts failed ({type(error).__name__}: {error}). "
                    "Remedy: check the address, the network, and the credentials in the environment"
                ) from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _open_filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path inside it."""
    try:
        from fsspec.core import url_to_fs

        return url_to_fs(url)
    except ImportError as error:
        raise AnnotationError(
            f"{url}: {error}. Remedy: install fsspec and its package for this kind of URL"
        ) from None
