"""The training loop: steps, validation and checkpoints between them, and every way to stop well.

    while steps are left:
        steps of the loop, from where the run stands    each: batches ──TrainingStep──► log, save?, stop?
        close the loop                                  validation every EVAL_PERIOD, checkpoint

A loop is TRAIN.NUM_FOLDS epochs (`timetable.py`). Position is the step alone: loop and place in it follow
from it, so a run goes on in the middle of an epoch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from runs.timetable import Timetable
from runs.training_state import Progress, TrainingState
from runs.training_step import Prepare, StepOutcome, TrainingStep
from runs.watching import Watch
from utils import distributed
from utils.checkpoint_folder import CheckpointFolder, FoundCheckpoint
from utils.logging import get_logger
from utils.optim import highest_learning_rate, set_learning_rate
from utils.schedule import LearningRateSchedule
from utils.stopping import EXIT_INTERRUPTED, EXIT_PREEMPTED, RunStopped, StopSignals
from utils.stopwatch import Stopwatch


class NonFiniteLossError(RuntimeError):
    """Too many steps whose loss or gradient was no number; the message names the videos."""


class TrainingData(Protocol):
    """Where steps come from. Steps, and what is in them, depend on the seed and the loop alone."""

    def steps(self, loop: int, first_step: int) -> Iterator[Sequence[Any]]:
        """The steps of a loop from `first_step` on, each as this process's micro-batches."""

    def replaced(self, batches: Sequence[Any]) -> int:
        """How many clips of this process's micro-batches stand for videos that could not be read."""

    def clips(self, batches: Sequence[Any]) -> int:
        """How many clips this process's micro-batches hold."""

    def name_of(self, video_id: int) -> str:
        """The path of a video."""

    def to_look_at(self, batches: Sequence[Any]) -> Tensor:
        """A few clips of this process's micro-batches, uint8 (n,3,T,H,W), as they come from the workers."""

    def close(self) -> None:
        """End worker processes, if there are any."""


@dataclass(frozen=True)
class LoopSettings:
    """What the loop does besides its timetable. 0 means never, or none."""

    checkpoint_steps: int = 0
    max_nonfinite_steps: int = 10


