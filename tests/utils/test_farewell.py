"""What a process says as it leaves, and a store that says nothing any more."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from utils import farewell
from utils.farewell import Farewell


def test_the_first_to_leave_says_why() -> None:
    store = HashStore()
    ours, theirs = Farewell(store, 2), Farewell(store, 2)
    assert ours.announced() == 0
    ours.announce(75)
    theirs.announce(1)
    assert (ours.announced(), theirs.announced()) == (75, 75)
    ours.wait_until_heard()
    ours.close()
    theirs.close()


def test_a_process_that_has_left_is_not_waited_for() -> None:
    store = HashStore()
    ours, theirs = Farewell(store, 2), Farewell(store, 2)
    theirs.close()
    ours.announce(75)
    started = time.monotonic()
    ours.wait_until_heard()
    assert time.monotonic() - started < farewell.PATIENCE_SECONDS / 2
    ours.close()


class _Silent(HashStore):
    """The store of a machine that has lost its power: no question comes back."""

    def check(self, keys: list[str]) -> bool:
        threading.Event().wait(timedelta(hours=1).total_seconds())
        return False

    def set(self, key: str, value: str) -> None:
        self.check([key])

    def add(self, key: str, amount: int) -> int:
        return int(self.check([key]))


def test_a_store_that_answers_no_question_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "PERIOD_SECONDS", 0.05)
    monkeypatch.setattr(farewell, "PATIENCE_SECONDS", 0.2)
    ours = Farewell(_Silent(), 2)
    time.sleep(0.2)  # its listener waits by now
    started = time.monotonic()
    assert ours.announced() == 0
    ours.announce(75)
    ours.close()
    assert time.monotonic() - started < 5
