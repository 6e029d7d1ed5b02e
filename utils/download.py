"""Files from the internet: whole and checked, or not at all.

`download_file(source, destination)` fetches an address (or asks an opener, see `OpenResponse`) into
`<destination>.part`, resumes it by HTTP range after an interruption, checks length and SHA-256, and renames
it in one step. What has arrived is kept across failures and runs, together with what identifies the remote
file (`<destination>.part.json`), so that two versions of a file are never joined.

    open ──► receive ──► length ──► SHA-256 ──► rename ──► sidecar
     ▲          │
     └─ pause ◄─┘ a fault that may pass: open again from where it stopped

Faults that may pass (connection lost, time-out, server errors) are retried with growing pauses; a fault that
will not (404, wrong hash, a web page instead of a file) fails at once. Every failure is a `DownloadError` of
one line.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from utils.checksum import record_sha256, recorded_sha256, sha256_of
from utils.locking import LocksUnsupportedError, try_lock

OpenResponse = Callable[[Mapping[str, str], float], http.client.HTTPResponse]
"""(request headers, time-out in seconds) -> the response whose body is the file."""
Progress = Callable[[int, int | None], None]
"""(bytes there are, bytes in all or None) -> None; called after every chunk."""

USER_AGENT = "Mozilla/5.0 (video model downloader)"
_CHUNK_BYTES = 1 << 18
_LONGEST_PAUSE = 30.0
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class DownloadError(RuntimeError):
    """A file could not be obtained; the message is one line that says what to do."""


class _PassingError(Exception):
    """A fault that another attempt may not meet."""


@dataclass(frozen=True)
class TransferSettings:
    """How patient a download is."""

    timeout: float = 30.0
    """Seconds to wait for data; also the window in which at least `least_bytes` must arrive."""
    least_bytes: int = 1024
    """Bytes per `timeout` below which a connection counts as stalled."""
    attempts: int = 5
    """Attempts in a row that bring nothing new before the download fails."""
    backoff: float = 1.0
    """Seconds of pause before the second attempt; doubled after each, 30 at most."""


def download_file(
    source: str | OpenResponse,
    destination: Path,
    *,
    identity: str | None = None,
    sha256: str | None = None,
    settings: TransferSettings | None = None,
    progress: Progress | None = None,
) -> str:
    """Fetches `source` into `destination` and returns the file's SHA-256.

    source: an http(s) address, or an opener for sources that need more than one request.
    identity: what the file is called in messages and in the resume record; the address by default.
    sha256: the published hash, when there is one. Without one, the hash is recorded in the sidecar.
    Raises DownloadError; `destination` is then as it was before.
    """
    opener = open_url(source) if isinstance(source, str) else source
    name = identity or (source if isinstance(source, str) else destination.name)
    part = _PartialFile(destination, name)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with part.locked():
            if destination.is_file():  # another process has finished it while this one waited
                return verify_file(destination, sha256)
            _receive_all(opener, part, settings or TransferSettings(), progress)
            digest = sha256_of(part.path)
            if sha256 is not None and digest != sha256.lower():
                part.discard()
                raise DownloadError(
                    f"{name}: SHA-256 is {digest}, expected {sha256.lower()}; the file was discarded "
                    "(damaged on the way, or replaced at its source)"
                )
            part.finish()
        record_sha256(destination, digest)
    except OSError as error:
        raise DownloadError(f"{name}: cannot write {destination}: {error}") from error
    return digest


def copy_file(source: Path, destination: Path, *, sha256: str | None = None) -> str:
    """Copies a local file with the same promises as `download_file`; returns its SHA-256."""
    part = _PartialFile(destination, str(source))
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with part.locked():
            shutil.copyfile(source, part.path)
            digest = sha256_of(part.path)
            if sha256 is not None and digest != sha256.lower():
                part.discard()
                raise DownloadError(
                    f"{source}: SHA-256 is {digest}, expected {sha256.lower()}; nothing was copied"
                )
            part.finish()
        record_sha256(destination, digest)
    except OSError as error:
        raise DownloadError(f"cannot copy {source} to {destination}: {error}") from error
    return digest


def verify_file(path: Path, sha256: str | None = None) -> str:
    """Checks an existing file against the published hash or the recorded one; returns its hash.

    A file with neither gets its hash recorded. Raises DownloadError on a mismatch.
    """
    try:
        expected = sha256.lower() if sha256 else recorded_sha256(path)
        digest = sha256_of(path)
        if expected is None:
            record_sha256(path, digest)
    except (OSError, ValueError) as error:
        raise DownloadError(f"cannot check {path}: {error}") from error
    if expected is not None and digest != expected:
        raise DownloadError(
            f"{path}: SHA-256 is {digest}, expected {expected}; delete the file and its .sha256 "
            "to download it again"
        )
    return digest


def open_url(url: str) -> OpenResponse:
    """An opener for a plain http(s) address; redirects are followed."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"{url}: only http and https addresses can be downloaded")

    def open_response(headers: Mapping[str, str], timeout: float) -> http.client.HTTPResponse:
        request = urllib.request.Request(url, headers=dict(headers))
        return urllib.request.urlopen(request, timeout=timeout)

    return open_response


