"""The loader: order, counts, and workers that raise, hang or die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from datasets.batch import VideoBatch
from datasets.decoding import open_video
from datasets.loader import (
    UnreadableRateError,
    VideoLoader,
    WorkerFailureError,
    tolerated_failures,
)
from datasets.records import VideoRecord
from datasets.samplers import EvaluationBatches, TrainingBatches
from datasets.sampling import ClipSampling
from datasets.transforms.evaluation import EvaluationTransform
from datasets.transforms.train import TrainTransform
from datasets.video_dataset import OnUnreadable, UnreadableVideoError, VideoDataset
from tests.datasets.synthetic import FakeReader, write_counting_video


@pytest.fixture(autouse=True)
def _look_often_whether_workers_live(monkeypatch: pytest.MonkeyPatch) -> None:
    # torch looks every 5 seconds; these tests kill many workers
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))


def training_set(*paths: str) -> VideoDataset:
    videos = [VideoRecord(path, (row,)) for row, path in enumerate(paths)]
    return VideoDataset(videos, FakeReader, ClipSampling(num_frames=2), TrainTransform(size=8), training=True)


def evaluation_set(*paths: str, on_unreadable: OnUnreadable = "stop") -> VideoDataset:
    videos = [VideoRecord(path, (row,)) for row, path in enumerate(paths)]
    transform = EvaluationTransform(size=8, short_side=8)
    sampling = ClipSampling(num_frames=2)
    return VideoDataset(videos, FakeReader, sampling, transform, training=False, on_unreadable=on_unreadable)


def loader(dataset: VideoDataset, **settings: Any) -> VideoLoader:
    return VideoLoader(dataset, **({"num_workers": 2} | settings))


def rows(batches: Iterator[VideoBatch]) -> list[list[int]]:
    return [batch.video_id.tolist() for batch in batches]


def videos(batches: Iterator[VideoBatch]) -> Tensor:
    return torch.cat([batch.video for batch in batches])


GOOD = [f"v{number}" for number in range(10)]


def test_samples_do_not_depend_on_the_workers_and_reading_can_begin_anywhere() -> None:
    batches = TrainingBatches(10, 4, seed=3, num_passes=2)
    alone = videos(loader(training_set(*GOOD), num_workers=0).batches(batches))
    with loader(training_set(*GOOD), num_workers=2, keep_workers=True) as shared:
        assert torch.equal(videos(shared.batches(batches)), alone)
        pids = {child.pid for child in multiprocessing.active_children()}
        assert torch.equal(videos(shared.batches(batches, first=2)), alone[8:])
        assert {child.pid for child in multiprocessing.active_children()} == pids
        assert shared.report.videos == 20 + 12
        assert shared.report.wait_seconds > 0
    assert not {child.pid for child in multiprocessing.active_children()} & pids


def test_processes_together_read_what_one_reads() -> None:
    whole = list(loader(training_set(*GOOD), num_workers=0).batches(TrainingBatches(10, 4, seed=3)))
    for rank in range(2):
        mine = TrainingBatches(10, 4, seed=3, rank=rank, world_size=2)
        for part, batch in zip(loader(training_set(*GOOD), num_workers=0).batches(mine), whole, strict=True):
            assert torch.equal(part.video, batch.video[2 * rank : 2 * rank + 2])


def test_unreadable_training_videos_are_replaced_counted_and_named(caplog: pytest.LogCaptureFixture) -> None:
    dataset = training_set(*GOOD[:9], "broken")
    reading = loader(dataset, num_workers=0, max_unreadable_rate=0.1)
    batches = list(reading.batches(TrainingBatches(10, 5, seed=0, num_passes=3)))
    assert all(len(batch) == 5 and 9 not in batch.video_id.tolist() for batch in batches)
    assert sum(len(batch.failures) for batch in batches) == 3
    assert (reading.report.videos, reading.report.unreadable_reads) == (30, 3)
    assert list(reading.report.failures) == [9]
    assert "video 9 of the list is replaced by video" in caplog.text


def test_training_stops_when_too_many_videos_are_unreadable() -> None:
    dataset = training_set(*GOOD[:6], *["broken"] * 4)
    reading = loader(dataset, num_workers=0, max_unreadable_rate=0.05)
    with pytest.raises(
        UnreadableRateError, match=r"MAX_UNREADABLE_RATE 0.05 allows.*no moov atom.*Raise the rate"
    ):
        list(reading.batches(TrainingBatches(10, 5, seed=0, num_passes=8)))
    assert reading.report.videos < 40


def test_the_tolerance_is_the_rate_plus_three_deviations() -> None:
    assert tolerated_failures(0, 0.01) == 3
    assert tolerated_failures(10_000, 0) == 0
    assert tolerated_failures(10_000, 0.01) == 100 + 30 + 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_testing_stops_with_the_path(num_workers: int) -> None:
    reading = loader(evaluation_set("v0", "v1", "broken"), num_workers=num_workers)
    with pytest.raises(
        UnreadableVideoError, match=r"^video 2 of the list: .*'broken'.*no moov atom"
    ) as caught:
        list(reading.batches(EvaluationBatches(3, 1)))
    assert "Traceback" not in str(caught.value)
    assert not [child for child in multiprocessing.active_children() if child.daemon]


def test_testing_with_skip_leaves_missing_videos_out_and_counts_them() -> None:
    reading = loader(evaluation_set("v0", "broken", "v2", on_unreadable="skip"), num_workers=0)
    assert rows(reading.batches(EvaluationBatches(3, 1))) == [[0], [2]]
    assert list(reading.report.failures) == [1]


def test_a_dying_and_a_hanging_worker_cost_their_videos_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset = training_set("v0", "v1", "die", "v3", "v4", "hang", "v6", "v7")
    batches = TrainingBatches(8, 2, seed=1, num_passes=2)
    reading = loader(dataset, timeout=3.0)
    read = list(reading.batches(batches))
    assert dataset.unreadable.keys() == {2, 5}
    assert "died with exit code -9" in dataset.unreadable[2]
    assert "hung for more than 3 s" in dataset.unreadable[5]
    assert len(reading.report.worker_failures) == 2
    assert "while it read video 2 of the list, die" in caplog.text
    assert reading.report.unreadable_reads >= 4  # each in both passes, and maybe as a replacement
    # the same as in a run that knew from the beginning, in one process: order, replacements and pixels
    knowing = training_set("v0", "v1", "die", "v3", "v4", "hang", "v6", "v7")
    resumed = VideoLoader(knowing, num_workers=0)
    resumed.load_state_dict(reading.state_dict())
    for ours, theirs in zip(read, resumed.batches(batches), strict=True):
        assert torch.equal(ours.video, theirs.video)
        assert torch.equal(ours.video_id, theirs.video_id)


def test_too_many_dying_workers_stop_the_run_with_all_their_videos() -> None:
    reading = loader(training_set("v0", "die", "v2", "die"), num_workers=1, max_worker_failures=1)
    videos = "video 3 of the list.*video 1 of the list"
    with pytest.raises(
        WorkerFailureError, match=rf"more than 1 times.*{videos}.*Raise DATA_LOADER.MAX_WORKER_FAILURES"
    ):
        list(reading.batches(TrainingBatches(4, 1, seed=0)))


def test_a_test_video_that_kills_its_worker_stops_the_test_or_is_missing() -> None:
    paths = ("v0", "die", "v2")
    with pytest.raises(UnreadableVideoError, match=r"video 1 of the list.*'die'.*exit code -9"):
        list(loader(evaluation_set(*paths)).batches(EvaluationBatches(3, 1)))
    skipping = loader(evaluation_set(*paths, on_unreadable="skip"))
    assert rows(skipping.batches(EvaluationBatches(3, 1))) == [[0], [2]]


class Faulty(FakeReader):
    """A reader with a programming error."""

    def __init__(self, path: str) -> None:
        raise RuntimeError(f"a mistake about {path}")


def test_programming_errors_are_not_taken_for_bad_videos() -> None:
    dataset = training_set("v0", "v1")
    dataset._open_video = Faulty
    with pytest.raises(RuntimeError, match="a mistake about v"):
        list(loader(dataset).batches(TrainingBatches(2, 1, seed=0)))


def test_workers_ignore_the_signals_that_stop_a_run() -> None:
    reading = loader(training_set(*GOOD), keep_workers=True)
    iterator = reading.batches(TrainingBatches(10, 2, seed=0))
    for _ in range(2):  # one of each worker
        next(iterator)
    children = multiprocessing.active_children()
    for child in children:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            os.kill(child.pid or 0, number)
    assert len(list(iterator)) == 3
    assert not reading.report.worker_failures
    reading.close()


SCRIPT = """
import multiprocessing, os, sys, time
sys.path.insert(0, {checkout!r})
from tests.datasets.test_loader import GOOD, TrainingBatches, loader, training_set
if __name__ == "__main__":
    batches = loader(training_set(*GOOD), num_workers=2).batches(TrainingBatches(10, 2, seed=0))
    next(batches)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    time.sleep(60)
"""


def test_workers_do_not_outlive_a_main_process_that_is_killed(checkout: Path, tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(SCRIPT.format(checkout=str(checkout)))
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(pid) for pid in process.stdout.readline().split()]
        assert len(workers) == 2
        process.kill()
    deadline = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(psutil.pid_exists(pid) for pid in workers)


@pytest.mark.slow
def test_a_worker_does_not_grow_over_two_thousand_clips(tmp_path: Path) -> None:
    write_counting_video(tmp_path / "clip.mp4", 24, height=128, width=160)
    videos = [VideoRecord(str(tmp_path / "clip.mp4"), (0,))] * 100
    dataset = VideoDataset(
        videos, open_video, ClipSampling(num_frames=8), TrainTransform(size=112), training=True
    )
    sizes = []
    with loader(dataset, num_workers=1) as reading:
        for batch in reading.batches(TrainingBatches(100, 4, seed=0, num_passes=22)):
            assert not batch.failures
            (worker,) = multiprocessing.active_children()
            sizes.append(psutil.Process(worker.pid).memory_full_info().uss / 2**20)
    assert max(sizes[-10:]) - min(sizes[40:50]) < 50  # MB, from clip 200 to clip 2200
