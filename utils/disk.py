"""Whether an error says that a disk is full."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NUMBER_IN_TEXT = re.compile(r"\(os error (\d+)\)")  # as Rust writes it


def is_disk_full(error: OSError) -> bool:
    """Whether there is no room left: on the disk, in a quota, or below a limit of file sizes."""
    return error.errno in _DISK_FULL_ERRORS


def disk_full_text(error: OSError) -> str:
    """What to tell people of such an error."""
    place = f" for {error.filename}" if error.filename else ""
    return (
        f"no room left{place} ({error.strerror}), or a quota or file size limit is reached. Free space "
        "there, then give the same command again"
    )


@contextmanager
def system_errors_named(path: str) -> Iterator[None]:
    """Within, an error of the system that a library only has in its words (safetensors: "(os error 28)")
    becomes the OSError that it is.
    """
    try:
        yield
    except Exception as error:
        found = None if isinstance(error, OSError) else _NUMBER_IN_TEXT.search(str(error))
        if found is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), path) from error
