"""The fork server starts without torch, at once, and serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from utils.fork_server import gpus_by_files

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = """
import re, signal, sys, time
from multiprocessing import forkserver
from pathlib import Path
from utils import fork_server
fork_server.WORKER_LIBRARIES = ("json",)

def process_mask(pid):
    return int(re.search(r"SigBlk:\\s*(\\w+)", Path(f"/proc/{pid}/status").read_text())[1], 16)

start = time.monotonic()
fork_server.start_fork_server()
fork_server.start_fork_server()
assert time.monotonic() - start < 5
assert "torch" not in sys.modules
process = fork_server.fork_server_context().Process(target=print, args=("served",), daemon=True)
process.start()
process.join(60)
held_back = process_mask(forkserver._forkserver._forkserver_pid)
assert held_back >> (signal.SIGINT - 1) & 1, "the server sees Ctrl-C"
sys.exit(process.exitcode)
"""


def test_it_starts_without_torch_and_serves() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "served\n"


@pytest.mark.parametrize(("chosen", "expected"), [(None, 3), ("", 0), ("1", 1), ("0,2", 2), ("0,1,2,3", 3)])
def test_gpus_are_counted_without_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str | None, expected: int
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia7", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    assert gpus_by_files(tmp_path) == expected
