"""When a training run does what, as pure functions of the step.

A loop joins `epochs_per_loop` passes over the data (TRAIN.NUM_FOLDS) and cuts them into global batches,
dropping the incomplete last one. Validation and checkpoints come between loops. The last loop may be shorter.

    step ──locate──► (loop, step in the loop)        step ──epoch_at──► fractional epoch, for the learning
    rate
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Timetable:
    """videos: of the training split; batch_videos: videos in a global batch. Periods are in epochs."""

    videos: int
    batch_videos: int
    max_epoch: int
    epochs_per_loop: int = 1
    eval_period: int = 1
    checkpoint_period: int = 1

    def __post_init__(self) -> None:
        if min(self.steps_of_loop) == 0:
            fewest = min(self.passes_of_loop) * self.videos
            raise ValueError(
                f"{self.videos} training videos do not fill one batch of {self.batch_videos}: set "
                f"TRAIN.BATCH_SIZE so that a step takes at most {fewest} videos, or raise TRAIN.NUM_FOLDS"
            )

    @cached_property
    def passes_of_loop(self) -> tuple[int, ...]:
        """Passes over the data in each loop."""
        whole, rest = divmod(self.max_epoch, self.epochs_per_loop)
        return (self.epochs_per_loop,) * whole + ((rest,) if rest else ())

    @cached_property
    def steps_of_loop(self) -> tuple[int, ...]:
        """Optimizer steps in each loop."""
        return tuple(self.videos * passes // self.batch_videos for passes in self.passes_of_loop)

    @property
    def loops(self) -> int:
        """Number of loops."""
        return len(self.passes_of_loop)

    @cached_property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return sum(self.steps_of_loop)

    def locate(self, step: int) -> tuple[int, int]:
        """The loop that a step belongs to, and its number there; (loops, 0) when all steps are done."""
        loop = min(step // self.steps_of_loop[0], self.loops - 1)  # only the last loop is different
        inside = step - loop * self.steps_of_loop[0]
        return (self.loops, 0) if step >= self.total_steps else (loop, inside)

    def first_epoch(self, loop: int) -> int:
        """Passes over the data before a loop; of `loops`, all of them."""
        return min(loop * self.epochs_per_loop, self.max_epoch)

    def epoch_at(self, step: int) -> float:
        """Passes over the data after so many steps, as a fraction; whole at the end of a loop."""
        loop, inside = self.locate(step)
        if loop == self.loops:
            return float(self.max_epoch)
        return self.first_epoch(loop) + self.passes_of_loop[loop] * inside / self.steps_of_loop[loop]

    def validates_after(self, loops: int) -> bool:
        """Whether a validation is due after so many loops."""
        return self._is_due(self.eval_period, loops)

    def saves_after(self, loops: int) -> bool:
        """Whether a checkpoint is due after so many loops."""
        return self._is_due(self.checkpoint_period, loops)

    def _is_due(self, period: int, loops: int) -> bool:
        return loops == self.loops or loops % -(-period // self.epochs_per_loop) == 0
