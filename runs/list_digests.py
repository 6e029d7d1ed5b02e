"""What identifies the lists of a run, so that other data is never taken for the same run's. Torch-free."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from datasets.annotations.video_paths import without_query
from datasets.records import AnnotatedSplit


def videos_sha256(split: AnnotatedSplit) -> str:
    """Of what a list holds, in its order; files may lie elsewhere meanwhile, under another extension, and be
    had with another token.
    """
    digest = hashlib.sha256()
    for record in split.records:
        name = os.path.splitext(os.path.basename(without_query(record.path)))[0]
        digest.update(repr((name, record.labels, record.captions, record.start, record.end)).encode())
    return digest.hexdigest()


def lists_sha256(splits: Mapping[str, AnnotatedSplit]) -> dict[str, str]:
    """The same for each list of a run, by its use: "train", "validation", "test"."""
    return {use: videos_sha256(split) for use, split in splits.items()}


@dataclass(frozen=True)
class Digests:
    """What a run that goes on must find as it was, as SHA-256."""

    frozen: str
    """Of the weights that are not trained."""
    lists: Mapping[str, str]
    """`lists_sha256`."""