_MESSAGES = ("application/json", "application/xml", "text/xml")
"""Types of answers that tell a program what went wrong; no weights file has one."""


def is_web_page(response: http.client.HTTPResponse) -> bool:
    """Whether a response is HTML, which no weights file is."""
    return response.headers.get_content_type() == "text/html"


class _PartialFile:
    """`<destination>.part`, and the record of which remote file it is a part of."""

    def __init__(self, destination: Path, identity: str) -> None:
        self.destination = destination
        self.identity = identity
        self.path = destination.with_name(destination.name + ".part")
        self.record_path = destination.with_name(destination.name + ".part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def record(self) -> dict[str, str | int | None]:
        """What is known of the remote file; {} when the part belongs to another one."""
        try:
            record = json.loads(self.record_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) and record.get("identity") == self.identity else {}

    def remember(self, validator: str | None, total: int | None) -> None:
        record = {"identity": self.identity, "validator": validator, "total": total}
        self.record_path.write_text(json.dumps(record), encoding="utf-8")

    def restart(self) -> None:
        """Empties the part (in place: the lock stays on it)."""
        with self.path.open("r+b") as stream:
            stream.truncate(0)
        self.record_path.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.record_path.unlink(missing_ok=True)

    def finish(self) -> None:
        os.replace(self.path, self.destination)
        self.record_path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the part for this process; others (the processes of one run) wait until it is let go."""
        with self.path.open("ab") as stream:
            self._wait_for_lock(stream)
            try:
                yield
            finally:
                if not self.size():
                    self.discard()

    def _wait_for_lock(self, stream: BinaryIO) -> None:
        try:
            if not try_lock(stream):
                print(f"{self.path} is being written by another process: waiting for it", file=sys.stderr)
                try_lock(stream, wait=True)
        except LocksUnsupportedError as error:
            print(f"{self.path} cannot be locked ({error}): let one process write it", file=sys.stderr)


def _receive_all(
    opener: OpenResponse, part: _PartialFile, settings: TransferSettings, progress: Progress | None
) -> None:
    """Receives into the part until it is complete, retrying faults that may pass."""
    fruitless = 0
    while True:
        before = part.size()
        try:
            _receive(opener, part, settings, progress)
            return
        except _PassingError as fault:
            fruitless = 0 if part.size() > before else fruitless + 1
            if fruitless >= settings.attempts:
                kept = f"; {part.size()} bytes are kept for the next run" if part.size() else ""
                message = f"{part.identity}: {fault} (gave up after {fruitless} attempts{kept})"
                raise DownloadError(message) from fault
        time.sleep(min(settings.backoff * 2 ** max(fruitless - 1, 0), _LONGEST_PAUSE))


def _receive(
    opener: OpenResponse, part: _PartialFile, settings: TransferSettings, progress: Progress | None
) -> None:
    """One attempt: opens the source where the part ends, and appends what comes."""
    try:
        with opener(_request_headers(part), settings.timeout) as response:
            total = _begin(response, part)
            if part.size() != total:
                _append(response, part, total, settings, progress)
    except urllib.error.HTTPError as error:
        _judge_status(error, part)
    except urllib.error.URLError as error:
        if isinstance(error.reason, (socket.gaierror, ssl.SSLCertVerificationError)):
            raise DownloadError(
                f"{part.identity}: cannot reach the server: {error.reason} (no network?)"
            ) from error
        raise _PassingError(f"cannot reach the server: {error.reason}") from error
    except TimeoutError as error:
        raise _PassingError(str(error) or f"no data for {settings.timeout:g} s") from error
    except (http.client.HTTPException, ConnectionError, ssl.SSLError) as error:
        raise _PassingError(f"the connection broke: {error or type(error).__name__}") from error


def _request_headers(part: _PartialFile) -> dict[str, str]:
    """Headers that ask for what the part lacks; a part of unknown origin starts anew."""
    headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    record = part.record()
    if part.size() and not record:
        part.restart()
    if part.size():
        headers["Range"] = f"bytes={part.size()}-"
        validator = record.get("validator")
        if isinstance(validator, str):
            headers["If-Range"] = validator
    return headers


def _begin(response: http.client.HTTPResponse, part: _PartialFile) -> int | None:
    """Reads a response's headers, empties a part that they do not continue, and returns the file's size."""
    if is_web_page(response):
        raise DownloadError(
            f"{part.identity}: the server sent a web page instead of the file ({response.url})"
        )
    if response.headers.get_content_type() in _MESSAGES:
        raise DownloadError(
            f"{part.identity}: the server sent a message instead of the file ({response.url})"
        )
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() else None
    if response.status == http.client.PARTIAL_CONTENT:
        first, total = _content_range(response.headers.get("Content-Range", ""))
        record = part.record()
        known, version = record.get("total"), record.get("validator")
        # whatever it was asked for: some servers ignore If-Range
        other = version is not None and _validator(response) not in (None, version)
        if first != part.size() or (known is not None and known != total) or other:
            part.restart()
            raise _PassingError("the server's range does not continue what is here; starting over")
    elif part.size():
        part.restart()
    if total == 0:
        raise DownloadError(f"{part.identity}: the server sent an empty file ({response.url})")
    part.remember(_validator(response), total)
    missing = (total or 0) - part.size()
    free = shutil.disk_usage(part.path.parent).free
    if missing > free:
        raise DownloadError(
            f"{part.identity}: {missing} bytes more are needed in {part.path.parent}, {free} are free"
        )
    return total


def _append(
    response: http.client.HTTPResponse,
    part: _PartialFile,
    total: int | None,
    settings: TransferSettings,
    progress: Progress | None,
) -> None:
    """Appends the response's body to the part; a stalled or short body is a fault."""
    window_start, window_bytes = time.monotonic(), 0
    with part.path.open("ab") as stream:
        while chunk := response.read1(_CHUNK_BYTES):
            stream.write(chunk)
            window_bytes += len(chunk)
            if progress is not None:
                progress(stream.tell(), total)
            if time.monotonic() - window_start > settings.timeout:
                if window_bytes < settings.least_bytes:
                    raise TimeoutError(f"only {window_bytes} bytes came in {settings.timeout:g} s")
                window_start, window_bytes = time.monotonic(), 0
    size = part.size()
    if total is not None and size < total:
        raise _PassingError(f"the connection ended after {size} of {total} bytes")
    if total is not None and size > total:
        part.restart()
        raise _PassingError(f"{size} bytes came where {total} were announced; starting over")


def _judge_status(error: urllib.error.HTTPError, part: _PartialFile) -> None:
    """Turns an HTTP error status into the right kind of failure; a satisfied range (416) is none."""
    if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and part.size():
        if error.headers.get("Content-Range") == f"bytes */{part.size()}":
            return
        part.restart()
        raise _PassingError("what is here is longer than the file; starting over") from error
    if error.code in _PASSING_STATUS:
        raise _PassingError(f"the server answered {error.code} {error.reason}") from error
    raise DownloadError(f"{part.identity}: the server answered {error.code} {error.reason}") from error


def _content_range(header: str) -> tuple[int | None, int | None]:
    """First byte and total of a `Content-Range: bytes 100-199/200` header; None for what it does not say."""
    unit, _, rest = header.partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit != "bytes" or not first.isdigit():
        return None, None
    return int(first), int(total) if total.isdigit() else None


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What identifies this version of the file: a strong ETag, else its date."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
