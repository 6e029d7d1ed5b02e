"""Worker processes that may hang or die, and a main process that notices which video did it.

    worker: notes on the board which video it reads since when
        ──► main: a thread ends workers that are overdue; lost workers are named with their video

Workers come from a fork server (spawned where there is none): a clean process that has loaded the libraries
but never touched a GPU, opened a file or started a thread. Forking the training process itself would copy
the locks of CUDA, NCCL and OpenMP in whatever state they are, and native decoders are known to crash or
hang on that."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pickle import UnpicklingError
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from datasets.batch import VideoBatch, VideoSample, collate
from datasets.samplers import Batches
from datasets.video_dataset import SampleKey, UnreadableVideoError, VideoDataset
from utils.fork_server import fork_server_context

Fetched = VideoBatch | UnreadableVideoError

_NO_ROW = -1.0
_CHECK_PERIOD = 1.0  # seconds


@dataclass(frozen=True)
class LostWorker:
    """A worker that ended before its time."""

    row: int | None  # the video that it was reading
    hung: bool
    exit_code: int | None


class WorkersLostError(RuntimeError):
    """Workers ended while batches were due."""

    def __init__(self, lost: Sequence[LostWorker]) -> None:
        super().__init__(f"{len(lost)} worker process(es) ended")
        self.lost = tuple(lost)


class WorkerBoard:
    """What every worker is doing, in shared memory: (process id, row of its video or -1, since when)."""

    def __init__(self, num_workers: int) -> None:
        self._table = torch.full((num_workers, 3), _NO_ROW, dtype=torch.float64).share_memory_()

    def register(self, worker: int) -> None:
        """Called by a worker when it starts."""
        self._table[worker, 0] = os.getpid()

    def starts(self, worker: int, row: int) -> None:
        """Called by a worker before it opens a video. The time comes first: a reader never sees a row too
        early.
        """
        self._table[worker, 2] = time.monotonic()
        self._table[worker, 1] = row

    def finishes(self, worker: int) -> None:
        """Called by a worker when a sample is done."""
        self._table[worker, 1] = _NO_ROW

    def rows(self) -> dict[int, tuple[int | None, float]]:
        """{process id: (row of its video, or None when idle; seconds since it began with it)}."""
        now = time.monotonic()
        return {
            int(pid): (None if row == _NO_ROW else int(row), now - since)
            for pid, row, since in self._table.tolist()
        }


class WorkerPool:
    """The worker processes of one loader; they stay between runs until `kill` is called."""

    def __init__(
        self,
        dataset: VideoDataset,
        num_workers: int,
        *,
        prefetch_factor: int,
        pin_memory: bool,
        timeout: float,
    ) -> None:
        """timeout: seconds that one video may take; 0: any time."""
        self._schedule = _Schedule()
        self._board = WorkerBoard(num_workers)
        self._loader: DataLoader[Any] | None = DataLoader(
            _WorkerSide(dataset, self._board),
            batch_sampler=self._schedule,  # type: ignore[arg-type]
            num_workers=num_workers,
            collate_fn=_collate_or_error,
            prefetch_factor=prefetch_factor,
            pin_memory=pin_memory and torch.cuda.is_available(),
            persistent_workers=True,
            worker_init_fn=_start_worker,
            multiprocessing_context=_clean_context(),
            # Its own: a new iterator must not draw from the generator that dropout draws from.
            generator=torch.Generator(),
        )
        self._processes: list[BaseProcess] = []
        self._hung: set[int] = set()
        self._closed = threading.Event()
        self._timeout = timeout
        self._at_exit = partial(_kill, self._processes)

    def run(self, batches: Batches, first: int) -> Iterator[Fetched]:
        """The batches from number `first` on, in order.

        Raises:
            WorkersLostError: workers died or were ended because they hung; the pool is of no more use.
        """
        assert self._loader is not None, "the pool has been killed"
        self._schedule.batches, self._schedule.first = batches, first
        try:
            before = set(multiprocessing.active_children())
            iterator = iter(self._loader)
            if not self._processes:
                self._processes += set(multiprocessing.active_children()) - before
                self._start_watching()
            yield from iterator
        except (RuntimeError, OSError, EOFError, UnpicklingError) as error:
            lost = self._lost_workers()
            if not lost:
                raise  # an error of the data set's own
            raise WorkersLostError(lost) from error

    def kill(self) -> None:
        """End the workers, whatever they do."""
        self._closed.set()
        _kill(self._processes)
        atexit.unregister(self._at_exit)
        self._loader = None

    def _start_watching(self) -> None:
        # Registered after torch's own clean-up, and so called before it: that would wait for workers that
        # hang.
        atexit.register(self._at_exit)
        if self._timeout > 0:
            threading.Thread(target=self._end_overdue_workers, name="worker watch", daemon=True).start()

    def _end_overdue_workers(self) -> None:
        """Kill every worker that has been with one video for too long (the thread of the watch)."""
        while not self._closed.wait(min(_CHECK_PERIOD, self._timeout / 4)):
            doings = self._board.rows()
            for process in self._processes:
                row, seconds = doings.get(process.pid or 0, (None, 0.0))
                if row is not None and seconds > self._timeout and process.pid not in self._hung:
                    self._hung.add(process.pid or 0)
                    process.kill()

    def _lost_workers(self) -> list[LostWorker]:
        """Workers that have ended, or will within a second: a dying one's last batch breaks off first."""
        connection.wait([process.sentinel for process in self._processes], timeout=_CHECK_PERIOD)
        doings = self._board.rows()
        return [
            LostWorker(
                row=doings.get(process.pid or 0, (None, 0.0))[0],
                hung=process.pid in self._hung,
                exit_code=process.exitcode,
            )
            for process in self._processes
            if not process.is_alive()
        ]


class _Schedule:
    """The batch sampler of the pool's DataLoader: what `run` sets it to."""

    batches: Batches
    first: int

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for number in range(self.first, len(self.batches)):
            yield self.batches[number]


class _WorkerSide(Dataset[VideoSample | UnreadableVideoError]):
    """The data set as workers see it: they note what they do, and return the error that means "stop the run".

    Returned, it reaches the user as it is; raised, torch would wrap the worker's whole traceback around it.
    """

    def __init__(self, dataset: VideoDataset, board: WorkerBoard) -> None:
        self.dataset = dataset
        self.board = board
        self.worker = 0

    def __getitem__(self, key: SampleKey) -> VideoSample | UnreadableVideoError:
        try:
            return self.dataset[key]
        except UnreadableVideoError as error:
            return error
        finally:
            self.board.finishes(self.worker)

    def note(self, row: int) -> None:
        """Tell the main process that a video is about to be opened."""
        self.board.starts(self.worker, row)


def _collate_or_error(samples: list[VideoSample | UnreadableVideoError]) -> Fetched:
    for sample in samples:
        if isinstance(sample, UnreadableVideoError):
            return sample
    return collate([sample for sample in samples if isinstance(sample, VideoSample)])


def _start_worker(worker: int) -> None:
    """Called in every new worker process."""
    info = get_worker_info()
    assert info is not None
    side = info.dataset
    assert isinstance(side, _WorkerSide)
    side.worker = worker
    side.board.register(worker)
    side.dataset.before_read = side.note
    # Signals that stop a run go to all its processes. The main process has a state to save, and may need a
    # batch until then; it ends its workers itself.
    for number in (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGUSR1", None)):
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the main process is gone, then go too: workers of a killed run must not linger."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _clean_context() -> multiprocessing.context.BaseContext:
    return fork_server_context() or multiprocessing.get_context("spawn")


def _kill(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join()
