"""What every annotation reader is given: the files that were found, and the names that labels must fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from datasets.annotations.errors import AnnotationError
from datasets.labels import ClassLookup


@dataclass(frozen=True)
class ReadRequest:
    """One split of one data set, located."""

    dataset: str
    split: str
    paths: tuple[str, ...]
    """Annotation file, or files where a split consists of several."""
    class_names: tuple[tuple[str, ...], ...] = ()
    """One tuple of names per head; empty for text–video data."""
    fold: int = 1
    """Which of the official splits, counted from 1 (UCF101, HMDB51)."""
    notes: list[str] = field(default_factory=list)
    """A reader appends facts worth showing."""

    @property
    def path(self) -> str:
        """The annotation file, for readers of a single one."""
        if len(self.paths) != 1:
            raise AnnotationError(
                f"{self.dataset} {self.split}: one annotation file is needed, got {list(self.paths)}"
            )
        return self.paths[0]

    @property
    def num_classes(self) -> int:
        """Number of classes of the only head."""
        assert len(self.class_names) == 1, f"{self.dataset} has {len(self.class_names)} heads"
        return len(self.class_names[0])

    @cached_property
    def classes(self) -> ClassLookup:
        """Finds the class of a label, for the only head."""
        return ClassLookup(self.class_names[0])
