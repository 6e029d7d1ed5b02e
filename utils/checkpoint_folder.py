"""The checkpoints of one run: names, which to keep, which one to start from.

    <folder>/step_000001234.pt   state after 1234 steps; the newest `keep` of them stay
    <folder>/best.pt             the state with the best score so far (a hard link where the disk has them)

Only the main process writes. A torn file is named and passed over: the next older one is taken.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.checkpoint import CheckpointDamagedError, read_checkpoint, temporary_path, write_checkpoint

BEST_NAME = "best.pt"
_STEP_PREFIX = "step_"


@dataclass(frozen=True)
class FoundCheckpoint:
    """A readable checkpoint, and what was passed over to get to it (one message each)."""

    path: Path
    state: dict[str, Any]
    passed_over: tuple[str, ...] = ()


@dataclass
class CheckpointFolder:
    """The checkpoint files in `folder`; the newest `keep` are kept, and the best one."""

    folder: Path
    keep: int = 2

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"at least 1 checkpoint must be kept to resume from, got {self.keep}")

    @property
    def best(self) -> Path:
        """Where the best checkpoint lies, or would lie."""
        return self.folder / BEST_NAME

    def path_of(self, step: int) -> Path:
        """The file that holds the state after `step` steps."""
        return self.folder / f"{_STEP_PREFIX}{step:09d}.pt"

    def paths(self) -> list[Path]:
        """Step checkpoints under their final names, oldest first."""
        return sorted(self.folder.glob(f"{_STEP_PREFIX}*.pt"))

    def save(self, state: Mapping[str, Any], step: int, *, best: bool = False) -> int:
        """Write the state after `step` steps, then drop old ones; returns bytes. Raises CheckpointError (disk
        full).
        """
        path = self.path_of(step)
        size = write_checkpoint(path, state)
        if best:
            self.point_best_to(path)
        # files of later steps are torn ones that a resumed run has passed over: they keep nothing alive
        for old in [saved for saved in self.paths() if saved <= path][: -self.keep]:
            old.unlink(missing_ok=True)
        return size

    def newest_valid(self) -> FoundCheckpoint | None:
        """The newest checkpoint whose bytes are whole, or None when there is no file at all.

        Raises CheckpointDamagedError when files exist and every one is torn: starting anew would hide that.
        """
        passed_over: list[str] = []
        for path in reversed(self.paths()):
            try:
                return FoundCheckpoint(path, read_checkpoint(path), tuple(passed_over))
            except CheckpointDamagedError as error:
                passed_over.append(str(error))
        if passed_over:
            raise CheckpointDamagedError(
                f"no checkpoint in {self.folder} is whole: {'; '.join(passed_over)}. "
                "Move them away to start from the beginning"
            )
        return None

    def remove_partial_files(self) -> list[str]:
        """Delete what a run that died while writing has left; returns the names."""
        leftovers = sorted(self.folder.glob(".*.partial"))
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return [leftover.name for leftover in leftovers]

    def point_best_to(self, path: Path) -> None:
        """Let `best.pt` hold the content of `path`: at every moment the old one or the new one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = temporary_path(self.best)
        temporary.unlink(missing_ok=True)
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)
        os.replace(temporary, self.best)
