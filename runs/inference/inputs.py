"""What a person names on the command line, as a list of videos: files, folders, lists. Torch-free."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from datasets.decoding.packed import PACKED_SUFFIX
from runs.cli import print_block

_COMMON_SUFFIXES = (".3gp", ".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
_RARE_SUFFIXES = (".3g2", ".asf", ".flv", ".gif", ".m2ts", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".y4m")
VIDEO_SUFFIXES = frozenset((*_COMMON_SUFFIXES, *_RARE_SUFFIXES, PACKED_SUFFIX))
LIST_SUFFIXES = frozenset([".txt", ".csv", ".tsv", ".lst", ".list"])


class InputError(ValueError):
    """Something on the command line that is not a video, a folder of videos or a list of them."""


def find_videos(inputs: Sequence[str | Path]) -> list[str]:
    """Paths of all videos that `inputs` name, in order, each once.

    A folder stands for the video files in it and below it, sorted; folders that are links are left out, and
    named on stderr. A list (.txt one path a line, .csv with a
    column `path`, or the first one) for what it names, relative to the current folder or else to the list's.
    Any other file is taken for a video, whatever its name: opening it will tell. Raises InputError.
    """
    videos: list[str] = []
    for given in inputs:
        path = Path(given).expanduser()
        if path.is_dir():
            videos += _videos_below(path)
        elif not path.exists():
            raise InputError(f"{given}: no such file or folder")
        elif path.suffix.lower() in LIST_SUFFIXES:
            videos += _videos_of_list(path)
        else:
            videos.append(str(path))
    if not videos:
        raise InputError("no video given")
    return list(dict.fromkeys(videos))


def read_classes(text: str | None, file: str | Path | None) -> list[str] | None:
    """Class names from `--classes "a, b"` or from a file with one name a line; None when neither is given.

    Raises InputError for an unreadable file, for a name given twice, and for fewer than two names: with one
    class, its score is 1 whatever the video shows.
    """
    if text is not None and file is not None:
        raise InputError("give --classes or --classes-file, not both")
    if text is None and file is None:
        return None
    names = text.split(",") if text is not None else _read_lines(Path(str(file)))
    names = [name.strip() for name in names if name.strip()]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"class given twice: {', '.join(repeated)}")
    if len(names) < 2:
        raise InputError(
            f"{len(names)} class given ({', '.join(names) or 'none'}): scores compare classes, so at least "
            'two are needed; name what it might be instead, for example --classes "juggling, something else"'
        )
    return names


def check_output_file(path: Path) -> None:
    """Raises InputError for a file that could not be written, before anything is computed for it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    check_output_folder(path.parent)


def check_output_folder(folder: Path) -> None:
    """Raises InputError for a folder that nothing can be written into. It is not made yet: the work may fail.

    Trying tells more than asking: there are disks that refuse in spite of the permissions.
    """
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}") from error
    finally:
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()


def _videos_below(folder: Path) -> list[str]:
    found = []
    for parent, folders, names in os.walk(folder):
        places = [os.path.join(parent, name) for name in names]
        found += [place for place in places if Path(place).suffix.lower() in VIDEO_SUFFIXES]
        for name in sorted(folders):
            if os.path.islink(place := os.path.join(parent, name)):
                print_block("warning", f"{place} is a link to a folder and left out: name it to read it, too")
    if not found:
        raise InputError(f"{folder}: no video files in this folder ({' '.join(sorted(VIDEO_SUFFIXES))})")
    return sorted(found)


def _videos_of_list(path: Path) -> list[str]:
    lines = _read_lines(path)
    if path.suffix.lower() in (".csv", ".tsv"):
        rows = list(csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ","))
        _refuse_parts(path, rows)
        column = rows[0].index("path") if rows and "path" in rows[0] else 0
        named = [row[column] for row in rows[1 if rows and "path" in rows[0] else 0 :] if len(row) > column]
    else:
        named = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not named:
        raise InputError(f"{path}: the list names no video")
    videos = [name if Path(name).exists() else str(path.parent / name) for name in named]
    if not any(Path(video).exists() for video in videos):
        raise InputError(
            f"{path}: none of the {len(videos)} files that the list names is there, the first being "
            f"{named[0]!r}; paths count from the current folder, or else from the list's"
        )
    return videos


def _refuse_parts(path: Path, rows: list[list[str]]) -> None:
    """Raises InputError for a list of parts of videos: each would be taken for the whole."""
    columns = [index for index, name in enumerate(rows[0]) if name in ("start", "end")] if rows else []
    if any(row[column].strip() for row in rows[1:] for column in columns if column < len(row)):
        raise InputError(
            f"{path}: the list names parts of videos (start, end), and this command looks at whole ones; "
            "leave these columns out, or cut the videos"
        )


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot read it as text: {error}") from error
