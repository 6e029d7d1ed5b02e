"""RandAugment as AUGMENTATION.AUTOAUGMENT.TYPE describes it, in timm's words: "rand-m9-n2-p0.5-mstd0.5-inc1".

Torch-free: the configuration is checked with it, and `transforms/rand_augment.py` reads its numbers.
"""

from __future__ import annotations

import re

MOST_MAGNITUDE = 10.0
"""Magnitudes are written on a scale from 0 to this."""
FORM = "rand-m<magnitude 0..10>[-n<operations>][-p<probability>][-mstd<spread of the magnitude>][-inc1]"
_PART = re.compile(r"(m|p|mstd|inc)(\d+(?:\.\d+)?)|(n)([1-9]\d*)")


def described_numbers(description: str) -> dict[str, float]:
    """The numbers of a description by their letters (m, n, p, mstd, inc); all but m may be left out.

    Raises ValueError for a part that is not understood or a number outside its range.
    """
    kind, *parts = description.split("-")
    matches = [_PART.fullmatch(part) for part in parts]
    numbers = {match[1] or match[3]: float(match[2] or match[4]) for match in matches if match}
    if kind != "rand" or None in matches or "m" not in numbers:
        raise ValueError(f"{description!r} is no RandAugment description")
    for letter, what, most in (("m", "magnitude", MOST_MAGNITUDE), ("p", "probability", 1.0)):
        if numbers.get(letter, 0.0) > most:
            raise ValueError(f"{description!r}: {what} {numbers[letter]:g} is not in 0 to {most:g}")
    return numbers
