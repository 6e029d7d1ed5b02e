"""Why a process leaves a run before its end, told to the others, so that none of them takes it for lost.

    announce(code) ──► the processes' common store ◄── asked twice a second by a thread ── announced()

The store may lie in the first process. So the others ask before they need to know, and the first one waits
for them for a moment before it goes: afterwards nobody is left to answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from torch.distributed import Store

PERIOD_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
_CODE, _INFORMED = "farewell/code", "farewell/informed"


class Farewell:
    """The exit code with which the first process to leave `store`'s run says that it does.

    Nothing here waits without end: a store whose process or machine has stopped answers no question.
    """

    def __init__(self, store: Store, processes: int) -> None:
        self._store, self._processes = store, processes
        self._code, self._counts = 0, False
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="farewell", daemon=True)
        self._thread.start()

    def announce(self, code: int) -> None:
        """This process leaves with `code`, unless another one has been first."""
        if not self._ask():
            _for_a_moment(lambda: self._store.set(_CODE, str(code)))
            self._ask()

    def announced(self) -> int:
        """The code that a process has announced; 0 when none has."""
        return self._ask()

    def wait_until_heard(self) -> None:
        """Wait until all processes know of what was announced, or have left, for a moment at most."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end and not self._all_know():
            time.sleep(PERIOD_SECONDS / 10)

    def close(self) -> None:
        """Listen no longer."""
        self._over.set()
        self._thread.join(2 * PERIOD_SECONDS)
        if not self._counts:
            _for_a_moment(lambda: self._store.add(_INFORMED, 1))

    def _listen(self) -> None:
        while not self._over.wait(PERIOD_SECONDS) and not self._ask():
            pass

    def _ask(self) -> int:
        if not self._lock.acquire(timeout=2 * PERIOD_SECONDS):  # the listener waits for an answer
            return self._code
        try:
            if not self._code and not self._over.is_set() and self._store.check([_CODE]):
                self._code = int(self._store.get(_CODE))
                self._store.add(_INFORMED, 1)
                self._counts = True
        except RuntimeError:  # the store is gone, and what it had not said before is not to be known
            self._over.set()
        finally:
            self._lock.release()
        return self._code

    def _all_know(self) -> bool:
        try:
            return self._store.add(_INFORMED, 0) >= self._processes
        except RuntimeError:
            return True


def _for_a_moment(action: Callable[[], object]) -> None:
    """Do what may wait for an answer that never comes."""

    def act() -> None:
        with suppress(RuntimeError):  # whoever had the store is gone, and nobody listens any more
            action()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
