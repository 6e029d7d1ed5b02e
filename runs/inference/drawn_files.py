"""Which files `--save` writes, and that none of them takes the place of a file that is not a drawing.

Every drawing says what it is, in the comment of its video or picture: it may be drawn anew. Torch-free.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from runs.inference.inputs import InputError

MARK = "drawn by runs/predict.py"
"""The comment in every file that is drawn."""


def drawing_names(paths: Sequence[str]) -> list[str]:
    """A file name (without suffix) for each video: its own, numbered where several have the same."""
    stems = [Path(path).stem for path in paths]
    times, taken = Counter(stems), set(stems)
    names: list[str] = []
    for stem in stems:
        numbered = (f"{stem}~{number}" for number in count(1))
        names.append(stem if times[stem] == 1 else next(name for name in numbered if name not in taken))
        taken.add(names[-1])
    return names


def drawn_files(folder: Path, name: str, style: str, *, timeline: bool) -> list[Path]:
    """What is drawn of one video: `style` is video or sheet; with a timeline, its plot comes first."""
    plots = [folder / f"{name}_timeline.png"] if timeline else []
    return [*plots, folder / f"{name}{'.mp4' if style == 'video' else '.png'}"]


def check_drawings(folder: Path, videos: Sequence[str], style: str, *, timeline: bool) -> None:
    """Raises InputError when a file to be drawn into `folder` is there and no drawing, or is an input, or
    when two would have one name.
    """
    files = [
        path for name in drawing_names(videos) for path in drawn_files(folder, name, style, timeline=timeline)
    ]
    originals = _identities(videos)
    for path, times in Counter(files).items():
        if times > 1:
            raise InputError(f"two drawings would be called {path}; rename one of the videos")
        if not os.path.lexists(path):
            continue
        if _identities([path]) & originals:
            raise InputError(f"{path} is one of the videos, and would be replaced: give another --save")
        if not _is_drawing(path):
            raise InputError(
                f"{path} is there already and was not drawn by this command; give another --save"
            )


def check_output_is_no_input(output: Path, inputs: Sequence[str]) -> None:
    """Raises InputError when `output` would replace one of the `inputs`."""
    if _identities([output]) & _identities(inputs):
        raise InputError(f"{output} is one of the inputs, and would be replaced: give another --output")


def _identities(paths: Iterable[str | Path]) -> set[tuple[int, int]]:
    """What a file is known by, under whatever names; those that are not there have none."""
    found = set()
    for path in paths:
        with suppress(OSError):
            stat = os.stat(os.path.expanduser(path))
            found.add((stat.st_dev, stat.st_ino))
    return found


def _is_drawing(path: Path) -> bool:
    if path.suffix == ".png":
        from PIL import Image

        try:
            with Image.open(path) as picture:
                return picture.info.get("Comment") == MARK
        except OSError:
            return False
    import av

    try:
        with av.open(str(path)) as container:
            return container.metadata.get("comment") == MARK
    except (av.FFmpegError, OSError):
        return False
