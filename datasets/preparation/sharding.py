"""Videos as they are in large tar files, which ``datasets/shards.py`` reads.

paths ──► those not done ──► groups of about 500 MB ──► shard-000000.tar, … ──► copied.csv ──► shards.csv

Done is what lies in a shard that is there, with the size and date that the video has now. A shard is written
once: what comes later, another split or a changed video, goes into shards of the next numbers.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence

from datasets.preparation.jobs import STATE, Summary, file_state, problems_before
from datasets.preparation.journal import PROBLEM, Journal
from datasets.shards import INDEX, read_index
from utils.atomic import replacing

SHARD_BYTES = 500_000_000
JOURNAL = "copied.csv"
FACTS = (*STATE, "shard")

States = Mapping[str, Mapping[str, str]]
"""Size and date of each video, by its path."""


def write_shards(root: str, paths: Sequence[str], target: str, max_bytes: int = SHARD_BYTES) -> Summary:
    """Write the videos at ``paths`` below ``root`` into shards in ``target``, as far as they are not there.

    They keep their paths. What is no file that can be read is left out, and the summary has the reason. The
    index is written last, so that it never has less than the call before wrote.
    """
    paths = list(dict.fromkeys(map(posixpath.normpath, paths)))  # "./a" is found as "a"
    states = {path: file_state(os.path.join(root, path)) for path in paths}
    with Journal(os.path.join(target, JOURNAL), FACTS) as journal:
        index = _known_shards(journal, target)
        first = _next_number(index.values())
        index = {path: name for path, name in index.items() if os.path.exists(os.path.join(target, name))}
        problems = {path: problem for path in paths if (problem := _obstacle(os.path.join(root, path)))}
        for path, problem in problems.items():
            journal.add(path, problem, states[path])
        todo = [path for path in paths if path not in problems and not _is_done(path, index, journal, states)]
        done = len(paths) - len(problems) - len(todo)
        for name, group, failed in _write_groups(root, todo, states, target, first, max_bytes):
            for path in group:
                shard = "" if path in failed else name
                journal.add(path, failed.get(path, ""), {**states[path], "shard": shard})
            index |= {path: name for path in group if path not in failed}
            problems |= failed
        before = problems_before(journal, root, states)
    _write_index(target, index)
    return Summary(len(paths), done, problems, before)


def _known_shards(journal: Journal, target: str) -> dict[str, str]:
    """{path: shard} of the index, and of a call that did not come to write it."""
    noted = {path: row["shard"] for path, row in journal.rows.items() if row["shard"]}
    return (read_index(target) or {}) | noted


def _next_number(shards: Iterable[str]) -> int:
    found = [re.fullmatch(r"shard-(\d+)\.tar", name) for name in set(shards)]
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _is_done(path: str, index: Mapping[str, str], journal: Journal, states: States) -> bool:
    """Whether a video lies in a shard as it is now; of shards without journal, their index is believed."""
    return path in index and (path not in journal.rows or journal.has(path, {PROBLEM: "", **states[path]}))


def _obstacle(place: str) -> str:
    """Why what is at a place cannot be put into a shard; empty where it can."""
    if os.path.isdir(place):
        return "it is a folder of frames: pack it first (prepare.py pack)"
    if place.encode(errors="ignore").decode() != place:
        return "its name is no UTF-8, as shards need: rename it"
    return "" if os.path.exists(place) else "there is no such file"


def _write_groups(
    root: str, paths: Sequence[str], states: States, target: str, first: int, max_bytes: int
) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Write shards, numbered from ``first``: of each its name, its videos, and why some are not in."""
    from tqdm import tqdm

    with tqdm(total=len(paths), desc="shard", unit="video", disable=None) as bar:
        for number, group in enumerate(_groups(paths, states, max_bytes), start=first):
            name, failed = f"shard-{number:06d}.tar", {}
            with replacing(os.path.join(target, name)) as unfinished, tarfile.open(unfinished, "w") as shard:
                for path in group:
                    if problem := _add(shard, path, os.path.join(root, path)):
                        failed[path] = problem
                    bar.update()
            yield name, group, failed


def _groups(paths: Sequence[str], states: States, max_bytes: int) -> Iterator[list[str]]:
    """The paths in their order, cut where the files of a group would take more than ``max_bytes``."""
    group: list[str] = []
    total = 0
    for path in paths:
        size = int(states[path]["bytes"])
        if group and total + size > max_bytes:
            yield group
            group, total = [], 0
        group.append(path)
        total += size
    if group:
        yield group


def _add(shard: tarfile.TarFile, path: str, place: str) -> str:
    """Put a file into a shard under its path; why it cannot be read, or nothing."""
    try:
        with open(place, "rb") as file:
            content = file.read()  # first, so that a file that breaks off leaves the shard whole
    except OSError as error:
        return error.strerror or str(error)
    member = tarfile.TarInfo(path)
    member.size, member.mtime = len(content), int(os.path.getmtime(place))
    shard.addfile(member, io.BytesIO(content))
    return ""


def _write_index(target: str, index: Mapping[str, str]) -> None:
    place = os.path.join(target, INDEX)
    with replacing(place) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "shard"), *index.items()])
