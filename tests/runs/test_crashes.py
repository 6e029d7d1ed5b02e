"""Runs that die at any moment go on as if nothing had happened; faults of disk and files are told and
survived.

`tests/long/crash_test.py` is the long form, with the real command and thirty kills.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import STEPS, held_at, start_run
from utils import checkpoint
from utils.checkpoint import read_checkpoint, serialise
from utils.checkpoint_folder import CheckpointFolder
from utils.logging import LogFile, MetricsFile, get_logger

CHECKPOINT_BYTES = 5_200_000
KEPT = ("kind", "step", "loss", "learning_rate", "gradient_norm", "top1", "videos")


def _outcome(pairs: dict[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What must not depend on crashes: weights, averages and optimizer state, and the numbers that were
    logged.
    """
    output = Path(pairs["OUTPUT_DIR"])
    state = read_checkpoint(output / "checkpoints" / f"step_{STEPS:09d}.pt")
    lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    numbers = [{key: line[key] for key in KEPT if key in line} for line in lines]
    return {key: state[key] for key in ("weights", "average", "optimizer", "random")}, numbers


def _assert_same(first: Any, second: Any) -> None:
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key, value in first.items():
            _assert_same(value, second[key])
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second)
        for ours, theirs in zip(first, second, strict=True):
            _assert_same(ours, theirs)
    else:
        assert first == second


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dies_after(seconds: float) -> Callable[[], None]:
    return lambda: threading.Timer(seconds, _die).start()


def _dies_in_write(number: int, *, after_rename: bool) -> Callable[[], None]:
    """Kill at the `number`-th checkpoint: half of it written, or renamed but older ones not yet removed."""

    def lay_trap() -> None:
        calls = iter(range(1, 1000))
        whole_write, whole_rename = checkpoint._write_through, os.replace

        def write(path: Path, content: bytes) -> None:
            if (
                path.suffix == ".partial"
                and "step" in path.name
                and next(calls) == number
                and not after_rename
            ):
                path.write_bytes(content[: len(content) // 2])
                _die()
            whole_write(path, content)

        def rename(source: Path, target: Path) -> None:
            whole_rename(source, target)
            if after_rename and "step" in target.name and next(calls) > 2 * number:
                _die()

        checkpoint._write_through = write
        os.replace = rename  # type: ignore[assignment]

    return lay_trap


@pytest.mark.parametrize("processes", [1, 2])
def test_killed_runs_end_with_the_same_bits(pairs_of: Pairs, processes: int) -> None:
    started = time.monotonic()
    assert set(start_run(pairs_of("whole"), processes).codes()) == {0}
    seconds, chance = time.monotonic() - started, random.Random(processes)
    traps = [_dies_in_write(2, after_rename=False), _dies_in_write(1, after_rename=True)]
    traps += [_dies_after(chance.uniform(0.2, 0.9) * seconds) for _ in range(3 - processes)]
    killed = pairs_of("killed")
    for trap in traps:
        # of two processes both are killed: one by the trap, the other by losing the first
        start_run(killed, processes, trap).codes()
    last = start_run(killed, processes)
    assert set(last.codes()) == {0}, last.text()
    (state, numbers), (expected_state, expected_numbers) = _outcome(killed), _outcome(pairs_of("whole"))
    _assert_same(state, expected_state)
    assert numbers == expected_numbers


def test_torn_checkpoint_is_named_and_passed_over(pairs_of: Pairs) -> None:
    pairs = pairs_of()
    run = start_run(pairs, before=_dies_in_write(4, after_rename=False))
    assert run.codes() == [-signal.SIGKILL]
    folder = CheckpointFolder(Path(pairs["OUTPUT_DIR"], "checkpoints"))
    newest = folder.paths()[-1]
    newest.write_bytes(newest.read_bytes()[:-1000])
    again = start_run(pairs)
    assert again.codes() == [0]
    assert f"passed over: checkpoint {newest}" in again.text() and "resumed after step 2 of" in again.text()
    assert ".partial" in again.text() and "died while writing" in again.text()


def test_full_disk_keeps_the_previous_checkpoint_and_says_what_to_do(pairs_of: Pairs) -> None:
    pairs = pairs_of()

    def limit_file_size() -> None:
        whole_write = checkpoint._write_through
        calls = iter(range(1, 1000))

        def write(path: Path, content: bytes) -> None:
            if "step" in path.name and next(calls) == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2,) * 2)
            whole_write(path, content)

        checkpoint._write_through = write

    run = start_run(pairs, before=limit_file_size)
    assert run.codes() == [1]
    assert "no room for checkpoint" in run.text() and "Earlier checkpoints are untouched" in run.text()
    folder = CheckpointFolder(Path(pairs["OUTPUT_DIR"], "checkpoints"))
    found = folder.newest_valid()
    assert found is not None and found.state["progress"]["step"] == 2
    assert folder.remove_partial_files() == []
    again = start_run(pairs)
    assert again.codes() == [0] and "resumed after step 2 of" in again.text()


