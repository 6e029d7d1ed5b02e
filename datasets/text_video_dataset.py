"""Videos with captions as training samples: the video as everywhere, and which of its captions goes with it.

key (epoch, row) ──VideoDataset──► clip of a video (a replaced one's, too) ──► number of one of its captions

The number stands where a class index would, so that captions stay out of the workers' way: whoever has the
annotation list finds the text by video and number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from datasets.annotations.errors import AnnotationError
from datasets.batch import VideoSample
from datasets.randomness import Purpose, keyed_generator, randint
from datasets.records import AnnotatedSplit, VideoRecord
from datasets.video_dataset import SampleKey, VideoDataset

_MOST_LISTED = 5


class TextVideoDataset(VideoDataset):
    """As VideoDataset; the label of a training sample is the number of one of its video's captions.

    The caption is a function of (seed, epoch, row), like everything else about a sample.
    """

    def __getitem__(self, key: SampleKey | int) -> VideoSample:
        """The sample of a key. Raises UnreadableVideoError as VideoDataset does."""
        sample = super().__getitem__(key)
        if not self.training or sample.clips is None:
            return sample
        epoch = key[0] if isinstance(key, tuple) else 0
        count = len(self.records[sample.row].captions)
        generator = keyed_generator(Purpose.CAPTION, self.seed, epoch, sample.row)
        chosen = randint(0, count - 1, generator)
        return replace(sample, labels=((chosen,),) * len(sample.labels))


def check_captions(split: AnnotatedSplit) -> None:
    """Raise AnnotationError unless every video has a caption, listing the first few that have none."""
    without = [record.name for record in split.records if not any(map(str.strip, record.captions))]
    if without:
        more = f" and {len(without) - _MOST_LISTED} more" if len(without) > _MOST_LISTED else ""
        raise AnnotationError(
            f"{split.source}: {len(without)} of {len(split)} videos have no caption: "
            f"{', '.join(without[:_MOST_LISTED])}{more}. Remedy: retrieval needs lists with captions "
            "(msrvtt, didemo, lsmdc, or a CSV with the columns path and caption)"
        )


def one_record_per_caption(split: AnnotatedSplit) -> AnnotatedSplit:
    """The split in which every record has one caption; a video with several occurs as often."""
    records = [replace(record, captions=(text,)) for record in split.records for text in record.captions]
    return replace(split, records=tuple(records))


def queries_of(records: Sequence[VideoRecord]) -> tuple[list[str], list[int]]:
    """All captions in the order of the list, and for each the row of its video."""
    texts = [caption for record in records for caption in record.captions]
    owners = [row for row, record in enumerate(records) for _ in record.captions]
    return texts, owners
