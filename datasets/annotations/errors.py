"""The one error of annotation files, and a collector that shows the first few lines that are wrong."""

from __future__ import annotations

_SHOWN_LINES = 5
_SHOWN_CHARACTERS = 120
REMEDY_COUNTED_FROM_ONE = (
    "class indices start at 0, and these seem to start at 1: subtract 1 from each, in every list"
)


class AnnotationError(ValueError):
    """An annotation or class-name file is missing, empty, malformed, or does not fit the class names."""


class Offenders:
    """Collects what is wrong in one file and raises once, naming the first few and how many there are.

    offenders = Offenders("val.txt", remedy="give the class names that belong to this list")
    offenders.add(17, "label 400 is outside 0…399")
    offenders.raise_any()
    """

    def __init__(self, source: str, remedy: str) -> None:
        self.source = source
        self.remedy = remedy
        self.count = 0
        self._shown: list[str] = []

    def add(self, line: int | None, message: str) -> None:
        """Note one offender; `line` counts from 1, None where lines mean nothing."""
        self.count += 1
        if len(self._shown) < _SHOWN_LINES:
            place = f"line {line}: " if line is not None else ""
            self._shown.append(f"  {place}{message}")

    def raise_any(self) -> None:
        """Raise AnnotationError if anything was added."""
        if not self.count:
            return
        more = self.count - len(self._shown)
        rest = [f"  … and {more} more"] if more else []
        title = f"{self.source}: {self.count} {'entry is' if self.count == 1 else 'entries are'} wrong"
        raise AnnotationError("\n".join([title, *self._shown, *rest, f"Remedy: {self.remedy}"]))


def shown(text: str) -> str:
    """A line of a file, quoted and cut to a length that fits an error message."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)
