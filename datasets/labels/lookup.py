"""From a label as people write it to the index of its class."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.labels.words import class_key


class ClassLookup:
    """Finds classes by name: the exact name first, then the name whose `class_key` is the same.

    lookup = ClassLookup(("C", "C++", "brush_hair"))
    lookup.find("C++"), lookup.find("Brush Hair"), lookup.find("Java")      1, 2, None
    lookup.find("c")                                                        ValueError: 'C' or 'C++'?
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._exact = {name: index for index, name in enumerate(names)}
        self._by_key: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            self._by_key.setdefault(class_key(name), []).append(index)
        self._by_key.pop("", None)  # names of punctuation alone have nothing to be alike in

    def candidates(self, label: str) -> tuple[int, ...]:
        """Indices of the classes that a label may mean: one where it is exact, several where names are
        alike."""
        label = label.strip()
        if label in self._exact:
            return (self._exact[label],)
        return tuple(self._by_key.get(class_key(label), ()))

    def only(self, label: str) -> int | None:
        """Index of the class that a label means; None where it means none, or one of several."""
        candidates = self.candidates(label)
        return candidates[0] if len(candidates) == 1 else None

    def find(self, label: str) -> int | None:
        """Index of the class that a label means, or None.

        Raises:
            ValueError: the label is no exact name, and several names differ from it in case, spaces and
                punctuation alone.
        """
        candidates = self.candidates(label)
        if len(candidates) > 1:
            alike = " or ".join(f"{self._names[index]!r} (class {index})" for index in candidates)
            raise ValueError(f"label {label!r} may mean {alike}: write the name as it is in the class names")
        return candidates[0] if candidates else None
