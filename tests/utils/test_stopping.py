"""Signals only leave a note; forked workers ignore them; handlers come back."""

from __future__ import annotations

import os
import signal
import time

import pytest

from utils import stopping
from utils.stopping import EXIT_INTERRUPTED, EXIT_PREEMPTED, StopSignals
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


def test_stopwatch_adds_up_by_name() -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.measure("sleep"):
            time.sleep(0.01)
    assert 0.02 <= watch.seconds["sleep"] <= watch.total()
    assert 0 < watch.share("sleep", "other") <= 1
    assert watch.lap() >= 0.02 > watch.lap()
