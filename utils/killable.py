"""Work in child processes that can be killed: for native code that may hang, crash or eat memory.

    items ──► children, one item at a time ──► outcomes, as they come

A child that is with one item for too long is killed, one that dies is noticed; either is an outcome of its
item, and another child takes its place.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from utils.fork_server import deaf_to_interrupts

Item = TypeVar("Item")
Result = TypeVar("Result")

_EXIT_HINTS = {-6: " (aborted)", -9: " (killed; out of memory?)", -11: " (segmentation fault)"}

START_SECONDS = 120.0
"""What a child may take to start and import, which does not count as time for its first item."""


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """What became of one item: its result, or why there is none."""

    item: Item
    result: Result | None = None
    error: str | None = None
    """None when the function returned; otherwise what it raised, or how its process ended."""
    seconds: float = 0.0


def run_killable(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    num_workers: int,
    time_limit: float,
    memory_limit: int | None = None,
    prepare: Callable[[], object] | None = None,
) -> Iterator[Outcome[Item, Result]]:
    """Call `function` with every item in `num_workers` child processes; outcomes come in any order.

    `function` and items must be picklable. `time_limit`: seconds for one item, after which its process is
    killed. `memory_limit`: bytes of address space of a child (where the system knows such limits). `prepare`
    is called once in every child before its time counts, to import what the items need. The children end
    with the iterator.
    """
    if num_workers < 1 or time_limit <= 0:
        raise ValueError(f"{num_workers} workers with {time_limit} s an item: both must be positive")
    context = _clean_context()
    todo = iter(items)
    children: list[_Child] = []
    try:
        for item in todo:
            children.append(_Child(context, function, memory_limit, prepare))
            children[-1].give(item)
            if len(children) == num_workers:
                break
        while children:
            for child in _ready(children, time_limit):
                yield child.take(time_limit)
                item = next(todo, _END)
                if item is _END:
                    children.remove(child)
                    child.end()
                    continue
                if not child.is_usable:
                    children[children.index(child)] = child = _Child(context, function, memory_limit, prepare)
                child.give(item)
    finally:
        for child in children:
            child.end()


_END: Any = object()


def _ready(children: list[_Child], time_limit: float) -> list[_Child]:
    """Children that have answered, died or used up their time; waits for the first."""
    while True:
        now = time.monotonic()
        overdue = [child for child in children if child.deadline(time_limit) <= now]
        if overdue:
            return overdue
        nearest = min(child.deadline(time_limit) for child in children)
        answered = wait([child.connection for child in children], timeout=min(nearest - now, 1.0))
        ready = [child for child in children if child.connection in answered]
        for child in [*ready]:
            if child.has_started_now():
                ready.remove(child)
        if ready:
            return ready


class _Child:
    """One child process and what it is doing."""

    def __init__(self, context: Any, *work: Any) -> None:
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *work), daemon=True)
        with deaf_to_interrupts():
            self._process.start()
        theirs.close()  # so that the end of the child ends the connection
        self._item: Any = None
        self._since = time.monotonic()
        self._started = False
        self.is_usable = True

    def deadline(self, time_limit: float) -> float:
        """When the present item must be done."""
        return self._since + (time_limit if self._started else max(START_SECONDS, time_limit))

    def give(self, item: Any) -> None:
        """Hand over the next item."""
        self._item, self._since = item, time.monotonic()
        with suppress(BrokenPipeError):  # a child that has died meanwhile is noticed by `take`
            self.connection.send(item)

    def has_started_now(self) -> bool:
        """Whether what the child has to say is only that it is ready: its time counts from here."""
        if self._started:
            return False
        try:
            self.connection.recv()  # a child's first word
        except (EOFError, OSError):
            return False  # it died; `take` says so
        self._started, self._since = True, time.monotonic()
        return True

    def take(self, time_limit: float) -> Outcome[Any, Any]:
        """The outcome of the present item; afterwards the child is idle, or unusable."""
        seconds = time.monotonic() - self._since
        if not self.connection.poll():
            self._kill()
            return Outcome(self._item, error=f"no answer within {time_limit:g} s", seconds=seconds)
        try:
            result, error = self.connection.recv()
        except (EOFError, OSError):
            self._kill()
            return Outcome(self._item, error=_how_it_ended(self._process.exitcode), seconds=seconds)
        return Outcome(self._item, result, error, seconds)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._kill()
        self.connection.close()

    def _kill(self) -> None:
        self.is_usable = False
        self._process.kill()
        self._process.join()


def _how_it_ended(exit_code: int | None) -> str:
    return f"its process died with exit code {exit_code}{_EXIT_HINTS.get(exit_code or 0, '')}"


def _serve(
    connection: Connection,
    function: Callable[[Any], Any],
    memory_limit: int | None,
    prepare: Callable[[], object] | None,
) -> None:
    """The child: answer items until it is killed or the parent is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # for where the fork server was started by others, and hears it
    if memory_limit is not None and sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory_limit, memory_limit))
    if prepare is not None:
        prepare()
    connection.send("ready")
    while True:
        try:
            item = connection.recv()
        except EOFError:
            return
        try:
            answer: tuple[Any, str | None] = (function(item), None)
        except Exception as error:  # noqa: BLE001  # whatever it is, the parent is told
            answer = (None, f"{type(error).__name__}: {error}")
        connection.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        import os

        parent.join()
        os._exit(1)


def _clean_context() -> Any:
    """Children that start from a clean process: what the parent has loaded and opened stays there."""
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
