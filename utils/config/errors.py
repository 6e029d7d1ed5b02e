"""What is wrong with a configuration, where it was written, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Problem:
    """One mistake. `key` is dotted, `source` a file and line or the command line."""

    message: str
    key: str = ""
    source: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        lines = [f"{self.key}: {self.message}" if self.key else self.message]
        if self.source:
            lines.append(f"  where:  {self.source}")
        if self.remedy:
            lines.append(f"  remedy: {self.remedy}")
        return "\n".join(lines)


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` lists every mistake that was found.

    A section's `__post_init__` raises it with the key relative to that section; loading adds the section's
    own name and the file that set the key.
    """

    def __init__(
        self,
        message: str = "",
        *,
        key: str = "",
        source: str = "",
        remedy: str = "",
        problems: Iterable[Problem] = (),
    ) -> None:
        self.problems = tuple(problems) or (Problem(message, key, source, remedy),)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ConfigWarning(UserWarning):
    """A setting that is understood but deserves a second look."""


def require(condition: bool, key: str, message: str, remedy: str = "") -> None:
    """Raise `ConfigError` for `key` (relative to the section that checks) unless `condition` holds."""
    if not condition:
        raise ConfigError(message, key=key, remedy=remedy)


def placed(problem: Problem, prefix: str, source: str) -> Problem:
    """The same problem with the section's name before its key and, if it had none, its source."""
    key = ".".join(part for part in (prefix, problem.key) if part)
    return replace(problem, key=key, source=problem.source or source)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """The known names that `name` was most likely meant to be, best first.

    A key written in the wrong section (`BATCH_SIZE` for `TRAIN.BATCH_SIZE`) is found by its last part.
    """
    names = list(known)
    upper = name.upper()
    last = upper.rpartition(".")[2]
    same_last_part = [key for key in names if key.rpartition(".")[2] == last]
    similar = difflib.get_close_matches(upper, names, n=limit, cutoff=0.6)
    if not similar:
        last_parts = {key.rpartition(".")[2]: key for key in names}
        similar = [
            last_parts[part] for part in difflib.get_close_matches(last, last_parts, n=limit, cutoff=0.75)
        ]
    ranked = sorted(same_last_part, key=lambda key: -difflib.SequenceMatcher(None, upper, key).ratio())
    return list(dict.fromkeys([*ranked, *similar]))[:limit]
