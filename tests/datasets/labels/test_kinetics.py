"""How the three Kinetics class lists unite to 710."""

from __future__ import annotations

import pytest

from datasets.labels import KINETICS, class_names, kinetics_710_name, union_class_names


def test_the_union_of_the_three_is_the_list_of_710_in_its_order() -> None:
    assert union_class_names(KINETICS) == class_names("k710")


@pytest.mark.parametrize("dataset", KINETICS)
def test_classes_of_one_data_set_stay_distinct_in_the_union(dataset: str) -> None:
    united = {kinetics_710_name(name) for name in class_names(dataset)}
    assert len(united) == len(class_names(dataset))
    assert united <= set(class_names("k710"))


def test_first_400_classes_of_the_union_are_those_of_k400_in_order() -> None:
    assert [kinetics_710_name(name) for name in class_names("k400")] == list(class_names("k710")[:400])


def test_what_the_releases_added_and_dropped() -> None:
    k600, k700 = ({kinetics_710_name(name) for name in class_names(name)} for name in ("k600", "k700"))
    assert k600 - k700 == {"bull fighting", "chopping vegetables"}
    assert len(k700 - k600) == 102
    assert list(class_names("k700")) == sorted(class_names("k700"))


def test_other_data_sets_cannot_be_united() -> None:
    with pytest.raises(ValueError, match="ssv2 cannot be united"):
        union_class_names(("k400", "ssv2"))
