"""From the paths in an annotation file to the files that are there.

Lists name videos without extension, with the extension they had before a conversion, or without the folder of
their class or split. The rule, applied once when a split is loaded and never while reading:

    1. the path as it is written; 2. in the same folder, the same name with another video extension, or as a
    folder of frames; 3. the same two in the sub-folder of the split (train, val, …) and of the class, and
    without the path's folders; never in a folder of another split, where the same name is another video.

A root of shards, local or remote, is looked at through the paths that its index has. Without anything to look
at (no root given, or a URL of single files), a path without extension gets the data set's usual one.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from datasets.annotations.errors import AnnotationError
from datasets.annotations.files import describe_folder, is_url, join
from datasets.labels import class_words
from datasets.records import VideoRecord

VIDEO_EXTENSIONS = frozenset(
    (
        "mp4",
        "webm",
        "mkv",
        "avi",
        "mov",
        "m4v",
        "mpg",
        "mpeg",
        "wmv",
        "flv",
        "3gp",
        "3g2",
        "ts",
        "mts",
        "m2ts",
        "ogv",
        "asf",
        "vob",
        "mxf",
        "packed",
    )
)
"""File name extensions (lower case) that count as those of videos."""

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "validation"),
    "test": ("test", "testing"),
}
_SPLIT_OF_FOLDER = {folder: split for split, folders in _SPLIT_FOLDERS.items() for folder in folders}
_EXAMPLES = 3


@dataclass(frozen=True)
class ShardedRoot:
    """A root, a folder or a URL, whose videos lie in shards."""

    place: str
    paths: tuple[str, ...]
    """Of all videos in the shards, relative to the root."""

    def below(self, folder: str) -> ShardedRoot:
        """The part of the root in one of its folders."""
        start = f"{folder}/"
        inside = tuple(path.removeprefix(start) for path in self.paths if path.startswith(start))
        return ShardedRoot(join(self.place, folder), inside)

    def describe(self) -> str:
        """What the shards hold, in a few words, for error messages."""
        first = f", the first being {self.paths[0]}" if self.paths else ""
        return f"the shards of {self.place} hold {len(self.paths)} videos{first}"


@dataclass(frozen=True)
class Located:
    """Records with paths of files, and how many paths were changed or found nothing."""

    records: list[VideoRecord]
    moved: int
    """Paths that were found under another extension or folder."""
    examples: tuple[tuple[str, str], ...]
    """The first few of those: the path in the list, and what was taken instead."""
    missing: tuple[str, ...]
    """Paths for which nothing was found; one without extension has got the usual one."""


def has_video_extension(path: str) -> bool:
    """Whether the path ends in a known video extension ("a.00.36.246" does not)."""
    return path.rpartition("/")[2].rpartition(".")[2].lower() in VIDEO_EXTENSIONS and "." in path


def without_query(path: str) -> str:
    """A path without what follows its video extension in a web address ("a.mp4?token=x" → "a.mp4"); any other
    question mark is part of a name.
    """
    marks = (position for position, sign in enumerate(path) if sign == "?")
    return next((path[:mark] for mark in marks if has_video_extension(path[:mark])), path)


def with_extension(records: Sequence[VideoRecord], extension: str) -> list[VideoRecord]:
    """Records whose paths without extension get the given one ("mp4"); a whole address with a query is left
    as it is.
    """
    return [
        record
        if has_video_extension(without_query(record.path)) or (is_url(record.path) and "?" in record.path)
        else replace(record, path=f"{record.path.rstrip('.')}.{extension}")
        for record in records
    ]


def locate_videos(
    records: Sequence[VideoRecord],
    root: str | ShardedRoot,
    split: str,
    class_names: Sequence[tuple[str, ...]],
    extension: str,
) -> Located:
    """Look for every record's video under a local root, or in shards, by the rule above.

    Raises:
        AnnotationError: not one of the videos is there.
    """
    finder = _Finder(root, split, class_names)
    found: list[VideoRecord] = []
    missing: list[str] = []
    moved: list[tuple[str, str]] = []
    for record in records:
        path = finder.find(record)
        if path is None:
            (kept,) = with_extension([record], extension)
            missing.append(kept.path)
            found.append(kept)
        else:
            if path != record.path:
                moved.append((record.path, path))
            found.append(record if path == record.path else replace(record, path=path))
    if records and len(missing) == len(records):
        raise AnnotationError(
            f"none of the {len(records)} videos of the list is there, the first being {missing[0]}; "
            f"{describe_folder(root) if isinstance(root, str) else root.describe()}. "
            "Remedy: set DATA.DATA_ROOT_DIR to the folder that the list's paths start from"
        )
    return Located(found, len(moved), tuple(moved[:_EXAMPLES]), tuple(missing))


class _Finder:
    """Answers where a record's video is; every folder is listed at most once."""

    def __init__(self, root: str | ShardedRoot, split: str, class_names: Sequence[tuple[str, ...]]) -> None:
        self._place = root if isinstance(root, str) else root.place
        self._names_in = _names_on_disk(root) if isinstance(root, str) else _names_in_shards(root)
        self._split = split
        self._class_names = class_names
        self._listings: dict[str, dict[str, str]] = {}
        self._folders: dict[tuple[str, tuple[int, ...]], tuple[str, ...]] = {}

    def find(self, record: VideoRecord) -> str | None:
        """Path of the record's file relative to the root (absolute where the record's is); None: nothing
        there."""
        parent, _, name = record.path.rpartition("/")
        key = (parent, record.labels)
        if key not in self._folders:
            self._folders[key] = tuple(dict.fromkeys(self._candidates(parent, record.labels)))
        for folder in self._folders[key]:
            listing = self._listing(folder)
            actual = listing.get(name) or listing.get(_stem(name))
            if actual:
                return f"{folder}/{actual}" if folder else actual
        return None

    def _listing(self, folder: str) -> dict[str, str]:
        """{name: name} of the folder's entries and {name without video extension: name}, exact names
        winning."""
        if folder not in self._listings:
            names = self._names_in(folder)
            by_stem = {_stem(name): name for name in reversed(names)}
            self._listings[folder] = by_stem | {name: name for name in names}
        return self._listings[folder]

    def _candidates(self, parent: str, labels: tuple[int, ...]) -> Iterator[str]:
        """Folders to look in, the most likely first."""
        class_folders = [""]
        if len(labels) == 1 and len(self._class_names) == 1:
            name = self._class_names[0][labels[0]]
            class_folders += [name, class_words(name), name.replace(" ", "_")]
        named = _split_in(parent, class_folders)
        own = named or self._split
        ancestors = [parent, *(str(folder) for folder in PurePosixPath(parent).parents if str(folder) != ".")]
        for base in dict.fromkeys([*ancestors, ""]):
            # A path that names its split means no file of a root that is another split's folder.
            place = f"{os.path.basename(self._place.rstrip('/'))}/{base}" if named else base
            if base != parent and _split_in(place, class_folders) not in (None, own):
                continue
            for split in ("", *_SPLIT_FOLDERS.get(own, ())):
                for class_folder in class_folders:
                    yield "/".join(part for part in (split, base, class_folder) if part and part != "/")


def _names_on_disk(root: str) -> Callable[[str], list[str]]:
    """Gives the sorted names in a folder below a local root; none where there is no such folder."""

    def names_in(folder: str) -> list[str]:
        try:
            return sorted(entry.name for entry in os.scandir(os.path.join(root, folder)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    return names_in


def _names_in_shards(root: ShardedRoot) -> Callable[[str], list[str]]:
    """The same for the folders of the paths in shards."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for path in root.paths:
        folder, _, name = path.rpartition("/")
        names[folder].append(name)
    return lambda folder: sorted(names.get(folder, ()))


def _split_in(folder: str, class_folders: Sequence[str]) -> str | None:
    """The split whose name the innermost folder with such a name bears; a class may be called "train"."""
    named = [part for part in folder.split("/") if part in _SPLIT_OF_FOLDER and part not in class_folders]
    return _SPLIT_OF_FOLDER[named[-1]] if named else None


def _stem(name: str) -> str:
    """The name without a video extension, or without a trailing dot (one DiDeMo id has nothing behind it)."""
    return name.rpartition(".")[0] if has_video_extension(name) else name.rstrip(".")