@dataclass(frozen=True)
class Trainer:
    """A training run, ready to go. `validate` returns the score that "best" means (top-1), the same on every
    process."""

    step: TrainingStep
    state: TrainingState
    schedule: LearningRateSchedule
    timetable: Timetable
    data: TrainingData
    prepare: Prepare
    validate: Callable[[], float] | None
    settings: LoopSettings
    checkpoints: CheckpointFolder
    watch: Watch
    stopwatch: Stopwatch

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        return self.state.progress

    def resume(self, found: FoundCheckpoint) -> None:
        """Go on from a checkpoint. Raises CheckpointError when it does not fit, ConfigError when the
        lists have changed.
        """
        self.state.restore(found.state, str(found.path))
        if self.progress.step:  # a run that only closes its last loop saves the rate of its last step again
            self._set_rate_of(self.progress.step - 1)
        if distributed.is_main() and self.progress.best_step == self.progress.step:
            self.checkpoints.point_best_to(found.path)  # the run may have died between the file and this
        self.watch.resumed(self.progress)

    def run(self) -> None:
        """Train to the end.

        Raises RunStopped after a signal (state saved), NonFiniteLossError, and what reading data raises.
        """
        self.stopwatch.lap()  # the time before is that of building
        with StopSignals(announces=distributed.is_main()) as signals:
            while True:
                loop, first_step = self.timetable.locate(self.progress.step)
                if loop > self.progress.closed_loops:
                    self._close_loop(loop, signals)
                if loop == self.timetable.loops:
                    self._heed_late(signals)
                    return
                for batches in self._waiting_measured(self.data.steps(loop, first_step)):
                    self._take_step(batches, signals)

    def _waiting_measured(self, steps: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        iterator = iter(steps)
        while True:
            with self.stopwatch.measure("data"):
                batches = next(iterator, None)
            if batches is None:
                return
            yield batches

    def _take_step(self, batches: Sequence[Any], signals: StopSignals) -> None:
        step = self.progress.step
        self._set_rate_of(step)
        makers = [
            lambda batch=batch, number=number: self.prepare(batch, step, number)
            for number, batch in enumerate(batches)
        ]
        with self.stopwatch.measure("step"):
            outcome = self.step(makers)
            stop_code = self._count(outcome, batches, signals.code)
        with self.stopwatch.measure("logging"):
            self.watch.show_once(lambda: self.data.to_look_at(batches), self.progress.step)
            self.watch.stepped(self.progress, outcome, highest_learning_rate(self.step.optimizer))
        self._check_health(outcome)
        if stop_code:
            self._stop(stop_code)
        if self._saves_inside_loop():
            self.save()

    def _set_rate_of(self, step: int) -> None:
        set_learning_rate(self.step.optimizer, self.schedule.at(self.timetable.epoch_at(step)))

    def _saves_inside_loop(self) -> bool:
        """Whether TRAIN.CHECKPOINT_STEPS asks for one here that the end of the loop does not write."""
        period = self.settings.checkpoint_steps
        if not period or self.progress.step % period:
            return False
        loops, inside = self.timetable.locate(self.progress.step)
        return inside > 0 or not (self.timetable.saves_after(loops) or self.timetable.validates_after(loops))

    def _count(self, outcome: StepOutcome, batches: Sequence[Any], stop_code: int) -> int:
        """Add the step to the progress; returns the stop code that all processes agree on, 0 to go on."""
        progress = self.progress
        progress.step += 1
        progress.nonfinite_steps += not outcome.updated and not outcome.overflowed
        progress.overflow_steps += outcome.overflowed
        codes = (EXIT_INTERRUPTED, EXIT_PREEMPTED)
        local = [
            self.data.clips(batches),
            self.data.replaced(batches),
            *(stop_code == code for code in codes),
        ]
        clips, replaced, *requests = distributed.all_reduce_sum(torch.tensor(local)).tolist()
        progress.clips += clips
        progress.replaced_clips += replaced
        if outcome.updated:
            progress.window_loss += outcome.loss
            progress.window_steps += 1
        progress.seconds += self.stopwatch.lap()
        return next((code for code, wanted in zip(codes, requests, strict=True) if wanted), 0)

    def _check_health(self, outcome: StepOutcome) -> None:
        if outcome.updated or outcome.overflowed:
            return
        named = ", ".join(self.data.name_of(video_id) for video_id in outcome.suspects[:8])
        what = "gradient" if outcome.loss_is_finite else "loss"
        count, limit = self.progress.nonfinite_steps, self.settings.max_nonfinite_steps
        message = (
            f"step {self.progress.step}: the {what} is not finite; the step is skipped ({count} so far, "
            f"TRAIN.MAX_NONFINITE_STEPS {limit}). Videos: {named} (ids {list(outcome.suspects[:8])})"
        )
        get_logger().warning(message)
        if count > limit:
            raise NonFiniteLossError(
                f"{message}. Lower OPTIMIZER.BASE_LR, set TRAIN.CLIP_GRAD_NORM, use TRAIN.PRECISION fp32, "
                "or look at these videos"
            )

    def _close_loop(self, loops: int, signals: StopSignals) -> None:
        """Validation and checkpoint where they are due after so many loops."""
        improved = False
        if self.validate is not None and self.timetable.validates_after(loops):
            self.save()  # a validation is long: whatever ends it, the run goes on from here and repeats it
            with signals.raising(self._stop_message()), self.stopwatch.measure("validation"):
                score = self.validate()
            self.stopwatch.lap()  # the time of a validation is not one of training
            best = self.progress.best_score
            # no number, as no video could be read, is worse than any
            improved = best is None or math.isnan(best) or score > best
            if improved:
                self.progress.best_score, self.progress.best_step = score, self.progress.step
        self.progress.closed_loops = loops
        if improved or self.timetable.saves_after(loops):
            self.save(best=improved)

    @contextmanager
    def weights_to_evaluate(self) -> Iterator[None]:
        """Inside, the model has the averaged weights, where an average is kept."""
        average = self.state.average
        with average.applied() if average is not None else nullcontext():
            yield

    def save(self, best: bool = False) -> None:
        """Write a checkpoint of the run as it stands. Raises CheckpointError (disk full) on every process."""
        with self.stopwatch.measure("checkpoint"):
            state = self.state.capture()
            distributed.on_main(lambda: self.checkpoints.save(state, self.progress.step, best=best))

    def _heed_late(self, signals: StopSignals) -> None:
        """Stop for a signal that came after the last step, to any process; the state is saved by then."""
        code = int(distributed.all_reduce_max(torch.tensor([signals.code])))
        if code:
            raise RunStopped(self._stop_message(), code)

    def _stop(self, code: int) -> None:
        self.save()
        raise RunStopped(self._stop_message(), code)

    def _stop_message(self) -> str:
        path = self.checkpoints.path_of(self.progress.step)
        return (
            f"stopped as asked: the state after step {self.progress.step} of {self.timetable.total_steps} is "
            f"saved in {path}; the same command goes on from there"
        )
