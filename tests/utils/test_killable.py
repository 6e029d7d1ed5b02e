"""Child processes that hang, die, raise and answer."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest

from utils.killable import run_killable


def misbehave(item: str) -> str:
    if item == "hang":
        time.sleep(600)
    if item == "die":
        os.abort()
    if item == "exit":
        os._exit(3)
    if item == "raise":
        raise ValueError("no")
    return f"{item} in {os.getpid()}"


def test_every_item_has_an_outcome_whatever_its_process_does() -> None:
    items = ["a", "hang", "b", "die", "c", "raise", "d", "exit", "e"]
    outcomes = {
        outcome.item: outcome for outcome in run_killable(misbehave, items, num_workers=2, time_limit=1.0)
    }
    assert sorted(outcomes) == sorted(items)
    for item in "abcde":
        assert outcomes[item].error is None
        assert (outcomes[item].result or "").startswith(item)
    assert outcomes["hang"].error == "no answer within 1 s"
    assert 0.9 < outcomes["hang"].seconds < 5
    assert outcomes["die"].error == "its process died with exit code -6 (aborted)"
    assert outcomes["exit"].error == "its process died with exit code 3"
    assert outcomes["raise"].error == "ValueError: no"


def test_children_serve_many_items_and_end_with_the_iterator() -> None:
    outcomes = run_killable(misbehave, [str(number) for number in range(50)], num_workers=2, time_limit=10)
    pids = {int((next(outcomes).result or "").split()[-1]) for _ in range(20)}
    assert len(pids) <= 2
    outcomes.close()  # type: ignore[attr-defined]
    assert not [pid for pid in pids if psutil.pid_exists(pid)]


def interrupted(pid: int) -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "deaf"


def test_an_interrupt_is_for_the_main_process() -> None:
    """A terminal sends Ctrl-C to the children, too."""
    (outcome,) = run_killable(interrupted, [0], num_workers=1, time_limit=10)
    assert (outcome.result, outcome.error) == ("deaf", None)


def test_without_items_there_is_nothing_to_start() -> None:
    assert list(run_killable(misbehave, [], num_workers=4, time_limit=1)) == []


@pytest.mark.parametrize(("workers", "limit"), [(0, 1.0), (1, 0.0)])
def test_senseless_limits_are_refused(workers: int, limit: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        next(run_killable(misbehave, ["a"], num_workers=workers, time_limit=limit))
