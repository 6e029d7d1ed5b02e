"""Starting workers on this machine: environment, exit codes, and numbers of GPUs that make no sense."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from runs.launch import processes_to_start, start_workers
from runs.process import EXIT_FAILED, choose_device, exit_code_of
from utils.config import ConfigError

WORKER = """
import os, sys
from pathlib import Path
Path(sys.argv[1], os.environ["RANK"]).write_text(os.environ["WORLD_SIZE"] + os.environ["MASTER_PORT"])
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize(("asked", "visible", "expected"), [(None, 0, 1), (None, 8, 8), (0, 8, 1), (4, 8, 4)])
def test_processes_follow_the_gpus(asked: int | None, visible: int, expected: int) -> None:
    assert processes_to_start(asked, visible) == expected


def test_gpus_that_are_not_there_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="8 asked for, 2 visible"):
        processes_to_start(8, 2)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert choose_device(None, 4).index == 3 and choose_device(0, 4).type == "cpu"
    with pytest.raises(ConfigError, match="process 3 of this machine has no GPU"):
        choose_device(None, 2)


def test_memory_that_ran_out_names_remedies_of_either_task(capfd: pytest.CaptureFixture[str]) -> None:
    def job() -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    assert exit_code_of(job) == EXIT_FAILED
    told = " ".join(capfd.readouterr().err.split())
    assert "MICRO_BATCH_SIZE" in told and "retrieval compares all pairs" in told
    assert "TRAIN.ACTIVATION_CHECKPOINTING" in told


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (75, 75), (2, 2), (9, 1)])
def test_workers_get_their_places_and_pass_on_their_codes(tmp_path: Path, code: int, expected: int) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    assert start_workers(2, [str(script), str(tmp_path), str(code)]) == expected
    found = [(tmp_path / rank).read_text() for rank in "01"]
    assert found[0] == found[1] and found[0].startswith("2")


WAITING = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(75))
Path(sys.argv[1], "ready" + os.environ["RANK"]).touch()
time.sleep(60)
"""
LAUNCHER = """
import sys
sys.path.insert(0, sys.argv[1])
from runs.launch import start_workers
sys.exit(start_workers(2, sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_signal_to_the_launcher_reaches_the_workers(tmp_path: Path, checkout: Path) -> None:
    worker, launcher = tmp_path / "worker.py", tmp_path / "launcher.py"
    worker.write_text(WAITING)
    launcher.write_text(LAUNCHER)
    command = [sys.executable, str(launcher), str(checkout), str(worker), str(tmp_path)]
    process = subprocess.Popen(command)
    while not all((tmp_path / f"ready{rank}").exists() for rank in "01"):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGUSR1)
    assert process.wait(30) == 75
