"""What an annotation reader returns: records of videos, and the split that they make up.

    annotation file ──reader──► VideoRecord, VideoRecord, … ──► AnnotatedSplit

Both are plain immutable data without torch, so that lists are read, checked and counted before anything heavy
is imported. A hundred thousand records take about 35 MB: they have slots, and equal label tuples are shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """One video, or one segment of a longer video, with what is known of it."""

    path: str
    """Relative to DATA.DATA_ROOT_DIR, or absolute."""
    labels: tuple[int, ...] = ()
    """One class index per head: one normally, (verb, noun) for EPIC-KITCHENS; empty when unlabelled."""
    captions: tuple[str, ...] = ()
    """Sentences that describe the video; empty for classification."""
    start: float | None = None
    """Start of the segment in seconds; None: the video's beginning."""
    end: float | None = None
    """End of the segment in seconds; None: the video's end."""
    name: str = ""
    """The data set's own id (narration id, video id …); the path when nothing else is given."""

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.path)


@dataclass(frozen=True)
class AnnotatedSplit:
    """The records of one split, in the order of the annotation file."""

    dataset: str
    """Name in the table of data sets, for instance "k400"."""
    split: str
    """Name of the split, for instance "train"."""
    records: Sequence[VideoRecord]
    class_names: tuple[tuple[str, ...], ...] = ()
    """One tuple of names per head, in the order of the class indices; empty for text–video data."""
    source: str = ""
    """The file or files that were read."""
    notes: tuple[str, ...] = ()
    """Facts that whoever starts a run should see, such as how many videos a union left out."""
    missing: tuple[str, ...] = ()
    """Paths of records for which a local root has no file."""
    heads: tuple[str, ...] = ()
    """What each head tells, ("verb", "noun"); empty where nobody has named them."""

    @property
    def num_classes(self) -> tuple[int, ...]:
        """Number of classes of each head."""
        return tuple(len(names) for names in self.class_names)

    def with_records(self, records: Sequence[VideoRecord]) -> AnnotatedSplit:
        """The split with these of its records alone, and those of them that are missing."""
        gone = set(self.missing)
        missing = tuple(record.path for record in records if record.path in gone)
        return replace(self, records=tuple(records), missing=missing)

    def __len__(self) -> int:
        return len(self.records)
