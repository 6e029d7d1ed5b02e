"""Doing something with every video of a collection: parallel, killable, resumable.

paths ──► those not done ──► child processes ──► journal, one line a video ──► Summary

Done is what the journal has without a problem, with the same settings, and with the size and date that the
video has now. What failed is tried again: a time limit, a full memory or a disk may be the cause of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from datasets.decoding import VideoReadError
from datasets.decoding.opening import choose_decoder
from datasets.preparation.checking import CheckTask, VideoFacts, check_video
from datasets.preparation.journal import PROBLEM, Journal
from datasets.preparation.packing import PackTask, pack_video
from datasets.preparation.shrinking import ShrinkTask, shrink_video
from utils.killable import run_killable

STATE = ("bytes", "mtime")
FACTS = (*STATE, "decoder", "frame_count", "fps", "height", "width")
COPY_FACTS = ("source", *STATE, "settings")


@dataclass(frozen=True)
class Workforce:
    """How the work is done."""

    num_workers: int
    time_limit: float
    """Seconds for one video, after which its process is killed and the video counts as unreadable."""
    show_progress: bool = True


@dataclass(frozen=True)
class Summary:
    """What became of a collection."""

    videos: int
    already_done: int
    problems: dict[str, str]
    """Why each of the bad videos is bad, by path below the root."""
    problems_before: dict[str, str]
    """The same of videos of earlier calls, for another split above all: one list serves all."""


def check_all(
    root: str, paths: Sequence[str], journal_file: str, workforce: Workforce, *, decoder: str = "auto"
) -> Summary:
    """Decode all frames of the videos at ``paths`` below ``root``; the journal holds what came out.

    A video that the journal has as sound, as it is now and with this decoder, is not checked again.
    """
    states = {path: file_state(os.path.join(root, path)) | {"decoder": decoder} for path in paths}
    with Journal(journal_file, FACTS) as journal:
        tasks = [
            CheckTask(root, path, decoder)
            for path in paths
            if not journal.has(path, {PROBLEM: "", **states[path]})
        ]

        def note(task: CheckTask, facts: VideoFacts | None, problem: str) -> None:
            known: Mapping[str, object] = asdict(facts) if facts is not None else {}
            journal.add(task.path, problem, {**states[task.path], **known})

        _run(_check, tasks, note, workforce, "check", done=len(paths) - len(tasks))
        problems = {path: journal.rows[path][PROBLEM] for path in paths if journal.rows[path][PROBLEM]}
        before = problems_before(journal, root, states)
    return Summary(len(paths), len(paths) - len(tasks), problems, before)


def convert_all(
    root: str,
    tasks: Sequence[ShrinkTask] | Sequence[PackTask],
    journal_file: str,
    workforce: Workforce,
    label: str,
) -> Summary:
    """Make the copies that are not there yet of videos below ``root``.

    A copy of which the journal does not say that it was made of the video as it is now, and with these
    settings, is made again.
    """
    folder = os.path.dirname(journal_file)
    names = {task.target: os.path.relpath(task.target, folder or ".") for task in tasks}
    states = {task.target: _state_of_copy(task) for task in tasks}
    problems: dict[str, str] = {}
    with Journal(journal_file, COPY_FACTS) as journal:
        todo = [
            task
            for task in tasks
            if not os.path.exists(task.target)
            or not journal.has(names[task.target], {PROBLEM: "", **states[task.target]})
        ]

        def note(task: ShrinkTask | PackTask, frames: int | None, problem: str) -> None:
            journal.add(names[task.target], problem, states[task.target])
            if problem:
                problems[os.path.relpath(task.source, root)] = problem

        def video_of(name: str) -> str:
            return os.path.join(os.path.dirname(name), journal.rows[name]["source"])

        _run(_convert, todo, note, workforce, label, done=len(tasks) - len(todo))
        taken = {os.path.relpath(task.source, root) for task in tasks}
        before = problems_before(journal, root, taken, video_of)
    return Summary(len(tasks), len(tasks) - len(todo), problems, before)


def problems_before(
    journal: Journal, root: str, taken: Collection[str], video_of: Callable[[str], str] = str
) -> dict[str, str]:
    """Problems of the videos that earlier calls took from other lists, by path below ``root``.

    Only of those that are still as they were then. ``taken``: the videos of this call. ``video_of``: a
    video's path, of the path that it has in the journal.
    """
    bad = {video_of(path): (path, row[PROBLEM]) for path, row in journal.rows.items() if row[PROBLEM]}
    return {
        video: problem
        for video, (path, problem) in bad.items()
        if video not in taken and journal.has(path, file_state(os.path.join(root, video)))
    }


def _state_of_copy(task: ShrinkTask | PackTask) -> dict[str, str]:
    """What a copy is made of, and how."""
    source = {"source": os.path.basename(task.source), **file_state(task.source)}
    return {**source, "settings": str(task.settings)}


def _check(task: CheckTask) -> tuple[VideoFacts | None, str]:
    """What there is to know of a video, or what is wrong with it."""
    try:
        return check_video(task), ""
    except VideoReadError as error:
        return None, error.cause


def _convert(task: ShrinkTask | PackTask) -> tuple[int, str]:
    """Frames of the copy, or what is wrong with the original."""
    try:
        return (shrink_video(task) if isinstance(task, ShrinkTask) else pack_video(task)), ""
    except VideoReadError as error:
        return 0, error.cause


def _run(
    function: Callable[[Any], tuple[Any, str]],
    tasks: Sequence[Any],
    note: Callable[[Any, Any, str], None],
    workforce: Workforce,
    label: str,
    done: int,
) -> None:
    from tqdm import tqdm

    bad = 0
    outcomes = run_killable(
        function,
        tasks,
        num_workers=workforce.num_workers,
        time_limit=workforce.time_limit,
        prepare=partial(choose_decoder, tasks[0].decoder) if tasks else None,  # imports it
    )
    disable = None if workforce.show_progress else True  # None: only where a terminal shows it
    with tqdm(total=done + len(tasks), initial=done, desc=label, unit="video", disable=disable) as bar:
        for outcome in outcomes:
            result, problem = outcome.result or (None, outcome.error or "no result")
            note(outcome.item, result, problem)
            bad += bool(problem)
            bar.set_postfix(bad=bad, refresh=False)
            bar.update()


def file_state(path: str) -> dict[str, str]:
    """Bytes of a file, or of all files in a folder, and the latest date of them in ns; -1 for nothing."""
    try:
        status = os.stat(path)
        size, date = status.st_size, status.st_mtime_ns
        if os.path.isdir(path):  # whose own date does not tell that an image was written anew
            with os.scandir(path) as entries:
                inside = [entry.stat() for entry in entries if entry.is_file()]
            size = sum(image.st_size for image in inside)
            date = max([date, *(image.st_mtime_ns for image in inside)])
    except OSError:
        return dict.fromkeys(STATE, "-1")
    return {"bytes": str(size), "mtime": str(date)}
