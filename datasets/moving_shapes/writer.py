"""Writing the "moving shapes" data set: configuration -> mp4 files, annotation lists, manifest.

    ROOT/manifest.json               configuration and fingerprint of the clips
    ROOT/videos/{train,test}/00000.mp4 ...
    ROOT/annotations/motion/         {train,test}.csv with path,label and classes.txt
    ROOT/annotations/{colour,shape,appearance}/   the same for other questions about the same clips
    ROOT/annotations/captions/       {train,test}.csv with path,caption (test: one clip for each caption)

Every file appears whole or not at all, so an interrupted generation goes on where it stopped, and a finished
one has nothing left to do.
"""

from __future__ import annotations

import csv
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets.moving_shapes.appearance import COLOURS, SHAPES
from datasets.moving_shapes.captions import appearance_caption, motion_caption
from datasets.moving_shapes.config import MovingShapesConfig
from datasets.moving_shapes.encoding import write_clip
from datasets.moving_shapes.rendering import render_frames
from datasets.moving_shapes.scene import MOTION_NAMES
from datasets.moving_shapes.splits import SPLITS, Clip, Split, draw_split

DRAWING_VERSION = 1
"""Raised when equal scenes would be rendered or encoded to other files than before."""

CLIPS_PER_TASK = 16

Task = tuple[MovingShapesConfig, Path, Sequence[Clip]]

LABELS: dict[str, tuple[tuple[str, ...], Callable[[Clip], str]]] = {
    "motion": (MOTION_NAMES, lambda clip: clip.scene.label),
    "colour": (tuple(COLOURS), lambda clip: clip.scene.colour),
    "shape": (tuple(SHAPES), lambda clip: clip.scene.shape),
    "appearance": (
        tuple(appearance_caption(colour, shape) for colour in COLOURS for shape in SHAPES),
        lambda clip: appearance_caption(clip.scene.colour, clip.scene.shape),
    ),
}
"""Question about a clip -> class names in order, and the answer."""


class DataSetMismatchError(ValueError):
    """The folder holds a data set of other parameters."""


def generate(config: MovingShapesConfig, root: Path, *, num_workers: int = 0) -> int:
    """Make sure that `root` holds the data set; returns the number of clips that had to be written.

    `num_workers` processes render and encode beside each other; 0 works in this process.

    Raises:
        DataSetMismatchError: `root` holds a data set of another configuration.
    """
    splits = {split: draw_split(config, split) for split in SPLITS}
    _claim(root, config, _fingerprint(config, splits))
    missing = [clip for clips in splits.values() for clip in clips if not (root / clip.path).exists()]
    _write_clips(config, root, missing, num_workers)
    for split, clips in splits.items():
        _write_annotations(root / "annotations", split, clips)
    return len(missing)


def _write_clips(config: MovingShapesConfig, root: Path, clips: Sequence[Clip], num_workers: int) -> None:
    starts = range(0, len(clips), CLIPS_PER_TASK)
    tasks = [(config, root, clips[start : start + CLIPS_PER_TASK]) for start in starts]
    with tqdm(total=len(clips), desc="moving shapes", unit="clip", disable=None, dynamic_ncols=True) as bar:
        for paths in _run_tasks(tasks, num_workers):
            bar.update(len(paths))


def _run_tasks(tasks: Sequence[Task], num_workers: int) -> Iterator[list[str]]:
    """Paths of the clips of each task, as they get written."""
    if num_workers <= 1 or len(tasks) <= 1:
        yield from map(_write_task, tasks)
        return
    # Fresh processes: a fork of a process whose libraries hold threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(num_workers, len(tasks)), mp_context=context) as pool:
        yield from pool.map(_write_task, tasks)


def _write_task(task: Task) -> list[str]:
    config, root, clips = task
    for clip in clips:
        frames = render_frames(clip.scene, np.arange(config.num_frames), config.frame_size)
        write_clip(root / clip.path, frames, fps=config.fps, quantiser=config.quantiser)
    return [clip.path for clip in clips]


def _write_annotations(folder: Path, split: Split, clips: Sequence[Clip]) -> None:
    for question, (names, answer) in LABELS.items():
        rows = [(clip.path, answer(clip)) for clip in clips]
        write_csv(folder / question / f"{split}.csv", ("path", "label"), rows)
        write_text(folder / question / "classes.txt", "".join(f"{name}\n" for name in names))
    captions = [(clip.path, motion_caption(clip.scene)) for clip in clips]
    if split == "test":
        captions = _first_of_each_caption(captions)
    write_csv(folder / "captions" / f"{split}.csv", ("path", "caption"), captions)


def _first_of_each_caption(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Rows whose caption is new: a query that fits several clips would have no single right answer."""
    first: dict[str, str] = {}
    for path, caption in rows:
        first.setdefault(caption, path)
    return [(path, caption) for caption, path in first.items()]


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A CSV file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def write_text(path: Path, text: str) -> None:
    """A text file, as a whole; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _fingerprint(config: MovingShapesConfig, splits: dict[Split, list[Clip]]) -> str:
    content = repr((DRAWING_VERSION, config, splits))
    return hashlib.sha256(content.encode()).hexdigest()


def _claim(root: Path, config: MovingShapesConfig, fingerprint: str) -> None:
    """Leave a manifest in `root`, unless the one that is there belongs to other clips."""
    path = root / "manifest.json"
    if path.exists():
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["fingerprint"] != fingerprint:
            raise DataSetMismatchError(
                f"{root} holds moving shapes of other parameters ({manifest['config']}): "
                "generate into another folder, or remove this one"
            )
    content = {"fingerprint": fingerprint, "config": asdict(config)}
    write_text(path, json.dumps(content, indent=2) + "\n")
    for split in SPLITS:
        (root / "videos" / split).mkdir(parents=True, exist_ok=True)
