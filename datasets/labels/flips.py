"""Classes that become each other when a clip is mirrored: a horizontal flip has to swap their labels."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.labels.class_lists import class_names
from datasets.labels.lookup import ClassLookup

_FLIP_PAIRS: dict[str, tuple[tuple[int, int], ...]] = {
    "ssv2": (
        (86, 87),  # pulling something from left to right / from right to left
        (93, 94),  # pushing something from left to right / from right to left
        (166, 167),  # turning the camera left / right while filming something
    ),
}
"""By the indices of the shipped class list."""


def horizontal_flip_pairs(dataset: str, names: Sequence[str] | None = None) -> tuple[tuple[int, int], ...]:
    """Pairs of class indices that a horizontal flip exchanges; empty for data sets without such classes.

    The indices are those of `names`, the classes in the order of their labels; None: the whole shipped
    list. A pair of which `names` lacks a class is left out.
    """
    pairs = _FLIP_PAIRS.get(dataset, ())
    if names is None or not pairs:
        return pairs
    shipped, lookup = class_names(dataset), ClassLookup(names)
    found = ((lookup.only(shipped[first]), lookup.only(shipped[second])) for first, second in pairs)
    return tuple((first, second) for first, second in found if first is not None and second is not None)
