"""Signals only leave a note; forked workers ignore them; handlers come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from utils import stopping
from utils.stopping import EXIT_INTERRUPTED, EXIT_PREEMPTED, RunStopped, StopSignals, leaving_at_once
from utils.stopwatch import Stopwatch


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, EXIT_PREEMPTED), (signal.SIGUSR1, EXIT_PREEMPTED), (signal.SIGINT, EXIT_INTERRUPTED)],
)
def test_a_signal_is_noted_and_the_old_handler_comes_back(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with StopSignals() as signals:
        assert signals.code == 0
        os.kill(os.getpid(), number)
        assert signals.code == code
    assert signal.getsignal(number) == before


IMPORTING = """
import os, signal, sys
sys.path[0] = sys.argv[1]
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[2] == "ignored" else signal.default_int_handler)
from utils.stopping import leave_on_interrupt
leave_on_interrupt()
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(
    ("before", "expected"), [("heard", (EXIT_INTERRUPTED, "interrupted\n")), ("ignored", (0, ""))]
)
def test_ctrl_c_while_a_command_imports(checkout: Path, before: str, expected: tuple[int, str]) -> None:
    command = [sys.executable, "-c", IMPORTING, str(checkout), before]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == expected


def test_a_second_ctrl_c_stops_at_once_but_an_echo_does_not(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with StopSignals(announces=True) as signals:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err.count("finishing this step and saving") == 1
        monkeypatch.setattr(stopping, "ECHO_SECONDS", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.code == EXIT_INTERRUPTED


def test_forked_workers_ignore_the_signals() -> None:
    with StopSignals() as signals:
        worker = os.fork()
        if worker == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7 if signals.received is None else 8)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 7


def test_a_repeated_signal_does_not_disturb_the_leaving() -> None:
    left = []
    with pytest.raises(RunStopped) as caught, StopSignals() as signals, signals.raising("as asked"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            left.append("in order")
    assert left and caught.value.exit_code == EXIT_PREEMPTED


def test_a_stop_is_no_error_that_somebody_may_take() -> None:
    with pytest.raises(RunStopped), StopSignals() as signals, signals.raising("as asked"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:  # noqa: BLE001  # what retries after any error of a store of videos
            pytest.fail("taken for an error")


def test_a_signal_while_importing_ends_the_process_with_its_code() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    child = os.fork()
    if child == 0:
        with leaving_at_once():
            os.kill(os.getpid(), signal.SIGUSR1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == EXIT_PREEMPTED
    assert signal.getsignal(signal.SIGUSR1) == before


def test_stopwatch_adds_up_by_name() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.measure("sleep"):
            time.sleep(0.01)
    assert 0.02 <= watch.seconds["sleep"] <= watch.total()
    assert 0 < watch.share("sleep", "other") <= 1
    assert watch.lap() >= 0.02 > watch.lap()
