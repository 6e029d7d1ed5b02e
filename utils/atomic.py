"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from utils.disk import system_errors_named


@contextmanager
def replacing(path: str) -> Iterator[str]:
    """A temporary path beside `path`, which takes its place when the block ends without an error.

    The folder is made when it is missing. Two processes may write the same file: the last one wins. Its
    permissions are the usual ones, whatever the library that writes it does (safetensors: the owner alone).
    """
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as created:
            usual = os.fstat(created.fileno()).st_mode
        with system_errors_named(temporary):
            yield temporary
        os.chmod(temporary, usual)
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.remove(temporary)
