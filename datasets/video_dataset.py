"""One Dataset for every data set: a record of an annotation list in, the clips of that video out.

    key (epoch, row) ──► record ──► VideoReader ──► indices of all its clips ──► ONE decode
        ──► transform ──► VideoSample (R repeated clips, or V views)

A training sample is a function of (seed, epoch, row): all its random draws come from generators named by
them. A video that cannot be read is replaced in training, by another that depends on (seed, epoch, index,
attempt); in testing it stops the run, or is passed over as missing, never replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datasets.batch import ReadFailure, VideoSample
from datasets.decoding.reader import VideoReader, VideoReadError
from datasets.packed_records import PackedRecords
from datasets.randomness import Purpose, keyed_generator, randint
from datasets.records import VideoRecord
from datasets.sampling import ClipSampling, Indices, sample_generator
from datasets.transforms.transformed import TransformedClips

OnUnreadable = Literal["replace", "stop", "skip"]

REPLACEMENT_ATTEMPTS = 10
"""Videos tried in place of an unreadable one before the data set counts as unusable."""


class SampleKey(NamedTuple):
    """What a sampler asks for: a video in a pass over the data."""

    epoch: int
    row: int  # in the annotation list


class UnreadableVideoError(RuntimeError):
    """A video that cannot be read and must not be replaced; the message names it."""


class OpenVideo(Protocol):
    """How a path becomes a reader: `datasets.decoding.open_video` with its settings filled in."""

    def __call__(self, path: str) -> VideoReader:
        """Open a video, given the path of its record. Raises VideoReadError and nothing else."""


class ClipTransform(Protocol):
    """Decoded frames to clips: `TrainTransform` or `EvaluationTransform`."""

    def __call__(
        self, frames: Tensor, clips: Indices, generators: Sequence[torch.Generator]
    ) -> TransformedClips: ...


class VideoDataset(Dataset[VideoSample]):
    """The videos of one split as samples.

    records: rows of the annotation list. open_video: path of a record → reader. sampling, transform: which
    frames, and what becomes of them. seed: of everything random. num_clips: clips per video, random repeats
    in training, views spread over the video in testing. mirrored_labels: labels of a video to those of its
    mirror image; None: they are the same. known_bad: rows that somebody has said to be unreadable, with the
    reason: missing in testing whatever on_unreadable says."""

    def __init__(
        self,
        records: Sequence[VideoRecord],
        open_video: OpenVideo,
        sampling: ClipSampling,
        transform: ClipTransform,
        *,
        training: bool,
        seed: int = 0,
        num_clips: int = 1,
        on_unreadable: OnUnreadable | None = None,
        mirrored_labels: Callable[[Sequence[int]], tuple[int, ...]] | None = None,
        known_bad: Mapping[int, str] | None = None,
    ) -> None:
        on_unreadable = on_unreadable or ("replace" if training else "stop")
        if on_unreadable == "replace" and not training:
            raise ValueError("a test video must not be replaced by another: choose stop or skip")
        if len(records) == 0:
            raise ValueError("a data set without videos: check the annotation list")
        self.records = PackedRecords(records)
        self.training = training
        self.on_unreadable: OnUnreadable = on_unreadable
        self._known_bad = frozenset(known_bad or ())
        self.unreadable: dict[int, str] = dict(known_bad or {})
        """Rows that are known to be unreadable, with the reason; they are not opened again."""
        self.before_read: Callable[[int], None] | None = None
        """Called with the row of every video just before it is opened."""
        self._open_video = open_video
        self._sampling = sampling
        self._transform = transform
        self.seed = seed
        self._num_clips = num_clips
        self._mirrored_labels = mirrored_labels

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: SampleKey | int) -> VideoSample:
        """The sample of a key; of a plain index, that of epoch 0.

        Raises:
            UnreadableVideoError: the video cannot be read, and must not be replaced, or could not be.
        """
        epoch, row = key if isinstance(key, tuple) else (0, key)
        row = range(len(self))[row]  # an IndexError outside
        try:
            generators = [sample_generator(self.seed, epoch, row, r) for r in range(self._num_clips)]
            return replace(self._read(row, generators), epoch=epoch)
        except VideoReadError as error:
            failure = ReadFailure(row, error.path, str(error), epoch)
        if self.on_unreadable == "replace":
            return self._replace(failure)
        if self.on_unreadable == "skip" or row in self._known_bad:
            return VideoSample(row, None, (), are_views=True, failures=(failure,))
        raise UnreadableVideoError(
            f"video {row} of the list: {failure.reason}. To test without such videos, and have the score "
            "say how many are missing, set TEST.ON_UNREADABLE skip"
        )

    def _replace(self, failure: ReadFailure) -> VideoSample:
        """The sample of another video, drawn until one can be read; every failure on the way is noted."""
        failures = [failure]
        for attempt in range(min(REPLACEMENT_ATTEMPTS, len(self) - 1)):
            keys = (self.seed, failure.epoch, failure.row, attempt)
            generator = keyed_generator(Purpose.REPLACEMENT, *keys)
            substitute = _draw_other(len(self), [item.row for item in failures], generator)
            generators = [generator] + [
                keyed_generator(Purpose.REPLACEMENT, *keys, repeat) for repeat in range(1, self._num_clips)
            ]
            try:
                sample = self._read(substitute, generators)
            except VideoReadError as error:
                failures.append(ReadFailure(substitute, error.path, str(error), failure.epoch))
                continue
            noted = tuple(replace(item, replaced_by=substitute) for item in failures)
            return replace(sample, failures=noted, epoch=failure.epoch)
        raise UnreadableVideoError(
            f"{len(failures)} videos in a row could not be read, the first being video {failure.row} of the "
            f"list: {failure.reason}. Check DATA.DATA_ROOT_DIR, and the videos with runs/prepare.py check"
        )

    def _read(self, row: int, generators: Sequence[torch.Generator]) -> VideoSample:
        """Decode video `row` once and make all its clips. Raises VideoReadError."""
        record = self.records[row]
        if row in self.unreadable:
            raise VideoReadError(record.path, "this run", self.unreadable[row])
        if self.before_read is not None:
            self.before_read(row)
        with self._open_video(record.path) as reader:
            first, stop = reader.frame_range(record.start, record.end)
            indices = first + self._clip_indices(stop - first, reader.fps, generators)
            wanted, positions = np.unique(indices, return_inverse=True)
            frames = torch.from_numpy(reader.get_frames(wanted))
        transformed = self._transform(frames, positions.reshape(indices.shape), generators)
        return VideoSample(
            row=row,
            clips=transformed.clips,
            labels=self._labels(record, transformed),
            are_views=not self.training,
            colours=transformed.colours,
        )

    def _clip_indices(self, frame_count: int, fps: float, generators: Sequence[torch.Generator]) -> Indices:
        if self.training:
            return self._sampling.training_clips(frame_count, fps, generators)
        return self._sampling.test_clips(frame_count, fps, self._num_clips)

    def _labels(self, record: VideoRecord, transformed: TransformedClips) -> tuple[tuple[int, ...], ...]:
        """One tuple per clip in training, one for the video in testing."""
        if not self.training:
            return (record.labels,)
        if self._mirrored_labels is None or not any(transformed.mirrored):
            return (record.labels,) * len(transformed.mirrored)
        flipped = self._mirrored_labels(record.labels)
        return tuple(flipped if mirrored else record.labels for mirrored in transformed.mirrored)


def _draw_other(count: int, excluded: Sequence[int], generator: torch.Generator) -> int:
    """A row of 0 .. count - 1, uniformly among those that are not excluded."""
    row = randint(0, count - len(excluded) - 1, generator)
    for taken in sorted(excluded):
        row += row >= taken
    return row
