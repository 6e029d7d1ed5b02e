"""Videos in tar shards, for clusters whose storage dislikes millions of small files.

    prepare.py shard:   videos ──► shard-000000.tar, shard-000001.tar, … and shards.csv
    reading:            path ──shards.csv──► shard ──webdataset, once──► all its videos into the local cache

A shard is read in one go, from disk or through fsspec, and its videos are then local files in a FileCache, so
order, splits and resumption are those of any other collection, and the annotations stay the same.
``shards.csv`` has the columns path, shard. Any tar files will do that hold the videos under their paths.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from datasets.annotations.files import is_url, join
from datasets.decoding.reader import VideoReader, VideoReadError
from datasets.remote import FIRST_PAUSE, FileCache, NoSuchFileError, RemoteError, with_retries

INDEX = "shards.csv"


def read_index(root: str, pause: float = FIRST_PAUSE) -> dict[str, str] | None:
    """{path: shard} of the shards below ``root``, a folder or a URL; None where there is no index.

    ``pause``: seconds before a URL is tried again. Raises ValueError when the index is none, and when a
    server does not tell whether there is one.
    """
    place = join(root, INDEX)
    if not is_url(root) and not os.path.exists(place):
        return None  # without fsspec, which is an extra
    content = bytearray()

    def read() -> None:
        try:
            with _open(place) as file:
                content[:] = file.read()
        except PermissionError:  # which some object stores say of a file that is not there
            raise FileNotFoundError(place) from None

    try:
        with_retries(read, pause)
    except NoSuchFileError:
        return None
    except RemoteError as error:
        raise ValueError(
            f"{place}, which tells whether the videos are in shards: {error}. "
            "Remedy: check the address, the network, and the credentials in the environment"
        ) from error
    rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    if not rows or rows[0] != ["path", "shard"]:
        raise ValueError(f"{place} does not begin with the columns path,shard")
    return {row[0]: row[1] for row in rows[1:]}


def _open(place: str) -> Any:
    """A binary file, local or remote."""
    from fsspec import open as open_anywhere

    return open_anywhere(place, "rb").open()


@dataclass
class ShardSource:
    """The videos in the shards below ``root``; picklable, since every worker gets one."""

    root: str
    shards: dict[str, str]
    """Shard of each path, as ``read_index`` gives it."""
    open_local: Callable[[str], VideoReader]
    cache: FileCache

    def __call__(self, path: str) -> VideoReader:
        """Open the video of a record. Raises VideoReadError."""
        if path not in self.shards:
            raise VideoReadError(path, "shards", f"no shard holds it, according to {INDEX}")
        root = self.root if is_url(self.root) else os.path.abspath(self.root)  # the cache is every project's
        shard = join(root, self.shards[path])
        try:
            state = self.cache.state(shard)
            local = self.cache.find(f"{shard}/{path}", state) or self._fetch(shard, state, path)
        except RemoteError as error:
            raise VideoReadError(f"{shard}/{path}", "shards", str(error)) from error
        try:
            return self.open_local(local)
        except VideoReadError as error:
            raise VideoReadError(f"{shard}/{path}", error.backend, error.cause) from error

    def _fetch(self, shard: str, state: str, path: str) -> str:
        """Put the videos of a shard into the cache; the path of one of them. Raises RemoteError."""

        def unpack() -> None:
            from webdataset.tariterators import tar_file_iterator

            with _open(shard) as file:
                for member in tar_file_iterator(file):
                    name = f"{shard}/{member['fname'].removeprefix('./')}"
                    if self.cache.find(name, state) is None:
                        self.cache.put(name, state, member["data"])

        self.cache.with_retries(unpack)
        local = self.cache.find(f"{shard}/{path}", state)
        if local is None:
            raise RemoteError("the shard does not hold it, though its index says so")
        return local
