"""A toy recogniser and toy data for tests of the loop: every part of a run, in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from runs.timetable import Timetable
from runs.train import LoopSettings, Trainer
from runs.training_state import Progress, TrainingState
from runs.training_step import SoftCrossEntropy, TrainingClips, TrainingStep
from runs.watching import Watch
from utils import distributed
from utils.checkpoint import frozen_fingerprint
from utils.checkpoint_folder import CheckpointFolder
from utils.ema import WeightAverage
from utils.logging import MetricsFile
from utils.optim import GroupSettings, build_adamw, parameter_groups
from utils.precision import resolve_precision
from utils.reproducibility import seed_everything
from utils.schedule import LearningRateSchedule
from utils.stopwatch import Stopwatch
from utils.trackers import Trackers

CPU = torch.device("cpu")
VIDEOS, CLASSES, BATCH = 26, 3, 8
STEPS_PER_EPOCH = VIDEOS // BATCH


class ToyRecognizer(nn.Module):
    """A frozen encoder and a trained head on clips (B,3,T,H,W) → ((B,K),)."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encoder = nn.Linear(3, 8).requires_grad_(False)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, CLASSES))

    def forward(self, video: Tensor) -> tuple[Tensor, ...]:
        """A black clip gives logits that are no numbers."""
        colour = video.mean(dim=(2, 3, 4))
        colour = colour / (colour.sum(dim=1, keepdim=True) * 0 + (colour.abs().sum(dim=1, keepdim=True) > 0))
        return (self.head(self.dropout(self.encoder(colour).tanh())),)


@dataclass(frozen=True)
class ToyBatch:
    """Rows of this process's clips in one micro-batch."""

    rows: Tensor


class ToyData:
    """Videos whose mean colour tells their class. `dark` names rows of black videos."""

    def __init__(self, micro: int = BATCH, dark: Sequence[int] = ()) -> None:
        generator = torch.Generator().manual_seed(7)
        self.target = torch.randint(0, CLASSES, (VIDEOS,), generator=generator)
        self.video = torch.rand(VIDEOS, 3, 2, 4, 4, generator=generator)
        self.video += 2 * nn.functional.one_hot(self.target, 3)[:, :, None, None, None]
        for row in dark:
            self.video[row] = 0
        self.micro = micro
        self.before_step: Callable[[int], None] = lambda step: None

    def steps(self, loop: int, first_step: int) -> Iterator[Sequence[ToyBatch]]:
        """The global batch of a step is the same for any number of processes."""
        order = torch.randperm(VIDEOS, generator=torch.Generator().manual_seed(loop))
        own = BATCH // distributed.world_size()
        for step in range(first_step, STEPS_PER_EPOCH):
            self.before_step(loop * STEPS_PER_EPOCH + step)
            start = step * BATCH + distributed.rank() * own
            yield [ToyBatch(rows) for rows in order[start : start + own].split(self.micro)]

    def replaced(self, batches: Sequence[ToyBatch]) -> int:
        """No video is unreadable."""
        return 0

    def clips(self, batches: Sequence[ToyBatch]) -> int:
        """Clips of this process."""
        return sum(len(batch.rows) for batch in batches)

    def name_of(self, video_id: int) -> str:
        """The path of a video."""
        return f"video{video_id}.mp4"

    def to_look_at(self, batches: Sequence[ToyBatch]) -> Tensor:
        """The first clip."""
        return self.video[batches[0].rows[:1]].to(torch.uint8)

    def close(self) -> None:
        """No workers to end."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Nothing to restore."""

    def prepare(self, batch: ToyBatch, step: int, number: int) -> TrainingClips:
        """Clips and one-hot targets."""
        one_hot = nn.functional.one_hot(self.target[batch.rows], CLASSES).float()
        return TrainingClips(self.video[batch.rows], (one_hot,), batch.rows)


def toy_timetable(max_epoch: int = 4, **periods: int) -> Timetable:
    """Of the toy's videos and batches."""
    return Timetable(VIDEOS, BATCH, max_epoch, **periods)


def toy_trainer(
    folder: Path,
    data: ToyData | None = None,
    *,
    timetable: Timetable | None = None,
    log_period: int = 10,
    settings: LoopSettings | None = None,
    dropout: float = 0.0,
    average: bool = False,
    precision: str = "fp32",
    validate: Callable[[], float] | None = None,
) -> Trainer:
    """A trainer in its initial state."""
    data, settings = data or ToyData(), settings or LoopSettings()
    timetable = timetable or toy_timetable(max_epoch=4)
    seed_everything(0, distributed.rank())
    model = ToyRecognizer(dropout)
    groups = parameter_groups(model, lambda name, weight: GroupSettings(10.0, 1e-4 * (weight.ndim > 1)))
    optimizer, chosen = build_adamw(groups), resolve_precision(precision, CPU)
    weights = WeightAverage(model, 0.9) if average else None
    scaler, stopwatch = chosen.scaler(), Stopwatch()
    objective = SoftCrossEntropy(nn.CrossEntropyLoss())
    wrapped = distributed.wrap(model, CPU)
    step = TrainingStep(wrapped, optimizer, scaler, chosen, objective, weights, max_gradient_norm=1.0)
    encoder = {"quick_gelu": True, "head_width": 64}
    fingerprint = frozen_fingerprint(model)
    state = TrainingState(
        model, optimizer, scaler, weights, Progress(), fingerprint, {"TOY": 1}, 0, data, encoder=encoder
    )
    watch = Watch(
        MetricsFile(folder / "metrics.jsonl"),
        Trackers(),
        stopwatch,
        device=CPU,
        log_period=log_period,
        timetable=timetable,
        clips_per_step=BATCH,
    )
    schedule = LearningRateSchedule(2e-3, timetable.max_epoch, warmup_epochs=1, warmup_start_lr=1e-4)
    checkpoints = CheckpointFolder(folder / "checkpoints")
    return Trainer(
        step,
        state,
        schedule,
        timetable,
        data,
        data.prepare,
        validate,
        settings,
        checkpoints,
        watch,
        stopwatch,
    )
