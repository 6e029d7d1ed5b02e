"""Mirroring pixels and labels."""

from __future__ import annotations

import pytest
import torch

from datasets.labels import class_names, horizontal_flip_pairs
from datasets.sampling import sample_generator
from datasets.transforms.flip import Flip, mirror


def test_labels_of_left_right_pairs_swap_and_others_stay() -> None:
    flip = Flip(0.5, ((86, 87), (93, 94), (166, 167)))
    swapped = [flip.mirrored_labels((label,)) for label in (86, 87, 93, 94, 166, 167, 0, 88)]
    assert swapped == [(87,), (86,), (94,), (93,), (167,), (166,), (0,), (88,)]


def test_the_pairs_of_something_something_are_its_left_right_classes() -> None:
    names = class_names("ssv2")
    exchanged = [_with_sides_exchanged(name) for name in names]
    pairs = {
        (index, names.index(twin))
        for index, (name, twin) in enumerate(zip(names, exchanged, strict=True))
        if twin != name and twin in names
    }
    known = set(horizontal_flip_pairs("ssv2"))
    assert pairs == known | {(second, first) for first, second in known}


def _with_sides_exchanged(name: str) -> str:
    return " ".join({"left": "right", "right": "left"}.get(word, word) for word in name.split())


def test_pairs_with_several_heads_are_refused() -> None:
    with pytest.raises(ValueError, match="FLIP_LABEL_PAIRS"):
        Flip(0.5, ((0, 1),)).mirrored_labels((0, 5))
    assert Flip(0.5).mirrored_labels((0, 5)) == (0, 5)


def test_mirror_exchanges_left_and_right_alone() -> None:
    frames = torch.arange(2 * 2 * 3 * 3).view(2, 2, 3, 3)
    mirrored = mirror(frames)
    assert torch.equal(mirrored[:, :, 0], frames[:, :, 2])
    assert torch.equal(mirror(mirrored), frames)


def test_the_share_of_mirrored_clips_is_the_probability() -> None:
    for probability in (0.0, 0.3, 1.0):
        draws = [Flip(probability).draws(sample_generator(0, 0, i)) for i in range(1000)]
        assert abs(sum(draws) / 1000 - probability) < 0.05
