"""The fork server starts without torch, at once, and serves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys, time
from utils import fork_server
fork_server.WORKER_LIBRARIES = ("json",)
start = time.monotonic()
fork_server.start_fork_server()
fork_server.start_fork_server()
assert time.monotonic() - start < 5
assert "torch" not in sys.modules
process = fork_server.fork_server_context().Process(target=print, args=("served",), daemon=True)
process.start()
process.join(60)
sys.exit(process.exitcode)
"""


def test_it_starts_without_torch_and_serves() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "served\n"
