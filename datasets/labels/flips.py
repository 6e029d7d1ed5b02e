"""Classes that become each other when a clip is mirrored: a horizontal flip has to swap their labels."""

from __future__ import annotations

import re
from collections.abc import Sequence

from datasets.labels.class_lists import class_names
from datasets.labels.lookup import ClassLookup
from datasets.labels.words import class_key

_FLIP_PAIRS: dict[str, tuple[tuple[int, int], ...]] = {
    "ssv2": (
        (86, 87),  # pulling something from left to right / from right to left
        (93, 94),  # pushing something from left to right / from right to left
        (166, 167),  # turning the camera left / right while filming something
    ),
}
"""By the indices of the shipped class list."""
_OTHER_SIDE = {"left": "right", "right": "left"}
_SIDE = re.compile(r"\b(left|right)")


def horizontal_flip_pairs(dataset: str, names: Sequence[str] | None = None) -> tuple[tuple[int, int], ...]:
    """Pairs of class indices that a horizontal flip exchanges; empty for data sets without such classes.

    The indices are those of `names`, the classes in the order of their labels; None: the whole shipped
    list. Names that are worded otherwise ("a video of pulling …") count where they stand in the shipped
    order and say each other with left and right exchanged. Pairs that a part of the shipped classes has
    neither class of are left out, and so are all where no class of a part says left or right.

    Raises:
        ValueError: a class whose other side is not to be found.
    """
    pairs = _FLIP_PAIRS.get(dataset, ())
    if names is None or not pairs:
        return pairs
    shipped, lookup = class_names(dataset), ClassLookup(names)
    shipped_lookup = ClassLookup(shipped)
    all_shipped = all(shipped_lookup.candidates(name) for name in names)
    no_sides = len(names) < len(shipped) and not any(_SIDE.search(name.casefold()) for name in names)
    found: list[tuple[int, int]] = []
    for first, second in pairs:
        by_name = lookup.only(shipped[first]), lookup.only(shipped[second])
        if by_name[0] is not None and by_name[1] is not None:
            found.append((by_name[0], by_name[1]))
        elif len(names) == len(shipped) and _say_each_other_mirrored(names[first], names[second]):
            found.append((first, second))
        elif by_name != (None, None) or not (all_shipped or no_sides):
            raise ValueError(f"{shipped[first]!r} and {shipped[second]!r} are not both among the classes")
    return tuple(found)


def _say_each_other_mirrored(name: str, other: str) -> bool:
    turned = _SIDE.sub(lambda side: _OTHER_SIDE[side[0]], name.casefold())
    return class_key(turned) == class_key(other) != class_key(name)
