"""Files that one process has for itself, on file systems that have such locks."""

from __future__ import annotations

import errno
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class LocksUnsupportedError(Exception):
    """There are no locks here (some network file systems have none); the text is the system's reason."""


def try_lock(stream: IO[Any], *, wait: bool = False) -> bool:
    """Take an open file for this process until it is closed; False when another process has it.

    wait: until that one lets go. Raises LocksUnsupportedError.
    """
    if fcntl is None:
        raise LocksUnsupportedError("this system has no fcntl")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        raise LocksUnsupportedError(error.strerror or str(error)) from error
    return True
