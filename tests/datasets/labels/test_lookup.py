"""Labels find their class: exactly, or by a spelling that only one class has."""

from __future__ import annotations

import pytest

from datasets.labels import CLASS_LISTS, ClassLookup, class_names


@pytest.mark.parametrize(
    "names",
    [
        ("-1", "1"),
        ("C", "C++", "C#"),
        ("Run", "run"),
        ("< 5", "> 5"),
        ("<", ">"),
        ("काम", "कम"),  # they differ in a vowel sign, which is no letter of its own
        *map(class_names, CLASS_LISTS),
    ],
)
def test_every_name_is_its_own_class(names: tuple[str, ...]) -> None:
    lookup = ClassLookup(names)
    assert [lookup.find(name) for name in names] == list(range(len(names)))
    assert [lookup.only(f" {name} ") for name in names] == list(range(len(names)))


def test_another_spelling_of_one_class_is_found() -> None:
    lookup = ClassLookup(("brush_hair", "HandStandPushups"))
    assert [lookup.find(label) for label in ("Brush Hair", "handstand_pushups", "jump", "", "?")] == [
        0,
        1,
        None,
        None,
        None,
    ]


def test_another_spelling_of_several_classes_names_them() -> None:
    lookup = ClassLookup(("C", "Java", "C++"))
    with pytest.raises(ValueError, match=r"label 'c' may mean 'C' \(class 0\) or 'C\+\+' \(class 2\)"):
        lookup.find("c")
    assert lookup.only("c") is None
    assert ClassLookup(("<", ">")).find("") is None
