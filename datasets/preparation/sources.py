"""Which videos a collection holds, from its folder or from annotation records, and where copies go.

A video is a file with a video extension, or a folder of numbered image files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePath

from datasets.annotations.video_paths import has_video_extension
from datasets.decoding.frame_folder import IMAGE_SUFFIXES


class CollidingNamesError(ValueError):
    """Two videos would be written to the same file."""


def find_videos(root: str) -> list[str]:
    """Relative paths of all videos below ``root``, sorted. Raises ValueError where there is none."""
    if not os.path.isdir(root):
        raise ValueError(f"{root} is not a folder: give the folder of the videos")
    found = []
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders.sort()
        relative = os.path.relpath(folder, root)
        if any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in files) and relative != ".":
            found.append(relative)
        found += [
            os.path.normpath(os.path.join(relative, name)) for name in files if has_video_extension(name)
        ]
    if not found:
        raise ValueError(f"{root} holds no videos")
    return sorted(found)


def distinct(paths: Iterable[str]) -> list[str]:
    """The paths without repetitions (the segments of one video), in their order."""
    return list(dict.fromkeys(paths))


def target_paths(paths: Iterable[str], suffix: str) -> dict[str, str]:
    """Each relative path with another ``suffix``: where the video's copy belongs below another root.

    Raises CollidingNamesError where two videos differ in nothing but their suffix, ValueError for absolute
    paths and such that lead out of the root.
    """
    targets: dict[str, str] = {}
    taken: dict[str, str] = {}
    for path in paths:
        if os.path.isabs(path) or ".." in PurePath(path).parts:
            raise ValueError(
                f"{path!r} does not lie below the root of the videos: give a root that holds all"
            )
        stem = os.path.splitext(path)[0] if has_video_extension(path) else path
        target = stem + suffix
        if taken.setdefault(target, path) != path:
            raise CollidingNamesError(f"{path!r} and {taken[target]!r} would both become {target!r}")
        targets[path] = target
    return targets
