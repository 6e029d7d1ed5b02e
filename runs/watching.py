"""What is told while a run trains: a bar, a line every LOG_PERIOD steps, `metrics.jsonl`, trackers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from runs.timetable import Timetable
from runs.training_state import Progress
from runs.training_step import StepOutcome
from utils import distributed
from utils.logging import MetricsFile, get_logger
from utils.logging import Progress as ProgressBar
from utils.memory import peak_memory_bytes
from utils.stopwatch import Stopwatch
from utils.trackers import Trackers


class Watch:
    """Speaks for the run; on all but the main process every method does nothing."""

    def __init__(
        self,
        metrics: MetricsFile,
        trackers: Trackers,
        stopwatch: Stopwatch,
        *,
        device: torch.device,
        log_period: int,
        timetable: Timetable,
        clips_per_step: int,
    ) -> None:
        self._metrics, self._trackers, self._stopwatch = metrics, trackers, stopwatch
        self._device, self._log_period = device, log_period
        self._timetable, self._total_steps = timetable, timetable.total_steps
        self._clips_per_step = clips_per_step
        self._speaks = distributed.is_main()
        self._shown = False
        self._bar = self._new_bar(0)
        self._lines_at = {"step": 0, "seconds": 0.0, "data": 0.0}

    def resumed(self, progress: Progress) -> None:
        """The run goes on from `progress`: lines that will be written again are dropped."""
        if not self._speaks:
            return
        owed = (
            self._timetable.locate(progress.step)[0] > progress.closed_loops
        )  # a validation, to be done again

        def stays(entry: Mapping[str, Any]) -> bool:
            repeated = entry["kind"] == "test" or (owed and entry["kind"] == "validation")
            return entry["step"] < progress.step + (0 if repeated else 1)

        self._metrics.rewind(stays)
        self._bar.close()
        self._bar = self._new_bar(progress.step)
        self._lines_at.update(step=progress.step, seconds=progress.seconds)
        self._trackers.resumed(progress.step)

    def stepped(self, progress: Progress, outcome: StepOutcome, rate: float) -> None:
        """A step is done; every LOG_PERIOD steps the losses since the last line are averaged into one."""
        due = progress.step % self._log_period == 0 or progress.step == self._total_steps
        if self._speaks:
            self._bar.advance(1, f"loss {outcome.loss:.4f}")
        if due and self._speaks:
            self._tell(self._values(progress, outcome, rate), progress.step)
        if due:
            progress.window_loss, progress.window_steps = 0.0, 0

    def show_once(self, clips: Callable[[], Tensor], step: int) -> None:
        """The first clips since the start or a resume, uint8 (n,3,T,H,W), for those who keep pictures."""
        if self._trackers and not self._shown:
            self._trackers.clips("train/clips", clips(), step)
        self._shown = True

    def record(self, kind: str, values: Mapping[str, float], step: int) -> None:
        """Numbers of another kind than training ("validation", "test")."""
        if self._speaks:
            self._metrics.write(kind, step, values)
            self._trackers.scalars({f"{kind}/{name}": value for name, value in values.items()}, step)

    def close(self) -> None:
        """The training has ended; trackers go on until the run has."""
        self._bar.close()

    def _new_bar(self, done: int) -> ProgressBar:
        return ProgressBar(self._total_steps, "train", done=done, visible=self._speaks)

    def _values(self, progress: Progress, outcome: StepOutcome, rate: float) -> dict[str, float]:
        last = self._lines_at
        seconds = max(progress.seconds - last["seconds"], 1e-9)
        data = self._stopwatch.seconds.get("data", 0.0)
        values = {
            "epoch": self._timetable.epoch_at(progress.step),
            "loss": progress.window_loss / progress.window_steps if progress.window_steps else float("nan"),
            "learning_rate": rate,
            "gradient_norm": outcome.gradient_norm,
            "clips_per_second": (progress.step - last["step"]) * self._clips_per_step / seconds,
            "data_wait_share": min(1.0, (data - last["data"]) / seconds),
            "peak_memory_gb": peak_memory_bytes(self._device) / 1e9,
            "nonfinite_steps": progress.nonfinite_steps,
            "replaced_clips": progress.replaced_clips,
        }
        self._lines_at = {"step": progress.step, "seconds": progress.seconds, "data": data}
        return values

    def _tell(self, values: Mapping[str, float], step: int) -> None:
        self._metrics.write("train", step, values)
        self._trackers.scalars({f"train/{name}": value for name, value in values.items()}, step)
        get_logger().info(
            "step %d/%d epoch %.2f loss %.4f lr %.3g grad %.3g %.1f clips/s data wait %.0f%% eta %s",
            step,
            self._total_steps,
            values["epoch"],
            values["loss"],
            values["learning_rate"],
            values["gradient_norm"],
            values["clips_per_second"],
            100 * values["data_wait_share"],
            self._bar.eta(),
        )
