"""What a run tells: lines on the console and in a log file, numbers in `metrics.jsonl`, progress bars.

Only the main process speaks; the others log warnings, marked with their rank. `utils/trackers.py` adds
TensorBoard and Weights & Biases.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import simplejson
from tqdm import tqdm

LOGGER_NAME = "video"


def get_logger(part: str = "") -> logging.Logger:
    """The logger of the run, or of a part of it. Before `start_logging` only warnings are shown."""
    return logging.getLogger(f"{LOGGER_NAME}.{part}" if part else LOGGER_NAME)


def start_logging(log_file: Path | None, process: int = 0) -> None:
    """Send the run's messages to the console and, on the main process, to `log_file` (appended)."""
    logger = get_logger()
    stop_logging()
    prefix = "" if process == 0 else f"[process {process}] "
    form = logging.Formatter(f"%(asctime)s {prefix}%(message)s", datefmt="%H:%M:%S")
    handlers: list[logging.Handler] = [ConsoleHandler()]
    if log_file is not None and process == 0:
        handlers.append(LogFile(log_file, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(form)
        logger.addHandler(handler)
    logger.setLevel(logging.INFO if process == 0 else logging.WARNING)
    logger.propagate = False


def stop_logging() -> None:
    """Close what `start_logging` opened."""
    logger = get_logger()
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True


class ConsoleHandler(logging.Handler):
    """Writes to standard output without tearing a progress bar apart."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        tqdm.write(self.format(record), file=sys.stdout)
        sys.stdout.flush()


class LogFile(logging.FileHandler):
    """A text log. Where it cannot be written, as on a full disk, the console still has every line; whoever
    writes what matters there will meet the same error and end the run.
    """

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Leave a line out that the file cannot take."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whatever of it has been written."""
        with suppress(OSError):
            super().close()


class MetricsFile:
    """`metrics.jsonl`: one JSON object a line, each with "kind" and "step", written at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rewind(self, keep: Callable[[dict[str, Any]], bool]) -> int:
        """Drop the lines that `keep` refuses, which a resumed run will write again, and a torn last one.

        Returns how many were dropped.
        """
        if not self.path.exists():
            return 0
        lines = self.path.read_text(encoding="utf-8").splitlines()
        entries = [(line, _parsed(line)) for line in lines]
        kept = [line for line, entry in entries if entry is not None and keep(entry)]
        if len(kept) < len(lines):
            temporary = self.path.with_name(f".{self.path.name}.partial")
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            os.replace(temporary, self.path)
        return len(lines) - len(kept)

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append one line; numbers that are not finite become null (JSON has none)."""
        entry = {"kind": kind, "step": step, **values}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(simplejson.dumps(entry, ignore_nan=True) + "\n")

    def read(self, kind: str | None = None) -> list[dict[str, Any]]:
        """All whole lines, or those of one kind, in order."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        entries = [entry for line in lines if (entry := _parsed(line)) is not None]
        return [entry for entry in entries if kind is None or entry["kind"] == kind]


class Progress:
    """A progress bar over `total` items on a terminal; elsewhere nothing is drawn.

    `eta` estimates the rest from the pace since the start, so that log lines can carry it too.
    """

    def __init__(self, total: int, label: str, *, done: int = 0, visible: bool = True) -> None:
        shown = visible and sys.stderr.isatty()
        self._bar = tqdm(total=total, initial=done, desc=label, disable=not shown, leave=False)
        self._total, self._done, self._first = total, done, done
        self._started = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more items are done; `note` is shown behind the bar."""
        self._done += count
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)

    def eta(self) -> str:
        """Time to go as h:mm:ss, "?" before the first item."""
        finished = self._done - self._first
        if finished <= 0:
            return "?"
        pace = (time.monotonic() - self._started) / finished
        return format_seconds(pace * (self._total - self._done))

    def close(self) -> None:
        """Take the bar off the screen."""
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()


def format_seconds(seconds: float) -> str:
    """`seconds` as h:mm:ss."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _parsed(line: str) -> dict[str, Any] | None:
    """The values of a line of metrics; None for a torn one."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"kind", "step"} <= entry.keys() else None
