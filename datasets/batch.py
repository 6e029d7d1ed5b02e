"""What a data set returns for one video, and the batch that a loader yields.

VideoSample (one video: R repeated clips, or V test views) × n ──collate──► VideoBatch ──► device
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datasets.transforms.colour import ColourDraw, ColourParameters


@dataclass(frozen=True)
class ReadFailure:
    """A video that could not be read."""

    row: int  # in the annotation list
    path: str
    reason: str
    epoch: int
    replaced_by: int | None = None  # the row that took its place (training)


@dataclass(frozen=True)
class VideoSample:
    """The clips of one video, uint8 (R,T,h,w,3) in memory order, or None for a test video that is passed
    over.

    labels: per clip (a mirrored clip may have another label than its video), one class index per head.
    epoch: of the key that was asked for.
    """

    row: int
    clips: Tensor | None
    labels: tuple[tuple[int, ...], ...]
    are_views: bool
    colours: tuple[ColourDraw, ...] | None = None
    failures: tuple[ReadFailure, ...] = ()
    epoch: int = 0


@dataclass(frozen=True)
class VideoBatch:
    """A batch of clips (training) or of videos with all their views (testing).

    video: uint8 (B,3,T,H,W), or (B,V,3,T,H,W) with V test views. In memory, channels come last: whoever
    needs another order copies (DeviceTransform does, while it converts). target: int64 (B,Hd), one class
    index per head; Hd is 0 for unlabelled videos. video_id: int64 (B,), the video's row in the annotation
    list. colour: what the device does to the colours of each clip; None: nothing. Always on the CPU.
    failures: unreadable videos met on the way. In training others took their places, in testing they are
    missing. epochs: of each clip, that of its key (the view, where a run takes a few views in turn)."""

    video: Tensor
    target: Tensor
    video_id: Tensor
    colour: ColourParameters | None = None
    failures: tuple[ReadFailure, ...] = ()
    epochs: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.video_id)

    @property
    def num_views(self) -> int:
        """V, 1 for training clips."""
        return self.video.shape[1] if self.video.ndim == 6 else 1

    def clips(self) -> Tensor:
        """All clips in a row: (B,3,T,H,W), or (B·V,3,T,H,W) with the views of a video together."""
        return self.video.flatten(0, 1) if self.video.ndim == 6 else self.video

    def to(self, device: torch.device | str, non_blocking: bool = False) -> VideoBatch:
        """The batch with its tensors on a device."""
        return replace(
            self,
            video=self.video.to(device, non_blocking=non_blocking),
            target=self.target.to(device, non_blocking=non_blocking),
            video_id=self.video_id.to(device, non_blocking=non_blocking),
        )

    def pin_memory(self) -> VideoBatch:
        """The batch with its tensors in page-locked memory (what torch's DataLoader calls)."""
        return replace(
            self,
            video=self.video.pin_memory(),
            target=self.target.pin_memory(),
            video_id=self.video_id.pin_memory(),
        )

    def split(self, size: int) -> list[VideoBatch]:
        """Micro-batches of `size` clips (the last may be smaller), sharing memory; failures go with the
        first.
        """
        parts = []
        for start in range(0, len(self), size):
            rows = slice(start, start + size)
            parts.append(
                VideoBatch(
                    video=self.video[rows],
                    target=self.target[rows],
                    video_id=self.video_id[rows],
                    colour=self.colour[rows] if self.colour is not None else None,
                    failures=self.failures if start == 0 else (),
                    epochs=self.epochs[rows],
                )
            )
        return parts


def collate(samples: Sequence[VideoSample]) -> VideoBatch:
    """The batch of some samples: all repeats of a video side by side, or all its views in one row.

    Videos that were passed over leave only their failure; a batch of nothing else has no clips, video
    (0,3,0,0,0)."""
    failures = tuple(failure for sample in samples for failure in sample.failures)
    present = [sample for sample in samples if sample.clips is not None]
    if not present:
        nothing = torch.empty(0, dtype=torch.int64)
        empty = torch.empty((0, 3, 0, 0, 0), dtype=torch.uint8)
        return VideoBatch(empty, nothing.view(0, 0), nothing, failures=failures)
    clips = [sample.clips for sample in present if sample.clips is not None]
    repeats = 1 if present[0].are_views else len(clips[0])
    frames = torch.stack(clips) if present[0].are_views else torch.cat(clips)
    draws = [draw for sample in present for draw in sample.colours or ()]
    labels = [label for sample in present for label in sample.labels]
    return VideoBatch(
        video=frames.movedim(-1, -4),
        target=torch.tensor(labels, dtype=torch.int64).view(len(labels), len(labels[0])),
        video_id=torch.tensor([sample.row for sample in present for _ in range(repeats)], dtype=torch.int64),
        colour=ColourParameters.stack(draws) if draws else None,
        failures=failures,
        epochs=tuple(sample.epoch for sample in present for _ in range(repeats)),
    )
