"""Small annotation files, and requests to read them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from datasets.annotations.request import ReadRequest

NAMES = ("run", "walk", "sit")


def write(path: Path, text: str) -> str:
    """Write a file, its folders included, byte for byte, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return str(path)


def request_for(*paths: str, names: Sequence[str] = NAMES, split: str = "train") -> ReadRequest:
    """A request to read files as one split of a data set with one head (none without names)."""
    return ReadRequest("csv", split, paths, (tuple(names),) if names else ())


def touch(root: Path, *paths: str) -> Path:
    """Empty files that stand for videos, under a root."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root
