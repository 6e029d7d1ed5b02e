"""What became of each video, one CSV line at once: read back, it tells an interrupted run where it was."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import IO

from utils.atomic import replacing

PATH, PROBLEM = "path", "problem"
NAMES = "surrogateescape"
"""How text holds names that are no UTF-8, as `os` does: they are written as the bytes that they are."""


class Journal:
    """An append-only CSV file with the columns path, problem (empty: none) and ``facts``.

    Use it as a context manager. Raises ValueError when the file there has other columns.
    """

    def __init__(self, path: str, facts: Sequence[str]) -> None:
        self.path = path
        self.columns = [PATH, PROBLEM, *facts]
        self.rows: dict[str, dict[str, str]] = {}
        """The latest line of every video."""
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        self._read()
        self._file = open(self.path, "a", encoding="utf-8", errors=NAMES, newline="")  # closed in __exit__
        if self._file.tell() == 0:
            self._write(self.columns)
        elif not self._ends_with_newline():  # the run before was cut off in the middle of a line
            self._file.write("\n")
        return self

    def _ends_with_newline(self) -> bool:
        with open(self.path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _read(self) -> None:
        if not os.path.exists(self.path) or os.path.getsize(self.path) == 0:
            return
        with open(self.path, encoding="utf-8", errors=NAMES, newline="") as file:
            reader = csv.reader(file)
            header = next(reader, [])
            if header != self.columns:
                raise ValueError(
                    f"{self.path} has the columns {header}, not {self.columns}: it is another file, "
                    "or an earlier version's; "
                    "give another name, or remove it to start again"
                )
            for row in reader:
                if len(row) == len(self.columns):  # a line cut off in the middle is not done
                    self.rows[row[0]] = dict(zip(self.columns, row, strict=True))

    def has(self, path: str, facts: Mapping[str, str]) -> bool:
        """Whether the latest line of a video says this of it."""
        row = self.rows.get(path)
        return row is not None and all(row[name] == value for name, value in facts.items())

    def add(self, path: str, problem: str, facts: Mapping[str, object]) -> None:
        """Note what became of a video."""
        row = {PATH: path, PROBLEM: " ".join(problem.split()), **{name: str(facts[name]) for name in facts}}
        self._write([row.get(column, "") for column in self.columns])
        self.rows[path] = row

    def _write(self, row: Sequence[str]) -> None:
        assert self._file is not None, "the journal is not open"
        csv.writer(self._file, lineterminator="\n").writerow(row)
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def write_bad_list(path: str, problems: Mapping[str, str]) -> None:
    """Write the videos that must be left out, and why: what DATA.EXCLUDE_LIST reads."""
    with (
        replacing(path) as unfinished,
        open(unfinished, "w", encoding="utf-8", errors=NAMES, newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([PATH, PROBLEM])
        writer.writerows(sorted(problems.items()))


def read_bad_list(path: str) -> dict[str, str]:
    """Videos to leave out and why, as ``write_bad_list`` writes them.

    Raises ValueError when the file is missing or is none of these.
    """
    try:
        with open(path, encoding="utf-8", errors=NAMES, newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, csv.Error) as error:
        raise ValueError(f"DATA.EXCLUDE_LIST {path} cannot be read: {error}") from error
    if not rows or rows[0][:2] != [PATH, PROBLEM]:
        raise ValueError(
            f"DATA.EXCLUDE_LIST {path} does not begin with the columns path,problem: "
            "give a list that runs/prepare.py check has written"
        )
    return {row[0]: row[1] for row in rows[1:] if len(row) >= 2 and row[1]}
