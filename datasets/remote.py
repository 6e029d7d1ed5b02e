"""Videos at URLs, kept in a local folder of bounded size.

    URL ──fsspec, with retries──► file in the cache ──► path for the decoder

Whatever fsspec opens will do: s3://, gs://, https://, hdfs://, memory:// …; fsspec and the package for
the kind of URL (s3fs, gcsfs, aiohttp …) are extras, and credentials come from their own environment.
Several processes may share a cache: files appear whole, and those used longest ago are removed first.
A file is kept under the state of its origin (size, date, ETag), which every process asks for once: what was
replaced there is fetched anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from datasets.annotations.files import is_url, join
from datasets.annotations.video_paths import without_query
from datasets.decoding.reader import VideoReader, VideoReadError
from utils.atomic import replacing

ATTEMPTS = 4
FIRST_PAUSE = 0.5  # seconds before the second attempt; doubled before each further one
KEEP_SECONDS = 60.0
"""A file used within this time is not removed: another process may be about to open it."""


KNOWN_STATES = 100_000
"""So many states of origins are remembered; then they are asked for again."""
_STATE_KEYS = (
    "size",
    "ETag",
    "etag",
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
    "created",
)


class RemoteError(RuntimeError):
    """A remote file that cannot be had."""


class NoSuchFileError(RemoteError):
    """A remote file that is not there, as its server says."""


def default_cache_folder() -> str:
    """Where remote files are kept unless DATA.CACHE_DIR says otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "dist-video", "videos")


@dataclass
class FileCache:
    """Local copies of remote files; ``max_bytes`` is what they may take together.

    Picklable; the bound is kept to about 1 % for every process that uses the same folder.
    """

    folder: str
    max_bytes: int
    pause: float = FIRST_PAUSE
    keep_seconds: float = KEEP_SECONDS
    _unaccounted: int = 0  # bytes fetched since the folder was last looked through
    _looked_through: bool = False
    _states: dict[str, str] = field(default_factory=dict, repr=False)

    def fetch(self, url: str) -> str:
        """Path of the local copy of ``url``, which is fetched when it is missing. Raises RemoteError."""
        state = self.state(url)
        path = self.find(url, state)
        if path is not None:
            return path
        path = self.path_of(url, state)

        def copy() -> None:
            with replacing(path) as unfinished:
                _copy(url, unfinished)

        self.with_retries(copy)
        self._account(os.path.getsize(path))
        return path

    def state(self, origin: str) -> str:
        """What tells whether the file at a path or URL has been replaced; asked for once. Raises
        RemoteError.
        """

        def ask() -> None:
            state = state_of(origin)
            if len(self._states) >= KNOWN_STATES:
                self._states.clear()
            self._states[origin] = state

        if origin not in self._states:
            self.with_retries(ask)
        return self._states[origin]

    def find(self, name: str, state: str) -> str | None:
        """Path of what is kept under ``name`` (a URL, or another name) and the state of its origin, or None;
        it counts as used now."""
        path = self.path_of(name, state)
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def put(self, name: str, state: str, content: bytes) -> None:
        """Keep ``content`` under ``name`` and the state of its origin."""
        with replacing(self.path_of(name, state)) as unfinished, open(unfinished, "wb") as file:
            file.write(content)
        self._account(len(content))

    def path_of(self, name: str, state: str) -> str:
        """Where the file called ``name`` is, or would be."""
        digest = hashlib.sha256(f"{name}\n{state}".encode()).hexdigest()
        suffix = os.path.splitext(name.split("?", 1)[0])[1]
        return os.path.join(self.folder, digest[:2], digest[2:] + suffix)

    def with_retries(self, action: Callable[[], None]) -> None:
        """The function of this name, with the pauses of this cache. Raises RemoteError."""
        with_retries(action, self.pause)

    def _account(self, new_bytes: int) -> None:
        self._unaccounted += new_bytes
        if not self._looked_through or self._unaccounted > self.max_bytes // 100:
            self.shrink()

    def shrink(self) -> None:
        """Remove the files used longest ago until at most ``max_bytes`` are left."""
        self._unaccounted, self._looked_through = 0, True
        files = sorted(_files_with_use(self.folder))
        excess = sum(size for _, size, _ in files) - self.max_bytes
        newest_to_remove = time.time() - self.keep_seconds
        for used, size, path in files:
            if excess <= 0 or used > newest_to_remove:
                break
            with suppress(FileNotFoundError):  # another process was faster
                os.remove(path)
            excess -= size


