"""Videos as they are in large tar files, which ``datasets/shards.py`` reads.

paths ──► groups of about 500 MB ──tarfile──► shard-000000.tar, shard-000001.tar, … ──► shards.csv
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
import tarfile
from collections.abc import Iterator, Sequence

from datasets.preparation.jobs import Summary
from datasets.shards import INDEX
from utils.atomic import replacing

SHARD_BYTES = 500_000_000


def write_shards(root: str, paths: Sequence[str], target: str, max_bytes: int = SHARD_BYTES) -> Summary:
    """Write the videos at ``paths`` below ``root`` into shards in ``target``, under their paths.

    A path at which there is no file that can be read is left out, and the summary has the reason. The index
    is written last: a folder without it is unfinished.
    """
    from tqdm import tqdm

    paths = list(dict.fromkeys(map(posixpath.normpath, paths)))  # "./a" is found as "a"
    problems = {path: problem for path in paths if (problem := _obstacle(os.path.join(root, path)))}
    index: list[tuple[str, str]] = []
    with tqdm(total=len(paths), initial=len(problems), desc="shard", unit="video", disable=None) as bar:
        groups = _groups(root, [path for path in paths if path not in problems], max_bytes)
        for number, group in enumerate(groups):
            name = f"shard-{number:06d}.tar"
            with replacing(os.path.join(target, name)) as unfinished, tarfile.open(unfinished, "w") as shard:
                for path in group:
                    problem = _add(shard, path, os.path.join(root, path))
                    if problem:
                        problems[path] = problem
                    else:
                        index.append((path, name))
                    bar.update()
    place = os.path.join(target, INDEX)
    with replacing(place) as unfinished, open(unfinished, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("path", "shard"), *index])
    return Summary(len(paths), 0, problems)


def _obstacle(place: str) -> str:
    """Why what is at a place cannot be put into a shard; empty where it can."""
    if os.path.isdir(place):
        return "it is a folder of frames: pack it first (prepare.py pack)"
    return "" if os.path.exists(place) else "there is no such file"


def _groups(root: str, paths: Sequence[str], max_bytes: int) -> Iterator[list[str]]:
    """The paths in their order, cut where the files of a group would take more than ``max_bytes``."""
    group: list[str] = []
    total = 0
    for path in paths:
        size = os.path.getsize(os.path.join(root, path))
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
