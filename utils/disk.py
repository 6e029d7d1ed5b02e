"""Whether an error says that a disk is full."""

from __future__ import annotations

import errno

_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
