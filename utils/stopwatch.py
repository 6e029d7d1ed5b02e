"""Where the time of a run goes: seconds by name, measured by the clock on the wall."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the seconds spent in named parts of a run; parts must not overlap."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()
        self._lap_started = self._started

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Count the time inside under `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def lap(self) -> float:
        """Seconds since the last call, or since the watch was made."""
        previous, self._lap_started = self._lap_started, time.perf_counter()
        return self._lap_started - previous

    def total(self) -> float:
        """Seconds since the watch was made."""
        return time.perf_counter() - self._started

    def share(self, *names: str) -> float:
        """Part of the total, 0 to 1, that the named parts took together."""
        return sum(self.seconds.get(name, 0.0) for name in names) / max(self.total(), 1e-9)
