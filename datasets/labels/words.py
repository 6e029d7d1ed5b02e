"""Class names as words for prompts, and as keys for comparison.

Data sets write one class in many ways: "brush_hair", "brush hair", "HandStandPushups", "Putting [something]
…".
"""

from __future__ import annotations

import re

_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_IRREGULAR = {"YoYo": "Yoyo"}


def class_words(name: str) -> str:
    """A class name as plain words for a prompt.

    A name with spaces is language already and keeps its wording. One without is an identifier: CamelCase,
    underscores and hyphens are split, and EPIC-KITCHENS' "board:chopping" turns into "chopping board".
    """
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    text = name.strip()
    if " " not in text:
        head, *qualifiers = text.split(":")
        text = " ".join([*qualifiers, head])
        text = _CAMEL_CASE.sub(" ", text.replace("-", " "))
    return " ".join(text.replace("_", " ").split())


def class_key(name: str) -> str:
    """What is left of a class name when case, spaces and punctuation do not count, to compare spellings."""
    return "".join(character for character in name.casefold() if character.isalnum())
