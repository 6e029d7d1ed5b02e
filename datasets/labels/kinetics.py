"""How the classes of Kinetics-400, -600 and -700 correspond: the 710 classes of their union (K710).

Later releases renamed some classes of earlier ones ("balloon blowing" became "inflating balloons"). The
tables give, for such names, the name that stands in the list of 710; all other names are the same in both
lists.
"""

from __future__ import annotations

from collections.abc import Sequence

from datasets.labels.class_lists import class_names

KINETICS = ("k400", "k600", "k700")
"""The data sets whose classes the list of 710 unites, oldest first."""

_RENAMED = {
    "balloon blowing": "inflating balloons",
    "changing wheel": "changing wheel (not on bike)",
    "cooking sausages": "cooking sausages (not on barbeque)",
    "drinking": "sipping cup",
    "dying hair": "dyeing hair",
    "garbage collecting": "person collecting garbage",
    "hugging": "hugging (not baby)",
    "making bed": "making the bed",
    "opening bottle": "opening bottle (not wine)",
    "passing american football (not in game)": "passing American football (not in game)",
    "picking fruit": "picking apples",
    "skiing (not slalom or crosscountry)": "skiing mono",
    "sniffing": "smelling feet",
    "throwing ball (not baseball or American football)": "throwing ball",
    "tying tie": "tying necktie",
}


def kinetics_710_name(name: str) -> str:
    """The name that a class of Kinetics-400, -600 or -700 has in the list of 710."""
    return _RENAMED.get(name, name)


def union_class_names(datasets: Sequence[str]) -> tuple[str, ...]:
    """Class names of a union of Kinetics data sets, in the order of the list of 710.

    Raises:
        ValueError: a data set outside `KINETICS`.
    """
    foreign = [name for name in datasets if name not in KINETICS]
    if foreign:
        raise ValueError(f"{', '.join(foreign)} cannot be united by class name; {', '.join(KINETICS)} can")
    present = {kinetics_710_name(name) for dataset in datasets for name in class_names(dataset)}
    return tuple(name for name in class_names("k710") if name in present)
