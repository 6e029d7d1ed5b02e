"""The shipped class lists and the subsets of classes that protocols name, read on first use.

names/<list>.txt   one class name a line; the line number, from 0, is the class index
subsets.txt        "<list> <subset>: 0-3 7 12-14", class indices and inclusive ranges
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent

CLASS_LISTS = {
    "k400": 400,
    "k600": 600,
    "k700": 700,
    "k710": 710,
    "ssv2": 174,
    "ucf101": 101,
    "hmdb51": 51,
    "epic100_verbs": 97,
    "epic100_nouns": 300,
}
"""Name of each shipped list and its number of classes."""


@cache
def class_names(list_name: str) -> tuple[str, ...]:
    """Names of one shipped list in the order of its class indices, spelled as the data set spells them.

    Raises:
        ValueError: there is no such list; the message names those that exist.
    """
    if list_name not in CLASS_LISTS:
        raise ValueError(
            f"no class list {list_name!r} ships with the project; there are: {', '.join(CLASS_LISTS)}"
        )
    lines = (_FOLDER / "names" / f"{list_name}.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == CLASS_LISTS[list_name], f"{list_name}.txt holds {len(lines)} names"
    return tuple(lines)


def class_subset(list_name: str, subset: str) -> tuple[int, ...]:
    """Class indices, ascending, of a named subset: "base" (k400, ssv2, ucf101, hmdb51), "zero-shot-1…3"
    (k600).

    Raises:
        ValueError: there is no such subset; the message names those that exist.
    """
    subsets = _subsets()
    if (list_name, subset) not in subsets:
        known = ", ".join(f"{name} {kind}" for name, kind in subsets)
        raise ValueError(f"no subset {subset!r} of {list_name!r} ships with the project; there are: {known}")
    return subsets[list_name, subset]


@cache
def _subsets() -> dict[tuple[str, str], tuple[int, ...]]:
    subsets: dict[tuple[str, str], tuple[int, ...]] = {}
    for line in (_FOLDER / "subsets.txt").read_text(encoding="utf-8").splitlines():
        title, _, spans = line.partition(":")
        list_name, subset = title.split()
        subsets[list_name, subset] = tuple(index for span in spans.split() for index in _indices(span))
    return subsets


def _indices(span: str) -> range:
    """ "12-14" → 12, 13, 14; "7" → 7."""
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1)
