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
    def names(self) -> tuple[str, ...]:
        """The class names of the only head, for readers of lists with one label per video.

        Raises:
            AnnotationError: the data set has captions in place of classes, or several heads.
        """
        if not self.class_names:
            raise AnnotationError(
                f"{', '.join(self.paths)}: read as a list of class labels, but {self.dataset} is taken for "
                "its captions. Remedy: leave the list out, so that the data set's own files are found in "
                "DATA.ANNO_DIR (msrvtt7k trains on the 7k list of MSR-VTT), or give a CSV with the columns "
                "path and caption"
            )
        if len(self.class_names) > 1:
            raise AnnotationError(
                f"{', '.join(self.paths)}: read as a list of one label per video, but {self.dataset} has "
                f"{len(self.class_names)} heads. Remedy: give its list as the data set is distributed"
            )
        return self.class_names[0]

    @property
    def num_classes(self) -> int:
        """Number of classes of the only head. Raises as `names` does."""
        return len(self.names)

    @cached_property
    def classes(self) -> ClassLookup:
        """Finds the class of a label, for the only head. Raises as `names` does."""
        return ClassLookup(self.names)
