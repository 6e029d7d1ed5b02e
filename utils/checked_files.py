"""Files that were downloaded earlier, held to their hash whenever they are used."""

from __future__ import annotations

import contextlib
from pathlib import Path

from utils.atomic import replacing
from utils.checksum import recorded_sha256, sha256_of, sidecar_path
from utils.download import DownloadError


def check_before_use(path: Path, sha256: str | None, memory: Path, remedy: str) -> None:
    """Checks an existing file against the published hash or the recorded one; where neither is known, it is
    taken as it is.

    memory: a small file that remembers which file was found right, so that one which has not changed since
    (by size and time) is not read again. Raises DownloadError on a mismatch, which ends with the remedy.
    """
    try:
        expected = sha256.lower() if sha256 else recorded_sha256(path)
        if expected is None:
            return
        state = path.stat()
        checked = f"{expected} {state.st_size} {state.st_mtime_ns} {path.resolve()}"
        if memory.is_file() and memory.read_text(encoding="utf-8", errors="replace") == checked:
            return
        digest = sha256_of(path)
    except (OSError, ValueError) as error:
        raise DownloadError(f"cannot check {path}: {error}") from error
    if digest != expected:
        if not sha256:
            record = sidecar_path(path).name
            remedy += f"; if another file is meant, delete {record}, too, which holds the expected hash"
        raise DownloadError(
            f"{path}: SHA-256 is {digest}, expected {expected}: it is damaged, or another file under this "
            f"name; {remedy}"
        )
    # Where nothing can be remembered, the file is read again next time.
    with contextlib.suppress(OSError), replacing(str(memory)) as unfinished:
        Path(unfinished).write_text(checked, encoding="utf-8")
