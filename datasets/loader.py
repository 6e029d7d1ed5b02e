"""Batches of videos, read by worker processes, in an order that nothing can change.

    TrainingBatches, EvaluationBatches ──► VideoLoader (workers: VideoDataset, collate) ──► VideoBatch …

A worker that hangs or dies is named with its video; the video counts as unreadable, the workers are started
again and the batches go on where they were. Too many of these, or too many unreadable videos, stop the run.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from datasets.batch import ReadFailure, VideoBatch, collate
from datasets.samplers import Batches
from datasets.video_dataset import UnreadableVideoError, VideoDataset
from datasets.workers import Fetched, LostWorker, WorkerPool, WorkersLostError
from utils.logging import get_logger

_ALWAYS_TOLERATED = 3
_NAMED_VIDEOS = 5
_EXIT_HINTS = {
    -7: "bus error: shared memory may be full; give /dev/shm more space (docker: --shm-size)",
    -9: "killed; if nobody did it, memory ran out: lower DATA_LOADER.NUM_WORKERS",
    -11: "segmentation fault in a native library",
}


class WorkerFailureError(RuntimeError):
    """Worker processes hung or died more often than DATA_LOADER.MAX_WORKER_FAILURES; the message names the
    videos.
    """


class UnreadableRateError(RuntimeError):
    """More training videos are unreadable than TRAIN.MAX_UNREADABLE_RATE allows; the message names some."""


@dataclass
class LoaderReport:
    """What happened while reading, since the loader was made (or its state was loaded)."""

    videos: int = 0
    """Videos asked for."""
    unreadable_reads: int = 0
    """How often a video could not be read; in training each was replaced, in testing it is missing."""
    failures: dict[int, ReadFailure] = field(default_factory=dict)
    """The latest failure of every unreadable video, by row of the annotation list."""
    worker_failures: list[str] = field(default_factory=list)
    """One sentence for every worker that hung or died."""
    wait_seconds: float = 0.0
    """Time that the consumer waited for batches."""

    def add(self, videos: int, failures: tuple[ReadFailure, ...]) -> None:
        """Count one batch."""
        self.videos += videos
        self.unreadable_reads += len(failures)
        self.failures.update((failure.row, failure) for failure in failures)


class VideoLoader:
    """Reads batches with worker processes; use it as a context manager, or call `close`.

    num_workers: 0 reads in this process, where hanging and dying cannot be survived. timeout: seconds that
    one video may take in a worker, 0 for any time. max_unreadable_rate: share of unreadable videos above
    which training stops; None: not watched. keep_workers: let them wait for the next call of `batches`
    instead of ending them."""

    def __init__(
        self,
        dataset: VideoDataset,
        *,
        num_workers: int,
        prefetch_factor: int = 2,
        pin_memory: bool = False,
        timeout: float = 0.0,
        max_worker_failures: int = 5,
        max_unreadable_rate: float | None = None,
        keep_workers: bool = False,
    ) -> None:
        self.dataset = dataset
        self.report = LoaderReport()
        self._num_workers = num_workers
        self._prefetch_factor = prefetch_factor
        self._pin_memory = pin_memory
        self._timeout = timeout
        self._max_worker_failures = max_worker_failures
        self._max_unreadable_rate = max_unreadable_rate
        self._keep_workers = keep_workers
        self._pool: WorkerPool | None = None

    def batches(self, batches: Batches, first: int = 0) -> Iterator[VideoBatch]:
        """The batches from number `first` on; batches of nothing but missing test videos are left out.

        Raises:
            UnreadableVideoError: a video cannot be read and must not be replaced, or replacing it failed.
            UnreadableRateError, WorkerFailureError: there are too many such videos, or worker failures.
        """
        position = first
        try:
            for fetched in self._waiting_measured(self._survive_worker_failures(batches, first)):
                if isinstance(fetched, UnreadableVideoError):
                    raise fetched
                self.report.add(len(batches[position]), fetched.failures)
                self._tell(fetched.failures)
                position += 1
                if len(fetched):
                    yield fetched
        finally:
            if position < len(batches) or not self._keep_workers:
                self.close()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know to read the same samples, as plain types: videos that end their
        workers.
        """
        return {"unreadable": dict(self.dataset.unreadable)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with what `state_dict` gave."""
        self.close()
        self.dataset.unreadable = {int(row): str(reason) for row, reason in state["unreadable"].items()}

    def close(self) -> None:
        """End the workers; `batches` starts new ones."""
        if self._pool is not None:
            self._pool.kill()
            self._pool = None

    def __enter__(self) -> VideoLoader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _waiting_measured(self, batches: Iterator[Fetched]) -> Iterator[Fetched]:
        while True:
            start = time.perf_counter()
            fetched = next(batches, None)
            self.report.wait_seconds += time.perf_counter() - start
            if fetched is None:
                return
            yield fetched

    def _survive_worker_failures(self, batches: Batches, first: int) -> Iterator[Fetched]:
        """What the workers fetch, whatever happens to them on the way."""
        if self._num_workers == 0:
            for number in range(first, len(batches)):
                yield collate([self.dataset[key] for key in batches[number]])
            return
        position = first
        while position < len(batches):
            try:
                for fetched in self._running_pool().run(batches, position):
                    position += 1
                    yield fetched
            except WorkersLostError as error:
                self.close()
                self._account(error)

    def _running_pool(self) -> WorkerPool:
        if self._pool is None:
            self._pool = WorkerPool(
                self.dataset,
                self._num_workers,
                prefetch_factor=self._prefetch_factor,
                pin_memory=self._pin_memory,
                timeout=self._timeout,
            )
        return self._pool

    def _account(self, error: WorkersLostError) -> None:
        """Mark the videos of lost workers, and stop after too many. Raises WorkerFailureError."""
        failures = self.report.worker_failures
        for lost in error.lost:
            if lost.row in self.dataset.unreadable:
                continue  # several workers were caught by the same video
            what = f"a worker process {self._describe(lost)}"
            if lost.row is not None:
                self.dataset.unreadable[lost.row] = what
                path = self.dataset.records[lost.row].path
                what += f" while it read video {lost.row} of the list, {path}, which now counts as unreadable"
            failures.append(what)
            get_logger().warning("%s (failure %d of this kind)", what, len(failures))
        if len(failures) > self._max_worker_failures:
            raise WorkerFailureError(
                f"worker processes failed more than {self._max_worker_failures} times: "
                f"{'; '.join(failures)}. Raise DATA_LOADER.MAX_WORKER_FAILURES to go on; a new run can leave "
                "such videos out (runs/prepare.py check finds them, for DATA.EXCLUDE_LIST)"
            ) from error

    def _describe(self, lost: LostWorker) -> str:
        if lost.hung:
            return f"hung for more than {self._timeout:g} s (DATA_LOADER.TIMEOUT)"
        hint = _EXIT_HINTS.get(lost.exit_code or 0)
        return f"died with exit code {lost.exit_code}" + (f" ({hint})" if hint else "")

    def _tell(self, failures: tuple[ReadFailure, ...]) -> None:
        """Warn of unreadable videos, and stop when there are too many. Raises UnreadableRateError."""
        for failure in failures:
            fate = (
                "is missing" if failure.replaced_by is None else f"is replaced by video {failure.replaced_by}"
            )
            get_logger().warning("video %d of the list %s: %s", failure.row, fate, failure.reason)
        if self._max_unreadable_rate is None or not failures:
            return
        count, videos = self.report.unreadable_reads, self.report.videos
        if count > tolerated_failures(videos, self._max_unreadable_rate):
            first = "; ".join(
                failure.reason for failure in list(self.report.failures.values())[:_NAMED_VIDEOS]
            )
            raise UnreadableRateError(
                f"{count} of {videos} training videos could not be read, more than TRAIN.MAX_UNREADABLE_RATE "
                f"{self._max_unreadable_rate:g} allows. The first: {first}. Raise the rate to go on; a new "
                "run can leave bad videos out (runs/prepare.py check finds them, for DATA.EXCLUDE_LIST)"
            )


def tolerated_failures(videos: int, rate: float) -> float:
    """How many of `videos` reads may fail before the true rate is above `rate` beyond chance (three
    deviations); of a rate of 0, none.
    """
    if rate == 0:
        return 0
    expected = videos * rate
    return expected + 3 * math.sqrt(expected) + _ALWAYS_TOLERATED
