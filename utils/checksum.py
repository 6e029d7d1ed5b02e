"""SHA-256 of files, and the sidecar that remembers it.

A file whose published hash is unknown gets one recorded at its first download, in `<file>.sha256`, in the
format of the `sha256sum` command (`sha256sum -c <file>.sha256` checks it). From then on the file is held to
it.
"""

import hashlib
import os
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sidecar_path(path: Path) -> Path:
    """Where the recorded hash of `path` lives."""
    return path.with_name(path.name + ".sha256")


def recorded_sha256(path: Path) -> str | None:
    """The hash in the sidecar of `path`, or None without one.

    Raises ValueError when the sidecar exists but holds no hash: a damaged record must not pass for "unknown".
    """
    sidecar = sidecar_path(path)
    if not sidecar.is_file():
        return None
    words = sidecar.read_text(encoding="utf-8", errors="replace").split()
    if not words or not is_sha256(words[0]):
        raise ValueError(f"{sidecar} holds no SHA-256; delete it to record the hash anew")
    return words[0].lower()


def record_sha256(path: Path, sha256: str) -> None:
    """Writes the sidecar of `path` (atomically)."""
    sidecar = sidecar_path(path)
    temporary = sidecar.with_name(sidecar.name + ".tmp")
    temporary.write_text(f"{sha256}  {path.name}\n", encoding="utf-8")
    os.replace(temporary, sidecar)


def is_sha256(text: str) -> bool:
    """Whether `text` is 64 hexadecimal digits."""
    return len(text) == 64 and all(character in "0123456789abcdefABCDEF" for character in text)
