"""Signals that ask a run to stop: it finishes the step at hand, saves, and leaves with a code that says why.

SIGTERM, SIGUSR1   pre-emption by a scheduler         → exit code 75 ("temporary failure: run me again")
SIGINT (Ctrl-C)    the user; a second one stops at once → exit code 130
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

EXIT_PREEMPTED = 75
EXIT_INTERRUPTED = 130
ECHO_SECONDS = 2.0
ANNOUNCEMENT = b"\nstopping: finishing this step and saving (Ctrl-C again stops at once)\n"


def leave_on_interrupt() -> None:
    """From now on Ctrl-C ends the process there and then, with a word and its code: for a command's own
    imports, before which nothing can catch an exception. Where it is ignored, as under `nohup`, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave_interrupted)


def _leave_interrupted(number: int, frame: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":
        os.write(2, b"interrupted\n")
    os._exit(EXIT_INTERRUPTED)


@contextmanager
def interrupts_noted() -> Iterator[list[int]]:
    """Inside, Ctrl-C raises KeyboardInterrupt, as usual, and is noted in the list that is given: a library
    that is being imported may take the exception, and fail for want of what it was about to import.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    ours = before in (signal.default_int_handler, _leave_interrupted)
    if not ours or threading.current_thread() is not threading.main_thread():
        yield noted
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Inside, SIGTERM and SIGUSR1 end the process there and then, with their code: for imports, after which
    an exception would leave modules half made, and before which there is nothing to save.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        os.write(2, b"stopped as asked: the same command begins, or goes on\n")
        os._exit(EXIT_PREEMPTED)

    previous = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class RunStopped(BaseException):
    """The run was asked to stop and has saved its state; `exit_code` is what to leave with.

    It may come at any moment, like KeyboardInterrupt, so that no `except Exception` on its way may take it.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StopSignals:
    """Context in which the signals above only set `received`; on leaving it the old handlers are back.

    Worker processes forked inside inherit the handlers but not the meaning: there the signals do nothing, so
    that data keeps coming until the step is finished, even when a scheduler signals every process.
    """

    signals = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)

    def __init__(self, announces: bool = False) -> None:
        """announces: say on stderr that the signal has been heard."""
        self.received: signal.Signals | None = None
        self._received_at = 0.0
        self._announces = announces
        self._message: str | None = None
        self._owner = os.getpid()
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopSignals:
        for number in self.signals:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @property
    def code(self) -> int:
        """0 without a signal, else the exit code that goes with it."""
        if self.received is None:
            return 0
        return EXIT_INTERRUPTED if self.received == signal.SIGINT else EXIT_PREEMPTED

    @contextmanager
    def raising(self, message: str) -> Iterator[None]:
        """Inside, a signal (one that has come before, too) raises RunStopped at once: for long work after
        which, or before which, there is nothing to save.
        """
        self._message = message
        try:
            self._raise_if_told_to()
            yield
        finally:
            self._message = None

    def _raise_if_told_to(self) -> None:
        if self._message is not None and self.received is not None:
            # Once: a launcher passes on what a scheduler has sent to everybody, and leaving takes a moment.
            message, self._message = self._message, None
            raise RunStopped(message, self.code)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            return
        first = self.received is None
        if number == signal.SIGINT and self.received == signal.SIGINT:
            # A launcher passes on the Ctrl-C that the terminal has sent to everybody: no second one.
            if time.monotonic() - self._received_at > ECHO_SECONDS:
                raise KeyboardInterrupt
            return
        self.received, self._received_at = signal.Signals(number), time.monotonic()
        if first and self._announces:
            os.write(2, ANNOUNCEMENT)  # not through buffers, which the signal may have found half written
        self._raise_if_told_to()
