"""Classes that become each other when a clip is mirrored: a horizontal flip has to swap their labels."""

from __future__ import annotations

_FLIP_PAIRS: dict[str, tuple[tuple[int, int], ...]] = {
    "ssv2": (
        (86, 87),  # pulling something from left to right / from right to left
        (93, 94),  # pushing something from left to right / from right to left
        (166, 167),  # turning the camera left / right while filming something
    ),
}


def horizontal_flip_pairs(dataset: str) -> tuple[tuple[int, int], ...]:
    """Pairs of class indices that a horizontal flip exchanges; empty for data sets without such classes."""
    return _FLIP_PAIRS.get(dataset, ())
