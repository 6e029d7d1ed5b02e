"""Videos as the loops want them: steps of micro-batches for training, each video once for evaluation.

    VideoLoader ──TrainingSteps──► micro-batches ──PrepareClips──► clips and soft targets on the device
    VideoLoader ──EvaluationVideos──► batches of videos with all their views

Made from the configuration by `build_data.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datasets.batch import ReadFailure, VideoBatch
from datasets.loader import VideoLoader
from datasets.mixing import ClipMixer
from datasets.records import AnnotatedSplit
from datasets.samplers import EvaluationBatches, TrainingBatches
from datasets.transforms.device import DeviceTransform
from runs.timetable import Timetable
from runs.training_step import TrainingClips
from utils import distributed


class TrainingSteps:
    """`runs.train.TrainingData` for videos: the steps of a loop as this process's micro-batches."""

    def __init__(
        self,
        loader: VideoLoader,
        timetable: Timetable,
        *,
        seed: int,
        micro_batch: int,
        split: AnnotatedSplit,
        videos_together: int | None = None,
        views: int = 0,
    ) -> None:
        """micro_batch: clips of this process in a forward pass; videos_together: the videos of these, where
        it matters which clips of all processes share a pass; views: different clips of a video, which the
        epochs take in turn; 0: every epoch has its own.
        """
        self.loader = loader
        self._timetable, self._seed, self._micro_batch, self._split = timetable, seed, micro_batch, split
        self._videos_together, self._views = videos_together, views

    def steps(self, loop: int, first_step: int) -> Iterator[Sequence[VideoBatch]]:
        """The steps of a loop from `first_step` on."""
        batches = TrainingBatches(
            self._timetable.videos,
            self._timetable.batch_videos,
            seed=self._seed,
            epoch=self._timetable.first_epoch(loop),
            num_passes=self._timetable.passes_of_loop[loop],
            rank=distributed.rank(),
            world_size=distributed.world_size(),
            micro_batch=self._videos_together,
            views=self._views,
        )
        for batch in self.loader.batches(batches, first_step):
            yield batch.split(self._micro_batch)

    def clips(self, batches: Sequence[VideoBatch]) -> int:
        """How many clips they hold."""
        return sum(len(batch) for batch in batches)

    def replaced(self, batches: Sequence[VideoBatch]) -> int:
        """How many reads failed, each of which was replaced."""
        return sum(len(batch.failures) for batch in batches)

    def name_of(self, video_id: int) -> str:
        """The path of a video."""
        return self._split.records[video_id].path

    def to_look_at(self, batches: Sequence[VideoBatch]) -> Tensor:
        """Up to four clips, uint8 (n,3,T,H,W)."""
        return batches[0].clips()[:4]

    def close(self) -> None:
        """End the worker processes."""
        self.loader.close()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know to read the same clips."""
        return self.loader.state_dict()

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Go on with what `state_dict` gave in each process: what one found unreadable, all know."""
        unreadable = {row: reason for state in states for row, reason in state["unreadable"].items()}
        self.loader.load_state_dict({"unreadable": unreadable})


class EvaluationVideos:
    """`runs.evaluate.EvaluationData` for videos: this process's part of a list."""

    def __init__(self, loader: VideoLoader, batch_size: int, num_views: int) -> None:
        self.num_videos, self.num_views = len(loader.dataset), num_views
        self.loader = loader
        self._batches = EvaluationBatches(
            self.num_videos, batch_size, rank=distributed.rank(), world_size=distributed.world_size()
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[VideoBatch]:
        self.loader.report.failures.clear()  # what one evaluation could not read, the next one may
        return self.loader.batches(self._batches)

    def missing(self) -> Sequence[ReadFailure]:
        """Videos of this process that the latest evaluation could not read."""
        return list(self.loader.report.failures.values())


@dataclass(frozen=True)
class PrepareClips:
    """`runs.training_step.Prepare` for videos: colours, normalisation, mixing, soft targets."""

    transform: DeviceTransform
    mixer: ClipMixer
    device: torch.device
    process_stride: int
    """Clips in the global batch from where one process begins to where the next one does."""
    pass_stride: int
    """Those from where a process's micro-batch begins to where its next one does."""

    def __call__(self, batch: VideoBatch, step: int, number: int) -> TrainingClips:
        """Micro-batch `number` of this process in `step`, ready for the model."""
        moved = batch.to(self.device, non_blocking=True)
        video = self.transform(moved.video, batch.colour)
        first_clip = distributed.rank() * self.process_stride + number * self.pass_stride
        video, targets = self.mixer(video, moved.target, step=step, first_clip=first_clip)
        return TrainingClips(video, targets, batch.video_id)