def test_a_disk_that_is_full_between_two_checkpoints_is_told(pairs_of: Pairs) -> None:
    def lay_trap() -> None:
        write = MetricsFile.write

        def fill(self: MetricsFile, kind: str, step: int, values: dict[str, Any]) -> None:
            if step == 3:
                for handler in get_logger().handlers:
                    if isinstance(handler, LogFile):
                        handler.setStream(Path("/dev/full").open("a"))  # noqa: SIM115
                self.path = Path("/dev/full")
            write(self, kind, step, values)

        MetricsFile.write = fill  # type: ignore[method-assign, assignment]

    pairs = pairs_of(OPTIMIZER__MAX_EPOCH="2")
    run = start_run(pairs, 2, lay_trap)
    assert run.codes() == [1, 1], run.text()
    assert "no room left (No space left on device)" in run.text(), run.text()
    assert "Traceback" not in run.text() and "Look at that machine" not in run.text(), run.text()
    again = start_run(pairs)
    assert again.codes() == [0] and "resumed after step 2 of" in again.text()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for two and a half checkpoints; only root can make one."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={int(2.5 * CHECKPOINT_BYTES)}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs rights that this process has not")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_really_full_disk(pairs_of: Pairs, small_disk: Path) -> None:
    pairs = pairs_of() | {"OUTPUT_DIR": str(small_disk / "run")}
    run = start_run(pairs, log_folder=small_disk.parent)
    assert run.codes() == [1]
    assert "no room for checkpoint" in run.text() and "MB free" in run.text(), run.text()
    subprocess.run(["mount", "-o", f"remount,size={9 * CHECKPOINT_BYTES}", str(small_disk)], check=True)
    again = start_run(pairs, log_folder=small_disk.parent)
    assert again.codes() == [0] and "resumed after step 2 of" in again.text()


@pytest.mark.slow
def test_a_worker_that_dies_is_named_and_the_run_goes_on(pairs_of: Pairs, tmp_path: Path) -> None:
    pairs, gate = pairs_of(DATA_LOADER__NUM_WORKERS="1", OPTIMIZER__MAX_EPOCH="12"), tmp_path / "gate"
    run = start_run(pairs, before=held_at(2, gate))
    run.wait_for("step 2/")
    family = psutil.Process(run.processes[0].pid).children(recursive=True)
    servers = {process.pid for process in family if "forkserver" in " ".join(process.cmdline())}
    workers = [process for process in family if process.pid in servers and process.ppid() in servers]
    for worker in workers:
        worker.kill()
    gate.unlink()
    assert run.codes() == [0], run.text()
    assert workers and "died with exit code -9" in run.text()


class RunsCode:
    """Pickles into a call that creates a folder."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.target,)


def test_malicious_checkpoint_is_refused(
    pairs_of: Pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, pairs = tmp_path / "trap", pairs_of()
    folder = CheckpointFolder(Path(pairs["OUTPUT_DIR"], "checkpoints"))
    folder.folder.mkdir(parents=True)
    monkeypatch.setattr(checkpoint, "assert_plain", lambda state: None)
    folder.path_of(3).write_bytes(serialise({"format": 1, "weights": RunsCode(str(trap))}))
    run = start_run(pairs)
    assert run.codes() == [1] and "refusing" in run.text()
    raw = tmp_path / "weights.pt"
    raw.write_bytes(pickle.dumps({"model_state": RunsCode(str(trap))}))
    run = start_run(pairs_of("other", TRAIN__CHECKPOINT_FILE_PATH=str(raw)))
    assert run.codes() == [2], run.text()
    assert not trap.exists()
