"""Two machines, simulated by two torchrun launchers on this one. Slow: real launchers, real start-up.

A busy machine must not decide how these tests end: a run waits at step HELD_AT (a gate, laid through
CUSTOM.MODULE) until the test has done to it what it is about.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.runs.conftest import Pairs
from tests.runs.tiny_runs import free_port, words

pytestmark = pytest.mark.slow

HELD_AT = 6
PATIENCE = 600.0  # seconds; only a test that fails takes them
GATE = """
from pathlib import Path

from tests.runs.tiny_runs import held_at

gate = Path({gate!r})
if gate.exists():
    held_at({step}, gate)()
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """While this file exists, runs with CUSTOM.MODULE gate.py beside it wait after step HELD_AT."""
    path = tmp_path / "closed"
    path.touch()
    (tmp_path / "gate.py").write_text(GATE.format(step=HELD_AT, gate=str(path)))
    return path


def _start_machine(
    number: int, port: int, pairs: dict[str, str], recipe: Path, checkout: Path
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node-rank", str(number)]
    command += ["--nproc-per-node", "1", "--master-addr", "127.0.0.1", "--master-port", str(port)]
    command += [str(checkout / "runs" / "run.py"), "--cfg", str(recipe), *words(pairs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with recipe.with_name(f"machine{number}.txt").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


def _start_launcher(
    pairs: dict[str, str], recipe: Path, checkout: Path, log: Path
) -> subprocess.Popen[bytes]:
    """torchrun with two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(checkout / "runs" / "run.py"), "--cfg", str(recipe), *words(pairs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )


def _wait_for_gate(log: Path, *launchers: subprocess.Popen[bytes]) -> None:
    """Until the run has said that it has done step HELD_AT."""
    end = time.monotonic() + PATIENCE
    while f"step {HELD_AT}/" not in log.read_text(errors="replace"):
        alive = all(launcher.poll() is None for launcher in launchers)
        assert alive and time.monotonic() < end, log.read_text(errors="replace")
        time.sleep(0.02)


def _pull_the_plug(machine: subprocess.Popen[bytes]) -> None:
    """Kill the launcher and its worker at once: nobody says goodbye."""
    launcher = psutil.Process(machine.pid)
    for process in [*launcher.children(recursive=True), launcher]:
        os.kill(process.pid, signal.SIGKILL)


def test_a_scheduler_that_signals_torchrun_lets_the_run_save(
    pairs_of: Pairs, gate: Path, tmp_path: Path, checkout: Path
) -> None:
    pairs, recipe = pairs_of(CUSTOM__MODULE=str(gate.with_name("gate.py"))), tmp_path / "recipe.yaml"
    recipe.write_text("{}\n")
    log = tmp_path / "log.txt"
    run = _start_launcher(pairs, recipe, checkout, log)
    _wait_for_gate(log, run)
    run.send_signal(signal.SIGTERM)
    assert run.wait(PATIENCE) != 0
    assert "stopped as asked: the state after step" in log.read_text()


def test_workers_do_not_outlive_their_launcher(
    pairs_of: Pairs, gate: Path, tmp_path: Path, checkout: Path
) -> None:
    pairs, recipe = pairs_of(CUSTOM__MODULE=str(gate.with_name("gate.py"))), tmp_path / "recipe.yaml"
    recipe.write_text("{}\n")
    log = tmp_path / "machine0.txt"
    launcher = _start_launcher(pairs, recipe, checkout, log)
    _wait_for_gate(log, launcher)
    workers = psutil.Process(launcher.pid).children(recursive=True)
    launcher.kill()
    gone, alive = psutil.wait_procs(workers, timeout=PATIENCE)
    assert len(gone) >= 2 and not alive
    assert "stopped as asked: the state after step" in log.read_text()


def test_losing_a_machine_ends_the_run_clearly_and_a_restart_resumes(
    pairs_of: Pairs, gate: Path, tmp_path: Path, checkout: Path
) -> None:
    pairs, recipe = pairs_of(CUSTOM__MODULE=str(gate.with_name("gate.py"))), tmp_path / "recipe.yaml"
    recipe.write_text("{}\n")
    logs = [tmp_path / f"machine{number}.txt" for number in (0, 1)]
    port = free_port()
    machines = [_start_machine(number, port, pairs, recipe, checkout) for number in (0, 1)]
    _wait_for_gate(logs[0], *machines)
    _pull_the_plug(machines[1])
    gate.unlink()
    assert machines[0].wait(PATIENCE) != 0
    said = logs[0].read_text()
    assert "lost contact with another process" in said and "goes on from the newest checkpoint" in said
    port = free_port()
    machines = [_start_machine(number, port, pairs, recipe, checkout) for number in (0, 1)]
    assert [machine.wait(PATIENCE) for machine in machines] == [0, 0], logs[0].read_text()
    assert "resumed after step" in logs[0].read_text()
    assert Path(pairs["OUTPUT_DIR"], "summary.json").exists()