def with_retries(action: Callable[[], None], pause: float = FIRST_PAUSE) -> None:
    """Call ``action`` until it succeeds, ATTEMPTS times at most, with pauses. Raises RemoteError, for a file
    that is not there NoSuchFileError.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(pause * 2 ** (attempt - 1))
        try:
            return action()
        except FileNotFoundError as error:
            if not _is_hiccup(error):
                raise NoSuchFileError("there is no such file") from error
            last: BaseException = error.__cause__ or error
        except ImportError as error:
            raise RemoteError(f"{error}: install what fsspec needs for this kind of URL") from error
        except Exception as error:  # noqa: BLE001  # every protocol has exceptions of its own
            last = error
    description = f"{type(last).__name__}: {last}"
    raise RemoteError(f"{ATTEMPTS} attempts failed, the last with {description}") from last


def _files_with_use(folder: str) -> list[tuple[float, int, str]]:
    """(time of last use, bytes, path) of every file in the cache."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with suppress(FileNotFoundError):
                status = os.stat(path)
                found.append((status.st_mtime, status.st_size, path))
    return found


def _is_hiccup(error: FileNotFoundError) -> bool:
    """Whether fsspec's HTTP says "no such file" of a server that is overloaded or cannot be reached."""
    cause = error.__cause__
    if cause is None or isinstance(cause, FileNotFoundError):
        return False
    status = getattr(cause, "status", None)
    if status is not None:
        return status == 429 or status >= 500
    unreachable = isinstance(cause, (OSError, asyncio.TimeoutError))  # a name that is unknown, too
    return unreachable or type(cause).__module__.startswith("aiohttp.")  # cut off before an answer


def state_of(origin: str) -> str:
    """Size, date and ETag of a file at a path or URL, as far as they are told without reading it."""
    if not is_url(origin):
        status = os.stat(origin)
        return f"size={status.st_size} mtime={status.st_mtime_ns}"
    from fsspec.core import url_to_fs

    filesystem, place = url_to_fs(origin)
    info = filesystem.info(place)
    return " ".join(f"{key}={info[key]}" for key in _STATE_KEYS if info.get(key) is not None)


def _copy(url: str, path: str) -> None:
    from fsspec.core import url_to_fs

    filesystem, place = url_to_fs(url)
    expected = filesystem.info(place).get("size")
    filesystem.get_file(place, path)
    received = os.path.getsize(path)
    if expected is not None and received != expected:
        raise OSError(f"{received} of {expected} bytes arrived")


def _place_of(root: str, path: str) -> str:
    """Path or URL of a video below a root; in a web address "#" and "?" would end its name, but for the "?"
    of a query behind the extension.
    """
    on_the_web = root.rpartition("::")[2].startswith(("http://", "https://"))
    if on_the_web and not is_url(path) and not os.path.isabs(path):
        name = without_query(path)
        query = path[len(name) :]
        # the rest is quoted where it must be, and once
        path = name.replace("#", "%23").replace("?", "%3F") + query.replace("#", "%23")
    return join(root, path)


@dataclass
class VideoSource:
    """The videos below a root, which is a folder or a URL; picklable, since every worker gets one."""

    root: str
    open_local: Callable[[str], VideoReader]
    """Opens a local file: ``open_video`` with its settings filled in."""
    cache: FileCache | None = None
    """Needed for URLs."""

    def __call__(self, path: str) -> VideoReader:
        """Open the video of a record. Raises VideoReadError."""
        place = _place_of(self.root, path)
        if not is_url(place):
            return self.open_local(place)
        if self.cache is None:
            raise ValueError(f"{place} is remote, and no cache is given")
        try:
            local = self.cache.fetch(place)
        except RemoteError as error:
            raise VideoReadError(place, "fsspec", str(error)) from error
        try:
            return self.open_local(local)
        except VideoReadError as error:
            raise VideoReadError(place, error.backend, error.cause) from error
