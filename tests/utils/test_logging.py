"""The metrics file on resume, and bars and log lines that stay quiet off a terminal."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from utils.logging import MetricsFile, Progress, format_seconds, get_logger, start_logging, stop_logging
from utils.trackers import TensorboardTracker, Trackers, film_strip


def test_metrics_file_drops_what_a_resumed_run_writes_again(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.jsonl")
    assert metrics.rewind(lambda entry: True) == 0
    for step in range(1, 6):
        metrics.write("train", step, {"loss": float(step)})
    with metrics.path.open("a") as stream:
        stream.write('{"kind": "train", "st')
    assert metrics.rewind(lambda entry: entry["step"] <= 3) == 3
    metrics.write("validation", 4, {"top1": float("nan")})
    assert [entry["step"] for entry in metrics.read()] == [1, 2, 3, 4]
    assert metrics.read("validation") == [{"kind": "validation", "step": 4, "top1": None}]


def test_log_file_is_appended_and_other_processes_stay_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for process in (0, 1):
        start_logging(tmp_path / "log.txt", process)
        get_logger().info("step %d", process)
        get_logger().warning("careful %d", process)
    stop_logging()
    printed = capsys.readouterr().out
    assert "step 0" in printed and "step 1" not in printed and "[process 1] careful 1" in printed
    assert "step 0" in (tmp_path / "log.txt").read_text()
    assert "careful 1" not in (tmp_path / "log.txt").read_text()
    assert not logging.getLogger().handlers or get_logger().handlers == []


def test_progress_is_quiet_off_a_terminal_and_estimates_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(10, "train", done=2) as progress:
        assert progress.eta() == "?"
        progress.advance(2)
        assert progress.eta() == "0:00:00"
    assert capsys.readouterr().err == ""
    assert format_seconds(3723.4) == "1:02:03"


def test_tensorboard_writes_event_files_only_when_made(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    trackers = Trackers([TensorboardTracker(tmp_path / "tensorboard")])
    trackers.scalars({"train/loss": 1.0}, 1)
    trackers.clips("train/clips", torch.zeros(2, 3, 4, 8, 8, dtype=torch.uint8), 1)
    trackers.close()
    assert trackers and not Trackers()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert events.stat().st_size > 200


def test_tensorboard_has_a_step_once_after_a_resume(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for resumed, told in ((0, range(1, 10)), (5, range(6, 12))):
        tracker = TensorboardTracker(tmp_path)
        tracker.resumed(resumed)
        for step in told:
            tracker.scalars({"train/loss": step + 100.0 * bool(resumed)}, step)
        tracker.close()
    events = accumulator.EventAccumulator(str(tmp_path)).Reload()
    found = {event.step: event.value for event in events.Scalars("train/loss")}
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 12))
    assert found[5] == 5 and found[6] == 106


def test_film_strip_lays_frames_side_by_side() -> None:
    clip = torch.arange(2, dtype=torch.uint8).view(1, 2, 1, 1).expand(3, 2, 4, 5)
    strip = film_strip(clip)
    assert strip.shape == (3, 4, 10)
    assert strip[:, :, :5].max() == 0 and strip[:, :, 5:].min() == 1
